"""What a training leaves behind is what was asked for, and what stood there before is not lost on the way."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from rivalry import load, train
from rivalry.api import Run
from rivalry.errors import RecipeError, RunError, UnknownName
from rivalry.evaluate import Judge, Scores
from rivalry.games import Sample
from rivalry.run import Run as Folder
from rivalry.sampling import Sampler
from rivalry.streams import Draw
from rivalry.zoo import get


def ring(run: str, budget: str = "3steps", **more: object) -> Run:
    return train("ring8", recipe="house-points-small", budget=budget, run=run, tensorboard=False, say=lambda _: None, **more)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_is_replaced_only_once_its_successor_has_begun() -> None:
    ring("keep")
    before = (Path("runs") / "keep" / "run.toml").read_text()
    with pytest.raises(RecipeError):
        ring("keep", overwrite=True, until="missing<1")
    assert (Path("runs") / "keep" / "run.toml").read_text() == before
    assert len(load("keep").sample(2)) == 2
    ring("keep", overwrite=True)
    assert (Path("runs") / "keep" / "run.toml").read_text() != before
    assert [p.name for p in Path("runs").iterdir()] == ["keep"]


def test_a_kill_before_the_successor_begins_loses_nothing() -> None:
    """Between putting a run aside and beginning stand seconds of calibration."""
    ring("keep")
    Folder.claim("keep", overwrite=True)  # and no more of it
    for use in (lambda: load("keep"), lambda: ring("keep"), lambda: ring("keep", overwrite=True)):
        with pytest.raises(RunError, match="bring it back with") as said:
            use()
    subprocess.run(str(said.value).split("bring it back with: ")[1], shell=True, check=True)
    assert len(load("keep").sample(2)) == 2
    assert [p.name for p in Path("runs").iterdir()] == ["keep"]


def test_a_disk_that_fills_up_leaves_nothing_half_written_and_what_stood_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring("keep")
    before = (Path("runs") / "keep" / "run.toml").read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        "rivalry.files.os.fsync", lambda fd: full() if "checkpoints" in os.readlink(f"/proc/self/fd/{fd}") else None
    )
    with pytest.raises(RunError, match="disk is full"):
        ring("keep", overwrite=True)
    assert (Path("runs") / "keep" / "run.toml").read_text() == before
    with pytest.raises(RunError, match="disk is full"):
        ring("new")
    assert [p.name for p in Path("runs").iterdir()] == ["keep"]


def test_a_kill_before_the_successor_is_saved_loses_nothing() -> None:
    ring("keep")
    before = (Path("runs") / "keep" / "run.toml").read_text()
    Folder.claim("keep", overwrite=True).begin({})  # and no more of it
    again = Folder.claim("keep", overwrite=True)
    again.abandon()
    assert (Path("runs") / "keep" / "run.toml").read_text() == before
    assert [p.name for p in Path("runs").iterdir()] == ["keep"]


def test_a_run_cannot_replace_the_one_it_starts_from() -> None:
    ring("base")
    with pytest.raises(RunError, match="cannot replace"):
        ring("base", overwrite=True, start="base")
    assert len(load("base").sample(2)) == 2


def test_what_was_confirmed_is_what_is_handed_over() -> None:
    made = ring("aimed", "400steps", until="modes>0")
    (target,) = [e for e in made.folder.events() if e["kind"] == "target"]
    _, meta = made.folder.state("best")
    assert meta["step"] == target["step"]


def test_a_missed_target_is_said() -> None:
    said = list[str]()
    made = train("ring8", recipe="house-points-small", budget="3steps", until="swd<.0001", run="miss", tensorboard=False, say=said.append)
    (missed,) = [e for e in made.folder.events() if e["kind"] == "missed"]
    assert "swd<0.0001 was not reached" in missed["sentence"]
    assert missed["sentence"] in said[-1]


def test_commands_that_are_named_find_the_run() -> None:
    said = list[str]()
    train("ring8", recipe="house-points-small", budget="2steps", run="far/away/one", tensorboard=False, say=said.append)
    assert "rivalry sample far/away/one" in said[-1]
    assert len(load("far/away/one").sample(2)) == 2


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 2)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(z)
        return out


def test_calibration_leaves_ones_own_modules_alone() -> None:
    """A step of Adam moves a weight by its rate at most; calibration takes hundreds."""
    torch.manual_seed(0)
    own = Own()
    before = own.linear.weight.detach().clone()
    ring("own", "1steps", players={"generator": own})
    assert float((own.linear.weight.detach() - before).abs().max()) < 3e-3


def test_players_of_no_such_name_are_refused() -> None:
    with pytest.raises(UnknownName, match="generatr"):
        ring("typo", players={"generatr": Own()})


@pytest.mark.parametrize("name", ["infogan-small", "dcgan", "clustergan-small"])
def test_walks_go_from_one_latent_that_training_knows_to_another(name: str) -> None:
    seen = list[torch.Tensor]()

    class Seeing(nn.Module):
        def forward(self, z: torch.Tensor, *cond: torch.Tensor) -> torch.Tensor:
            seen.append(z)
            return z

    from rivalry.types import Spec

    recipe = get(name)
    spec = Spec("image", (1, 28, 28), (-1.0, 1.0))
    wiring = recipe.game.wiring(spec)
    assert isinstance(recipe.game, Sample)
    Sampler(recipe.game, wiring, {"generator": Seeing()}, torch.device("cpu")).walk(0, corners=4, between=5)
    known = recipe.game.latents(Draw(0, ("walk",), torch.device("cpu")), 4, wiring)
    assert torch.allclose(seen[0][::5], known[:3], atol=1e-5)


@pytest.mark.parametrize("truncation", [-1.0, 50.0, float("nan")])
def test_truncation_lies_between_none_and_all(truncation: float) -> None:
    made = ring("cut", overwrite=True)
    with pytest.raises(RecipeError, match="truncation lies between"):
        made.sample(2, truncation=truncation)


def test_training_from_a_run_takes_its_recipe() -> None:
    ring("first")
    said = list[str]()
    made = train("ring8", budget="2steps", start="first", run="second", tensorboard=False, say=said.append)
    assert made.recipe == load("first").recipe
    assert any("the recipe of first" in line for line in said)


def test_the_card_tells_of_the_weights_it_names() -> None:
    made = ring("told", "60steps")
    assert f"at step {made.folder.step('best')} " in (made.path / "model-card.md").read_text()


@pytest.mark.parametrize(
    ("looks", "kept"),
    [
        ({1: (5, 1), 2: (3, 1), 3: (4, 1), 4: (6, 1)}, 3),  # 4 is 3 with the noise of both, 6 is worse
        ({1: (5, 0.1), 2: (3, 0.1), 3: (4, 0.1), 4: (3.1, 0.1)}, 4),
        ({1: (5, 0), 2: (3, 0), 3: (3.1, 0), 4: (3.2, 0)}, 2),
        ({1: (3, 1), 2: (4, 1), 3: (5, 1), 4: (6, 1)}, 2),  # what is worse little by little is held against the best, not the last kept
    ],
)
def test_the_latest_of_checkpoints_that_noise_cannot_tell_apart_is_handed_over(
    looks: dict[int, tuple[float, float]], kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Judge.gate

    def gate(self: Judge, draw: Sampler, step: int) -> Scores:
        found = dict(plain(self, draw, step))
        value, half = looks.get(step, (9.0, 0.0))
        return Scores({**found, self.headline: replace(found[self.headline], value=value, low=value - half, high=value + half)})

    monkeypatch.setattr(Judge, "gate", gate)
    run = ring("looks", "4steps")
    assert [r["step"] for r in run.folder.metrics() if "scores" in r] == [1, 2, 3, 4]
    assert run.folder.step("best") == kept


def test_a_walk_says_which_class_it_stays_in(tmp_path: Path) -> None:
    said: list[str] = []
    pictures = {
        "x": torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8).numpy(),
        "y": torch.arange(40).numpy() % 2,
    }
    np.savez(tmp_path / "few.npz", **pictures)
    run = train(
        tmp_path / "few.npz", recipe="cgan-small", budget="2steps", run="labelled", settings=["batch=8"], say=lambda _: None
    )  # fmt: skip
    run.walk(tmp_path / "walk.png", say=said.append)
    assert said == ["walking within class '0'; choose another with --label"]
    run.walk(tmp_path / "walk.png", label=1, say=said.append)
    assert len(said) == 1
    assert "samples" in board(run.path).Tags()["images"]


def board(path: Path) -> EventAccumulator:
    found = EventAccumulator(str(path / "tensorboard"))  # type: ignore[no-untyped-call]
    found.Reload()  # type: ignore[no-untyped-call]
    return found


def test_an_interrupt_before_anything_is_saved_leaves_the_name_free(tmp_path: Path) -> None:
    def interrupted(line: str) -> None:
        if "the run is" in line:
            raise KeyboardInterrupt

    def begin(say: Callable[[str], None]) -> object:
        return train("ring8", recipe="house-points-small", budget="2steps", run=str(tmp_path / "one"), tensorboard=False, say=say)

    with pytest.raises(KeyboardInterrupt):
        begin(interrupted)
    assert not (tmp_path / "one").exists()
    begin(lambda _: None)
