"""Columns measured under differential privacy: noise and thresholds by their formulas, what shows, and what is added up."""

from __future__ import annotations

import importlib.util
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from click.testing import CliRunner

import rivalry
from rivalry.auto import decided
from rivalry.baselines import MST
from rivalry.cli import cli
from rivalry.data import ReadOptions, load
from rivalry.data.columns.schema import Schema
from rivalry.data.loading import columns
from rivalry.errors import DataError, RecipeError
from rivalry.privacy import agree_terms, agree_votes, epsilon_of, read_account, sigma_for
from rivalry.privacy.accounting import noise_for, normal_delta
from rivalry.privacy.preparation import preparation, told
from rivalry.privacy.preparing import Measure, prepare
from rivalry.recipe import Private
from rivalry.report import write_report
from rivalry.training.session import _agreed

pa = pytest.importorskip("pyarrow")
stats = pytest.importorskip("scipy.stats")
needs_accountant = pytest.mark.skipif(importlib.util.find_spec("dp_accounting") is None, reason="dp-accounting is not installed")


def people(n: int = 4000, seed: int = 0) -> Path:
    g = np.random.default_rng(seed)
    wards = g.choice(["surgery", "medicine", "eyes"], n, p=[0.5, 0.3, 0.2]).tolist()
    wards[7 % n] = "leprosy"
    stay = np.where(g.random(n) < 0.3, 0.0, g.gamma(3, 4, n).round(1))
    seen = (np.datetime64("2015-06-01") + g.integers(0, 1500, n)).astype(str)
    return pa.table({
        "ward": wards, "age": g.integers(18, 95, n).astype(str).tolist(), "stay": [f"{v:.1f}" for v in stay],
        "seen": seen.tolist(), "ill": g.choice(["yes", "no", ""], n, p=[0.2, 0.7, 0.1]).tolist(),
        "case": [f"K-{i:06d}" for i in g.permutation(10**6)[:n]],
    })  # fmt: skip


def csv(table: object, path: Path) -> Path:
    rows = table.to_pydict()  # type: ignore[attr-defined]
    path.write_text(",".join(rows) + "\n" + "\n".join(",".join(r) for r in zip(*rows.values(), strict=True)) + "\n")
    return path


def prepared(epsilon: float, n: int = 4000, **more: object) -> Schema:
    fields, cells, rows, _ = columns(people(n))
    return prepare(fields, cells, rows, epsilon, **more)  # type: ignore[arg-type]


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-6), (1.0, 1e-5), (8.0, 1e-9), (1e-3, 1e-5)])
def test_noise_is_the_least_whose_delta_is_kept(epsilon: float, delta: float) -> None:
    """Balle & Wang 2018, theorem 8, by scipy."""
    sigma = noise_for(epsilon, delta)

    def spent(s: float) -> float:
        return float(stats.norm.cdf(0.5 / s - epsilon * s) - math.exp(epsilon) * stats.norm.cdf(-0.5 / s - epsilon * s))

    assert spent(sigma) <= delta * (1 + 1e-6)
    assert spent(sigma * 0.999) > delta
    assert normal_delta(1 / sigma, epsilon) == pytest.approx(spent(sigma), rel=1e-6)


def test_counts_have_the_noise_that_they_say_and_single_rows_show_as_often_as_they_may() -> None:
    measure = Measure(3.0, 0.01)
    left = measure.counted(np.zeros(0, dtype=np.int64), 200_000)
    assert float(left.std()) == pytest.approx(3.0, rel=0.02)
    assert float(left.mean()) == pytest.approx(0.0, abs=0.05)
    assert measure.threshold == pytest.approx(1 + 3 * float(stats.norm.isf(0.01)))
    shown = (measure.shown(np.ones(200_000)) > 0).mean()
    assert 0.009 < shown < 0.011
    assert not measure.shown(np.zeros(1000)).any()


def test_the_noise_of_all_histograms_adds_up_to_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """R normal mechanisms of sigma are one of sigma / sqrt(R)."""
    made: list[Measure] = []
    real = Measure.__init__

    def spied(self: Measure, sigma: float, names: float) -> None:
        real(self, sigma, names)
        made.append(self)

    monkeypatch.setattr(Measure, "__init__", spied)
    whole = prepared(1.0, delta=1e-5).prepared
    (measure,) = made
    assert whole is not None
    histograms = 2 + 2 * 4 + 3  # ward, ill; age, stay; seen
    assert measure.sigma == pytest.approx(whole.noise * math.sqrt(histograms))
    assert measure.names * 5 == pytest.approx(whole.names_delta) == pytest.approx(1e-6)
    assert whole.noise == pytest.approx(noise_for(1.0, 0.9e-5))


@needs_accountant
def test_preparation_and_turns_are_composed() -> None:
    """Without sampling, k turns of sigma and one of b are one of 1 / sqrt(k / sigma^2 + 1 / b^2)."""
    found = epsilon_of(10.0, 1e-5, 1.0, 25, before=4.0)
    assert normal_delta(math.sqrt(25 / 100 + 1 / 16), found) == pytest.approx(1e-5, rel=0.01)
    assert epsilon_of(0.0, 1e-5, 0.0, 0, before=4.0) == pytest.approx(epsilon_of(4.0, 1e-5, 1.0, 1), rel=1e-3)
    assert sigma_for(2.0, 1e-5, 0.05, 100, before=4.0) > sigma_for(2.0, 1e-5, 0.05, 100)
    with pytest.raises(RecipeError, match=r"preparation alone spends all of epsilon 0.5"):
        sigma_for(0.5, 1e-5, 0.05, 100, before=4.0)


@needs_accountant
def test_terms_of_prepared_columns_take_their_delta_off() -> None:
    paid = prepared(0.5).prepared
    assert paid is not None
    terms = agree_terms(Private(3.0), 3600, 100, 50, paid)
    assert (terms.before, terms.names_delta) == (paid.noise, paid.names_delta)
    assert terms.epsilon_after(50) == epsilon_of(terms.sigma, terms.delta - paid.names_delta, terms.rate, 50, before=paid.noise)
    assert 2.97 < terms.epsilon_after(50) <= 3.0
    assert terms.epsilon_after(0) == pytest.approx(0.5, rel=0.1)  # before any turn the preparation has been paid for
    with pytest.raises(RecipeError, match=r"took delta .* for names of levels alone"):
        agree_terms(Private(3.0, delta=paid.names_delta / 2), 3600, 100, 50, paid)


@needs_accountant
@pytest.mark.parametrize("epsilon", [1e-9, 1e-4, 0.01])
def test_a_tiny_epsilon_is_answered_in_bounded_time(epsilon: float) -> None:
    begun = time.perf_counter()
    if epsilon < 1e-3:
        with pytest.raises(RecipeError, match="ask for a larger epsilon"):
            sigma_for(epsilon, 1e-8, 0.05, 600)
    else:
        assert epsilon_of(sigma_for(epsilon, 1e-8, 0.05, 600), 1e-8, 0.05, 600, 3e-4 * epsilon) <= epsilon
    assert time.perf_counter() - begun < 20


@needs_accountant
def test_a_delta_that_says_nothing_is_refused_of_votes_and_counts_too() -> None:
    from rivalry.games.pate import Pate

    with pytest.raises(RecipeError, match="no less than one over"):
        agree_votes(Pate(teachers=10, delta=0.5), 1000, 10, 10)
    data = load(people(300))
    with pytest.raises(RecipeError, match="no less than one over"):
        MST(epsilon=1.0, delta=0.5).fit([data.train.batch(torch.arange(50), torch.device("cpu")).x], data.spec)


# -- what is measured -------------------------------------------------------------------------------------------------


def test_with_much_epsilon_the_columns_are_as_they_are(tmp_path: Path) -> None:
    schema = prepared(200.0, delta=1e-5)
    fields = {f.name: f for f in schema.fields}
    assert fields["ward"].declared.levels is not None
    assert set(fields["ward"].declared.levels) >= {"eyes", "medicine", "other", "surgery"}
    assert fields["ward"].declared.shares[1] == pytest.approx(0.3, abs=0.03)
    age, stay, seen = fields["age"], fields["stay"], fields["seen"]
    assert (age.step, stay.step, seen.step) == (1.0, 0.1, 86400.0)
    assert 8 <= age.low <= 18  # type: ignore[operator]
    assert 94 <= age.high <= 128  # type: ignore[operator]
    assert age.declared.quantiles[16] == pytest.approx(56, abs=3)
    assert stay.spikes == (0.0,)
    assert stay.declared.shares[1] == pytest.approx(0.3, abs=0.03)
    assert seen.declared.quantiles[16] == pytest.approx(np.datetime64("2017-06-20", "s").astype(int), abs=100 * 86400)
    assert fields["ill"].declared.shares[-1] == pytest.approx(0.1, abs=0.02)
    path = tmp_path / "columns.toml"
    path.write_text(schema.to_toml())
    data = load(people(), options=ReadOptions(schema=path))
    assert {c.public for c in data.modality.columns} == {"paid", "declared"}  # type: ignore[attr-defined]
    assert data.prepared == schema.prepared
    other = load(people(seed=9), options=ReadOptions(schema=path))
    assert other.modality == data.modality  # nothing more is read off the rows


def test_a_level_of_one_person_does_not_show_at_little_epsilon() -> None:
    text = prepared(1.0, 4000).to_toml()
    assert "leprosy" not in text
    assert "K-0" not in text
    assert "surgery" in text


def test_public_columns_are_not_measured_and_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "public.toml"
    path.write_text('[columns.age]\ntype = "number"\nlow = 0\nhigh = 110\nstep = 1\npublic = true\n')
    fields, cells, rows, rules = columns(people(), options=ReadOptions(schema=path))
    found = {f.name: f.declared.public for f in prepare(fields, cells, rows, 1.0, constraints=rules).fields}
    assert found["age"] == "declared"
    assert found["stay"] == "paid"


def test_what_a_guarantee_covers_is_named() -> None:
    state = load(people(600)).modality.state()
    said = told(preparation("table", state), "**Preparation**: ")
    assert "ward, age, stay, seen, ill, case were read off the rows" in said
    assert "rivalry data prepare" in said
    assert preparation("image", {}).known is False


def test_senseless_preparations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="above 0"):
        prepared(0.0)
    with pytest.raises(RecipeError, match="no less than one over the 4,000 rows"):
        prepared(1.0, delta=0.5)
    with pytest.raises(RecipeError, match="there is one row; give more"):
        prepared(1.0, n=1)
    with pytest.raises(RecipeError, match="drowns"):
        prepared(1e-9, delta=1e-9)
    path = tmp_path / "bad.toml"
    path.write_text(tomli_w.dumps({"prepared": {"epsilon": 1}, "columns": {}}))
    with pytest.raises(DataError, match="prepare the data anew"):
        Schema.read(path)


def test_what_was_paid_for_is_not_forgotten_by_a_second_preparation(tmp_path: Path) -> None:
    """Else a schema of which a column is deleted, prepared anew for little, would say that little for all."""
    made = prepared(2.0)
    (tmp_path / "columns.toml").write_text(replace(made, fields=tuple(f for f in made.fields if f.name != "age")).to_toml())
    fields, cells, rows, _ = columns(people(), options=ReadOptions(schema=tmp_path / "columns.toml"))
    with pytest.raises(DataError, match="'ward' was paid for already"):
        prepare(fields, cells, rows, 0.1)


@needs_accountant
def test_defences_are_named_among_what_is_not_covered_when_training_begins(tmp_path: Path) -> None:
    (tmp_path / "columns.toml").write_text(prepared(2.0).to_toml())
    data = load(people(), options=ReadOptions(schema=tmp_path / "columns.toml", clip=(0.01, 0.99)))
    recipe, _ = decided("auto", None, (), data, "", "cpu", 3.0, None)
    said: list[str] = []
    _agreed(recipe, 10, data, said.append)
    assert any("what `--dedupe`, `--k-anonymous` and `--clip` did to a row hangs on others" in line for line in said)
    assert not any("nothing of any column is read off the rows" in line for line in said)


# -- by command -------------------------------------------------------------------------------------------------------


@needs_accountant
def test_prepared_and_trained_by_command_the_report_says_what_is_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    csv(people(), tmp_path / "people.csv")
    call = ["data", "prepare", "people.csv", "--dp-epsilon", "1", "-o", "columns.toml"]
    made = CliRunner().invoke(cli, call)
    assert made.exit_code == 0, made.output
    assert "measured at epsilon 1" in made.output
    assert isinstance(CliRunner().invoke(cli, call).exception, DataError)  # it is there already
    said: list[str] = []
    run = rivalry.train(
        "people.csv", dp_epsilon=3, budget="4steps", run="private", tensorboard=False, say=said.append,
        options=ReadOptions(schema=tmp_path / "columns.toml"),
    )  # fmt: skip
    assert any("the preparation of the columns included" in line for line in said)
    assert any("nothing of any column is read off the rows" in line for line in said)
    found = read_account(run.path)
    assert found is not None
    assert found[1].epsilon <= 3
    text = write_report(run.folder).read_text()
    assert "Measured under differential privacy, at a cost that epsilon includes: ward, age, stay, seen, ill" in text
    assert "Preparation and training together are" in text
    assert "leprosy" not in (run.path / "run.toml").read_text()
    rows = run.sample(50)
    assert len(rows) == 50


def test_a_private_recipe_says_its_own_epsilon() -> None:
    from rivalry.auto import find
    from rivalry.privacy import as_asked

    recipe = find("dp-gan")
    assert recipe is not None
    same, why = as_asked(recipe, None, None)
    assert same == recipe
    assert why == ("Recipe 'dp-gan' is private by itself, with epsilon 8; --dp-epsilon gives it another.",)
