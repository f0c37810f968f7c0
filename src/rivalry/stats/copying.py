"""Does a model copy its training data?  Nearest records in train against held-out data.

Under the null hypothesis the samples do not know which real records were trained on, so that train and
held-out are one pool whose labels are a random split: the nearest record of a sample is a training record
with probability T / (T + H).  This generalises the nearest-neighbour share of Meehan, Chaudhuri & Dasgupta
(2020) to unequal sizes.  Passing does not show privacy: membership inference may still succeed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_points
from rivalry.stats.distances import CELLS, TIE, centred, exact_distances, squared_distances
from rivalry.stats.intervals import Interval, wilson


@dataclass(frozen=True, eq=False)
class Memorisation:
    """What `memorisation` found for N samples; distances in units of the features.

    share: of samples nearer to train than to held-out, with its interval.  expected: T / (T + H), the share
    of a model that does not copy.  p_value: one-sided, of the observed share under a random split.
    flagged: the interval lies above `expected`.
    ratio: median of (distance to train) / (distance to held-out); copies: share of samples whose ratio is
    below `close`.  ratio_fresh, copies_fresh: the same for the held-out records themselves as samples, each
    left out of its own side: what data that nobody copied would score.
    train_distance, train_index, held_distance [N]: for showing the nearest pairs.
    """

    share: Interval
    expected: float
    p_value: float
    flagged: bool
    ratio: float
    ratio_fresh: float
    copies: float
    copies_fresh: float
    close: float
    train_distance: Tensor
    train_index: Tensor
    held_distance: Tensor


@dataclass(frozen=True, eq=False)
class _Nearest:
    """Nearest distances [n] to both sides, index [n] in train, credit [n] of train among the nearest of the
    pool (ties shared), weight [T + H] that each pool record has as somebody's nearest."""

    train: Tensor
    index: Tensor
    held: Tensor
    credit: Tensor
    weight: Tensor

    def ratio(self) -> Tensor:
        """[n]: train over held-out distance; 1 where both are 0."""
        return torch.where(self.train == self.held, 1.0, self.train / self.held)


@torch.no_grad()
def memorisation(
    samples: Tensor,
    train: Tensor,
    held_out: Tensor,
    *,
    close: float = 0.5,
    confidence: float = 0.99,
    cells: int = CELLS,
) -> Memorisation:
    """Compare samples [N, D] with train [T, D] and held_out [H, D] features of the same extractor.

    Train and held-out must be a random split of one set of distinct people or records: a near-duplicate across
    the split hides copying, a split by time or site looks like it.  Sizes need not be equal.
    The interval is Wilson's with the effective number of trials (sum w)^2 / sum w^2, w the number of samples
    that share a nearest record: many samples of one hub are little evidence.
    Work: (N + H) (T + H) distances; memory as in `prdc`.  DataError on unfit shapes, H < 2, NaN.
    """
    check_points("samples", samples, dim=train.shape[-1])
    check_points("held-out data", held_out, least=2, dim=train.shape[-1])
    if not 0 < close < 1:
        raise DataError(f"`close` is a ratio of distances between 0 and 1, not {close}")
    # Samples are centred too: they are compared with real records only, so the real centre serves.
    base, held, points = centred(train, held_out, samples)
    pool = torch.cat([base, held])
    found = _search(points, pool, len(base), own=False, cells=cells)
    fresh = _search(held, pool, len(base), own=True, cells=cells)

    expected = len(base) / len(pool)
    share = float(found.credit.mean())
    concentration = float((found.weight / len(points)).square().sum())
    interval = wilson(share / concentration, 1 / concentration, confidence)
    return Memorisation(
        share=interval,
        expected=expected,
        p_value=_split_p_value(share, expected, concentration, len(pool)),
        flagged=interval.low > expected,
        ratio=float(found.ratio().median()),
        ratio_fresh=float(fresh.ratio().median()),
        copies=float((found.ratio() < close).double().mean()),
        copies_fresh=float((fresh.ratio() < close).double().mean()),
        close=close,
        train_distance=found.train,
        train_index=found.index,
        held_distance=found.held,
    )


def _search(points: Tensor, pool: Tensor, trained: int, *, own: bool, cells: int) -> _Nearest:
    """Nearest records of points [n, D] in pool [T + H, D], whose first `trained` rows are train.

    `own` says that point i is the pool's row `trained` + i, which is then left out.
    """
    parts = []
    weight = torch.zeros(len(pool), dtype=torch.float64, device=pool.device)
    for start, squares in squared_distances(points, pool, cells=cells):
        rows = points[start : start + len(squares)]
        if own:
            squares.diagonal(trained + start).fill_(torch.inf)
        train_index = squares[:, :trained].argmin(1, keepdim=True)
        held_index = squares[:, trained:].argmin(1, keepdim=True) + trained
        tied = (squares <= squares.amin(1, keepdim=True) * (1 + TIE)).double()
        tied /= tied.sum(1, keepdim=True)
        weight += tied.sum(0)
        credit = tied[:, :trained].sum(1, keepdim=True)
        both = exact_distances(rows, pool, torch.cat([train_index, held_index], dim=1))
        parts.append(torch.cat([both, train_index, credit], dim=1))
    train, held, index, credit = torch.cat(parts).unbind(1)
    return _Nearest(train, index.long(), held, credit, weight)


def _split_p_value(share: float, expected: float, concentration: float, pool: int) -> float:
    """P(share of train >= observed) when the pool's labels are a random split of fixed sizes.

    Sampling without replacement: Var = pi (1 - pi) P / (P - 1) (sum (w/n)^2 - 1/P); normal approximation.
    """
    variance = expected * (1 - expected) * pool / (pool - 1) * (concentration - 1 / pool)
    if variance <= 0:
        return 1.0
    return 1 - NormalDist().cdf((share - expected) / math.sqrt(variance))
