"""Survival: Kaplan-Meier curves and their distance, Cox's regression, and the concordance of its risks.

time [N]: until the event or the end of follow-up, 0 or more; event [N]: whether it was the event (1) or the end (0).
Everything is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rivalry.errors import DataError

BLOCK = 2048
NEWTON, ENOUGH = 50, 1e-9
REACH = 5.0


class Curve(NamedTuple):
    """survival [K]: the share that lives on after times [K], ascending; 1 before the first."""

    times: Tensor
    survival: Tensor

    def at(self, t: Tensor) -> Tensor:
        """The curve, a step function, at t [M]."""
        place = torch.searchsorted(self.times, t.double(), right=True)
        return torch.cat([self.survival.new_ones(1), self.survival])[place]


def _checked(time: Tensor, event: Tensor) -> tuple[Tensor, Tensor]:
    time, event = time.double(), event.double()
    if time.dim() != 1 or time.shape != event.shape or not len(time):
        raise DataError("survival needs one time and one event for each of at least one patient")
    if not bool(torch.isfinite(time).all()) or bool((time < 0).any()) or bool(((event != 0) & (event != 1)).any()):
        raise DataError("survival needs times of 0 or more and events of 0 or 1, none of them missing")
    return time, event


def kaplan_meier(time: Tensor, event: Tensor) -> Curve:
    """S(t) = prod over times t_i <= t of (1 - d_i / n_i), d_i events at t_i among n_i at risk (Kaplan & Meier 1958)."""
    time, event = _checked(time, event)
    times, place, counts = torch.unique(time, return_inverse=True, return_counts=True)
    events = torch.zeros_like(times).scatter_add_(0, place, event)
    at_risk = (len(time) - counts.cumsum(0) + counts).double()
    return Curve(times, (1 - events / at_risk).cumprod(0))


def curve_distance(real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> float:
    """Mean |S_real(t) - S_fake(t)| over t from 0 to the last time of the real side: in [0, 1], exact for step functions.

    real, fake: (time, event).
    """
    a, b = kaplan_meier(*real), kaplan_meier(*fake)
    horizon = a.times[-1]
    if float(horizon) == 0:
        return 0.0
    edges = torch.cat([a.times.new_zeros(1), a.times, b.times]).clamp(max=horizon).unique()
    gaps = (a.at(edges[:-1]) - b.at(edges[:-1])).abs()
    return float((gaps * edges.diff()).sum() / horizon)


def concordance(time: Tensor, event: Tensor, risk: Tensor) -> float:
    """Harrell's C (1982): of the pairs where one is known to have lived less long, the share in which that one's risk is
    higher; equal risks count half.  .5 is chance; 1 is perfect.  NaN without such a pair."""
    time, event = _checked(time, event)
    risk = risk.double()
    good = pairs = 0.0
    for start in range(0, len(time), BLOCK):
        t, e, r = (v[start : start + BLOCK, None] for v in (time, event, risk))
        # one who had the event at t outlived by those seen later, or censored at the same time
        known = (e == 1) & ((time > t) | ((time == t) & (event == 0)))
        good += float((known & (r > risk)).sum() + 0.5 * (known & (r == risk)).sum())
        pairs += float(known.sum())
    return good / pairs if pairs else float("nan")


def design(train: Tensor, test: Tensor, kinds: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Tables [N, C], [M, C] -> columns for a linear model [N, D], [M, D]: numbers in standard deviations of the training rows,
    at most REACH of them, missing ones 0; categories a column for each level that training has, missing ones all 0."""
    out: list[tuple[Tensor, Tensor]] = []
    for own, other, kind in zip(train.double().unbind(1), test.double().unbind(1), kinds, strict=True):
        known = own[~own.isnan()]
        if kind == "number":
            centre, spread = (known.mean(), known.std(correction=0)) if len(known) else (own.new_zeros(()), own.new_zeros(()))
            unit = [((v - centre) / (spread if spread > 0 else 1.0)).clamp(-REACH, REACH).nan_to_num(0.0) for v in (own, other)]
            out.append((unit[0][:, None], unit[1][:, None]))
        else:
            levels = known.unique()
            out.append(((own[:, None] == levels).double(), (other[:, None] == levels).double()))
    return torch.cat([a for a, _ in out], 1), torch.cat([b for _, b in out], 1)


def cox(x: Tensor, time: Tensor, event: Tensor, ridge: float = 1e-3) -> Tensor:
    """[D]: coefficients of Cox's proportional hazards (1972), by Newton's method on Breslow's partial likelihood.

    x [N, D].  Maximises the mean log partial likelihood - ridge / 2 |beta|^2; ridge keeps separated data finite.
    """
    time, event = _checked(time, event)
    order = time.argsort(descending=True, stable=True)
    x, time, event = x.double()[order], time[order], event[order]
    last = torch.searchsorted(-time, -time, right=True) - 1  # ties share their risk set
    n, width = x.shape
    beta = x.new_zeros(width)

    def value(b: Tensor) -> Tensor:
        score = x @ b
        return (event * (score - torch.logcumsumexp(score, 0)[last])).sum() / n - ridge / 2 * b.square().sum()

    for _ in range(NEWTON):
        score = x @ beta
        weight = (score - score.max()).exp()
        total = weight.cumsum(0)[last]
        mean = (weight[:, None] * x).cumsum(0)[last] / total[:, None]
        slope = (event[:, None] * (x - mean)).sum(0) / n - ridge * beta
        # sum over events of E[x x'] over the risk set: each row weighs in for the events after it
        share = event / total
        reach = torch.zeros(n, dtype=x.dtype).index_add_(0, last, share).flip(0).cumsum(0).flip(0)
        second = (x * (weight * reach)[:, None]).T @ x
        curvature = (second - (mean * event[:, None]).T @ mean) / n + ridge * torch.eye(width, dtype=x.dtype)
        step = torch.linalg.solve(curvature, slope)
        size = 1.0
        while value(beta + size * step) < value(beta) and size > 1e-4:
            size /= 2
        beta = beta + size * step
        if float(step.abs().max()) < ENOUGH:
            break
    return beta
