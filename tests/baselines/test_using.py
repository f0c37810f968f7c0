"""Baselines where users meet them: as contenders of a comparison, and beside a run's scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rivalry
from rivalry import baselines
from rivalry.cli import cli
from rivalry.errors import RecipeError, RunError
from rivalry.experiments import Comparison, compare_recipes

SMALL = ("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=32")


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 rows whose diagnosis hangs on the age."""
    rng = np.random.default_rng(0)
    age = rng.integers(20, 90, 500)
    rows = [f"{'FM'[int(rng.random() < 0.4)]},{a},{'ABC'[a // 31]}" for a in age]
    path = tmp_path_factory.mktemp("data") / "patients.csv"
    path.write_text("\n".join(["sex,age,diagnosis", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def run(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    return rivalry.train(
        patients, budget="20steps", run=str(tmp_path_factory.mktemp("runs") / "patients"), settings=SMALL, device="cpu",
        tensorboard=False, say=lambda line: None,
    )  # fmt: skip


def compared(
    patients: Path, folder: Path, recipes: list[str], dp: tuple[float, float] | None = None, seeds: int = 2
) -> Comparison:
    return compare_recipes(
        patients, recipes, range(seeds), "5steps", str(folder), device="cpu", samples=400, say=lambda line: None, dp=dp
    )


def test_baselines_are_contenders_by_the_same_ruler(
    patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compared(patients, tmp_path / "c", ["independent", "mst"])
    assert [e.name for e in found.entries] == ["mst", "independent"]  # a tree knows of the age and the diagnosis
    tree, alone = (e.scores for e in found.entries)
    assert alone["trend"][0] > 2 * tree["trend"][0]
    assert tree["trend"][0] != tree["trend"][1]  # each seed draws rows of its own
    assert found.table()[1][1] == "mst"
    monkeypatch.setattr(baselines.using, "fit", lambda *_: pytest.fail("fitted again"))
    assert compared(patients, tmp_path / "c", ["independent", "mst"]).as_dict() == found.as_dict()


def test_a_baseline_beside_a_training(patients: Path, tmp_path: Path) -> None:
    found = compared(patients, tmp_path / "c", ["tvae-small", "mst"], seeds=1)
    assert {e.name for e in found.entries} == {"tvae-small", "mst"}
    assert (tmp_path / "c" / "private" / "mst-seed0.safetensors").exists()
    assert not list((tmp_path / "c").glob("mst*"))  # what was counted is private


def test_what_was_fitted_under_privacy_is_not_mixed_with_what_was_not(patients: Path, tmp_path: Path) -> None:
    said: list[str] = []
    compare_recipes(
        patients, ["mst"], [0, 1], "5steps", str(tmp_path / "c"), device="cpu", samples=400, say=said.append, dp=(1.0, 0.0)
    )
    assert sum("(1, " in line and "without noise" in line for line in said) == 2  # what each fit cost, and what it did not pay for
    with pytest.raises(RunError, match="another budget"):
        compared(patients, tmp_path / "c", ["mst"])
    with pytest.raises(RunError, match="another budget"):
        compared(patients, tmp_path / "c", ["mst"], dp=(2.0, 0.0))
    with pytest.raises(RecipeError, match="epsilon"):
        compared(patients, tmp_path / "d", ["mst"], dp=(-1.0, 0.0))


def test_baselines_of_tables_are_refused_for_points_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="for tables"):
        compare_recipes("ring8", ["gan-small", "mst"], [0], "20steps", str(tmp_path / "c"), device="cpu")
    assert not (tmp_path / "c").exists()


def test_bad_words_on_the_command_line(tmp_path: Path, run: rivalry.Run) -> None:
    for words in (
        ["compare", str(run.path), "--dp-epsilon", "1"],
        ["compare", "--data", "ring8", "--recipes", "mst", "--run", str(tmp_path / "c")],
        ["compare", "--data", "ring8", "--dp-delta", "1e-6"],
    ):
        with pytest.raises(RecipeError):
            CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)


def test_independent_columns_stand_beside_a_run_s_scores(run: rivalry.Run) -> None:
    scores, beside = run.beside(300)
    assert {"shape", "trend", "missingness", "c2st"} == set(beside["independent"])
    assert beside["independent"]["shape"].ruler == scores["shape"].ruler
    assert beside["independent"]["shape"].value < 0.1
    text = CliRunner().invoke(cli, ["evaluate", str(run.path), "-n", "300"], catch_exceptions=False).output
    head, *rows = text.splitlines()
    assert head.split()[-1] == "independent"
    trend = next(row for row in rows if row.startswith("trend"))
    assert float(trend.split()[-1]) == pytest.approx(beside["independent"]["trend"].value, rel=1e-3)
    found = json.loads(CliRunner().invoke(cli, ["evaluate", str(run.path), "-n", "300", "--json"]).stdout)
    assert found["baselines"]["independent"]["scores"]["trend"]["value"] == beside["independent"]["trend"].value
    assert found["scores"]["trend"]["value"] == run.evaluate(300)["trend"].value


def test_their_rows_teach_nothing_of_the_diagnosis(run: rivalry.Run) -> None:
    made = CliRunner().invoke(cli, ["evaluate", str(run.path), "--target", "diagnosis", "--json"])
    found = json.loads(made.stdout)
    assert found["real rows"]["trees"] > 0.95
    assert abs(found["baseline"]["trees"]["value"] - 0.5) < 0.25


def test_kinds_without_baselines_show_none() -> None:
    assert baselines.usual(rivalry.data.load("ring8").spec) == {}
