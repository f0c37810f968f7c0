"""What a training under differential privacy spends: the Gaussian mechanism on Poisson samples, composed.

Neighbours are data sets that differ by one row, there in one and missing in the other.  Privacy loss distributions
(Koskela et al. 2020, Doroshenko et al. 2022) by Google's dp-accounting, with pessimistic rounding: what comes out is no
less than what is spent.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.metadata import version
from typing import Any

from rivalry.errors import MissingExtra, RecipeError

FINE, COARSE = 1e-4, 1e-3
"""Widths of the cells that losses are rounded up to: for what is reported, and at most while sigma is looked for."""
LEAST, MOST = 0.15, 1e4
"""Between these sigma is looked for."""
CLOSE = 1e-3
"""Relative."""


def accountant() -> str:
    """What counts, in words."""
    return f"privacy loss distributions, rounded up (dp-accounting {version('dp-accounting')})"


def _events() -> Any:
    """dp-accounting's mechanisms; MissingExtra without it."""
    try:
        from dp_accounting import dp_event
    except ImportError as error:
        raise MissingExtra("privacy", "accounting for differential privacy") from error
    return dp_event


def _spent(event: Any, delta: float, times: int, width: float) -> float:
    """The epsilon at delta of a mechanism that is used so many times."""
    from dp_accounting.pld import PLDAccountant

    book = PLDAccountant(value_discretization_interval=width)
    book.compose(event, times)
    return float(book.get_epsilon(delta))


@cache
def epsilon_of(sigma: float, delta: float, rate: float, turns: int, width: float = FINE) -> float:
    """The epsilon of `turns` releases at delta: each a sum over rows drawn with chance `rate`, of norm 1 at most, plus
    N(0, sigma^2) in every coordinate.  inf where sigma is 0; MissingExtra without dp-accounting."""
    if turns == 0 or rate == 0:
        return 0.0
    if sigma == 0:
        return math.inf
    event = _events()
    return _spent(event.PoissonSampledDpEvent(rate, event.GaussianDpEvent(sigma)), delta, turns, width)


@cache
def sigma_for(epsilon: float, delta: float, rate: float, turns: int) -> float:
    """The least sigma, to a thousandth, whose `turns` releases spend no more than epsilon at delta; RecipeError where
    even the largest spends more."""
    width = min(COARSE, 3e-4 * epsilon)

    def keeps(sigma: float) -> bool:
        return epsilon_of(sigma, delta, rate, turns, width) <= epsilon

    high = 1.0
    while not keeps(high):
        high *= 2
        if high > MOST:
            raise RecipeError(
                f"no reasonable noise keeps {turns} turns within epsilon {epsilon:g} at delta {delta:g}; ask for a "
                "larger epsilon, or for fewer steps with --budget"
            )
    low = high / 1.5  # little noise takes long to account for, so it is come upon in small steps
    while low > LEAST and keeps(low):
        low, high = low / 1.5, low
    while high > low * (1 + CLOSE):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


@cache
def epsilon_of_votes(scale: float, delta: float, votes: int, width: float = FINE) -> float:
    """The epsilon at delta of so many answers, each a function of a count that one row moves by 1 at most, plus Laplace
    noise of `scale`: data-independent, each is 1/scale-differentially private (Papernot et al. 2017, Jordon et al. 2019),
    composed as above.  inf where scale is 0; MissingExtra without dp-accounting."""
    if votes == 0:
        return 0.0
    if scale == 0:
        return math.inf
    return _spent(_events().LaplaceDpEvent(scale), delta, votes, width)
