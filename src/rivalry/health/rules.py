"""The rules by which a pulse is judged, what their limits mean, and how findings are put into words.

A generator at step 50 looks as bad as one that has died, so nothing is judged by its level alone: either something
was reached and is lost again, or nothing has come to life after a grace period, or numbers are beyond any training
that works.

The limits were set on 38 healthy trainings (points: ring, grid, spiral, Gaussian; pictures: digits, CIFAR-10, faces;
MLP and DCGAN, with and without batch norm; non-saturating, minimax, WGAN-GP, hinge, least-squares, relativistic + R1),
none of which was flagged at pulses every 50 or every 100 steps.  What those reached at worst, over two consecutive
pulses: spread .57 of the best, nearest neighbours .69, coverage .74, distance .03 above the best once 3 times it,
distance .81 at all, value -.29, gradients .07 of the usual.  Of 73 planted failures that did harm, 71 were flagged
within 500 steps (missed: a generator's rate x200 and a last layer reset, both at step 0).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rivalry.health.vitals import Vitals

Kind = Literal["healthy", "collapse", "divergence", "saturation", "oscillation"]

RECENT = 16
"""Pulses that are remembered."""


@dataclass(frozen=True)
class Limits:
    """What counts as ill.

    pulses, steps: how many consecutive pulses, over how many steps, must agree.  grace: steps that a generator has to
    come to life.

    alive_*: a generator has come to life when two consecutive pulses reached this.  lost_*: it has collapsed when
    less than this share of what it reached (counted up to the real data's) is left; coverage counts only while
    the fakes lay in place, at a distance below `in_place`, and is lost only if that grew by `displaced`.  dead_*: below this after the grace period, it never lived.
    jump: divergence is a distance this much above the best, and three times it.  far: a distance at which the fakes
    lie outside the data altogether.  loud: a gap so many times the usual one, and at least `loud_least`.
    sure: a value above which the discriminator is certain (0 is perfect).  fooled: a gap below which, and below minus
    the usual one, it takes fakes for more real than the real.  off: a distance at which these, or a generator that
    stands still, are an illness.  still: how little a centre that stands still moves.  vanished: share of the largest
    gradients that is left when they have vanished, unless the fakes are nearer than `not_there` (then they arrived).
    middle: share of the values between the ends of their range, relative to the real data's.
    swing: change of distance, up and down again, of an oscillation; `swings` of them among RECENT pulses.
    jolt, jolt_distance: a jolt is gradients this many times their median over the RECENT pulses, of which there are
    `jolt_pulses` or more, at a distance this many times its median, and above `displaced` (what healthy trainings reached at worst: 2.8 times,
    nowhere near together; rates x30 to x100: 12 to 26 times).
    """

    pulses: int = 2
    steps: int = 100
    grace: int = 300
    alive_spread: float = 0.3
    lost_spread: float = 0.4
    alive_near: float = 0.2
    lost_near: float = 0.2
    alive_coverage: float = 0.4
    lost_coverage: float = 0.6
    in_place: float = 0.1
    displaced: float = 0.03
    dead_spread: float = 0.05
    dead_near: float = 0.02
    jump: float = 0.2
    far: float = 2.0
    loud: float = 50.0
    loud_least: float = 100.0
    sure: float = -0.02
    off: float = 0.2
    still: float = 0.01
    vanished: float = 0.01
    not_there: float = 0.1
    fooled: float = -1.0
    middle: float = 0.25
    swing: float = 0.3
    swings: int = 5
    jolt: float = 5.0
    jolt_distance: float = 1.5
    jolt_pulses: int = 5


@dataclass
class Past:
    """What was seen so far: the first step, the recent pulses, and the best that two consecutive pulses reached."""

    first: int = -1
    recent: list[Vitals] = field(default_factory=list)
    spread: float = 0.0
    near: float = 0.0
    coverage: float = 0.0
    distance: float | None = None
    gradient: float = 0.0

    def add(self, v: Vitals, limits: Limits) -> None:
        if self.first < 0:
            self.first = v.step
        if self.recent:
            w = self.recent[-1]
            worse = max(v.distance, w.distance, 0.0)
            self.spread = max(self.spread, min(v.spread, w.spread, 1.0))
            self.near = max(self.near, min(v.near, w.near, 1.0))
            self.distance = worse if self.distance is None else min(self.distance, worse)
            if v.gradient is not None and w.gradient is not None:
                self.gradient = max(self.gradient, min(v.gradient, w.gradient))
            if worse < limits.in_place:
                self.coverage = max(self.coverage, min(v.coverage, w.coverage))
        self.recent = [*self.recent, v][-RECENT:]

    def forget(self, step: int) -> None:
        """Drops the pulses after `step`."""
        self.recent = [v for v in self.recent if v.step <= step]


# -- the rules: (this pulse, what was before it, limits) -> is it so? ------------------------------------------------


def lost_spread(v: Vitals, past: Past, at: Limits) -> bool:
    return past.spread >= at.alive_spread and v.spread < at.lost_spread * past.spread


def lost_neighbours(v: Vitals, past: Past, at: Limits) -> bool:
    return past.near >= at.alive_near and v.near < at.lost_near * past.near


def lost_coverage(v: Vitals, past: Past, at: Limits) -> bool:
    """Fakes that only sway by the width of a thin mode lose coverage too, but keep their distance."""
    lost = past.coverage >= at.alive_coverage and v.coverage < at.lost_coverage * past.coverage
    return lost and v.distance > at.displaced + (past.distance or 0.0)


def never_alive(v: Vitals, past: Past, at: Limits) -> bool:
    if past.first < 0 or v.step - past.first < at.grace:
        return False
    narrow = max(past.spread, v.spread) < at.dead_spread
    return narrow or max(past.near, v.near) < at.dead_near


def outside(v: Vitals, past: Past, at: Limits) -> bool:
    return v.distance > at.far


def jumped(v: Vitals, past: Past, at: Limits) -> bool:
    return past.distance is not None and v.distance > max(past.distance + at.jump, 3 * past.distance)


def too_loud(v: Vitals, past: Past, at: Limits) -> bool:
    usual = [abs(w.gap) for w in past.recent if w.gap is not None]
    if v.gap is None or len(usual) < 3:
        return False
    return abs(v.gap) > max(at.loud_least, at.loud * statistics.median(usual))


def fooled(v: Vitals, past: Past, at: Limits) -> bool:
    """The discriminator prefers fakes that are far from the data."""
    usual = [abs(w.gap) for w in past.recent if w.gap is not None]
    if v.gap is None or not usual or v.distance < at.off:
        return False
    return v.gap < min(at.fooled, -statistics.median(usual[: max(1, len(usual) // 2)]))


def at_the_ends(v: Vitals, past: Past, at: Limits) -> bool:
    return v.middle < at.middle


def stands_still(v: Vitals, past: Past, at: Limits) -> bool:
    before = past.recent[-1] if past.recent else None
    if before is None or v.distance < at.off:
        return False
    moved = math.dist(v.centre, before.centre) if len(v.centre) == len(before.centre) else math.inf
    return moved < at.still and abs(v.spread - before.spread) < at.still


def no_gradients(v: Vitals, past: Past, at: Limits) -> bool:
    return v.gradient is not None and v.gradient < at.vanished * past.gradient and v.distance > at.not_there


def too_sure(v: Vitals, past: Past, at: Limits) -> bool:
    """The discriminator is certain, and the generator comes no nearer."""
    window = [*past.recent[-3:], v]
    certain = len(window) == 4 and all(w.value is not None and w.value > at.sure for w in window)
    return certain and v.distance > at.off and v.distance > 0.9 * window[0].distance


def swings(v: Vitals, past: Past, at: Limits) -> bool:
    """The distance goes up and down by `swing` again and again, and its best is no better than it was before."""
    seen = [w.distance for w in [*past.recent, v]][-RECENT:]
    half = len(seen) // 2
    if len(seen) < RECENT or min(seen[half:]) < min(seen[:half]):
        return False
    turns, low, high, rising = 0, seen[0], seen[0], None
    for d in seen:
        low, high = min(low, d), max(high, d)
        if rising is not True and d > low + at.swing:
            turns, rising, high = turns + 1, True, d
        elif rising is not False and d < high - at.swing:
            turns, rising, low = turns + 1, False, d
    return turns >= at.swings


def jolted(v: Vitals, past: Past, at: Limits) -> bool:
    """One step, or a few, were far too large.  It may never be seen again: what came after is another training."""
    usual = [w.gradient for w in past.recent if w.gradient is not None]
    if v.gradient is None or len(usual) < at.jolt_pulses:
        return False
    apart = statistics.median(w.distance for w in past.recent)
    loud = v.gradient > at.jolt * statistics.median(usual)
    return loud and v.distance > max(at.jolt_distance * apart, at.displaced)


# -- what they mean ---------------------------------------------------------------------------------------------------

BACK = "go back to before it, lower the learning rates and strengthen the discriminator's penalties"


@dataclass(frozen=True)
class Rule:
    """seen, cause, remedy: the parts of the sentence; `seen` is filled with the pulse v, the past and the limits.

    at_once: one pulse is proof, of something that may have passed.
    """

    kind: Kind
    test: Callable[[Vitals, Past, Limits], bool]
    seen: str
    cause: str
    remedy: str = BACK
    at_once: bool = False

    @property
    def fatal(self) -> bool:
        """Whether going on is of no use if it cannot be mended."""
        return self.kind == "divergence" and not self.at_once


RULES: Mapping[str, Rule] = {
    "outside": Rule(
        "divergence", outside,
        "the samples lie far outside the data (at {v.distance:.1f} times the distance between real ones)",
        "the learning rate is too high, or the discriminator's slope has exploded",
    ),
    "ends": Rule(
        "saturation", at_the_ends,
        "nearly all values of the samples stand at the ends of their range (between them lie {v.middle:.0%} as many "
        "as in the data)",
        "the generator's last layer has saturated after too large a step",
    ),
    "spread": Rule(
        "collapse", lost_spread,
        "the samples have become alike: their mean distance is {v.spread:.0%} of the real one, it was {past.spread:.0%}",
        "the generator has found a few samples that fool the discriminator, and makes nothing else",
    ),
    "near": Rule(
        "collapse", lost_neighbours,
        "the samples repeat a few points: nearest neighbours stand at {v.near:.0%} of the real distance, it was "
        "{past.near:.0%}",
        "the generator has found a few samples that fool the discriminator, and makes nothing else",
    ),
    "never": Rule(
        "collapse", never_alive,
        "the generator never came to life: its samples differ {v.spread:.1%} as much as real ones do",
        "it ignores its noise, because the learning rate is too high or the discriminator too strong from the start",
        "start again with a lower learning rate, another seed, or a recipe with penalties",
    ),
    "coverage": Rule(
        "collapse", lost_coverage,
        "part of the data has been lost: {v.coverage:.0%} of the real rows have a sample nearby, it was "
        "{past.coverage:.0%}",
        "the generator has given up some of the modes for those that fool the discriminator best",
    ),
    "jump": Rule(
        "divergence", jumped,
        "the samples have moved away from the data: their distance is {v.distance:.2f}, the best was {past.distance:.2f}",
        "a step was too large, or the discriminator lost its hold on the generator",
    ),
    "loud": Rule(
        "divergence", too_loud,
        "the discriminator's scores have exploded: real and fake are {v.gap:.3g} apart",
        "the learning rate is too high, or nothing limits the discriminator's slope",
    ),
    "jolt": Rule(
        "divergence", jolted,
        "a step was far too large: the generator's gradients are {v.gradient:.2g}, many times the usual, and the samples' "
        "distance from the data is {v.distance:.2f}",
        "a learning rate is too high",
        at_once=True,
    ),
    "fooled": Rule(
        "divergence", fooled,
        "the discriminator takes fakes for more real than real data (by {v.gap:.3g}), at a distance of {v.distance:.2f}",
        "it has stopped learning, or learns too slowly to follow the generator",
        "go back to before it and let the discriminator learn faster: its rate, its turns, or a weaker penalty",
    ),
    "still": Rule(
        "saturation", stands_still,
        "the generator stands still, at a distance of {v.distance:.2f} from the data",
        "it gets no gradients: the discriminator is too sure, or a learning rate is 0",
        "weaken the discriminator: penalties, a lower rate, fewer turns, or the non-saturating loss",
    ),
    "gradients": Rule(
        "saturation", no_gradients,
        "the generator's gradients have vanished (norm {v.gradient:.2g}, it was {past.gradient:.2g}), at a distance of "
        "{v.distance:.2f}",
        "the discriminator is so sure that it teaches the generator nothing",
        "weaken the discriminator: penalties, a lower rate, fewer turns, or the non-saturating loss",
    ),
    "sure": Rule(
        "saturation", too_sure,
        "the discriminator is certain of every example (value {v.value:.3f}), and the samples come no nearer than "
        "{v.distance:.2f}",
        "its gradients have vanished, so it teaches the generator nothing",
        "weaken the discriminator: penalties, a lower rate, fewer turns, or augmentation if the data are few",
    ),
    "swings": Rule(
        "oscillation", swings,
        "the samples swing to and fro: their distance from the data is {v.distance:.2f} and changes by more than "
        "{at.swing:g} again and again",
        "generator and discriminator chase one another around the equilibrium",
        "lower the learning rates, lower beta1, or add a penalty; averaged weights (EMA) hide part of it",
    ),
}  # fmt: skip
"""In the order in which they are believed."""
