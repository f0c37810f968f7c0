"""Planted rows and shadow models: a lower bound on epsilon from one training, and the likelihood ratio attack.

    guesses_bound   m canaries, each planted by the toss of a coin; r guesses, v right (Steinke, Nasr & Jagielski 2023)
    lira            the score of a row against models that were and were not trained on it (Carlini et al. 2022)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rivalry.errors import DataError

SHARES = (1.0, 0.5, 0.2)
"""Of the canaries that are guessed at: the surest.  The bound is over all three (Bonferroni)."""
MOST = 30.0


def p_of_guesses(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """The largest chance that any (epsilon, delta)-private training lets v or more of r guesses on m canaries be right.

    Steinke et al. 2023, theorem 5.2: f(v) + 2 m delta max_i (f(v - i) - f(v)) / i with f(v) = P(Binomial(r, q) >= v) and
    q = e^epsilon / (1 + e^epsilon): each guess is no better than an answer by randomised response.
    """
    if not 0 <= v <= r <= m or r < 1:
        raise DataError(f"guesses need 0 <= right <= made <= canaries, not {v} of {r} on {m}")
    q = 1 / (1 + math.exp(-epsilon))
    k = torch.arange(r + 1, dtype=torch.float64)
    whole = torch.tensor(float(r), dtype=torch.float64)
    log_choose = torch.lgamma(whole + 1) - torch.lgamma(k + 1) - torch.lgamma(whole - k + 1)
    log_q, log_rest = math.log(q), -epsilon - math.log1p(math.exp(-epsilon))
    chance = (log_choose + k * log_q + (whole - k) * log_rest).exp()
    tail = chance.flip(0).cumsum(0).flip(0).clamp_max(1.0)
    at_least = float(tail[v])
    if delta == 0 or v == 0:
        return min(1.0, at_least)
    i = torch.arange(1, v + 1, dtype=torch.float64)
    steepest = float(((tail[:v].flip(0) - at_least) / i).max())
    return min(1.0, at_least + 2 * m * delta * steepest)


def guesses_bound(m: int, r: int, v: int, *, delta: float = 0.0, confidence: float = 0.95) -> float:
    """epsilon >= this at level `confidence`, where v of r guesses on m canaries were right; 0 where that is no wonder.

    >>> round(guesses_bound(100, 100, 100), 2)     # .05 = q^100, q = .9705
    3.49
    """
    wrong = 1 - confidence
    if p_of_guesses(m, r, v, 0.0, delta) > wrong:
        return 0.0
    low, high = 0.0, MOST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if p_of_guesses(m, r, v, middle, delta) <= wrong else (low, middle)
    return low


def guesses(scores: Tensor, planted: Tensor, share: float) -> tuple[int, int]:
    """(r made, v right): the top half of r = share m canaries is said to be planted, the bottom half not; scores [m],
    planted [m] bool.  Ties are parted by place, which knows nothing of the coin."""
    r = 2 * max(1, round(share * len(scores) / 2)) if len(scores) > 1 else 1
    r = min(r, len(scores) - len(scores) % 2) if len(scores) > 1 else 1
    order = scores.double().argsort(descending=True, stable=True)
    half = max(1, r // 2)
    right = int(planted[order[:half]].sum()) + (int((~planted[order[-half:]]).sum()) if r > 1 else 0)
    return r, right


def canary_bound(
    scores: Tensor, planted: Tensor, *, delta: float = 0.0, confidence: float = 0.95, shares: Sequence[float] = SHARES
) -> tuple[float, int, int]:
    """(lower bound on epsilon, guesses, right ones) of scores [m] and who was planted [m] bool, each by the toss of a coin.

    How many guesses are made is one of `shares`, fixed beforehand; the best bound holds at `confidence` over all.
    """
    each = 1 - (1 - confidence) / len(shares)
    found = []
    for share in shares:
        r, v = guesses(scores, planted, share)
        found.append((guesses_bound(len(scores), r, v, delta=delta, confidence=each), r, v))
    return max(found)


def standardised(scores: Tensor) -> Tensor:
    """[..., N] less the median of N, over the median distance from it: models of other lengths of training compare."""
    level = scores - scores.median(dim=-1, keepdim=True).values
    spread = level.abs().median(dim=-1, keepdim=True).values
    return level / spread.clamp_min(1e-12)


def lira(target: Tensor, shadows: Tensor, member: Tensor) -> Tensor:
    """[N]: log N(t; in) - log N(t; out) of the target's statistic [N], normal about a row's means over the shadow models
    [K, N] that were (member [K, N] bool) and were not trained on it.

    With few shadow models variances are pooled over all rows (Carlini et al. 2022, section VI.C); rows that no model, or
    every model, was trained on score 0.
    """
    scores = list[Tensor]()
    for side in (member, ~member):
        weight = side.double()
        count = weight.sum(0)
        mean = (weight * shadows).sum(0) / count.clamp_min(1)
        left = (weight * (shadows - mean) ** 2).sum()
        variance = float(left / (count - 1).clamp_min(0).sum().clamp_min(1)) or 1e-12
        scores.append(-0.5 * (target - mean) ** 2 / variance - 0.5 * math.log(variance))
    known = member.any(0) & (~member).any(0)
    return torch.where(known, scores[0] - scores[1], 0.0)
