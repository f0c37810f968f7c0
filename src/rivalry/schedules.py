"""Schedules: a knob as a function of progress in [0, 1] through a stage; beyond the ends they stay where they are."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.parts import Schedule

Shape = Literal["linear", "cosine"]


def _fraction(progress: float, begin: float, until: float) -> float:
    """How far progress is on its way from begin to until, in [0, 1]; a step where they coincide."""
    if until <= begin:
        return float(progress >= until)
    return min(max((progress - begin) / (until - begin), 0.0), 1.0)


def _between(start: float, end: float, t: float, shape: Shape) -> float:
    if shape == "cosine":
        t = 0.5 * (1 - math.cos(math.pi * t))
    return start * (1 - t) + end * t


def _ordered(what: str, *times: float) -> None:
    if list(times) != sorted(times) or not all(0 <= t <= 1 for t in times):
        raise RecipeError(f"the times of schedule {what!r} must rise within [0, 1], not {', '.join(map(str, times))}")


@register("schedule", "constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """The same value throughout."""

    value: float = 1.0

    def __call__(self, progress: float) -> float:
        return self.value


@register("schedule", "linear")
@dataclass(frozen=True)
class Linear(Schedule):
    """start until `begin`, then straight to end, which it reaches at `until`."""

    start: float = 1.0
    end: float = 0.0
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _ordered("linear", self.begin, self.until)

    def __call__(self, progress: float) -> float:
        return _between(self.start, self.end, _fraction(progress, self.begin, self.until), "linear")


@register("schedule", "cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """start until `begin`, then half a cosine down (or up) to end at `until`: R3GAN's burn-in (2024) with
    until = burn-in / length."""

    start: float = 1.0
    end: float = 0.0
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _ordered("cosine", self.begin, self.until)

    def __call__(self, progress: float) -> float:
        return _between(self.start, self.end, _fraction(progress, self.begin, self.until), "cosine")


@register("schedule", "log-cosine")
@dataclass(frozen=True)
class LogCosine(Schedule):
    """As 'cosine', but of the logarithm: equal factors in the middle, gentle at both ends.  start, end > 0."""

    start: float = 1.0
    end: float = 0.01
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _ordered("log-cosine", self.begin, self.until)
        if self.start <= 0 or self.end <= 0:
            raise RecipeError("start and end of schedule 'log-cosine' must be above 0")

    def __call__(self, progress: float) -> float:
        t = _fraction(progress, self.begin, self.until)
        return math.exp(_between(math.log(self.start), math.log(self.end), t, "cosine"))


@register("schedule", "exponential")
@dataclass(frozen=True)
class Exponential(Schedule):
    """start until `begin`, then geometrically to end at `until`: start^(1-t) end^t; both above 0."""

    start: float = 1.0
    end: float = 0.01
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        _ordered("exponential", self.begin, self.until)
        if self.start <= 0 or self.end <= 0:
            raise RecipeError("start and end of schedule 'exponential' must be above 0")

    def __call__(self, progress: float) -> float:
        t = _fraction(progress, self.begin, self.until)
        return float(self.start ** (1 - t) * self.end**t)


@register("schedule", "piecewise")
@dataclass(frozen=True)
class Piecewise(Schedule):
    """Through the points (progress, value), in rising order; between them straight ('linear') or constant from one
    point to the next ('steps')."""

    points: tuple[tuple[float, float], ...] = ((0.0, 1.0), (1.0, 1.0))
    between: Literal["linear", "steps"] = "linear"

    def __post_init__(self) -> None:
        if not self.points:
            raise RecipeError("schedule 'piecewise' needs at least one point (progress, value)")
        _ordered("piecewise", *(at for at, _ in self.points))

    def __call__(self, progress: float) -> float:
        after = bisect_right([at for at, _ in self.points], progress)
        if after == 0:
            return self.points[0][1]
        if after == len(self.points) or self.between == "steps":
            return self.points[after - 1][1]
        (t0, v0), (t1, v1) = self.points[after - 1], self.points[after]
        return _between(v0, v1, _fraction(progress, t0, t1), "linear")


@register("schedule", "warmup-decay")
@dataclass(frozen=True)
class WarmupDecay(Schedule):
    """start straight up to peak at `warmup`, then down to end at 1, along a cosine or a line."""

    peak: float = 1.0
    start: float = 0.0
    end: float = 0.0
    warmup: float = 0.05
    decay: Shape = "cosine"

    def __post_init__(self) -> None:
        _ordered("warmup-decay", self.warmup)

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return _between(self.start, self.peak, _fraction(progress, 0.0, self.warmup), "linear")
        return _between(self.peak, self.end, _fraction(progress, self.warmup, 1.0), self.decay)


@register("schedule", "trapezoid")
@dataclass(frozen=True)
class Trapezoid(Schedule):
    """start straight up to peak at `warmup`, flat until `decay`, then down to end at 1."""

    peak: float = 1.0
    start: float = 0.0
    end: float = 0.0
    warmup: float = 0.05
    decay: float = 0.7
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        _ordered("trapezoid", self.warmup, self.decay)

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return _between(self.start, self.peak, _fraction(progress, 0.0, self.warmup), "linear")
        return _between(self.peak, self.end, _fraction(progress, self.decay, 1.0), self.shape)
