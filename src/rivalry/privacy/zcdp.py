"""Zero-concentrated differential privacy (Bun & Steinke 2016): what measuring counts with normal noise, and choosing by the
exponential mechanism, cost.

Neighbours are data sets that differ by one row, there in one and missing in the other.  Costs, rho, add up.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rivalry.privacy.secure import uniform

ORDERS = 20_000
"""Renyi orders that are tried; each gives a bound that holds, so that few cost a little and never the guarantee."""
CLOSE = 1e-9


def epsilon_of_rho(rho: float, delta: float) -> float:
    """The epsilon at delta of what is rho-zCDP: the least, over orders a > 1, of

        a rho + log((a - 1) / a) - (log(delta) + log(a)) / (a - 1)

    (Canonne, Kamath & Steinke 2020, arXiv:2004.00010, corollary 13), and no less than 0.
    """
    if rho == 0 or math.isinf(rho):
        return rho
    beyond = torch.logspace(-6, 9, ORDERS, dtype=torch.float64)  # a - 1
    order = beyond + 1
    found = order * rho + (beyond / order).log() - (math.log(delta) + order.log()) / beyond
    return max(0.0, float(found.min()))


def rho_for(epsilon: float, delta: float) -> float:
    """The most rho whose epsilon at delta is no more than `epsilon`; inf for inf."""
    if math.isinf(epsilon):
        return math.inf
    low, high = 0.0, 1.0
    while epsilon_of_rho(high, delta) <= epsilon:
        low, high = high, 2 * high
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of_rho(middle, delta) <= epsilon else (low, middle)
    return low


def gaussian_sigma(rho: float, sensitivity: float) -> float:
    """Standard deviation of the noise that makes a vector of this L2 sensitivity rho-zCDP (Bun & Steinke 2016,
    proposition 6); 0 for inf."""
    return sensitivity / math.sqrt(2 * rho)


def exponential_epsilon(rho: float) -> float:
    """Of an exponential mechanism that is rho-zCDP: rho = epsilon^2 / 8 (Cesar & Rogers 2021, arXiv:2004.07223)."""
    return math.sqrt(8 * rho)


def exponential_chances(scores: Tensor, epsilon: float, sensitivity: float = 1.0) -> Tensor:
    """[K] float64: chances proportional to exp(epsilon score / (2 sensitivity)) (McSherry & Talwar 2007) for scores [K];
    with inf the highest is certain, the first of equals."""
    scores = scores.double()
    if math.isinf(epsilon):
        return torch.nn.functional.one_hot(scores.argmax(), len(scores)).double()
    return (scores * (epsilon / (2 * sensitivity))).softmax(0)


def drawn(chances: Tensor) -> int:
    """A number below K, drawn by chances [K] from the operating system's secure source."""
    reached = chances.double().cumsum(0)
    at = torch.searchsorted(reached, uniform(1) * reached[-1], right=True)
    return int(at.clamp_max(len(chances) - 1))
