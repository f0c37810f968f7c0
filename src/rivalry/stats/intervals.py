"""Confidence intervals: Wilson's for a share, Student's quantile for a jackknife."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from rivalry.errors import DataError


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval: low <= value <= high, at level `confidence` (0..1)."""

    value: float
    low: float
    high: float
    confidence: float


def wilson(successes: float, trials: float, confidence: float = 0.95) -> Interval:
    """Wilson's (1927) score interval for a share; it stays inside [0, 1] and holds for shares near 0 and 1.

    `trials` may be fractional: an effective count where trials are not independent.
    DataError where trials <= 0 or successes lie outside [0, trials].
    """
    if trials <= 0 or not -1e-9 <= successes <= trials * (1 + 1e-9):
        raise DataError(f"a share needs 0 <= successes <= trials and trials > 0, not {successes} of {trials}")
    share = min(max(successes / trials, 0.0), 1.0)
    z2 = normal_quantile(0.5 + check_confidence(confidence) / 2) ** 2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Interval(share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share)), confidence)


def check_confidence(confidence: float) -> float:
    """`confidence` itself, or DataError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise DataError(f"a confidence level lies between 0 and 1, not at {confidence}")
    return confidence


def normal_quantile(probability: float) -> float:
    """z with P(Z <= z) = `probability` for a standard normal Z."""
    return NormalDist().inv_cdf(probability)


def student_quantile(probability: float, degrees: int) -> float:
    """t with P(T <= t) = `probability` for Student's T of `degrees` >= 1 degrees of freedom.

    Exact for 1 and 2 degrees, else the Cornish-Fisher series (Abramowitz & Stegun 26.7.5); at .975 its error
    is below 4e-3 for 3 degrees, 1e-3 for 4, 2e-5 for 9 and more.
    """
    if degrees < 1:
        raise DataError(f"Student's t needs at least one degree of freedom, not {degrees}")
    if degrees == 1:
        return math.tan(math.pi * (probability - 0.5))
    if degrees == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    z = normal_quantile(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / math.pow(degrees, power) for power, term in enumerate(terms, start=1))
