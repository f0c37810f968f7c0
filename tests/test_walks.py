"""Interpolations between latents, as films and sheets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageSequence

import rivalry
from rivalry import room
from rivalry.cli import cli
from rivalry.errors import DataError, RecipeError

SMALL = ("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=16")


def deep(tmp: Path) -> rivalry.Run:
    """Twelve-bit pictures: bright ones, whose high byte is nearly black."""
    x = np.random.default_rng(0).integers(3000, 4096, (64, 12, 16)).astype(np.uint16)
    return rivalry.train(
        x, recipe="gan-small", budget="4steps", run=str(tmp / "deep"), settings=SMALL, device="cpu",
        tensorboard=False, say=lambda line: None,
    )  # fmt: skip


def test_a_film_of_deep_pictures_is_as_bright_as_its_samples(tmp_path: Path) -> None:
    run = deep(tmp_path)
    (path,) = run.walk(tmp_path / "walk.gif", seed=3, which="last")
    with Image.open(path) as film:
        frames = np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(film)])
    assert len(frames) == 4 * 12
    assert frames.shape[1:] == (96, 128, 3)
    x = run.sampler("last", "cpu").walk(3)
    shown = run.modality.shown(x)  # type: ignore[attr-defined]
    assert abs(frames.mean() - shown.mean()) < 3
    (sheet,) = run.walk(tmp_path / "walk.png", seed=3)
    assert sheet.stat().st_size > 0


def ring(tmp: Path) -> rivalry.Run:
    return rivalry.train(
        "ring8", recipe="gan-small", budget="4steps", run=str(tmp / "ring"), settings=SMALL, device="cpu",
        tensorboard=False, say=lambda line: None, options=rivalry.ReadOptions(limit=500),
    )  # fmt: skip


def test_points_make_no_film(tmp_path: Path) -> None:
    run = ring(tmp_path)
    with pytest.raises(DataError, match="png"):
        run.walk(tmp_path / "walk.gif")


def test_a_walk_takes_the_truncation_that_samples_take(tmp_path: Path) -> None:
    run = deep(tmp_path)
    for truncation in (9.0, -3.0, math.nan):
        with pytest.raises(RecipeError, match="truncation lies between"):
            run.walk(tmp_path / "walk.png", truncation=truncation)


def test_what_a_walk_cannot_heed_is_refused(tmp_path: Path) -> None:
    """Above all --reject-copies: nobody should believe that copies were looked for."""
    run = deep(tmp_path)
    for option in ("--reject-copies", "--where", "--balance", "--prompt"):
        said = CliRunner().invoke(cli, ["sample", str(run.path), "--walk", option, "x", "-o", str(tmp_path / "walk.png")])
        assert isinstance(said.exception, RecipeError)
        assert f"{option} has no use in a walk" in str(said.exception)
    assert not (tmp_path / "walk.png").exists()


def test_fewer_samples_than_can_be_measured_are_refused(tmp_path: Path) -> None:
    run = ring(tmp_path)
    for n in (-5, 0, 3):
        with pytest.raises(RecipeError, match="at least 4 samples"):
            run.evaluate(n)


@pytest.mark.parametrize("n", [10**15, 10**30])
def test_more_samples_than_memory_holds_are_refused_before_they_are_drawn(tmp_path: Path, n: int) -> None:
    run = ring(tmp_path)
    with pytest.raises(RecipeError, match=r"do not fit into .* memory here; ask for [\d,]+ at most"):
        run.sample(n)
    with pytest.raises(RecipeError, match="do not fit"):
        run.write_samples(tmp_path / "out.csv", n)
    with pytest.raises(RecipeError, match="do not fit"):
        run.sample(n, reject_copies="ring8")
    assert not (tmp_path / "out.csv").exists()


def test_the_bound_on_samples_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory", lambda device: 3 * 800)
    room.check_room(100, 8, torch.device("cpu"))
    with pytest.raises(RecipeError, match="ask for 100 at most"):
        room.check_room(101, 8, torch.device("cpu"))
    monkeypatch.setattr(room, "memory", lambda device: 0)
    room.check_room(10**30, 8, torch.device("cpu"))


def test_drawing_and_measuring_say_how_far_they_are(tmp_path: Path) -> None:
    run, heard = ring(tmp_path), list[tuple[str, float]]()

    def tick(what: str, share: float) -> None:
        heard.append((what, share))

    same = run.sample(1000, seed=3)
    assert torch.equal(run.sample(1000, seed=3, tick=tick), same)
    assert heard == [("drawing samples", s) for s in (0.256, 0.512, 0.768, 1.0)]
    heard.clear()
    scores, _ = run.beside(600, tick=tick)
    assert scores.as_dict() == run.evaluate(600).as_dict()
    assert heard[-1] == ("measuring", 0.9)
    assert heard[:-1] == [("drawing samples", pytest.approx(0.9 * 256 / 500))]
