"""The three-sample test for data copying, C_T (Meehan, Chaudhuri & Dasgupta 2020).

A model that copies makes samples that lie closer to the training set than held-out rows do.  In every cell of a partition
the distances of both to their nearest training row are compared by Mann & Whitney's U, and the cells are averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_points
from rivalry.stats.distances import nearest
from rivalry.streams import generator

CPU = torch.device("cpu")
ROWS = 100
"""Held-out rows a cell has on average."""
MOST = 20
FEWEST = 20
"""Samples, and held-out rows, that a cell must have to be counted."""
ROUNDS = 20


@dataclass(frozen=True)
class DataCopying:
    """c_t: below -3 or so the model copies, above 3 its samples are farther off than real rows (it underfits).
    worst: the least z of a cell; cells: that were counted."""

    c_t: float
    worst: float
    cells: int


def mann_whitney_z(a: Tensor, b: Tensor) -> float:
    """z of U = #{a_i > b_j} + ties / 2 for [m] and [n], with the variance corrected for ties; 0 where all are equal."""
    m, n = len(a), len(b)
    pooled, where, times = torch.cat([a, b]).double().unique(return_inverse=True, return_counts=True)
    del pooled
    ranks = (times.cumsum(0) - (times - 1) / 2.0)[where]
    u = float(ranks[:m].sum()) - m * (m + 1) / 2
    ties = float((times.double() ** 3 - times).sum()) / ((m + n) * max(1, m + n - 1))
    variance = m * n * (m + n + 1 - ties) / 12
    return (u - m * n / 2) / math.sqrt(variance) if variance > 1e-12 else 0.0


def data_copying(samples: Tensor, train: Tensor, held: Tensor, *, cells: int = 0, seed: int = 0) -> DataCopying:
    """C_T of samples [N, D] by train [T, D] and held-out rows [H, D].

    Cells are k-means cells of the training rows, one for each hundred held-out rows unless `cells` says how many; cells of
    fewer than 20 samples or held-out rows do not count (there a model may have dropped a mode, which is no copying).
    Distances are Euclidean, to the nearest of all training rows.
    """
    check_points("samples", samples, dim=train.shape[-1])
    check_points("held-out data", held, least=FEWEST, dim=train.shape[-1])
    k = cells or max(1, min(MOST, len(held) // ROWS))
    centres = k_means(train, k, seed)
    place = [nearest(x, centres)[1][:, 0] for x in (samples, held)]
    apart = [nearest(x, train)[0][:, 0] for x in (samples, held)]
    scores, weights = list[float](), list[int]()
    for cell in range(len(centres)):
        mine, theirs = (d[p == cell] for d, p in zip(apart, place, strict=True))
        if min(len(mine), len(theirs)) >= FEWEST:
            scores.append(mann_whitney_z(mine, theirs))
            weights.append(len(theirs))
    if not scores:
        return DataCopying(mann_whitney_z(*apart), mann_whitney_z(*apart), 1)
    mean = sum(w * z for w, z in zip(weights, scores, strict=True)) / sum(weights)
    return DataCopying(mean, min(scores), len(scores))


def k_means(x: Tensor, k: int, seed: int) -> Tensor:
    """[k, D] centres of x [N, D] by Lloyd's algorithm from k-means++ (Arthur & Vassilvitskii 2007), float64."""
    if not 1 <= k <= len(x):
        raise DataError(f"{len(x)} rows cannot be parted into {k} cells")
    points = x.cpu().double()
    g = generator(CPU, seed, "k-means")
    chosen = [int(torch.randint(len(points), (1,), generator=g))]
    while len(chosen) < k:
        far = nearest(points, points[chosen])[0][:, 0].square()
        weights = far if float(far.sum()) > 0 else torch.ones_like(far)
        chosen.append(int(torch.multinomial(weights, 1, generator=generator(CPU, seed, "k-means", len(chosen)))))
    centres = points[chosen]
    for _ in range(ROUNDS):
        place = nearest(points, centres)[1][:, 0]
        sums = torch.zeros_like(centres).index_add_(0, place, points)
        times = torch.bincount(place, minlength=k)
        moved = torch.where(times[:, None] > 0, sums / times.clamp_min(1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres
