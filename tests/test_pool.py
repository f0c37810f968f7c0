"""Judges that see earlier fakes among the fresh ones."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rivalry
from rivalry import zoo
from rivalry.checks import check_recipe
from rivalry.errors import RecipeError
from rivalry.files import read_tensors
from rivalry.nets import ResNetTranslator
from rivalry.parts import Net, Turn
from rivalry.recipe import Pool, Recipe, Side
from rivalry.streams import Draw
from rivalry.training.engine import Engine
from rivalry.training.pool import PooledPlay, exchanged
from rivalry.training.state import build_state, pack_state, parted, unpack_state
from rivalry.types import Match, Point, Spec
from tiny import CPU, ENGINE, POINTS, Rows, ring, run, trainer

HISTORY = 'discriminator.pool={part = "history", size = 40}'


def pooled(size: int) -> Recipe:
    """The small GAN of points, whose discriminator has a pool."""
    recipe = replace(zoo.get("gan-small"), batch=16)
    (stage,) = recipe.stages
    sides = tuple(replace(side, pool=Pool(size)) if side.judges else side for side in stage.sides)
    return replace(recipe, stages=(replace(stage, sides=sides),))


def test_what_is_shown_and_kept_is_what_a_list_would_do() -> None:
    """Against a plain list: filled in order, then one by one exchanged by a coin at places that differ within a batch."""
    size, n, kept, stored = 6, 4, None, list[float]()
    for step in range(40):
        fresh = torch.arange(step * n, (step + 1) * n, dtype=torch.float64)[:, None]
        draw = Draw(0, ("pool", step))
        shown, after = exchanged({"x": fresh}, {"x": kept}, size, draw)
        wanted = fresh[:, 0].tolist()
        if len(stored) < size:
            stored += wanted[: size - len(stored)]
        else:
            places, swap = draw.permutation("places", size)[:n].tolist(), (draw.uniform("swap", n) < 0.5).tolist()
            for i in range(n):
                if swap[i]:
                    wanted[i], stored[places[i]] = stored[places[i]], wanted[i]
        kept = after["x"]
        assert shown["x"][:, 0].tolist() == wanted
        assert kept[:, 0].tolist() == stored
    assert any(v < 39 * n for v in stored), "some are old"


def test_half_of_what_is_shown_is_earlier_and_conditions_stay_with_their_fakes() -> None:
    kept: dict[str, Tensor | None] = {"x": None, "cond.0": None}
    old = seen = 0
    for step in range(400):
        x = torch.full((2, 3), float(step))
        shown, after = exchanged({"x": x, "cond.0": x[:, 0].long()}, kept, 50, Draw(1, ("pool", step)))
        kept = dict(after)
        assert torch.equal(shown["x"][:, 0].long(), shown["cond.0"])
        if step >= 25:
            old, seen = old + int((shown["x"][:, 0] < step).sum()), seen + 2
    assert 0.44 < old / seen < 0.56
    larger, _ = exchanged({"x": torch.arange(9.0)}, {"x": torch.full((4,), -1.0)}, 4, Draw(0))
    assert larger["x"].shape == (9,)
    assert torch.equal(larger["x"][4:], torch.arange(4.0, 9.0)), "beyond the pool's size they are as they were"


class Only:
    """A play of one match, whose fakes are these."""

    def __init__(self, x: Tensor, *cond: Tensor) -> None:
        self.nets: dict[str, torch.nn.Module] = {}
        self.fake = Point(x, cond)

    def match(self, name: str) -> Match:
        return Match("discriminator", None, self.fake)

    def pair(self, name: str) -> tuple[Tensor, ...]:
        return (torch.zeros(1),)


def test_judges_see_the_pool_and_the_generator_does_not() -> None:
    memory = {"main.x": torch.ones(1, 2), "main.cond.0": torch.ones(1)}
    turns = [Turn("d", i, i, i, Draw(i), {}, {}, 1) for i in range(40)]
    found = set()
    for turn in turns:
        play = PooledPlay({}, Only(torch.full((1, 2), 7.0), torch.zeros(1)), 1, memory, turn, ENGINE)
        fake = play.match("main").fake
        assert fake is not None
        assert play.match("main") is play.match("main"), "asked again it is the same"
        found.add((float(fake.x[0, 0]), float(fake.cond[0])))
    assert (7.0, 0.0) in found
    assert (1.0, 1.0) in found
    state = run(pooled(8), POINTS, ring(64), 3)
    assert [k for k in state.memory if k.endswith(".pool")] == ["discriminator.pool"], "the generator has none"


def test_resume_equals_an_unbroken_run_and_needs_the_pool() -> None:
    recipe = pooled(40)
    whole = trainer(recipe, POINTS, ring(256), 12)
    for _ in range(6):
        whole.step()
    tensors, meta = pack_state(whole.state)
    assert tensors["memory/discriminator.pool/main.x"].shape == (40, 2)

    def finish(kept: dict[str, Tensor]) -> dict[str, Tensor]:
        state = build_state(recipe, POINTS, 0, CPU)
        unpack_state(state, kept, meta, "test")
        rest = trainer(recipe, POINTS, ring(256), 12)
        rest.state.__dict__.update(state.__dict__)
        for _ in range(6):
            rest.step()
        return pack_state(rest.state)[0]

    for _ in range(6):
        whole.step()
    straight = pack_state(whole.state)[0]
    for name, value in finish(tensors).items():
        assert torch.equal(value, straight[name]), name
    forgot = finish({k: v for k, v in tensors.items() if ".pool/" not in k})
    assert not all(torch.equal(v, straight[k]) for k, v in forgot.items())


def test_cyclegan_with_its_pool_conforms() -> None:
    """Pictures in channels-last memory: a resume, whose pool came through a file, is equal bit for bit."""
    recipe = zoo.get("cyclegan")
    nets: dict[str, Net] = {n: replace(net, width=4) for n, net in recipe.nets.items()}  # type: ignore[type-var]
    nets = {n: replace(net, blocks=1) if isinstance(net, ResNetTranslator) else net for n, net in nets.items()}
    (stage,) = recipe.stages
    sides = tuple(replace(side, pool=Pool(3)) if side.pool else side for side in stage.sides)
    g = torch.Generator().manual_seed(0)
    x, source = (torch.rand(12, 3, 32, 32, generator=g) * 2 - 1 for _ in range(2))
    spec = Spec("image", (3, 32, 32), source=(3, 32, 32))
    check_recipe(replace(recipe, nets=nets, stages=(replace(stage, sides=sides),), batch=2), spec, Rows(x, extra={"source": source}), steps=6)


def test_going_back_forgets_a_pool_that_came_later() -> None:
    recipe = pooled(40)
    fresh, later = build_state(recipe, POINTS, 0, CPU), run(recipe, POINTS, ring(64), 2)
    unpack_state(later, *pack_state(fresh), "test")
    assert later.memory["discriminator.pool"] == {}


def test_the_pool_is_kept_in_private(tmp_path: Path) -> None:
    state = run(pooled(8), POINTS, ring(64), 2)
    shown, hidden = parted(state, pack_state(state)[0])
    assert {"memory/discriminator.pool/main.x"} <= hidden.keys()
    assert not [k for k in shown if ".pool" in k]
    folder = rivalry.train(
        "ring8", recipe="gan-small", budget="6steps", run=str(tmp_path / "run"), settings=(HISTORY, "batch=16"), device="cpu", say=lambda s: None,
        options=rivalry.ReadOptions(limit=500), tensorboard=False,
    ).path  # fmt: skip
    for file in folder.rglob("*.safetensors"):
        assert any(".pool/" in k for k in read_tensors(file)[0]) == ("private" in file.parts), file
    assert len(list((folder / "private").glob("last-secret-*.safetensors"))) == 1, "older ones go once the new state is there"


class Rank(Engine):
    """One of two processes, as the other one would see it: `gather` gives what both bring."""

    def __init__(self, rank: int, whole: Tensor) -> None:
        self.rank, self.world, self.whole = rank, 2, whole

    def gather(self, x: Tensor) -> Tensor:
        return self.whole


def test_processes_keep_the_same_pool_and_show_their_own_share() -> None:
    memories: list[dict[str, Tensor]] = [{}, {}, {}]
    for step in range(12):
        whole = torch.arange(step * 4, step * 4 + 4).float()[:, None]
        draws = [Draw(0, ("step", step), share=share) for share in ((0, 1), (0, 2), (1, 2))]
        parts = [whole, whole[:2], whole[2:]]
        engines = [ENGINE, Rank(0, whole), Rank(1, whole)]
        shown = []
        for memory, draw, part, engine in zip(memories, draws, parts, engines, strict=True):
            play = PooledPlay({}, Only(part), 6, memory, Turn("d", step, step, step, draw, {}, {}, len(part)), engine)
            fake = play.match("main").fake
            assert fake is not None
            shown.append(fake.x)
        assert torch.equal(torch.cat(shown[1:]), shown[0])
        assert all(torch.equal(m["main.x"], memories[0]["main.x"]) for m in memories)


@pytest.mark.slow
def test_two_processes_share_one_pool(tmp_path: Path) -> None:
    words = ["train", "ring8", "--recipe", "gan-small", "--limit", "500", "--budget", "8steps", "--device", "cpu", "--no-tensorboard",
             "--set", "generator.sizes=[16]", "--set", "discriminator.trunk.sizes=[16]", "--set", "batch=16", "--set", HISTORY]  # fmt: skip
    start = {"one": [sys.executable], "two": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29531"]}
    for name, command in start.items():
        done = subprocess.run(
            [*command, "-m", "rivalry", *words, "--name", name], cwd=tmp_path, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert done.returncode == 0, done.stderr
    a, b = (read_tensors(tmp_path / f"runs/{n}/checkpoints/last/model.safetensors")[0] for n in start)
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-4, atol=1e-5)


def test_pools_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RecipeError, match="at least one"):
        Pool(0)
    recipe = zoo.get("gan-small")
    sides = tuple(replace(s, pool=Pool()) for s in recipe.stages[0].sides if s.fools)
    judges: tuple[Side, ...] = tuple(s for s in recipe.stages[0].sides if s.judges)
    with pytest.raises(RecipeError, match="only judge"):
        replace(recipe, stages=(replace(recipe.stages[0], sides=(*judges, *sides)),))
    published = zoo.get("cyclegan")
    assert [s.pool for s in published.sides()] == [Pool(50), Pool(50), None]
    assert Recipe.from_toml(published.to_toml()) == published
