"""What a measure is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rivalry.evaluate.features import Features
from rivalry.evaluate.reference import Reference


@dataclass(frozen=True)
class Reading:
    """A value with its 95 % interval; floor where it is known in closed form."""

    value: float
    low: float
    high: float
    floor: float | None = None


@dataclass(frozen=True)
class Found:
    """What a measure found: readings by metric, and plain details for people."""

    readings: Mapping[str, Reading]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """Metrics that are computed together.  fresh: its floor comes with it, from no second measurement."""

    metrics: tuple[str, ...]
    compute: Callable[[Features, Reference], Found]
    fresh: bool = False
