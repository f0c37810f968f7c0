"""Measures of tables: shape, trend and missing cells in the columns' own units, trees that try to tell rows apart, and
alpha-precision and beta-recall of encoded rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rivalry import stats
from rivalry.evaluate.features import Features
from rivalry.evaluate.found import Found, Measure, Reading
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import CONFIDENCE
from rivalry.types import Spec

GROUPS = 5
"""Shares of the jackknife."""


def kinds(spec: Spec) -> tuple[str, ...]:
    """'number' or 'category' of each learned column, in order: a column with a 'number' block is a number."""
    if spec.columns:
        return tuple(kind for _, kind in spec.columns)
    numbers = {b.name for b in spec.blocks if b.kind == "number"}
    return tuple("number" if name in numbers else "category" for name in names(spec))


def names(spec: Spec) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, _ in spec.columns) or dict.fromkeys(b.name for b in spec.blocks))


def columns(fake: Features, reference: Reference) -> Found:
    """Shape, trend and missing cells; details: each column's error, and the worst pairs."""
    real, made = _own_units(reference.held, reference), _own_units(fake, reference)
    what, called = kinds(reference.spec), names(reference.spec)
    shapes = stats.shape_errors(real, made, what)
    trends = stats.trend_errors(real, made, what)
    missing = stats.missing_errors(real, made)
    pairs = max(1, len(what) * (len(what) - 1))
    readings = {
        "shape": jackknifed(float(shapes.mean()), made, lambda x: stats.shape_error(real, x, what)),
        "trend": jackknifed(float(trends.sum()) / pairs, made, lambda x: stats.trend_error(real, x, what)),
        "missingness": jackknifed(
            float(missing.mean()), made, lambda x: float(stats.missing_errors(real, x).mean())
        ),
    }
    details = {
        "shape": dict(zip(called, shapes.tolist(), strict=True)),
        "missing": dict(zip(called, missing.tolist(), strict=True)),
        "worst pairs": _worst(trends, called),
    }
    return Found(readings, {"columns": details})


def _worst(trends: Tensor, called: Sequence[str], most: int = 10) -> list[list[object]]:
    """[first, second, error] of the pairs that are furthest off."""
    above = torch.triu(trends, diagonal=1).flatten()
    value, at = above.topk(min(most, len(above)))
    n = len(called)
    return [[called[i // n], called[i % n], v] for i, v in zip(at.tolist(), value.tolist(), strict=True) if v > 0]


def jackknifed(value: float, rows: Tensor, measure: Callable[[Tensor], float]) -> Reading:
    """With a delete-a-group interval over the samples."""
    groups = min(GROUPS, len(rows) // 2)
    group = torch.arange(len(rows), device=rows.device) % groups
    parts = torch.tensor([measure(rows[group != g]) for g in range(groups)], dtype=torch.float64)
    error = math.sqrt((groups - 1) / groups * float((parts - parts.mean()).square().sum()))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1) * error
    return Reading(value, max(0.0, value - half), value + half)


def told_apart(fake: Features, reference: Reference) -> Found:
    """AUC of boosted trees between samples and held-out rows."""
    real, made = _own_units(reference.held, reference), _own_units(fake, reference)
    found = stats.classifier_two_sample(real, made, kinds(reference.spec), 0, confidence=CONFIDENCE)
    return Found({"c2st": Reading(found.value, found.low, found.high)})


def faithful(fake: Features, reference: Reference) -> Found:
    """Alpha-precision and beta-recall of encoded rows, as networks see them."""
    groups = max(2, min(GROUPS, len(fake) // 2))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1)
    found = stats.faithfulness(reference.held.values, fake.values, groups)
    alpha, beta = (Reading(f.value, max(0.0, f.value - half * f.error), min(1.0, f.value + half * f.error)) for f in found)
    return Found({"alpha": alpha, "beta": beta})


def _own_units(rows: Features, reference: Reference) -> Tensor:
    assert rows.points is not None
    assert reference.decode is not None
    return reference.decode(rows.points)


COLUMNS = Measure(("shape", "trend", "missingness"), columns)
TREES = Measure(("c2st",), told_apart)
FAITH = Measure(("alpha", "beta"), faithful)
