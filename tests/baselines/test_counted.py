"""Baselines as runs: trained, sampled, measured, audited and reported by the commands that GANs have."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner

import rivalry
from rivalry import baselines
from rivalry.baselines import MST
from rivalry.baselines.cells import Cells
from rivalry.baselines.counted import NET, as_recipe, fitted
from rivalry.baselines.using import blocks
from rivalry.cli import cli
from rivalry.data import ReadOptions, load
from rivalry.errors import RecipeError, RunError
from rivalry.privacy import read_account
from rivalry.recipe import Recipe
from rivalry.training.engine import Engine
from test_preparing import csv, people

needs_accountant = pytest.mark.skipif(importlib.util.find_spec("dp_accounting") is None, reason="dp-accounting is not installed")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counted")
    csv(people(1200), folder / "people.csv")
    return folder


@pytest.mark.parametrize("name", ["mst", "independent"])
def test_by_command_trained_sampled_measured_audited_reported(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)

    def call(*words: str) -> str:
        made = CliRunner().invoke(cli, list(words))
        assert made.exit_code == 0, (made.output, made.exception)
        return made.output

    call("train", "people.csv", "--recipe", name, "--run", name, "--no-tensorboard")
    call("sample", name, "-n", "300", "-o", f"{name}.csv", "--where", "age>40")
    lines = (here / f"{name}.csv").read_text().splitlines()
    assert len(lines) == 301
    assert lines[0] == "ward,age,stay,seen,ill,case"
    assert min(int(line.split(",")[1]) for line in lines[1:]) > 40
    assert "shape" in call("evaluate", name, "-n", "500")
    assert "audit" in call("audit", name)
    call("report", name)
    text = (here / "runs" / name / "report.md").read_text()
    assert rivalry.load(name).recipe.about.title in text
    call("report", name, "--officer")
    assert not list((here / "runs" / name / "checkpoints").rglob("*.pt"))


def test_a_run_draws_what_the_forest_draws(here: Path) -> None:
    data = load(here / "people.csv")
    recipe = as_recipe("mst", data, None, None)
    assert recipe is not None
    tensors, spent = fitted(recipe, data.train, data.spec)
    assert spent is None
    net = recipe.build(data.spec)[NET]
    baselines.take({NET: net}, tensors)
    again = Recipe.from_toml(recipe.to_toml()).build(data.spec)[NET]
    again.load_state_dict(net.state_dict())
    z = torch.rand(4000, recipe.game.wiring(data.spec).latent, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(net(z), again(z))
    model = baselines.fit(MST(), data)
    ours, theirs = (x.double().mean(0) for x in (net(z), model.sample(4000, 1)))
    assert float((ours - theirs).abs().max()) < 0.05
    with pytest.raises(RuntimeError, match="a table for each variable"):
        again.load_state_dict({})


def test_pairs_that_few_rows_have_are_not_kept_without_privacy() -> None:
    g = np.random.default_rng(0)
    a, b = (g.choice(["x", "y"], 600).tolist() for _ in range(2))
    for i in range(40):
        a[i], b[i] = "rare", "x"
    b[7] = "y"  # one person alone
    data = load(pa.table({"a": a, "b": b}), options=ReadOptions(holdout=0.1))
    recipe = as_recipe("mst", data, None, None)
    assert recipe is not None
    tensors, _ = fitted(recipe, data.train, data.spec)
    net = recipe.build(data.spec)[NET]
    baselines.take({NET: net}, tensors)
    z = torch.rand(20_000, recipe.game.wiring(data.spec).latent, generator=torch.Generator().manual_seed(0)) * 2 - 1
    names = [c.code.levels for c in data.modality.learned[:2]]  # type: ignore[attr-defined]
    made = data.modality.decode(net(z))
    rare = made[:, 0] == names[0].index("rare")
    assert int(rare.sum()) > 500
    assert not bool((rare & (made[:, 1] == names[1].index("y"))).any())


def test_what_is_kept_without_privacy_does_not_tell_of_a_pair_by_its_sums() -> None:
    """A pair that one row has is not kept; nor is it the difference of a column's counts and the pairs that are kept."""
    g = np.random.default_rng(0)
    a = ["x"] * 301 + ["y"] * 201
    b = [*g.choice(["u", "v"], 301).tolist(), *(["w"] * 201)]
    b[0] = "w"
    data = load(pa.table({"a": a, "b": b}), options=ReadOptions(holdout=0.1))
    every = torch.cat(list(blocks(data.train)))
    codes = Cells(data.spec, 16).codes(every)
    kinds = [((codes == torch.tensor(pair)).all(1).nonzero().flatten(), n) for pair, n in (((0, 2), 1), ((0, 0), 120), ((0, 1), 140), ((1, 2), 170))]
    rows = every[torch.cat([places[:n] for places, n in kinds])]
    assert len(rows) == 431
    model = MST(least=5)
    with_, without = (model.fit([x], data.spec).tensors() for x in (rows, rows[1:]))
    assert all(torch.equal(with_[k], without[k]) for k in with_)


def test_what_means_nothing_for_counts_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    for more in ({"budget": "3m"}, {"until": "shape<2"}, {"settings": ("batch=3",)}):
        with pytest.raises(RecipeError, match="trains nothing, so --"):
            rivalry.train("people.csv", recipe="mst", run="never", **more)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="is for tables"):
        rivalry.train("ring8", recipe="mst", run="never")
    assert not (here / "runs" / "never").exists()


@needs_accountant
def test_under_differential_privacy_the_ledger_and_the_report_tell(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    made = CliRunner().invoke(cli, ["data", "prepare", "people.csv", "--dp-epsilon", ".5", "-o", "columns.toml"])
    assert made.exit_code == 0, made.output
    options = ReadOptions(schema=here / "columns.toml")
    run = rivalry.train("people.csv", recipe="mst", run="private", dp_epsilon=2, options=options, tensorboard=False)
    found = read_account(run.path)
    assert found is not None
    terms, account = found
    assert account.epsilon == 2
    assert terms.before > 0  # type: ignore[union-attr]
    alone = MST(epsilon=2.0, delta=terms.delta)._rho(terms.delta)
    rest = MST(2, 2.0, terms.delta, terms.before, terms.names_delta)._rho(terms.delta)  # type: ignore[union-attr]
    assert terms.rho == rest < alone - 1 / (2 * terms.before**2) + 1e-12  # type: ignore[union-attr]
    text = (run.path / "report.md").read_text()
    assert "Preparation of the columns and counting together are" in text
    assert "and everything drawn from it." in text
    with pytest.raises(RecipeError, match="nobody paid for"):
        run.sample(5, reject_copies="people.csv")
    assert len(rivalry.load("private").resume().sample(7)) == 7
    (run.path / "privacy.jsonl").unlink()
    with pytest.raises(RunError):
        rivalry.load("private").resume()
    with pytest.raises(RecipeError, match="preparation alone spends all"):
        rivalry.train("people.csv", recipe="mst", run="less", dp_epsilon=0.3, options=options)


def test_private_counts_are_refused_to_several_processes_before_they_are_taken(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would draw, and spend, noise of its own, and the ledger know of one."""

    class Second(Engine):
        def __init__(self, *given: str) -> None:
            super().__init__(*given)
            self.world, self.rank = 2, 1

    monkeypatch.chdir(here)
    monkeypatch.setattr("rivalry.training.session.Engine", Second)
    monkeypatch.setattr("rivalry.training.session.fitted", lambda *_: pytest.fail("counted"))
    with pytest.raises(RecipeError, match="without torchrun"):
        rivalry.train("people.csv", recipe="mst", run="never", dp_epsilon=2.0, device="cpu")
