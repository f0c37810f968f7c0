"""Schedules: ends, middles and mistakes."""

from __future__ import annotations

import math

import pytest

from rivalry.catalogue import build, dump
from rivalry.errors import RecipeError
from rivalry.parts import Schedule
from rivalry.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    Piecewise,
    Trapezoid,
    WarmupDecay,
)

STEPS = Piecewise(points=((0.0, 1.0), (0.5, 3.0), (0.8, 0.5)), between="steps")
BENT = Piecewise(points=((0.2, 1.0), (0.6, 3.0)))


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        (Constant(3.0), {0.0: 3.0, 1.0: 3.0}),
        (Linear(2.0, 0.0, 0.2, 0.6), {0.0: 2.0, 0.2: 2.0, 0.4: 1.0, 0.6: 0.0, 1.0: 0.0}),
        (Cosine(1.0, 0.1, 0.0, 0.2), {0.0: 1.0, 0.05: 0.55 + 0.45 * math.cos(math.pi / 4), 0.1: 0.55, 0.9: 0.1}),
        (Cosine(0.9, 0.99, 0.5, 0.5), {0.49: 0.9, 0.5: 0.99}),
        (Exponential(1.0, 0.01), {0.0: 1.0, 0.5: 0.1, 1.0: 0.01}),
        (STEPS, {0.0: 1.0, 0.49: 1.0, 0.5: 3.0, 0.79: 3.0, 1.0: 0.5}),
        (BENT, {0.0: 1.0, 0.3: 1.5, 0.6: 3.0, 1.0: 3.0}),
        (WarmupDecay(2.0, 0.0, 1.0, 0.1, "linear"), {0.0: 0.0, 0.05: 1.0, 0.1: 2.0, 0.55: 1.5, 1.0: 1.0}),
        (WarmupDecay(2.0, warmup=0.0), {0.0: 2.0, 0.5: 1.0, 1.0: 0.0}),
        (Trapezoid(1.0, 0.0, 0.0, 0.1, 0.7), {0.0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.7: 1.0, 0.85: 0.5, 1.0: 0.0}),
        (Trapezoid(1.0, decay=1.0), {0.99: 1.0, 1.0: 0.0}),
    ],
)
def test_values(schedule: Schedule, at: dict[float, float]) -> None:
    for progress, wanted in at.items():
        assert schedule(progress) == pytest.approx(wanted, abs=1e-12)
    assert build(Schedule, dump(schedule)) == schedule


def test_r3gans_burn_in_is_half_a_cosine() -> None:
    gamma = Cosine(1.0, 0.1, until=20 / 250)
    values = [gamma(i / 1000) for i in range(1001)]
    assert values == sorted(values, reverse=True)
    assert values[80:] == [pytest.approx(0.1)] * 921


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Linear(begin=0.5, until=0.2),
        lambda: Cosine(until=1.5),
        lambda: Exponential(end=0.0),
        lambda: Piecewise(points=()),
        lambda: Piecewise(points=((0.5, 1.0), (0.1, 2.0))),
        lambda: Trapezoid(warmup=0.8, decay=0.2),
    ],
)
def test_mistakes_are_told(wrong: object) -> None:
    with pytest.raises(RecipeError):
        wrong()  # type: ignore[operator]
