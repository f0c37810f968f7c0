"""What users mistype or mislay: one sentence with a remedy that helps, before anything has been read, written or trained."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import rivalry
from rivalry.cli import cli
from rivalry.degrade import task
from rivalry.errors import DataError, RecipeError, RivalryError, RunError, WeightsError
from rivalry.evaluate.target import Target
from rivalry.extractors.weights import read_state
from rivalry.recipe import set_value
from rivalry.run import Run
from rivalry.zoo import get

SMALL = ("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=16")


def ring(run: str, **more: object) -> rivalry.Run:
    return rivalry.train(  # type: ignore[arg-type]
        "ring8", **{"recipe": "gan-small", "budget": "4steps", "settings": SMALL, "run": run, "device": "cpu", "tensorboard": False,
                    "say": lambda line: None, "options": rivalry.ReadOptions(limit=500)} | more)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(*line: str) -> str:
    done = CliRunner().invoke(cli, line)
    assert isinstance(done.exception, RivalryError) or done.exit_code == 2, done.output
    return str(done.exception) + done.output


def test_a_run_can_be_named_from_inside_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ring("one")
    monkeypatch.chdir(run.path)
    done = CliRunner().invoke(cli, ["sample", ".", "-n", "4", "-o", "four.csv"])
    assert done.exit_code == 0, done.output
    assert Run.open(".").name == "one"
    monkeypatch.chdir("samples")
    assert Run.open("..").name == "one"


def test_a_run_has_a_name() -> None:
    for command in (["sample", ""], ["evaluate", ""], ["resume", ""]):
        assert "name a run" in said(*command)
    assert "name" in said("train", "", "--budget", "1steps")
    assert "no run" in said("sample", "/")


def test_nothing_is_written_to_a_place_without_a_name() -> None:
    ring("one")
    before = sorted(Path().iterdir())
    assert "empty" in said("sample", "one", "-n", "4", "-o", "")
    assert sorted(Path().iterdir()) == before


def test_a_run_file_that_was_cut_is_called_damaged() -> None:
    run = ring("one")
    file = run.path / "run.toml"
    file.write_text(file.read_text().partition("[recipe]")[0])
    with pytest.raises(RunError, match=r"run\.toml is damaged: it lacks recipe"):
        rivalry.load("one").sample(2)


def test_a_recipe_cannot_lead_out_of_the_runs() -> None:
    for name in ("../../out", "a/b", "a\\b", ".hidden", ""):
        with pytest.raises(RecipeError, match=r"name"):
            set_value(get("gan-small"), "name", name)
    assert set_value(get("gan-small"), "name", "mine 2.1_b").name == "mine 2.1_b"


def test_a_comparison_does_not_go_into_a_run() -> None:
    run = ring("base")
    before = sorted(p.name for p in run.path.iterdir())
    with pytest.raises(RunError, match=r"base is a run; .*another name"):
        rivalry.compare("ring8", ["gan-small"], seeds=(0,), budget="2steps", name="base", say=lambda line: None)
    assert sorted(p.name for p in run.path.iterdir()) == before


def test_a_target_that_aims_the_wrong_way_is_put_right_with_its_unit() -> None:
    with pytest.raises(RecipeError, match=r"write fd<3x floor"):
        Target.parse("fd>3x floor")
    with pytest.raises(RecipeError, match=r"write coverage>50%"):
        Target.parse("coverage<50%")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"until": "fdd<3"}, "fdd"), ({"budget": "ten minutes"}, "budget"), ({"settings": ["batchh=3"]}, "batchh"), ({"settings": ["batch=words"]}, "batch")],
)
def test_mistakes_are_told_before_the_data_are_read(wrong: dict[str, object], says: str) -> None:
    """A large folder takes minutes to read."""
    with pytest.raises(RivalryError, match=says):
        rivalry.train("no-such-data", recipe="gan-small", say=lambda line: None, **wrong)  # type: ignore[arg-type]


def test_what_is_no_weights_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_text("hello")
    torch.save({"weights": torch.zeros(2), "code": Path("x")}, tmp_path / "more.pt")
    for name in ("w.pt", "more.pt"):
        with pytest.raises(WeightsError, match=r"holds more than tensors, or is no file of PyTorch's") as told:
            read_state(tmp_path / name)
        assert "101" not in str(told.value)
        assert "you have two options" not in str(told.value)


def test_a_start_from_other_networks_is_told_in_a_sentence() -> None:
    ring("small")
    with pytest.raises(RunError) as told:
        ring("large", start="small", settings=("generator.sizes=[48, 48]", "discriminator.trunk.sizes=[16]", "batch=16"))
    assert len(str(told.value)) < 400
    assert "state_dict" not in str(told.value)
    assert "another recipe" in str(told.value)


def test_numbers_with_a_decimal_comma_are_not_called_words(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x;y\n" + "".join(f"{i},5;{i * 2},25\n" for i in range(60)))
    with pytest.raises(DataError, match=r"decimal comma.*--kind table"):
        rivalry.train(tmp_path / "p.csv", options=rivalry.ReadOptions(kind="points"), say=lambda line: None)


def test_folders_named_in_latin_1_give_classes(tmp_path: Path) -> None:
    base = os.fsencode(tmp_path / "set")
    for folder in (b"caf\xe9", b"bar"):
        os.makedirs(os.path.join(base, folder))
        for i in range(10):
            picture = np.random.default_rng(i + len(folder)).integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "own.png")
            shutil.move(os.fsencode(tmp_path / "own.png"), os.path.join(base, folder, b"%d.png" % i))
    run = rivalry.train(
        tmp_path / "set", recipe="gan-small", budget="2steps", settings=SMALL, run="latin", device="cpu", tensorboard=False, say=lambda line: None
    )
    assert run.folder.spec.class_names == ("bar", "café")
    assert Run.open("latin").spec.class_names == ("bar", "café")


def test_few_names_are_listed_where_none_is_near() -> None:
    with pytest.raises(RivalryError, match=r"'upscale'; known: .*super-resolution"):
        task("upscale")
    with pytest.raises(RivalryError, match=r"did you mean 'inpaint'"):
        task("inpainting")
