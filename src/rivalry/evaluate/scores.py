"""One pass over samples, all metrics, each beside its floor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from rivalry.errors import RecipeError, RunError
from rivalry.evaluate.features import Draw, Features, Likely, of_samples
from rivalry.evaluate.found import Found, Measure
from rivalry.evaluate.measures import measures_for
from rivalry.evaluate.reference import OWN_UNITS, Reference
from rivalry.evaluate.rulers import AGAIN, METRICS, Score, metric, number

HEADER = ("score", "value", "95 %", "floor", "x floor", "samples")
COUNTS = frozenset({"missing", "modes"})
"""Of these samples they are what they are."""

SKIP = frozenset({"fd", "kid"})
"""Of points and tables these say little beside what is measured in their own units; they are measured where they are
asked for."""


@dataclass(frozen=True, eq=False)
class Scores(Mapping[str, Score]):
    """Scores by metric.  details: plain values besides (classes, modes, memorisation), for reports and JSON."""

    scores: Mapping[str, Score]
    details: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        return self.scores[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def table(self) -> list[tuple[str, ...]]:
        """Rows under HEADER, for people."""
        return [
            (
                s.ruler.name,
                number(s.value),
                "exact count" if name in COUNTS else f"{number(s.low)} to {number(s.high)}",
                number(s.floor),
                number(s.times_floor),
                f"{s.ruler.samples:,} against {s.ruler.reference:,} {s.ruler.split}",
            )
            for name, s in self.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is its inverse."""
        return {"scores": {k: s.as_dict() for k, s in self.items()}, "details": dict(self.details)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Scores:
        """RunError where the record is none of scores."""
        try:
            return cls({k: Score.from_dict(v) for k, v in stored["scores"].items()}, stored["details"])
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"stored scores are damaged ({error!r}); {AGAIN}") from error


def available(reference: Reference) -> tuple[str, ...]:
    """The metrics that can be measured against this reference."""
    return tuple(m for measure in measures_for(reference) for m in measure.metrics)


def usual(reference: Reference) -> tuple[str, ...]:
    """The metrics that are measured where none are named."""
    skip = SKIP if reference.spec.kind in OWN_UNITS else frozenset[str]()
    return tuple(m for m in available(reference) if m not in skip)


def evaluate(
    draw_samples: Draw,
    reference: Reference,
    n: int,
    seed: int,
    device: torch.device | None = None,
    metrics: Collection[str] | None = None,
) -> Scores:
    """Draws n samples once and measures them all ways: a function of (model, n, seed).

    metrics: names, or None for all that are usual for the data.  n is lowered to the number of training rows, since
    the floor has no more.  UnknownName or RecipeError for a metric that cannot be measured, Diverged for samples
    that are not finite, DataError for n < 4.
    """
    wanted = usual(reference) if metrics is None else tuple(metrics)
    chosen = _choose(reference, wanted)
    count = reference.samples(n)
    fake = of_samples(
        draw_samples, reference.extractor, count, seed, device or torch.device("cpu"),
        points=reference.held.points is not None,
    )  # fmt: skip
    if reference.spec.kind == "tokens" and isinstance(draw_samples, Likely) and reference.held.points is not None:
        fake = replace(fake, surprise=draw_samples.surprise(reference.held.points.long()))
    return measure(fake, reference, chosen, wanted)


def measure(fake: Features, reference: Reference, chosen: list[Measure], wanted: Collection[str]) -> Scores:
    """Scores of samples whose features are there already."""
    scores: dict[str, Score] = {}
    details: dict[str, Any] = {}
    for one in chosen:
        found = one.compute(fake, reference)
        floors = floor_of(one, found, reference, len(fake))
        for name, r in found.readings.items():
            if name in wanted:
                scores[name] = Score(reference.ruler(name, len(fake)), r.value, r.low, r.high, floors[name])
        details |= found.details
    return Scores({m: scores[m] for m in METRICS if m in scores}, details)


def measure_all(fake: Features, reference: Reference) -> Scores:
    """The usual metrics of rows that are no model's samples: of a baseline."""
    wanted = usual(reference)
    return measure(fake, reference, _choose(reference, wanted), wanted)


def floor_of(one: Measure, found: Found, reference: Reference, n: int) -> dict[str, float | None]:
    """Of each metric: the closed form where the reading has one, else what n training rows score; remembered."""
    if one.fresh:
        return {name: r.floor for name, r in found.readings.items()}
    if any((m, n) not in reference.floors for m in one.metrics):
        real = one.compute(reference.train.head(n), reference)
        reference.floors.update({(m, n): r.value for m, r in real.readings.items()})
    return {m: reference.floors[m, n] for m in one.metrics}


def _choose(reference: Reference, wanted: Collection[str]) -> list[Measure]:
    known = available(reference)
    for name in wanted:
        if metric(name).name not in known:
            raise RecipeError(f"{name} cannot be measured on these data; what can be: {', '.join(known)}")
    return [m for m in measures_for(reference) if set(m.metrics) & set(wanted)]
