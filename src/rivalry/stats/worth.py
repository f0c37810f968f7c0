"""What synthetic rows are worth to someone who learns from them, with intervals: on all test rows or on some."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from rivalry.stats.intervals import Interval, check_confidence, normal_quantile
from rivalry.stats.tabular_models import Array, Graded, Predictions, graded

LEARNERS = ("trees", "linear")


class Worth(NamedTuple):
    """Of one learner, on real test rows: its grade after training on real, on fake, and on both rows together.

    baseline: after training on its rows, if there were any.

    gap: real - fake, what is lost by learning from fake rows alone.  gain: both - real, what fake rows add.  The
    intervals cover the drawing of the test rows, not that of the training rows or of the fake ones; those of gap and
    gain are paired, as both sides were asked about the same rows.
    """

    real: Interval
    fake: Interval
    augmented: Interval
    gap: Interval
    gain: Interval
    baseline: Interval | None = None


class Worths(NamedTuple):
    """By learner; rows: test rows that were asked about.  measure: 'auc' (chance .5) or 'r2' (the mean's is 0)."""

    trees: Worth
    linear: Worth
    rows: int
    measure: Literal["auc", "r2"]


def worths(found: Predictions, rows: Array | None = None, confidence: float = 0.95) -> Worths:
    """The grades of `predictions`, on all its rows or on those of the mask [R].

    Normal intervals by the influence of each test row (`graded`), cut to [0, 1] for an AUC; of width 0 where a learner
    errs nowhere.  DataError where the rows have one value of the target only.
    """
    z = normal_quantile(0.5 + check_confidence(confidence) / 2)
    trees, linear = (_worth(found, learner, rows, z, confidence) for learner in range(len(LEARNERS)))
    return Worths(trees, linear, len(found.answer) if rows is None else int(rows.sum()), found.measure)


def _worth(found: Predictions, learner: int, rows: Array | None, z: float, confidence: float) -> Worth:
    real, fake, both = (graded(found, arm[learner], rows) for arm in (found.real, found.fake, found.augmented))
    least = 0.0 if found.measure == "auc" else -np.inf
    on_real, on_fake, on_both = (_interval(g, z, confidence, least, 1.0) for g in (real, fake, both))
    gap, gain = (_interval(_less(a, b), z, confidence, -np.inf, np.inf) for a, b in ((real, fake), (both, real)))
    base = None if found.baseline is None else graded(found, found.baseline[learner], rows)
    shown = None if base is None else _interval(base, z, confidence, least, 1.0)
    return Worth(on_real, on_fake, on_both, gap, gain, shown)


def _less(a: Graded, b: Graded) -> Graded:
    return Graded(a.value - b.value, a.influence - b.influence)


def _interval(found: Graded, z: float, confidence: float, least: float, most: float) -> Interval:
    half = z * float(np.sqrt(np.square(found.influence).sum()))
    return Interval(found.value, max(least, found.value - half), min(most, found.value + half), confidence)
