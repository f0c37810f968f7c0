"""Is training well?  Collapse, divergence, saturation and oscillation, from a few hundred fakes and reals at a pulse.

A generator at step 50 looks as bad as one that has died, so nothing is judged by its level alone: either something
was reached and is lost again, or nothing has come to life after a grace period, or numbers are beyond any training
that works.  Every finding must hold over consecutive pulses; only NaN and infinity speak at once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from rivalry.streams import generator

Kind = Literal["healthy", "collapse", "divergence", "saturation", "oscillation"]

SIDE = 32
"""Larger pictures are averaged down to this before distances are taken."""

DIRECTIONS = 8
"""Fixed random directions along which the centre of the fakes is followed."""

RECENT = 16
"""Pulses that are remembered."""


@dataclass(frozen=True)
class Vitals:
    """One pulse's reading of n fakes against n reals.

    spread: mean distance between fakes, in that of reals.  near: mean distance to the nearest neighbour, likewise.
    coverage: share of reals with a fake within the distance of their fifth neighbour.  distance: energy distance
    (2 E|x-y| - E|x-x'| - E|y-y'|) / E|y-y'| (Székely & Rizzo 2013): 0 for equal distributions, at most about 1 for
    mass inside the data's range.  middle: share of fake values between the ends of their range over the same of
    reals.  centre: mean of the fakes along fixed directions, in the reals' mean distance.
    gap: score on real minus score on fake; value: V(D, G) in nats; means since the last pulse, None where unknown.
    """

    step: int
    spread: float
    near: float
    coverage: float
    distance: float
    middle: float = 1.0
    centre: tuple[float, ...] = ()
    gap: float | None = None
    value: float | None = None


@torch.no_grad()
def vitals(step: int, fakes: Tensor, reals: Tensor, notes: Mapping[str, float]) -> Vitals:
    """Reads fakes and reals [n, *shape], finite, n >= 8; notes as the loop names them ('discriminator.main.real').

    Rows of pictures (four axes) are encoded, hence between -1 and 1.
    """
    x, y = _rows(fakes, reals)
    within_x, within_y, across = torch.cdist(x, x), torch.cdist(y, y), torch.cdist(x, y)
    spread_x, spread_y = _mean_pair(within_x), max(_mean_pair(within_y), 1e-12)
    nearest_x = _neighbour(within_x, 1)
    nearest_y, fifth_y = _neighbour(within_y, 1), _neighbour(within_y, min(5, len(y) - 1))
    draw = generator(torch.device("cpu"), "health", x.shape[1])
    directions = torch.randn(x.shape[1], DIRECTIONS, generator=draw, dtype=x.dtype)
    centre = x.mean(0) @ (directions / directions.norm(dim=0)) / spread_y
    return Vitals(
        step=step,
        spread=_mean_pair(within_x) / spread_y,
        near=float(nearest_x.mean() / nearest_y.mean().clamp_min(1e-12)),
        coverage=float((across.amin(0) <= fifth_y).double().mean()),
        distance=(2 * float(across.mean()) - spread_x - spread_y) / spread_y,
        middle=_middle(fakes, reals) if fakes.dim() == 4 else 1.0,
        centre=tuple(centre.tolist()),
        gap=_gap(notes),
        value=_mean([v for k, v in notes.items() if k.endswith(".value")]),
    )


def _rows(fakes: Tensor, reals: Tensor) -> tuple[Tensor, Tensor]:
    """[n, D] float64 each, about the reals' mean; large pictures averaged down to SIDE."""

    def flat(x: Tensor) -> Tensor:
        x = x.detach().cpu().float()
        if x.dim() == 4 and max(x.shape[2:]) > SIDE:
            x = adaptive_avg_pool2d(x, [min(SIDE, s) for s in x.shape[2:]])
        return x.flatten(1).double()

    x, y = flat(fakes), flat(reals)
    return x - y.mean(0), y - y.mean(0)


def _mean_pair(within: Tensor) -> float:
    n = len(within)
    return float(within.sum()) / (n * (n - 1))


def _neighbour(within: Tensor, k: int) -> Tensor:
    """[n]: distance of each row to its k-th neighbour, itself left out."""
    return within.clone().fill_diagonal_(torch.inf).topk(k, largest=False).values[:, -1]


def _middle(fakes: Tensor, reals: Tensor) -> float:
    """Share of fake values that are not at -1 or 1, over the same of reals; 1 for black-and-white data."""
    inside = [float((x.abs() < 0.98).double().mean()) for x in (fakes, reals)]
    return inside[0] / inside[1] if inside[1] > 0.02 else 1.0


def _gap(notes: Mapping[str, float]) -> float | None:
    """Mean of real minus fake scores over the discriminators that noted both."""
    pairs = {k: k.removesuffix(".real") + ".fake" for k in notes if k.endswith(".real")}
    return _mean([notes[real] - notes[fake] for real, fake in pairs.items() if fake in notes])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Limits:
    """What counts as ill.

    pulses, steps: how many consecutive pulses, over how many steps, must agree.  grace: steps that a generator has to
    come to life.

    alive_*: a generator has come to life when two consecutive pulses reached this.  lost_*: it has collapsed when
    less than this share of what it reached (counted up to the real data's) is left; coverage counts only while
    the fakes lay in place, at a distance below `in_place`.  dead_*: below this after the grace period, it never lived.
    jump: divergence is a distance this much above the best, and three times it.  far: a distance at which the fakes
    lie outside the data altogether.  loud: a gap so many times the usual one, and at least `loud_least`.
    sure: a value above which the discriminator is certain (0 is perfect).  off: a distance at which a generator that
    stands still, or a certain discriminator, is an illness.  still: how little a centre that stands still moves.
    middle: share of the values between the ends of their range, relative to the real data's.
    swing: change of distance, up and down again, of an oscillation; `swings` of them among RECENT pulses.
    """

    pulses: int = 2
    steps: int = 100
    grace: int = 300
    alive_spread: float = 0.3
    lost_spread: float = 0.35
    alive_near: float = 0.2
    lost_near: float = 0.1
    alive_coverage: float = 0.4
    lost_coverage: float = 0.5
    in_place: float = 0.1
    dead_spread: float = 0.05
    dead_near: float = 0.02
    jump: float = 0.35
    far: float = 2.0
    loud: float = 50.0
    loud_least: float = 100.0
    sure: float = -0.02
    off: float = 0.2
    still: float = 0.01
    middle: float = 0.1
    swing: float = 0.3
    swings: int = 5


@dataclass
class Past:
    """What was seen so far: the first pulse, the recent ones, and the best that two consecutive pulses reached."""

    first: Vitals | None = None
    recent: list[Vitals] = field(default_factory=list)
    spread: float = 0.0
    near: float = 0.0
    coverage: float = 0.0
    distance: float = math.inf

    def add(self, v: Vitals, limits: Limits) -> None:
        if self.first is None:
            self.first = v
        if self.recent:
            w = self.recent[-1]
            self.spread = max(self.spread, min(v.spread, w.spread, 1.0))
            self.near = max(self.near, min(v.near, w.near, 1.0))
            self.distance = min(self.distance, max(v.distance, w.distance, 0.0))
            if max(v.distance, w.distance) < limits.in_place:
                self.coverage = max(self.coverage, min(v.coverage, w.coverage))
        self.recent = [*self.recent, v][-RECENT:]

    def age(self, v: Vitals) -> int:
        """Steps since the first pulse."""
        return v.step - self.first.step if self.first is not None else 0


# -- the rules: (this pulse, what was before it, limits) -> is it so? ------------------------------------------------


def lost_spread(v: Vitals, past: Past, at: Limits) -> bool:
    return past.spread >= at.alive_spread and v.spread < at.lost_spread * past.spread


def lost_neighbours(v: Vitals, past: Past, at: Limits) -> bool:
    return past.near >= at.alive_near and v.near < at.lost_near * past.near


def lost_coverage(v: Vitals, past: Past, at: Limits) -> bool:
    return past.coverage >= at.alive_coverage and v.coverage < at.lost_coverage * past.coverage


def never_alive(v: Vitals, past: Past, at: Limits) -> bool:
    if past.age(v) < at.grace:
        return False
    narrow = max(past.spread, v.spread) < at.dead_spread
    return narrow or max(past.near, v.near) < at.dead_near


def outside(v: Vitals, past: Past, at: Limits) -> bool:
    return v.distance > at.far


def jumped(v: Vitals, past: Past, at: Limits) -> bool:
    return v.distance > past.distance + at.jump and v.distance > 3 * past.distance


def too_loud(v: Vitals, past: Past, at: Limits) -> bool:
    usual = [abs(w.gap) for w in past.recent if w.gap is not None]
    if v.gap is None or len(usual) < 3:
        return False
    return abs(v.gap) > max(at.loud_least, at.loud * statistics.median(usual))


def at_the_ends(v: Vitals, past: Past, at: Limits) -> bool:
    return v.middle < at.middle


def stands_still(v: Vitals, past: Past, at: Limits) -> bool:
    before = past.recent[-1] if past.recent else None
    if before is None or v.distance < at.off:
        return False
    moved = math.dist(v.centre, before.centre) if len(v.centre) == len(before.centre) else math.inf
    return moved < at.still and abs(v.spread - before.spread) < at.still


def too_sure(v: Vitals, past: Past, at: Limits) -> bool:
    """The discriminator is certain, and the generator comes no nearer."""
    window = [*past.recent[-3:], v]
    certain = len(window) == 4 and all(w.value is not None and w.value > at.sure for w in window)
    return certain and v.distance > at.off and v.distance > 0.9 * window[0].distance


def swings(v: Vitals, past: Past, at: Limits) -> bool:
    """Turning points of the distance that are at least `swing` apart."""
    turns, low, high, rising = 0, math.inf, -math.inf, None
    for w in [*past.recent, v]:
        low, high = min(low, w.distance), max(high, w.distance)
        if rising is not True and w.distance > low + at.swing:
            turns, rising, high = turns + 1, True, w.distance
        elif rising is not False and w.distance < high - at.swing:
            turns, rising, low = turns + 1, False, w.distance
    return turns >= at.swings
