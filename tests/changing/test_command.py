"""`rivalry apply` and `rivalry export`: the run's kind decides what they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import rivalry
from changing.cases import negative, restorer, scene
from changing.test_files import pixels, save
from exporting.test_onnx import sampler
from rivalry.changing import Changer
from rivalry.cli import cli
from rivalry.errors import RivalryError
from tiny import CLASSES


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    """A run that has no such network; tests put into it what they need."""
    return rivalry.train(
        torch.randn(60, 2), recipe="gan-small", budget="2steps", run=str(tmp_path_factory.mktemp("runs") / "sharper"), device="cpu",
        tensorboard=False, settings=("batch=16",), say=lambda line: None,
    )  # fmt: skip


@pytest.fixture
def call(trained: rivalry.Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def use(changer: Changer, *arguments: object) -> Result:
        monkeypatch.setattr(rivalry.Run, "changer", lambda self, which="best", device="auto", perception=1.0, label=None: changer)
        command, *rest = map(str, arguments)
        return CliRunner().invoke(cli, [command, str(trained.path), *rest])

    return use


def test_the_command_changes_a_file_and_a_folder(call: Callable[..., Result], tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(40, 50))
    made = call(negative(), "apply", path, "-o", tmp_path / "b.png")
    assert made.exit_code == 0, made.output
    assert made.output.strip() == str(tmp_path / "b.png")
    assert np.array_equal(pixels(tmp_path / "b.png"), 255 - scene(40, 50))
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "bad.jpg").write_text("")
    made = call(negative(), "apply", tmp_path, "-o", tmp_path / "out", "--sheet", tmp_path / "out" / "look.png", "--strength", ".5")
    assert made.exit_code == 0, made.output
    assert f"2 pictures in {tmp_path / 'out'}" in made.output
    assert "not changed: " in made.output
    assert "the file is empty" in made.output


def test_draws_and_tiles(call: Callable[..., Result], tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(70, 50))
    made = call(restorer(latent=2), "apply", path, "-o", tmp_path / "out", "--draws", 2, "--tile", 32, "--self-ensemble", "--seed", 3)
    assert made.exit_code == 0, made.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a-1.png", "a-2.png"]


@pytest.mark.parametrize("option", [["--likely"], ["--pool", "1000"]])
def test_options_of_tables_are_refused_for_pictures(option: list[str], call: Callable[..., Result], tmp_path: Path) -> None:
    made = call(negative(), "apply", save(tmp_path / "a.png", scene(8, 8)), "-o", tmp_path / "b.png", *option)
    assert isinstance(made.exception, RivalryError)
    assert f"{option[0]} is for tables, and sharper changes pictures; leave it out" in str(made.exception)
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("option", [["--strength", "1"], ["--self-ensemble"], ["--mask", "m.png"], ["--overwrite"]])
def test_options_of_pictures_are_refused_for_tables(option: list[str], tmp_path: Path) -> None:
    from rivalry.using import Options

    names = {"--strength": Options(strength=1.0), "--self-ensemble": Options(self_ensemble=True), "--mask": Options(mask=Path("m.png")),
             "--overwrite": Options(overwrite=True)}  # fmt: skip
    with pytest.raises(RivalryError, match=f"{option[0]} is for pictures, and stays fills tables"):
        names[option[0]].check_for_tables("stays")


def test_the_command_exports(call: Callable[..., Result], trained: rivalry.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(type(trained.recipe.game), "changes", True)
    made = call(restorer(scale=2), "export", "--onnx")
    assert made.exit_code == 0, made.output
    assert "model.onnx takes picture [n, 3, height, width]" in made.output
    assert (trained.path / "model.onnx").is_file()


def test_runs_that_make_pictures_change_none_but_are_exported(trained: rivalry.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(RivalryError, match="so it changes no pictures"):
        trained.apply(tmp_path / "a.png", tmp_path / "b.png")
    with pytest.raises(RivalryError, match="this run makes points"):
        trained.export(tmp_path / "model.onnx")
    monkeypatch.setitem(trained.folder.__dict__, "spec", CLASSES)
    monkeypatch.setattr(rivalry.Run, "sampler", lambda self, which, device: sampler("dcgan-small"))
    assert trained.export(tmp_path / "model.onnx").path.is_file()
    with pytest.raises(RivalryError, match="--perception and --label are for runs that change pictures"):
        trained.export(tmp_path / "other.onnx", label="dash")
    monkeypatch.setitem(trained.folder.settings["train"], "cap", 100)
    with pytest.raises(RivalryError, match="may hand out 100 samples in all"):
        trained.export(tmp_path / "other.onnx")
    assert not (tmp_path / "other.onnx").exists()
