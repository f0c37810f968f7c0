"""Comparisons: one ruler for all, means over seeds, ranks, resumable, never mixed up."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from PIL import Image

from rivalry.data import ReadOptions, load
from rivalry.errors import RecipeError, RulerMismatch, RunError, UnknownName
from rivalry.experiments import Comparison, Entry, _read, compare_recipes, compare_runs
from rivalry.recipe import set_value
from rivalry.run import Run
from rivalry.zoo import get

OPTIONS = ReadOptions(limit=1500)


def quiet(line: str) -> None:
    pass


def compare(tmp: Path, recipes: list[str], budget: str = "20steps", seeds: range = range(2)):  # type: ignore[no-untyped-def]
    return compare_recipes("ring8", recipes, seeds, budget, str(tmp / "c"), OPTIONS, "cpu", 500, quiet)


def test_recipes_over_seeds_are_ranked_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compare(tmp_path, ["gan-small"])
    assert [len(e.seconds) for e in first.entries] == [2]
    both = compare(tmp_path, ["gan-small", "house-points-small"])
    assert {e.name for e in both.entries} == {"gan-small", "house-points-small"}
    losses = [e.summary(both.headline)[0] for e in both.entries]
    assert losses == sorted(losses)
    head, *rows, floor = both.table()
    assert head[:2] == ("rank", "contender")
    assert [r[0] for r in rows] == ["1", "2"]
    assert all("±" in r[2] for r in rows)
    assert floor[1] == "real data (floor)"
    # nothing is trained again
    monkeypatch.setattr("rivalry.experiments.start", lambda *_: pytest.fail("trained again"))
    assert compare(tmp_path, ["gan-small", "house-points-small"]).as_dict() == both.as_dict()


def test_another_budget_is_not_mixed_in(tmp_path: Path) -> None:
    compare(tmp_path, ["gan-small"], seeds=range(1))
    with pytest.raises(RunError, match="another budget"):
        compare(tmp_path, ["gan-small"], budget="30steps", seeds=range(1))


def test_wrong_names_fail_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="gan"):
        compare(tmp_path, ["gann"])
    with pytest.raises(RecipeError, match="at least one"):
        compare(tmp_path, [])
    assert not (tmp_path / "c").exists()


def test_runs_on_other_data_are_refused(tmp_path: Path) -> None:
    compare(tmp_path, ["gan-small"], seeds=range(1))
    run = Run.open(tmp_path / "c" / "gan-small-seed0")
    assert len(compare_runs([run], load("ring8", options=OPTIONS), "cpu", 300).entries) == 1
    with pytest.raises(RulerMismatch, match="other data"):
        compare_runs([run], load("grid25", options=OPTIONS), "cpu", 300)


def test_the_interval_over_seeds_is_student_s() -> None:
    entry = Entry("x", {"fd": [1.0, 2.0, 3.0]}, [1.0] * 3)
    mean, half = entry.summary("fd")
    assert mean == 2.0
    assert half == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
    assert math.isnan(Entry("x", {"fd": [1.0]}, [1.0]).summary("fd")[1])


def test_equal_scores_share_a_rank() -> None:
    scores = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0, "e": math.nan}
    found = Comparison("x", "fd", {"fd": "FD"}, {"fd": None}, tuple(Entry(k, {"fd": [v]}, [1.0]) for k, v in scores.items()))
    assert [row[0] for row in found.table()[1:]] == ["1", "2", "2", "4", "5", ""]


def test_recipes_go_before_the_layout_as_in_a_training(tmp_path: Path) -> None:
    """Rows that make pictures learn two folders of equal names as classes, rows that change pictures learn the pairs."""
    for side in ("A", "B"):
        (tmp_path / "d" / side).mkdir(parents=True)
        for i in range(12):
            Image.new("RGB", (32, 32), (20 * i, 90, 40)).save(tmp_path / "d" / side / f"{i}.png")
    made, reading = _read(tmp_path / "d", ["auto", "acgan-small", "dcgan-small"], ReadOptions())
    assert (made.layout, made.spec.class_names, reading.task) == ("", ("A", "B"), "generate")
    changed, reading = _read(tmp_path / "d", ["pix2pix-small", "bicyclegan-small"], ReadOptions())
    assert (changed.layout, reading.task) == ("pairs", "translate")
    assert _read(tmp_path / "d", ["auto"], ReadOptions())[0].layout == "pairs"
    with pytest.raises(RecipeError, match="'dcgan-small' makes new examples and 'pix2pix-small' learns --task translate"):
        _read(tmp_path / "d", ["dcgan-small", "pix2pix-small"], ReadOptions())
    with pytest.raises(RecipeError, match="makes new examples and --task denoise"):
        _read(tmp_path / "d", ["auto", "dcgan-small"], ReadOptions(task="denoise"))


def recipe_file(folder: Path, batch: int) -> str:
    """A small recipe under one name, whatever the folder."""
    folder.mkdir(exist_ok=True)
    path = folder / "mine.toml"
    path.write_text(set_value(get("gan-small"), "batch", str(batch)).to_toml(), encoding="utf-8")
    return str(path)


def test_two_recipes_of_one_name_are_not_one_contender(tmp_path: Path) -> None:
    both = [recipe_file(tmp_path / "a", 16), recipe_file(tmp_path / "b", 32)]
    with pytest.raises(RecipeError, match=r"'mine'.*rename"):
        compare(tmp_path, both, seeds=range(1))
    assert not (tmp_path / "c").exists()


def test_a_recipe_that_was_changed_does_not_get_its_old_score(tmp_path: Path) -> None:
    mine = recipe_file(tmp_path / "a", 16)
    compare(tmp_path, [mine], budget="5steps", seeds=range(1))
    compare(tmp_path, [mine], budget="5steps", seeds=range(1))
    recipe_file(tmp_path / "a", 32)
    with pytest.raises(RunError, match=r"mine-seed0 was trained by another recipe"):
        compare(tmp_path, [mine], budget="5steps", seeds=range(1))


def test_what_cannot_play_these_data_fails_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="labels"):
        compare(tmp_path, ["gan-small", "cgan-small"])
    assert not (tmp_path / "c").exists()


def test_runs_of_one_name_stay_apart(tmp_path: Path) -> None:
    compare(tmp_path, ["gan-small"], seeds=range(1))
    (tmp_path / "other").mkdir()
    shutil.copytree(tmp_path / "c" / "gan-small-seed0", tmp_path / "other" / "gan-small-seed0")
    runs = [Run.open(tmp_path / folder / "gan-small-seed0") for folder in ("c", "other")]
    found = compare_runs(runs, load("ring8", options=OPTIONS), "cpu", 300)
    assert sorted(e.name for e in found.entries) == sorted(str(run.path) for run in runs)
