"""Runs that change pictures: what they learn, go on from, and leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from rivalry.data import ReadOptions, load
from rivalry.degrade import task
from rivalry.errors import RecipeError, RunError
from rivalry.parts import Turn
from rivalry.streams import Draw
from rivalry.training.engine import Engine
from rivalry.training.state import build_state, load_nets
from rivalry.types import Batch, Spec
from rivalry.zoo.changing import house
from wavy import SMALL, photos, quiet, waves

CPU = torch.device("cpu")
SPEC = Spec("image", (3, 32, 32))
DRAW = Draw(0, ("test",))


def test_a_judge_may_join_after_training_by_pixels(tmp_path: Path) -> None:
    """A run by pixels alone is gone on from by a recipe that has a discriminator; networks that it did not have start afresh."""
    import rivalry

    photos(tmp_path / "photos")
    first = rivalry.train(
        tmp_path / "photos", budget="8steps", run=str(tmp_path / "one"), options=ReadOptions(task="denoise", patch=32), settings=SMALL, tensorboard=False, say=quiet
    )
    both = house(task("denoise"), False, 3, 32, adversarial=True)
    recipe = replace(both, stages=both.stages[1:], nets={**both.nets, "generator": first.recipe.nets["generator"]})
    state = build_state(recipe, first.folder.spec, 1, CPU)
    load_nets(state, first.folder)
    saved, _ = first.folder.state("last")
    assert torch.equal(state.nets["generator"].head.weight, saved["nets/generator/head.weight"])  # type: ignore[union-attr]
    with pytest.raises(RunError, match="none of the networks"):
        load_nets(build_state(replace(recipe, nets={"other": recipe.nets["generator"]}, stages=_renamed(recipe), ema=replace(recipe.ema, modules=())), first.folder.spec, 1, CPU), first.folder)


def _renamed(recipe):  # type: ignore[no-untyped-def]
    (stage,) = recipe.stages
    side = stage.sides[1]
    return (replace(stage, sides=(replace(side, modules=("other",), fools=()),)),)


def test_denoising_learns_and_files_are_changed(tmp_path: Path) -> None:
    import rivalry

    photos(tmp_path / "photos")
    run = rivalry.train(
        tmp_path / "photos", budget="150steps", run=str(tmp_path / "run"), options=ReadOptions(task="denoise", patch=32), settings=SMALL, tensorboard=False, say=quiet
    )
    scores = run.evaluate(64)
    assert scores["gain"].low > 1.0, "a dB better than doing nothing"
    report = (run.path / "report.md").read_text()
    assert "changed/final.png" in report
    assert f"rivalry apply {run.path}" in report
    assert not list((run.path / "samples").glob("*")), "the user's own pictures stay in private/"
    noisy = tmp_path / "noisy.png"
    values = waves(1, 70).x[0] + 0.2 * torch.randn(3, 70, 70, generator=torch.Generator().manual_seed(0))
    Image.fromarray(((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()).save(noisy)
    run.apply(noisy, tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as clean:
        assert clean.size == (70, 70)
    with pytest.raises(RecipeError, match="rivalry apply"):
        run.sample(4)


def test_the_variety_of_changed_pictures_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of what was put in: a run on brain slices was called collapsed since its held-out ones are more alike than the others.
    Below eight samples the monitor looks at numbers only."""
    import rivalry
    from rivalry.health import Monitor

    seen, real = list[int](), Monitor.pulse

    def watched(self: Monitor, step: int, fakes: Tensor, *rest, **named):  # type: ignore[no-untyped-def]
        seen.append(len(fakes))
        return real(self, step, fakes, *rest, **named)

    monkeypatch.setattr(Monitor, "pulse", watched)
    photos(tmp_path / "photos")
    rivalry.train(
        tmp_path / "photos", budget="20steps", run=str(tmp_path / "run"), options=ReadOptions(task="denoise", patch=32), settings=SMALL, tensorboard=False, say=quiet
    )
    assert seen
    assert max(seen) < 8


def test_resume_is_exact_with_pictures_to_change(tmp_path: Path) -> None:
    import rivalry

    photos(tmp_path / "photos")
    options = ReadOptions(task="restore", patch=32)
    given = {"options": options, "settings": ("nets.generator.width=8", "nets.generator.blocks=1", "batch=2", "nets.discriminator.width=4"), "tensorboard": False, "say": quiet}
    whole = rivalry.train(tmp_path / "photos", budget="6steps", run=str(tmp_path / "whole"), **given)
    assert len(whole.recipe.stages) == 2
    data = load(tmp_path / "photos", options=options)
    half = build_state(whole.recipe, data.spec, 0, CPU)
    from rivalry.training.loop import Trainer
    from rivalry.training.state import pack_state, unpack_state

    first = Trainer(half, data.train, 6, Engine("cpu"))
    for _ in range(3):
        first.step()
    tensors, meta = pack_state(half)
    again = build_state(whole.recipe, data.spec, 0, CPU)
    unpack_state(again, tensors, meta, "test")
    rest = Trainer(again, data.train, 6, Engine("cpu"))
    for _ in range(3):
        rest.step()
        first.step()
    for name, value in pack_state(half)[0].items():
        assert torch.equal(value, pack_state(again)[0][name]), name


def test_domains_go_to_the_class_that_is_asked_for(tmp_path: Path) -> None:
    """A network that adds its class: the match's fakes carry the class they were asked for, the way back asks for their own."""
    from rivalry.games import Domains
    from rivalry.parts import Source

    x, label = torch.zeros(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])

    class One(Source):
        def batch(self, stream: str, turn: Turn) -> Batch:
            return Batch(x, label)

    def net(source: Tensor, wanted: Tensor) -> Tensor:
        return source * 10 + 1 + wanted.view(-1, 1, 1, 1).float()

    play = Domains("no").play({"generator": net}, One(), Turn("g", 0, 0, 0, DRAW, {}, {}, 6))  # type: ignore[dict-item]
    match = play.match("main")
    assert match.real is not None
    assert match.fake is not None
    assert torch.equal(match.real.cond[0], label)
    assert sorted(match.fake.cond[0].tolist()) == sorted(label.tolist())
    assert torch.equal(match.fake.x[:, 0, 0, 0], 1 + match.fake.cond[0].float())
    back, truth = play.pair("cycle")
    assert torch.equal(truth, x)
    assert torch.equal(back[:, 0, 0, 0], 10 * match.fake.x[:, 0, 0, 0] + 1 + label.float())
    stays, truth = play.pair("identity")
    assert torch.equal(truth, x)
    assert torch.equal(stays[:, 0, 0, 0], 1 + label.float())
    with pytest.raises(RecipeError, match="sub-folder"):
        Domains().wiring(SPEC)
