"""Membership inference: was this row trained on?  Scores of candidate rows, and what scores are worth.

Attacks take rows and give a score [N], higher = more likely a member.  Those by distance share one search (`near`),
so that a pair is compared once:

    gan_leaks             -d(x, S)                    nearest sample (Chen et al. 2020, full black box)
    gan_leaks_calibrated  d(x, R) - d(x, S)           the same, calibrated (section 5.6; here by reference rows R)
    ball_counts           #{s in S: |x - s| <= eps}   Monte Carlo estimate of the density (Hilprecht et al. 2019)
    density_ratio         log r_k(x, R) - log r_k(x, S), D times which is DOMIAS' log p_S / p_R with densities from
                          the k-th neighbour (van Breugel et al. 2023)
    told_by_logistic, told_by_trees    a classifier of samples against reference rows (LOGAN, Hayes et al. 2019)

Scores are judged by AUC, the rate of true positives at few false ones, a lower bound on epsilon, and p-values of
"members and non-members are exchangeable".  That no attack here succeeds does not show that none could.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from rivalry.errors import DataError, MissingExtra
from rivalry.stats.checks import check_points
from rivalry.stats.distances import CELLS, centred, squared_distances
from rivalry.stats.intervals import Interval, check_confidence, normal_quantile, wilson
from rivalry.stats.tabular_models import roc_auc
from rivalry.streams import generator, key

CPU = torch.device("cpu")
THRESHOLDS = 200
"""Thresholds that are tried on the first half for the bound on epsilon."""
SUPPORT = 10
"""False positives that a rate of true positives must rest on, at least."""


# -- scores -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Near:
    """Of N candidates the k nearest rows of one set: distance [N, k] ascending, index [N, k], and how many lie within
    the radius, [N]."""

    distance: Tensor
    index: Tensor
    within: Tensor


@torch.no_grad()
def near(
    candidates: Sequence[Tensor], rows: Tensor, k: int = 1, *, radius: float = 0.0, cells: int = CELLS,
    tick: Callable[[int], None] | None = None,
) -> Near:  # fmt: skip
    """The k nearest of rows [M, D] to each candidate, which comes in one or more forms, [N, D] each (a picture and its
    flip); the distance to a row is the least of theirs.  Euclidean, float64; memory: `cells` distances, twice.

    tick: told how many candidates are done.  DataError on unfit shapes, NaN, and k > M.
    """
    check_points("the rows searched", rows, least=k)
    base, *forms = centred(rows, *candidates)
    found, indices, counts = [], [], []
    done = 0
    for parts in zip(*(squared_distances(form, base, cells=cells) for form in forms), strict=True):
        squares = parts[0][1]
        for _, other in parts[1:]:
            squares = torch.minimum(squares, other)
        best = squares.topk(k, dim=1, largest=False)
        found.append(best.values.sqrt())
        indices.append(best.indices)
        counts.append((squares <= radius**2).sum(1))
        done += len(squares)
        if tick is not None:
            tick(done)
    return Near(torch.cat(found), torch.cat(indices), torch.cat(counts))


def median_radius(candidates: Sequence[Tensor], rows: Tensor) -> float:
    """Hilprecht et al.'s median heuristic: the median distance of (some) candidates to their nearest row."""
    return float(near(candidates, rows).distance[:, 0].median())


def gan_leaks(samples: Near) -> Tensor:
    """[N]: minus the distance to the nearest sample."""
    return -samples.distance[:, 0]


def gan_leaks_calibrated(samples: Near, reference: Near) -> Tensor:
    """[N]: how much nearer the nearest sample is than the nearest reference row."""
    return reference.distance[:, 0] - samples.distance[:, 0]


def density_ratio(samples: Near, reference: Near, k: int) -> Tensor:
    """[N]: log of (distance to the k-th reference row) over (to the k-th sample), k >= 1; 0 where both are 0."""
    floor = torch.finfo(torch.float64).tiny
    known, made = (side.distance[:, k - 1].clamp_min(floor).log() for side in (reference, samples))
    return known - made


def ball_counts(samples: Near) -> Tensor:
    """[N]: how many samples lie within the radius that `near` was given."""
    return samples.within.double()


def told_by_logistic(samples: Tensor, reference: Tensor, candidates: Tensor, ridge: float = 1.0) -> Tensor:
    """[N] log odds of being a sample, by logistic regression of samples [M, D] against reference [R, D] rows, both
    sides of equal weight.  Features are standardised; `ridge` |w|^2 / 2 is added to the summed loss."""
    check_points("the reference", reference, dim=samples.shape[1])
    x = torch.cat([samples, reference]).cpu().double()
    centre, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    x = (x - centre) / scale
    sign = torch.cat([x.new_ones(len(samples)), -x.new_ones(len(reference))])
    share = torch.cat([x.new_full((len(s),), len(x) / (2 * len(s))) for s in (samples, reference)])
    weight = x.new_zeros(x.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        margin = sign * (x @ weight[1:] + weight[0])
        total = (share * softplus(-margin)).sum() + ridge * weight[1:].square().sum() / 2
        (weight.grad,) = torch.autograd.grad(total, weight)
        return total.detach()

    with torch.enable_grad():
        solver.step(loss)
    fitted = weight.detach()
    return ((candidates.cpu().double() - centre) / scale) @ fitted[1:] + fitted[0]


def told_by_trees(samples: Tensor, reference: Tensor, candidates: Tensor, seed: int) -> Tensor:
    """[N] log odds of being a sample, by boosted trees (scikit-learn's HistGradientBoosting at its settings, 100 trees)
    of samples [M, C] against reference [R, C]; NaN is a missing cell, level numbers count as numbers.

    MissingExtra without scikit-learn.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
    except ImportError:
        raise MissingExtra("tables", "an attack by boosted trees") from None
    x = torch.cat([samples, reference]).cpu().double()
    x[:, x.isnan().all(0)] = 0.0  # trees cannot bin a column that is missing throughout
    made = torch.arange(len(x)) < len(samples)
    share = torch.where(made, len(x) / (2 * len(samples)), len(x) / (2 * len(reference)))
    trees = HistGradientBoostingClassifier(early_stopping=False, random_state=key(seed, "trees") % 2**32)
    trees.fit(x.numpy(), made.numpy(), sample_weight=share.numpy())
    return torch.from_numpy(trees.decision_function(candidates.cpu().double().numpy()))


# -- what scores are worth --------------------------------------------------------------------------------------------


def auc_interval(members: Tensor, others: Tensor, confidence: float = 0.95) -> Interval:
    """AUC of scores [M] against [N] with DeLong's interval, cut to [0, 1].  Where all are told apart DeLong's variance
    is 0: the end away from 1 (or 0) is then Wilson's for the smaller side, all of whose rows were placed right."""
    value, variance = roc_auc(members, others)
    half = normal_quantile(0.5 + check_confidence(confidence) / 2) * math.sqrt(variance)
    low, high = max(0.0, value - half), min(1.0, value + half)
    if value in (0.0, 1.0):
        n = min(len(members), len(others))
        sure = wilson(value * n, n, confidence)
        low, high = sure.low, sure.high
    return Interval(value, low, high, confidence)


def supported_rates(others: int) -> tuple[float, ...]:
    """Those of the false-positive rates 10 %, 1 %, .1 % that so many non-members support: SUPPORT of them lie above."""
    return tuple(rate for rate in (0.1, 0.01, 0.001) if others * rate >= SUPPORT * (1 - 1e-9))


def true_positives(members: Tensor, others: Tensor, rate: float, confidence: float = 0.95) -> Interval:
    """Share of members [M] above the lowest threshold that at most `rate` of the others [N] exceed.

    Wilson's interval of the members' count at that threshold; the threshold's own error is not in it.
    """
    levels, counts = others.double().unique(return_counts=True)
    reached = counts.flip(0).cumsum(0).flip(0)
    refused = levels[reached > rate * len(others) * (1 + 1e-9)]
    # The threshold lies just above the highest level that too many of the others reach.
    found = len(members) if not len(refused) else int((members > refused[-1]).sum())
    return wilson(found, len(members), confidence)


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Clopper & Pearson's (1934) exact interval for a share: each end is missed with chance (1 - confidence) / 2."""
    if trials < 1 or not 0 <= successes <= trials:
        raise DataError(f"a share needs 0 <= successes <= trials and trials > 0, not {successes} of {trials}")
    tail = (1 - check_confidence(confidence)) / 2
    low = 0.0 if successes == 0 else _solve(lambda p: _at_least(successes, trials, p), tail)
    high = 1.0 if successes == trials else 1 - _solve(lambda p: _at_least(trials - successes, trials, p), tail)
    return Interval(successes / trials, low, high, confidence)


def _at_least(k: int, n: int, p: float) -> float:
    """P(X >= k) of a binomial X."""
    x = torch.arange(k, n + 1, dtype=torch.float64)
    return float((_log_choose(n, x) + x * math.log(p) + (n - x) * math.log1p(-p)).exp().sum())


def _log_choose(n: float | Tensor, k: Tensor) -> Tensor:
    whole = torch.as_tensor(n, dtype=torch.float64)
    return torch.lgamma(whole + 1) - torch.lgamma(k + 1) - torch.lgamma(whole - k + 1)


def _solve(rising: Callable[[float], float], value: float) -> float:
    """p in (0, 1) with rising(p) = value, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return low


def epsilon_lower_bound(
    members: Tensor, others: Tensor, *, delta: float = 0.0, confidence: float = 0.95, seed: int = 0
) -> float:
    """epsilon >= this at level `confidence`, 0 where the attack shows nothing (Kairouz et al. 2015; Jagielski et al. 2020).

    (epsilon, delta)-differential privacy means TPR <= e^epsilon FPR + delta and TNR <= e^epsilon FNR + delta for every
    threshold.  Threshold and inequality are chosen on one half of the scores [M], [N] and judged on the other by
    Clopper-Pearson bounds that hold together.  They take rows for independent trials: exact where each row's answer is
    its own, an approximation for the rows of one training.
    """
    first, second = [], []
    for side, scores in (("members", members), ("others", others)):
        order = torch.randperm(len(scores), generator=generator(CPU, seed, "halves", side))
        mixed = scores.cpu().double()[order]
        first.append(mixed[: len(mixed) // 2])
        second.append(mixed[len(mixed) // 2 :])
    if not len(first[0]) or not len(first[1]):
        return 0.0
    levels = torch.cat(first).unique()
    tried = levels[torch.linspace(0, len(levels) - 1, min(THRESHOLDS, len(levels))).long()].tolist()
    options = [(t, above) for t in tried for above in (True, False)]
    threshold, above = max(options, key=lambda o: _bound(first[0], first[1], o[0], o[1], delta, confidence, wilson))
    return _bound(second[0], second[1], threshold, above, delta, confidence, clopper_pearson)


def _bound(
    members: Tensor, others: Tensor, threshold: float, above: bool, delta: float, confidence: float,
    interval: Callable[[int, int, float], Interval],
) -> float:  # fmt: skip
    """max(0, log((right - delta) / wrong)) with right's low and wrong's high end; both hold at `confidence`."""
    right, wrong = (members, others) if above else (others, members)
    hits = [int(((s >= threshold) if above else (s < threshold)).sum()) for s in (right, wrong)]
    low = interval(hits[0], len(right), confidence).low - delta  # either end errs with chance (1 - confidence) / 2
    high = interval(hits[1], len(wrong), confidence).high
    return max(0.0, math.log(low / high)) if low > 0 else 0.0


class Chance(NamedTuple):
    """One-sided p-values of scores under exchangeable sides: of the whole ranking, and of its top shares."""

    ranking: float
    tops: tuple[float, ...]


def chance(members: Tensor, others: Tensor, tops: Sequence[float] = (0.01, 0.05), least: int = 20) -> Chance:
    """p-values of scores [M] and [N] that higher ones are no more often members'.

    ranking: Mann-Whitney's test, its variance without a difference and corrected for ties, normal approximation.
    tops: of the members among the top share of all (at least `least`, ties taken in whole), exactly: hypergeometric.
    """
    m, n = len(members), len(others)
    pooled = torch.cat([members, others]).cpu().double()
    ties = pooled.unique(return_counts=True)[1].double()
    uneven = float((ties**3 - ties).sum()) / ((m + n) * max(1, m + n - 1))
    variance = (m + n + 1 - uneven) / (12 * m * n)
    auc, _ = roc_auc(members, others)
    ranking = 0.5 * math.erfc((auc - 0.5) / math.sqrt(2 * variance)) if variance > 1e-15 else 1.0
    ordered = pooled.sort(descending=True).values
    found = []
    for top in tops:
        threshold = ordered[min(m + n, max(least, math.ceil(top * (m + n)))) - 1]
        found.append(hypergeometric(int((pooled[:m] >= threshold).sum()), int((pooled >= threshold).sum()), m, n))
    return Chance(ranking, tuple(found))


def hypergeometric(hits: int, drawn: int, good: int, bad: int) -> float:
    """P(at least `hits` good ones) among `drawn` of good + bad without replacement."""
    x = torch.arange(hits, min(drawn, good) + 1, dtype=torch.float64)
    x = x[drawn - x <= bad]
    total = _log_choose(good + bad, torch.tensor(float(drawn), dtype=torch.float64))
    return min(1.0, float((_log_choose(good, x) + _log_choose(bad, drawn - x) - total).exp().sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: all below alpha are found together with chance alpha of any false one."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = worst
    return adjusted
