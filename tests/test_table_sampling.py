"""Rows of tables under conditions, constraints and balance: exact in distribution, and told how rare they are."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import rivalry
from data.wards import stays, table
from rivalry.cli import bars, cli
from rivalry.data import ReadOptions, TableModality, load
from rivalry.data.asking import Balance, asked, balanced
from rivalry.errors import RecipeError, RivalryError
from rivalry.sampling import filled

SMALL = ("generator.sizes=[32]", "discriminator.trunk.sizes=[32]", "batch=64")
TEXTS = ("discharge >= admission", "fees + tax = total", "combinations(city, zip)", "pregnancies missing if sex=M", "total <= 180")


def uniform(n: int, seed: int) -> Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed % 2**31), dtype=torch.float64)


# -- rejection -------------------------------------------------------------------------------------------------------


def test_groups_are_filled_to_the_number_and_keep_their_order() -> None:
    def group(x: Tensor) -> Tensor:
        return torch.bucketize(x[:, 0].contiguous(), torch.tensor([0.1, 0.4], dtype=torch.float64)) - (x[:, 1] < 0.5).long() * 9

    found = filled(uniform, group, (700, 30, 500), 3)
    assert torch.bincount(group(found)).tolist() == [700, 30, 500]
    first = filled(uniform, group, (70, 3, 50), 3)
    for g in range(3):
        assert torch.equal(first[group(first) == g], found[group(found) == g][: (70, 3, 50)[g]])
    assert not bool((found[:, 1] < 0.5).any())
    tenth = found[group(found) == 0, 0] * 10  # uniform on what was let through
    assert float((tenth.sort().values - (torch.arange(700) + 0.5) / 700).abs().max()) < 1.63 / 700**0.5


def test_rare_rows_are_found_and_their_rate_is_told() -> None:
    told: list[tuple[str, float]] = []
    found = filled(uniform, lambda x: (x[:, 0] < 1 / 4000).long() - 1, (25,), 0, lambda what, share: told.append((what, share)))
    assert float(found[:, 0].max()) < 1 / 4000
    assert told[-1][1] == 1
    rate = float(told[-1][0].removeprefix("one row in ").split()[0].replace(",", ""))
    assert 2500 < rate < 6500


def test_what_never_comes_and_what_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivalry.sampling.MOST", 50_000)
    with pytest.raises(RecipeError, match=r"none of 5\d,\d+ samples meets the conditions \(at most one in 1\d,\d+ does, with 95 %"):
        filled(uniform, lambda x: (x[:, 0] > 2).long() - 1, (1,), 0)
    with pytest.raises(RecipeError, match=r"none of .*loosen"):  # a level that never comes
        filled(uniform, lambda x: torch.zeros(len(x), dtype=torch.long), (5, 5), 0)
    monkeypatch.setattr("rivalry.sampling.PATIENCE", 200_000)
    with pytest.raises(RecipeError, match=r"one sample in \d+ meets the conditions, so 1,000,000 of them .* ask for \d[\d,]* or fewer"):
        filled(uniform, lambda x: (x[:, 0] < 0.01).long() - 1, (1_000_000,), 0)
    monkeypatch.setattr("rivalry.sampling.MOST", 10**9)
    with pytest.raises(RecipeError, match=r"only \d+ of 2\d\d,\d+ samples"):
        filled(uniform, lambda x: (x[:, 0] < 0.00002).long() - 1, (100,), 0)
    with pytest.raises(RecipeError, match="at least 1"):
        filled(uniform, lambda x: torch.zeros(len(x), dtype=torch.long), (0,), 0)


def test_ten_thousand_groups_are_filled_without_a_table_of_rows_by_groups() -> None:
    found = filled(uniform, lambda x: (x[:, 0] * 10_000).long(), (2,) * 10_000, 0)
    assert bool((torch.bincount((found[:, 0] * 10_000).long()) == 2).all())


def test_lines_say_how_long_it_takes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    with bars.bar() as tick:
        tick("one row in 900 is kept", 0.25)
        tick("one row in 901 is kept", 0.3)  # too soon for another line
    said = capsys.readouterr().err
    assert said.startswith("one row in 900 is kept: 25%, about ")
    assert said.count("\n") == 1


# -- balance ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def modality() -> TableModality:
    found = load(table(stays(600)), options=ReadOptions(kind="table")).modality
    assert isinstance(found, TableModality)
    return found


def test_shares_are_read(modality: TableModality) -> None:
    place = [c.name for c in modality.learned].index("city")
    levels = modality.learned[place].code.levels  # type: ignore[union-attr]
    assert balanced("city", modality.columns) == Balance(place, (0.25,) * 4)
    assert balanced("city=1,1,1,5", modality.columns).shares == (0.125, 0.125, 0.125, 0.625)
    named = balanced(f"city={levels[2]}:0.5, {levels[0]}:1.5", modality.columns)
    assert named.shares == (0.75, 0, 0.25, 0)


@pytest.mark.parametrize(("shares", "n"), [((0.5, 0.5), 7), ((1 / 3,) * 3, 100), ((0.7, 0.2, 0.1), 11), ((1.0, 0.0), 5), ((0.1,) * 10, 3)])
def test_counts_add_up_and_are_within_one(shares: tuple[float, ...], n: int) -> None:
    counts = Balance(0, shares).counts(n)
    assert sum(counts) == n
    assert all(abs(c - n * s) < 1 for c, s in zip(counts, shares, strict=True))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ctiy", "did you mean 'city'"),
        ("fees", "no levels to balance"),
        ("case", "not learned"),
        ("city=0.5,0.5", "2 shares for the 4 levels"),
        ("city=Rome:1", "unknown level of 'city'"),
        ("city=city 0:much", "'much' is no share"),
        ("city=city 0:-1", "is no share"),
        ("city=0,0,0,0", "no level of 'city' a share"),
    ],
)
def test_balance_that_makes_no_sense(text: str, hint: str, modality: TableModality) -> None:
    with pytest.raises(RivalryError, match=hint):
        asked(modality, balance=text)


# -- end to end ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    """A short training with constraints, one of which only drawing anew can meet."""
    folder = tmp_path_factory.mktemp("constrained")
    columns = stays(1200)
    with (folder / "stays.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return rivalry.train(
        folder / "stays.csv", budget="30steps", run=str(folder / "run"), settings=SMALL, device="cpu", tensorboard=False,
        options=ReadOptions(constraints=TEXTS), say=lambda line: None,
    )  # fmt: skip


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_row_of_a_run_meets_its_constraints(run: rivalry.Run, tmp_path: Path) -> None:
    (out,) = run.write_samples(tmp_path / "out.csv", 3000)
    rows, known = rows_of(out), stays(1200)
    assert len(rows) == 3000
    pairs = set(zip(known["city"], known["zip"], strict=True))
    for r in rows:
        assert not r["discharge"] or r["admission"] <= r["discharge"]
        assert float(r["fees"]) + float(r["tax"]) == float(r["total"]) <= 180
        assert (r["city"], r["zip"]) in pairs
        assert r["sex"] == "F" or not r["pregnancies"]
    assert any(r["pregnancies"] for r in rows)
    assert list(rows[0]) == list(known)


def test_an_audit_attacks_what_is_handed_out(run: rivalry.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that break a constraint are withheld, so they are not what an attacker has."""
    seen: list[torch.Tensor] = []
    monkeypatch.setattr("rivalry.audit.audit_run", lambda folder, data, draw, **rest: seen.append(draw(2000, 1)))
    run.audit(device="cpu")
    plan = run.modality.plan  # type: ignore[attr-defined]
    raw = run.modality.decode(seen[0])
    assert plan.rejected
    assert all(bool(rule.holds(raw).all()) for rule in plan.rejected)


def test_rulers_see_the_columns_of_the_file(run: rivalry.Run) -> None:
    scores = run.evaluate(300)
    assert set(scores.details["columns"]["shape"]) == set(stays(8)) - {"case"}
    assert run.utility("total", n=300).real.trees > 0.9


def test_a_run_with_constraints_resumes_and_reads_its_data_again(run: rivalry.Run) -> None:
    data = run.data()
    assert data.fingerprint == run.folder.settings["data"]["fingerprint"]
    assert data.spec == run.folder.spec
    plan = data.modality.plan  # type: ignore[attr-defined]
    assert tuple(dict.fromkeys(r.text for r in plan.rules)) == TEXTS


def test_balance_and_conditions_together(run: rivalry.Run, tmp_path: Path) -> None:
    out = tmp_path / "even.csv"
    made = CliRunner().invoke(cli, ["sample", str(run.path), "-n", "401", "-o", str(out), "--balance", "sex=F:3,M:1", "--where", "fees>20"])
    assert made.exit_code == 0, made.output
    rows = rows_of(out)
    assert Counter(r["sex"] for r in rows) == {"F": 301, "M": 100}
    assert all(float(r["fees"]) > 20 for r in rows)
    first = Counter(r["sex"] for r in rows[:200])
    assert first["M"] > 30  # in random order
    assert torch.equal(run.sample(50, balance="sex", seed=4).nan_to_num(-1), run.sample(50, balance="sex", seed=4).nan_to_num(-1))
