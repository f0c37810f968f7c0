"""Times until an event, some of them censored: Kaplan-Meier curves, the gap of two, Cox's model, concordance.

Everywhere time [N] >= 0 is when a row's event happened or when it was last seen, in any unit; event [N] says which:
1 (True) for an event, 0 for censored.  Float64; rows in any order.  A row censored at t counts as at risk at t.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.intervals import Interval, check_confidence, normal_quantile

CELLS = 4_000_000
"""Pairs of rows that are compared at a time."""


class KaplanMeier(NamedTuple):
    """A survival curve, right-continuous, 1 before the first time.

    times [K]: of events, ascending, each once.  survival [K] in [0, 1]: from that time on.  at_risk [K], events [K]:
    rows at that time.  rows: N.  last: the largest time, beyond which nothing is known.
    """

    times: Tensor
    survival: Tensor
    at_risk: Tensor
    events: Tensor
    rows: int
    last: float

    def at(self, when: Tensor) -> Tensor:
        """S(t) of any times [T]; beyond `last` its last value."""
        steps = torch.cat([torch.ones(1, dtype=torch.float64), self.survival])
        return steps[torch.searchsorted(self.times, when.double(), right=True)]

    def spread(self, when: Tensor) -> Tensor:
        """[T]: standard error of S(t) over S(t), by Greenwood (1926): sqrt(sum d_i / (n_i (n_i - d_i)))."""
        left = (self.at_risk - self.events).double()
        terms = torch.where(left > 0, self.events / (self.at_risk * left.clamp_min(1)), 0.0).cumsum(0)
        place = torch.searchsorted(self.times, when.double(), right=True)
        return torch.cat([torch.zeros(1, dtype=torch.float64), terms]).sqrt()[place]

    def band(self, when: Tensor, confidence: float = 0.95) -> tuple[Tensor, Tensor]:
        """(low [T], high [T]): Greenwood's (1926) variance on the scale log(-log S), pointwise; S itself where S is 0 or 1."""
        z = normal_quantile(0.5 + check_confidence(confidence) / 2)
        spread, value = self.spread(when), self.at(when)
        inner = (value > 0) & (value < 1)
        logs = value.clamp(1e-300, 1 - 1e-16).log()
        low, high = (value.pow((sign * z * spread / logs).exp()) for sign in (-1.0, 1.0))
        return torch.where(inner, low, value), torch.where(inner, high, value)


def check_times(time: Tensor, event: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """(time float64, event bool) on the CPU; DataError unless both are [N], finite, time >= 0 and event 0 or 1."""
    if time.ndim != 1 or time.shape != event.shape:
        raise DataError(f"time and event must be columns of one length, not {list(time.shape)} and {list(event.shape)}")
    if len(time) < least:
        raise DataError(f"there are {len(time)} rows with a time, but this statistic needs at least {least}")
    time, code = time.cpu().double(), event.cpu().double()
    if not bool(time.isfinite().all()) or bool((time < 0).any()):
        raise DataError("times must be finite numbers from 0 on; leave rows without a time out")
    if not bool(((code == 0) | (code == 1)).all()):
        raise DataError("an event column holds 1 where the event happened and 0 where it was not seen, nothing else")
    return time, code.bool()


def kaplan_meier(time: Tensor, event: Tensor) -> KaplanMeier:
    """S(t) = prod over event times t_i <= t of (1 - d_i / n_i) (Kaplan & Meier 1958), d_i events among n_i at risk."""
    time, event = check_times(time, event)
    times, counts = time[event].unique(return_counts=True)
    at_risk = len(time) - torch.searchsorted(time.sort().values, times)
    survival = (1 - counts.double() / at_risk.clamp_min(1)).cumprod(0)
    return KaplanMeier(times, survival, at_risk, counts, len(time), float(time.max()))


def still_seen(time: Tensor, when: Tensor) -> Tensor:
    """[T]: how many rows of time [N] are at risk at `when` [T]: not yet censored, and without an event before."""
    return len(time) - torch.searchsorted(time.double().sort().values, when.double())


def restricted_mean(curve: KaplanMeier, horizon: float) -> float:
    """int_0^horizon S(t) dt, the mean time until the event or the horizon, in the unit of time."""
    edges, values = _steps([curve], horizon)
    return float((values[0] * edges.diff()).sum())


class SurvivalGap(NamedTuple):
    """distance in [0, 1]: mean |S_fake - S_real| over [0, horizon].  optimism in [-1, 1]: the same with its sign; above 0
    the fake rows live longer (Norcliffe et al. 2023, SurvivalGAN, section 4.1)."""

    distance: float
    optimism: float


def survival_gap(real: KaplanMeier, fake: KaplanMeier, horizon: float) -> SurvivalGap:
    """The area between two curves up to the horizon > 0, over the horizon; exact, as both are steps."""
    if not horizon > 0 or math.isinf(horizon):
        raise DataError(f"curves are compared up to a time above 0, not {horizon}")
    edges, (s, t) = _steps([real, fake], horizon)
    gap, width = t - s, edges.diff() / horizon
    return SurvivalGap(float((gap.abs() * width).sum()), float((gap * width).sum()))


def chance_gap(real: KaplanMeier, fake: KaplanMeier, horizon: float) -> float:
    """The distance of `survival_gap` to be expected if both sides are drawn from one law: the mean over [0, horizon] of
    sqrt(2 / pi) times the standard error of S_fake - S_real, taken for normal."""
    edges, _ = _steps([real, fake], horizon)
    errors = [c.spread(edges[:-1]) * c.at(edges[:-1]) for c in (real, fake)]
    return float((torch.hypot(*errors) * edges.diff()).sum()) * math.sqrt(2 / math.pi) / horizon


def _steps(curves: list[KaplanMeier], horizon: float) -> tuple[Tensor, list[Tensor]]:
    """Edges [K + 1] of 0..horizon between which no curve has a step, and each curve's value there [K]."""
    times = torch.cat([c.times for c in curves])
    inside = times[(times > 0) & (times < horizon)]
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), inside.unique(), torch.tensor([horizon]).double()])
    return edges, [c.at(edges[:-1]) for c in curves]


def concordance(time: Tensor, event: Tensor, risk: Tensor, confidence: float = 0.95) -> Interval:
    """Harrell's C (1982) in [0, 1]: of the pairs of which one surely had its event first, the share in which it has the
    higher risk [N], ties half; .5 is chance.

    A pair counts if the earlier time is an event's, or the times are equal and just one is.  The interval is the delta
    method's for a ratio of U-statistics.  DataError where no pair counts.  Work: N^2 comparisons.
    """
    time, event = check_times(time, event, least=2)
    risk = risk.cpu().double()
    if risk.shape != time.shape or not bool(risk.isfinite().all()):
        raise DataError("a risk is one finite number for each row")
    agreed, counted = torch.zeros(2, len(time), dtype=torch.float64)
    for rows in torch.arange(len(time)).split(max(1, CELLS // len(time))):
        own, when = time[rows, None], event[rows, None]
        pair = when & ((own < time) | ((own == time) & ~event))
        mine = risk[rows, None]
        right = pair.double() * ((mine > risk).double() + 0.5 * (mine == risk).double())
        agreed[rows] += right.sum(1)
        counted[rows] += pair.sum(1)
        agreed += right.sum(0)
        counted += pair.sum(0)
    pairs = float(counted.sum()) / 2
    if not pairs:
        raise DataError("no pair of rows shows whose event came first; more rows with events are needed")
    value = float(agreed.sum()) / 2 / pairs
    half = normal_quantile(0.5 + check_confidence(confidence) / 2)
    half *= float((agreed - value * counted).norm()) / pairs
    return Interval(value, max(0.0, value - half), min(1.0, value + half), confidence)


def cox_loss(beta: Tensor, x: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Minus Cox's (1972) log partial likelihood of beta [D], rows x [N, D], ties as Breslow (1974) has them; a scalar."""
    order = time.argsort(descending=True)
    score, when, happened = (x @ beta)[order], time[order], event[order]
    # Of rows at risk at t, the sum runs over all with a time >= t: in this order, to the last row of equal time.
    last = torch.searchsorted(-when, -when, right=True) - 1
    below = score.logcumsumexp(0)[last]
    return (below - score)[happened].sum()


def cox(x: Tensor, time: Tensor, event: Tensor, ridge: float = 0.0) -> Tensor:
    """[D] float64: coefficients of Cox's proportional hazards of x [N, D] (`cox_loss` + ridge / 2 |beta|^2 at its least).

    A row's risk is x @ beta.  Give standardised columns and a ridge above 0 where columns may depend on one another.
    DataError on unfit shapes, NaN, and where no row has an event.
    """
    time, event = check_times(time, event, least=2)
    x = x.cpu().double()
    if x.ndim != 2 or len(x) != len(time) or not bool(x.isfinite().all()):
        raise DataError(f"a Cox model needs finite numbers [{len(time)}, D], one row for each time")
    if not bool(event.any()):
        raise DataError("no row has an event, so nothing can be learned of when it happens")
    centred = x - x.mean(0)
    beta = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([beta], max_iter=200, tolerance_grad=1e-9, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = (cox_loss(beta, centred, time, event) + ridge / 2 * beta.square().sum()) / len(x)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[arg-type]
    return beta.detach()
