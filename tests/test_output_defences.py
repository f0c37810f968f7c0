"""What a run hands out: nothing near a training row, and no more than its cap; and that no flag is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import rivalry
from rivalry.audit.rejecting import SHARE, Guard, guarded
from rivalry.cli import cli
from rivalry.data import ReadOptions, load
from rivalry.errors import DataError, RecipeError, RunError
from rivalry.privacy.quota import handed_out
from rivalry.sampling import Sampler
from test_audit_run import write_table

CPU = torch.device("cpu")
SMALL = ("generator.sizes=[32]", "discriminator.trunk.sizes=[32,32]", "batch=64")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("data") / "patients.csv")


@pytest.fixture(scope="module")
def run(table: Path, tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    options = ReadOptions(holdout=0.3, dedupe=True, k_anonymous=10, clip=(0.01, 0.99))
    return rivalry.train(
        table, budget="20steps", run=str(tmp_path_factory.mktemp("runs") / "patients"), settings=SMALL, device="cpu",
        tensorboard=False, options=options, cap=1000, say=lambda line: None,
    )  # fmt: skip


# -- copies -----------------------------------------------------------------------------------------------------------


class Copies(Sampler):
    """Every other sample is a training row, the others are far from all."""

    def __init__(self, x: torch.Tensor, other: torch.Tensor) -> None:
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "other", other)

    def draw(self, n, seed, label=None, truncation=1.0):  # type: ignore[no-untyped-def]
        g = torch.Generator().manual_seed(seed)
        mine = self.x[torch.randint(len(self.x), (n,), generator=g)]
        return torch.where((torch.arange(n) % 2 == 0)[:, None], mine, self.other[:n]), None


def test_copies_are_rejected_and_counted(table: Path, tmp_path: Path) -> None:
    data = load(table, options=ReadOptions(holdout=0.3))
    guard = Guard.of(data)
    rows = data.train.batch(torch.arange(len(data.train)), CPU).x
    other = load(write_table(tmp_path / "other.csv", 3000, seed=5), options=ReadOptions(holdout=0.3)).train
    fresh = other.batch(torch.arange(2000), CPU).x
    assert not guard.keep(rows).any(), "training rows are copies of themselves"
    fair = guard.keep(data.held.batch(torch.arange(len(data.held)), CPU).x).double().mean()
    assert float(fair) == pytest.approx(1 - SHARE, abs=0.02), "the radius is the held-out rows' own fifth percentile"
    again = Guard.of(data)
    x, labels = guarded(Copies(rows, fresh), again, 300, 0, None, 1.0)
    assert x.shape == (300, *data.spec.shape)
    assert labels is None
    assert again.keep(x).all()
    assert again.rejected >= 300 * 0.9
    assert "nearer to a training row than 5% of held-out rows do" in again.told()


def test_a_model_that_only_copies_is_given_up(table: Path) -> None:
    data = load(table, options=ReadOptions(holdout=0.3))
    rows = data.train.batch(torch.arange(len(data.train)), CPU).x
    with pytest.raises(RecipeError, match="may know its rows by heart"):
        guarded(Copies(rows, rows.repeat(6, 1)), Guard.of(data), 500, 0, None, 1.0)


def test_pictures_are_guarded_too() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(300, 1, 5, 5, generator=g), size=(16, 16), mode="bilinear")
    data = load((x[:, 0] * 255).to(torch.uint8).numpy(), options=ReadOptions(holdout=0.3))
    guard = Guard.of(data)
    rows = data.train.batch(torch.arange(len(data.train)), CPU).x
    assert not guard.keep(rows).any()
    held = data.held.batch(torch.arange(len(data.held)), CPU).x
    assert guard.keep(held).double().mean() > 0.9
    assert not guard.keep(held * 0 + rows[:1]).any()


def test_few_columns_have_no_copies(tmp_path: Path) -> None:
    lines = [f"{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(600)]
    (tmp_path / "few.csv").write_text("one,two\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match="as few columns make likely"):
        Guard.of(load(tmp_path / "few.csv"))


def test_the_command_rejects_with_the_same_data_only(run: rivalry.Run, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    call = ["sample", str(run.path), "-n", "50", "-o", str(out), "--device", "cpu", "--reject-copies"]
    made = CliRunner().invoke(cli, [*call, str(table)], catch_exceptions=False)
    assert made.exit_code == 0
    assert "samples were rejected" in made.stderr
    assert len(out.read_text().splitlines()) == 51
    with pytest.raises(DataError, match="not the rows that patients was trained on"):
        run.sample(5, reject_copies=write_table(tmp_path / "other.csv", seed=3), device="cpu")
    x = run.sample(20, reject_copies=table, device="cpu", where="sex=F", say=lambda line: None)
    assert len(x) == 20


# -- caps -------------------------------------------------------------------------------------------------------------


def test_filling_counts_what_is_drawn_for_it_and_nothing_where_it_is_refused(run: rivalry.Run, tmp_path: Path) -> None:
    before = handed_out(run.folder)
    with pytest.raises(DataError, match="no table"):
        run.apply(tmp_path / "none.csv", tmp_path / "out.csv", pool=100, device="cpu")
    assert handed_out(run.folder) == before
    (tmp_path / "gaps.csv").write_text("age,lab1,lab2,lab3,lab4,lab5,lab6,sex\n40,,0.10,0.20,0.30,0.40,0.50,F\n")
    run.apply(tmp_path / "gaps.csv", tmp_path / "out.csv", pool=100, device="cpu")
    assert handed_out(run.folder) == before + 100


def test_the_cap_is_kept_and_said(run: rivalry.Run, tmp_path: Path) -> None:
    assert run.folder.settings["train"]["cap"] == 1000
    before = handed_out(run.folder)
    run.sample(100, device="cpu")
    assert handed_out(run.folder) == before + 100
    left = 1000 - before - 100
    with pytest.raises(RunError, match=f"may hand out 1,000 samples in all and {before + 100:,} are gone"):
        run.write_samples(tmp_path / "much.csv", left + 1, device="cpu")
    assert not (tmp_path / "much.csv").exists()
    assert handed_out(run.folder) == before + 100, "what was refused is not counted"
    run.write_samples(tmp_path / "rest.csv", left, device="cpu")
    with pytest.raises(RunError, match="none are left"):
        run.sample(1, device="cpu")
    assert "hands out 1,000 samples in all" in (run.path / "model-card.md").read_text()
    with pytest.raises(RecipeError, match="at least one sample"):
        rivalry.train(run.path, cap=0)


# -- flags ------------------------------------------------------------------------------------------------------------


def test_defences_are_recorded_and_read_again(run: rivalry.Run) -> None:
    data = run.folder.settings["data"]
    assert data["options"]["dedupe"] is True
    assert data["options"]["k_anonymous"] == 10
    assert data["options"]["clip"] == [0.01, 0.99]
    assert [told.split(":")[0] for told in data["defences"]] == ["--dedupe", "--clip", "--k-anonymous 10"]
    for page in ("report.md", "model-card.md"):
        assert "Defence: --clip" in (run.path / page).read_text()
    assert run.data().fingerprint == data["fingerprint"]


def test_flags_of_the_command_reach_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    def caught(data: str, **given: object) -> rivalry.Run:
        told.update(given)
        raise RunError("enough")

    monkeypatch.setattr("rivalry.api.train", caught)
    call = ["train", "x.csv", "--dedupe", "--k-anonymous", "7", "--quasi", "sex, age", "--clip", "1,99", "--cap", "500"]
    CliRunner().invoke(cli, call)
    options = told["options"]
    assert isinstance(options, ReadOptions)
    assert (options.dedupe, options.k_anonymous, options.quasi, options.clip) == (True, 7, ("sex", "age"), (0.01, 0.99))
    assert told["cap"] == 500
    CliRunner().invoke(cli, ["train", "x.csv", "--clip", "--dedupe"])
    assert isinstance(told["options"], ReadOptions)
    assert told["options"].clip == (0.005, 0.995)
