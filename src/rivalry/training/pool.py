"""A judge that sees earlier fakes among the fresh ones, so that it does not forget them (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rivalry.errors import RecipeError
from rivalry.parts import Play, Turn
from rivalry.streams import Draw
from rivalry.training.engine import Engine
from rivalry.types import Match, Point

Memory = dict[str, Tensor]


@dataclass
class PooledPlay:
    """The play as a side with a pool sees it: its matches' fakes are drawn from the pool.

    memory: '<match>.x' and the like, [n <= size, ...] each, n growing until the pool is full; it is checkpointed.  part: which of a
    turn's micro-batches this is.
    """

    nets: Mapping[str, nn.Module]
    play: Play
    size: int
    memory: Memory
    turn: Turn
    engine: Engine
    part: int = 0
    seen: dict[str, Match] = field(default_factory=dict)

    def match(self, name: str) -> Match:
        if name not in self.seen:
            match = self.play.match(name)
            if match.fake_mask is not None:
                raise RecipeError(f"match {name!r} counts parts of its fakes only, so a pool cannot mix them; leave the side's pool out")
            fake = None if match.fake is None else self._drawn(name, match.fake)
            self.seen[name] = match._replace(fake=fake)
        return self.seen[name]

    def pair(self, name: str) -> tuple[Tensor, ...]:
        return self.play.pair(name)

    @torch.no_grad()
    def _drawn(self, name: str, fake: Point) -> Point:
        fresh = {"x": fake.x, **{f"cond.{i}": c for i, c in enumerate(fake.cond)}}
        if fake.latent is not None:
            fresh["latent"] = fake.latent
        # all processes keep the same pool, and draw alike
        everyone = {k: self.engine.gather(v.detach()) for k, v in fresh.items()}
        mine = {k: v for k, v in self.memory.items() if k.startswith(f"{name}.")}
        draw = replace(self.turn.draw, share=(0, 1)).at("pool", name, self.part)
        shown, kept = exchanged(everyone, {k: mine.get(f"{name}.{k}") for k in fresh}, self.size, draw)
        self.memory |= {f"{name}.{k}": v for k, v in kept.items()}
        first = self.engine.rank * len(fake.x)
        # in the fresh fake's memory layout: kernels go by it, and a checkpoint does not keep it
        own = {k: torch.empty_like(v).copy_(shown[k][first : first + len(v)]) for k, v in fresh.items()}
        return Point(own["x"], tuple(own[f"cond.{i}"] for i in range(len(fake.cond))), own.get("latent"))


def exchanged(fresh: Memory, kept: Mapping[str, Tensor | None], size: int, draw: Draw) -> tuple[Memory, Memory]:
    """(what is shown [n, ...], the pool then [m <= size, ...]) of fresh fakes [n, ...] and the pool [m, ...] (None: empty).

    While there is room fakes are stored and shown.  Then each is, with chance 1/2, exchanged for one of the pool, at places that differ
    within a batch (the paper's authors replace half of a batch; CycleGAN's code draws picture by picture, which is this for n = 1).
    Fakes beyond `size` in a batch are shown as they are.  Sizes alone decide what is done, so no device is waited for.
    """
    n = len(fresh["x"])
    x = kept["x"]
    held = 0 if x is None else len(x)
    if held < size:
        more = min(n, size - held)
        grown = {k: v[:more].clone() if (old := kept[k]) is None else torch.cat([old, v[:more]]) for k, v in fresh.items()}
        return fresh, grown
    count = min(n, size)
    places, swap = draw.permutation("places", size)[:count], draw.uniform("swap", n)[:count] < 0.5
    shown, after = Memory(), Memory()
    for k, v in fresh.items():
        pool = kept[k]
        assert pool is not None, "all parts of a fake are stored together"
        chosen = swap.view(-1, *[1] * (v.dim() - 1))
        old = pool[places]
        shown[k] = torch.cat([torch.where(chosen, old, v[:count]), v[count:]])
        after[k] = pool.index_copy(0, places, torch.where(chosen, v[:count], old))
    return shown, after
