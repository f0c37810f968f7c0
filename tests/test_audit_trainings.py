"""Audits that train anew, and audits of what was trained on purpose: overfitted, and under differential privacy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import rivalry
from rivalry.audit import Audit, Setting, audit, risk_lines, shadows
from rivalry.audit.canaries import canaries
from rivalry.audit.discriminator import Asked
from rivalry.audit.retraining import Encoded, Joined, Retraining, Trained
from rivalry.audit.writing import canary_line
from rivalry.cli import cli
from rivalry.data import Dataset, ReadOptions, load
from rivalry.errors import RecipeError
from rivalry.zoo import get
from test_audit_run import write_table

CPU = torch.device("cpu")
HALF = ReadOptions(holdout=0.5)


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(write_table(tmp_path_factory.mktemp("data") / "a.csv", 900), options=ReadOptions(holdout=0.4))


def made(dataset: Dataset, x: Tensor) -> Audit:
    """Of a model that draws these encoded rows at random."""

    def draw(n: int, seed: int) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        return x[torch.randint(len(x), (n,), generator=g)]

    return audit(dataset, draw, "by hand", Setting(n=1500))[0]


def fresh(dataset: Dataset, folder: Path, seed: int) -> Tensor:
    """New rows of the same distribution, as the dataset encodes them."""
    other = load(write_table(folder / f"fresh{seed}.csv", 3000, seed=seed), options=ReadOptions(holdout=0.1))
    return dataset.modality.encode(other.train.raw(torch.arange(len(other.train))))


# -- risks of models made by hand ---------------------------------------------------------------------------------------


def test_a_copying_table_is_singled_out_linked_and_inferred(table: Dataset) -> None:
    found = made(table, table.train.batch(torch.arange(len(table.train)), CPU).x)
    risks = {r.name: r for r in found.risks}
    assert set(risks) == {"singling out", "linking", "inferring"}
    for name in ("linking", "inferring"):
        assert risks[name].risk.low > 0.5, name
        assert risks[name].measures
    assert risks["singling out"].risk.value > 0
    assert max(found.risk_tests) < 0.01
    assert found.memory.copying < -5
    assert len(risk_lines(found)) == 4
    assert found.as_dict()["risks"][1]["name"] == "linking"


def test_noise_on_copies_is_still_a_risk(table: Dataset) -> None:
    """Overfitted, so to speak: numbers moved by a tenth of a deviation."""
    rows = table.train.batch(torch.arange(len(table.train)), CPU).x
    numbers = torch.tensor([b.start for b in table.spec.blocks if b.kind == "number"])
    g = torch.Generator().manual_seed(0)
    moved = rows.clone()
    moved[:, numbers] += 0.1 / 4 * torch.randn(len(rows), len(numbers), generator=g)
    found = made(table, moved)
    assert found.outcome == "leaks"
    linking = next(r for r in found.risks if r.name == "linking")
    assert linking.risk.low > 0.1


def test_a_perfect_table_is_no_risk(table: Dataset, tmp_path: Path) -> None:
    for seed in (11, 12, 13):
        found = made(table, fresh(table, tmp_path, seed))
        assert found.outcome == "nothing found"
        assert min(found.risk_tests) > 0.01
        assert all(r.risk.low <= 0 for r in found.risks)
        assert found.memory.copying > -3


# -- trainings of an audit's own ----------------------------------------------------------------------------------------


def test_joined_rows_are_those_of_their_stores(table: Dataset) -> None:
    x = canaries(table, 30, 0)
    planted = Encoded(x, None, table.modality)
    joined = Joined([(table.train, torch.arange(5, 15)), (table.held, torch.tensor([3, 1])), (planted, torch.arange(30))])
    assert len(joined) == 42
    assert joined.labels is None
    asked = torch.tensor([41, 0, 11, 12, 10])
    batch = joined.batch(asked, CPU)
    expected = [x[29], table.train.batch(torch.tensor([5]), CPU).x[0], table.held.batch(torch.tensor([1]), CPU).x[0], x[0],
                table.held.batch(torch.tensor([3]), CPU).x[0]]  # fmt: skip
    torch.testing.assert_close(batch.x, torch.stack(expected))
    torch.testing.assert_close(joined.raw(asked)[1], table.train.raw(torch.tensor([5]))[0], equal_nan=True)


@pytest.mark.parametrize("kind", ["table", "pictures", "points"])
def test_canaries_are_of_the_kind_and_all_different(kind: str, table: Dataset) -> None:
    g = np.random.default_rng(0)
    pictures = load(g.integers(0, 255, (60, 12, 12), dtype=np.uint8))
    data = {"table": table, "pictures": pictures, "points": load(g.normal(size=(60, 2)))}[kind]
    x = canaries(data, 50, 1)
    assert x.shape == (50, *data.spec.shape)
    assert len(x.unique(dim=0)) > 45
    assert torch.equal(x, canaries(data, 50, 1))
    if kind == "table":
        for block in table.spec.blocks:
            part = x[:, block.start : block.start + block.width]
            assert bool((part.sum(1) == 1).all()) if block.kind == "choice" else float(part.abs().max()) <= 1


def test_numbers_that_say_nothing_are_refused(table: Dataset, tmp_path: Path) -> None:
    run = rivalry.train(
        write_table(tmp_path / "a.csv", 300), budget="2steps", run=str(tmp_path / "run"), device="cpu", say=quiet,
        tensorboard=False, options=HALF, settings=("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=32"),
    )  # fmt: skip
    with pytest.raises(RecipeError, match="even number from 4 on"):
        run.audit(200, shadows=3, device="cpu")
    with pytest.raises(RecipeError, match="at least 20"):
        run.audit(200, canaries=10, device="cpu")
    told: list[str] = []
    found = run.audit(200, shadows=4, canaries=20, steps=3, device="cpu", tick=lambda what, share: told.append(what))
    assert {"LiRA, nearest sample", "LiRA, discriminator main"} <= {a.name for a in found.attacks}
    assert {"training shadow models", "training with canaries"} <= set(told)
    assert found.canaries is not None
    assert found.canaries.count == 20
    assert sorted(p.name for p in (run.path / "private" / "audit-shadows").iterdir()) == [f"{i:03d}.safetensors" for i in range(4)]
    kept = json.loads((run.path / "audit.json").read_text())
    assert kept["canaries"]["epsilon"] == found.canaries.epsilon
    assert canary_line(found) in (run.path / "audit.md").read_text()


@pytest.mark.parametrize("remembers", [True, False])
def test_lira_catches_a_model_that_knows_its_rows_and_no_other(remembers: bool, table: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shadows hand out the rows that they were trained on, a little changed; so does the target, or it hands out rows that nobody asks about."""

    def echo(x: Tensor) -> Callable[[int, int], Tensor]:
        def draw(n: int, seed: int) -> Tensor:
            g = torch.Generator().manual_seed(seed % 2**31)
            return x[torch.randint(len(x), (n,), generator=g)] + 0.01 * torch.randn(n, x.shape[1], generator=g)

        return draw

    def memoriser(plan: Retraining, dataset: Dataset, store: Joined, *rest: object) -> Trained:
        return Trained(echo(store.batch(torch.arange(len(store)), CPU).x), Asked())

    monkeypatch.setattr(shadows, "retrain", memoriser)
    other = load(write_table(tmp_path / "b.csv", 900, seed=9), options=ReadOptions(holdout=0.4))
    known = table.modality.encode((table if remembers else other).train.raw(torch.arange(500)))
    found = audit(table, echo(known), "by hand", Setting(n=1500, retraining=Retraining(get("house-table-small"), 1, shadows=8)))[0]
    (lira,) = (a for a in found.attacks if a.name == "LiRA, nearest sample")
    if remembers:
        assert lira.auc.low > 0.8
    else:
        assert lira.auc.low < 0.5 < lira.auc.high


def test_shadows_that_are_there_are_not_trained_again(table: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that is broken off goes on where it was; one with more shadows, or other steps, trains what it lacks."""
    run = rivalry.train(
        write_table(tmp_path / "a.csv", 300), budget="2steps", run=str(tmp_path / "run"), device="cpu", say=quiet,
        tensorboard=False, options=HALF, settings=("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=32"),
    )  # fmt: skip
    trained, retrain, last = list[int](), shadows.retrain, 3

    def counted(plan: Retraining, *rest: object) -> object:
        if len(trained) == last:
            raise KeyboardInterrupt
        trained.append(plan.steps)
        return retrain(plan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(shadows, "retrain", counted)
    with pytest.raises(KeyboardInterrupt):
        run.audit(200, shadows=4, steps=3, device="cpu")
    last = 10**9
    first = run.audit(200, shadows=4, steps=3, device="cpu")
    assert trained == [3] * 4
    again = run.audit(200, shadows=4, steps=3, device="cpu")
    assert trained == [3] * 4
    assert [a for a in again.attacks if a.name.startswith("LiRA")] == [a for a in first.attacks if a.name.startswith("LiRA")]
    run.audit(200, shadows=6, steps=3, device="cpu")
    assert trained == [3] * 6
    run.audit(200, shadows=4, steps=4, device="cpu")
    assert trained == [3] * 6 + [4] * 4


def test_how_long_trainings_will_take_is_said_before_they_begin(tmp_path: Path) -> None:
    run = rivalry.train(
        write_table(tmp_path / "a.csv", 300), budget="2steps", run=str(tmp_path / "run"), device="cpu", say=quiet,
        tensorboard=False, options=HALF, settings=("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=32"),
    )  # fmt: skip
    found = CliRunner().invoke(cli, ["audit", str(run.path), "--samples", "200", "--shadows", "4", "--canaries", "20", "--steps", "3", "--device", "cpu"])
    assert found.exit_code == 0, found.output
    assert "5 trainings of 3 steps, about 0 s at the pace of the run; shadows that are done are kept, so a second call goes on" in found.stderr
    for more, said in ((["--shadows", "6"], "2 trainings of 3 steps"), (["--shadows", "6"], None), (["--shadows", "6", "--canaries", "20"], "1 training of 3")):
        again = CliRunner().invoke(cli, ["audit", str(run.path), "--samples", "200", *more, "--steps", "3", "--device", "cpu"])
        assert again.exit_code == 0, again.output
        assert ("at the pace of the run" in again.stderr) == (said is not None)
        assert said is None or said in again.stderr
    refused = CliRunner().invoke(cli, ["audit", str(run.path), "--samples", "200", "--shadows", "5", "--steps", "3", "--device", "cpu"])
    assert refused.exit_code != 0
    assert "at the pace of the run" not in refused.stderr


# -- trained on purpose -------------------------------------------------------------------------------------------------


def test_one_trained_under_differential_privacy_stays_within_its_bound(tmp_path: Path) -> None:
    """Really trained at epsilon 1, attacked, and trained once more with canaries."""
    pytest.importorskip("dp_accounting")
    run = rivalry.train(
        write_table(tmp_path / "a.csv", 3000), dp_epsilon=1.0, budget="60steps", run=str(tmp_path / "run"), device="cpu",
        tensorboard=False, options=HALF, say=quiet,
        settings=("generator.sizes=[32]", "discriminator.trunk.sizes=[32]", "batch=64"),
    )  # fmt: skip
    found = run.audit(1000, canaries=60, device="cpu")
    assert found.outcome == "nothing found"
    assert found.promise is not None
    assert found.promise.epsilon <= 1.0
    assert found.epsilon <= found.promise.epsilon
    assert found.canaries is not None
    assert found.canaries.epsilon <= found.promise.epsilon
    assert "contradict" not in " ".join(found.verdict())
    with pytest.raises(RecipeError, match="it would void the guarantee"):
        run.sample(5, reject_copies=tmp_path / "a.csv", device="cpu")


@pytest.mark.slow
def test_one_overfitted_on_purpose_by_training_is_caught(tmp_path: Path) -> None:
    """100 rows, gone round a thousand times by a discriminator that has room for all of them, without penalties."""
    run = rivalry.train(
        write_table(tmp_path / "a.csv", 200), budget="2000steps", run=str(tmp_path / "run"), device="cpu", say=quiet,
        tensorboard=False, options=HALF, recipe="house-table-small",
        settings=("generator.sizes=[64,64]", "discriminator.trunk.sizes=[128,128]", "batch=50",
                  "discriminator.penalties.0.weight=0.01", "discriminator.penalties.1.weight=0.01"),
    )  # fmt: skip
    found = run.audit(1000, which="last", canaries=60, shadows=4, steps=400, device="cpu")
    assert found.outcome == "leaks"
    white = next(a for a in found.attacks if a.name == "LOGAN white box, main")
    assert white.auc.low > 0.7
    assert found.canaries is not None
    assert found.canaries.epsilon > 0.5, "planted rows are known by heart too"
    assert found.memory.copying < -2, "samples lie nearer to training rows than held-out rows do"
