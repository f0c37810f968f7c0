"""Contests held by closed-form judges, for tests of penalties; the judge is any function (x, *cond) -> heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rivalry.parts import Contest, Judge, Penalty, Turn
from rivalry.streams import Draw
from rivalry.types import Judged, Match, Point


@dataclass
class Table:
    """A Play of given pairs and networks."""

    nets: Mapping[str, nn.Module] = field(default_factory=dict)
    pairs: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)

    def match(self, name: str) -> Match:
        raise KeyError(name)

    def pair(self, name: str) -> tuple[Tensor, ...]:
        return self.pairs[name]


def turn(side: str = "discriminator", seed: int = 0, **knobs: float | Tensor) -> Turn:
    """A turn; knobs are written with '_' for '.'."""
    named = {k.replace("_", "."): v for k, v in knobs.items()}
    return Turn(side=side, step=0, index=0, position=0, draw=Draw(seed, ("test",)), knobs=named)


def judged(judge: Judge, point: Point | None) -> Judged | None:
    """The point with its heads and its slope d(sum of scores)/dx."""
    if point is None:
        return None

    def total(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        heads = judge(x, *point.cond)
        return heads["score"].sum(), heads

    slope, heads = torch.func.grad(total, has_aux=True)(point.x)
    return Judged(point, heads, slope)


def hold(
    judge: Judge,
    penalty: Penalty,
    real: Point | None,
    fake: Point | None,
    play: Table | None = None,
    at: Turn | None = None,
) -> Contest:
    """The contest the penalty would see."""
    at = at or turn()
    match = Match("discriminator", real, fake)
    asked = tuple(j for j in (judged(judge, p) for p in penalty.ask(match, at)) if j is not None)
    return Contest(match, judged(judge, real), judged(judge, fake), asked, judge, play or Table(), at)


def charge(
    judge: Judge,
    penalty: Penalty,
    real: Point | None,
    fake: Point | None,
    play: Table | None = None,
    at: Turn | None = None,
) -> Tensor:
    """What the penalty charges in that contest."""
    return penalty(hold(judge, penalty, real, fake, play, at))


def linear(a: Tensor) -> Judge:
    """D(x) = a . x: slope a everywhere."""
    return lambda x, *cond: {"score": x.flatten(1) @ a}


def quadratic(x: Tensor, *cond: Tensor) -> dict[str, Tensor]:
    """D(x) = |x|^2 / 2: slope x."""
    return {"score": 0.5 * x.flatten(1).square().sum(1)}


def points(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


