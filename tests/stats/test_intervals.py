"""Wilson's interval and Student's quantile against scipy."""

from __future__ import annotations

import pytest
import scipy.stats

import rivalry.stats
from rivalry.errors import DataError
from rivalry.stats import normal_quantile, student_quantile, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (499, 500)])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_wilson_is_scipys(successes: int, trials: int, confidence: float) -> None:
    expected = scipy.stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    interval = wilson(successes, trials, confidence)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert interval.low <= interval.value <= interval.high


def test_quantiles_are_scipys() -> None:
    assert normal_quantile(0.975) == pytest.approx(scipy.stats.norm.ppf(0.975))
    for degrees, tolerance in ((1, 1e-9), (2, 1e-9), (3, 4e-3), (4, 1e-3), (9, 2e-5), (30, 1e-6)):
        assert student_quantile(0.975, degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), abs=tolerance)


def test_errors_are_sentences() -> None:
    with pytest.raises(DataError, match="5 of 4"):
        wilson(5, 4)
    with pytest.raises(DataError, match="trials > 0"):
        wilson(0, 0)
    with pytest.raises(DataError, match="degree of freedom"):
        student_quantile(0.9, 0)


def test_the_public_names_are_sorted_and_true() -> None:
    names = rivalry.stats.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(getattr(rivalry.stats, name) is not None for name in names)
