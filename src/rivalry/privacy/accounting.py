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
DELTA_POWER = -1.1
"""Of the number of rows: delta, where none is asked for."""


def check_delta(delta: float, rows: int) -> float:
    """delta; RecipeError where it is no less than one over the rows, for a mechanism that hands out one row as it is, drawn by
    chance, keeps (0, 1 / rows)."""
    if rows < 2:
        raise RecipeError("differential privacy hides a row among others, and there is one row; give more")
    if delta * rows >= 1:
        raise RecipeError(
            f"delta {delta:.3g} is no less than one over the {rows:,} rows, which even handing out a whole row by chance keeps, so the "
            f"guarantee would be empty; leave --dp-delta out for {rows**DELTA_POWER:.2g}, or give less than {0.1 / rows:.1g}"
        )
    return delta


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


def _spent(event: Any, delta: float, times: int, width: float, before: float = 0.0) -> float:
    """The epsilon at delta of a mechanism that is used so many times, and of one normal mechanism of noise `before`."""
    from dp_accounting.pld import PLDAccountant

    book = PLDAccountant(value_discretization_interval=width)
    if before:
        book.compose(_events().GaussianDpEvent(before))
    if times:
        book.compose(event, times)
    return float(book.get_epsilon(delta))


@cache
def epsilon_of(sigma: float, delta: float, rate: float, turns: int, width: float = FINE, before: float = 0.0) -> float:
    """The epsilon of `turns` releases at delta: each a sum over rows drawn with chance `rate`, of norm 1 at most, plus
    N(0, sigma^2) in every coordinate.  before: the noise of one more release, of all rows (0: there was none).  inf where sigma
    is 0; MissingExtra without dp-accounting."""
    turns = 0 if rate == 0 else turns
    if turns == 0 and before == 0:
        return 0.0
    if turns and sigma == 0:
        return math.inf
    event = _events()
    return _spent(event.PoissonSampledDpEvent(rate, event.GaussianDpEvent(sigma)), delta, turns, width, before)


def normal_delta(mu: float, epsilon: float) -> float:
    """The delta at epsilon of one normal mechanism of noise 1 / mu (Balle & Wang 2018, theorem 8)."""
    half, far = mu / 2, epsilon / mu
    near, tail = (math.erfc((far + side) / math.sqrt(2)) / 2 for side in (-half, half))
    return near - (math.exp(epsilon + math.log(tail)) if tail else 0.0)


def noise_for(epsilon: float, delta: float) -> float:
    """The least noise, over how far a row moves what is released, of one normal mechanism that spends epsilon at delta, to nine
    digits and never less; RecipeError where that is no reasonable one."""
    low, high = 1e-12, 1e3  # of mu
    while high > low * (1 + 1e-9):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if normal_delta(middle, epsilon) <= delta else (low, middle)
    if 1 / low > MOST:
        raise RecipeError(f"epsilon {epsilon:g} at delta {delta:g} asks for noise that drowns whatever is measured; ask for a larger epsilon")
    return 1 / low


def _about(epsilon: float, delta: float, rate: float, turns: int) -> float:
    """A sigma near the one that is looked for, by the central limit theorem of Bu et al. 2020 (arXiv:1911.11607): so many turns are
    about one normal mechanism of mu = rate sqrt(turns (exp(1 / sigma^2) - 1))."""
    mu = 1 / noise_for(epsilon, delta)
    return 1 / math.sqrt(math.log1p((mu / rate) ** 2 / turns))


@cache
def sigma_for(epsilon: float, delta: float, rate: float, turns: int, before: float = 0.0) -> float:
    """The least sigma, to a thousandth, whose `turns` releases, after one of noise `before` (0: none), spend no more than epsilon
    at delta; RecipeError where even the largest spends more."""
    width = min(COARSE, 3e-4 * epsilon)
    refusal = RecipeError(
        f"no reasonable noise keeps {turns} turns within epsilon {epsilon:g} at delta {delta:g}; ask for a larger epsilon, or for "
        "fewer steps with --budget"
    )

    def keeps(sigma: float) -> bool:
        return epsilon_of(sigma, delta, rate, turns, width, before) <= epsilon

    if before and epsilon_of(0.0, delta, 0.0, 0, width, before) >= epsilon:
        raise RecipeError(
            f"the schema's preparation alone spends all of epsilon {epsilon:g} at delta {delta:g}; ask for a larger --dp-epsilon, or "
            "prepare the data with a smaller one"
        )
    # From far too little noise the search would take for ever where epsilon is tiny: cells are narrow then, and losses wide.
    high = max(LEAST, _about(epsilon, delta, rate, turns))
    while high <= MOST and not keeps(high):
        high *= 1.25
    if high > MOST:
        raise refusal
    low = high / 1.1  # little noise takes long to account for, so it is come upon in small steps
    while low > LEAST and keeps(low):
        low, high = low / 1.1, low
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
