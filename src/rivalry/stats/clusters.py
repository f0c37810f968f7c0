"""Intervals where rows come in clusters: replies of one conversation are alike, so conversations are what is drawn anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rivalry.errors import DataError
from rivalry.stats.intervals import Interval, check_confidence

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TIMES = 1000


def totals(values: Floats, cluster: Ints) -> Floats:
    """[N] values, [N] cluster numbers -> [G] sums, by ascending number."""
    numbers, place = np.unique(cluster, return_inverse=True)
    return np.bincount(place.reshape(-1), values, len(numbers)).astype(np.float64)


def resampled(clusters: int, times: int = TIMES, seed: int = 0) -> Ints:
    """[times, G]: how often each of G clusters is drawn in each bootstrap sample of G (Efron 1979)."""
    return np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=times).astype(np.int64)


def bootstrap_ratio(
    sums: Floats, counts: Floats, cluster: Ints, confidence: float = 0.95, times: int = TIMES, seed: int = 0
) -> Interval:  # fmt: skip
    """sum(sums) / sum(counts) of N rows with the percentile interval of the bootstrap over clusters [N].

    DataError where there are fewer than two clusters, or nothing is counted.
    """
    over, under = totals(sums, cluster), totals(counts, cluster)
    if len(over) < 2 or not under.sum() > 0:
        raise DataError("an interval over conversations needs at least two of them; give more")
    weight = resampled(len(over), times, seed)
    drawn = (weight @ over) / np.maximum(weight @ under, 1e-12)
    tail = 100 * (1 - check_confidence(confidence)) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    value = float(over.sum() / under.sum())
    return Interval(value, min(float(low), value), max(float(high), value), confidence)
