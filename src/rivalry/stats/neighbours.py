"""Precision, recall, density and coverage from nearest neighbours, without a matrix of all pairs.

Balls are closed (<=) and a point is not its own neighbour:

    precision = mean_j 1[exists i: |y_j - x_i| <= r_k(x_i)]       recall = the same with the roles exchanged
    density   = 1/(k M) sum_j sum_i 1[|y_j - x_i| <= r_k(x_i)]    coverage = mean_i 1[min_j |y_j - x_i| <= r_k(x_i)]

for real x_i, i = 1..N, fake y_j, j = 1..M (Kynkäänniemi et al. 2019, eq. 1-3; Naeem et al. 2020, eq. 3-4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_points
from rivalry.stats.distances import (
    CELLS,
    TIE,
    centred,
    exact_distances,
    squared_distances,
    squared_distances_once,
)


@dataclass(frozen=True)
class PRDC:
    """precision: share of fakes among the real.  recall: share of reals among the fake.  Both in [0, 1].

    density >= 0: how densely fakes lie among the real, 1 for equal distributions.  coverage in [0, 1]: share
    of reals with a fake nearby; `expected_coverage` says what equal distributions reach.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int
    real_count: int
    fake_count: int


def neighbour_radii(x: Tensor, k: int = 5, *, cells: int = CELLS) -> Tensor:
    """[N] float64: distance of each row of x [N, D] to its k-th nearest other row; 0 for k duplicates.

    Compute it once for the real side and hand it to `prdc` at every look.
    """
    check_points("x", x, least=k + 1)
    if k < 1:
        raise DataError(f"neighbours are counted from the first, not from {k}")
    (points,) = centred(x)
    best = torch.full((len(points), k), torch.inf, dtype=points.dtype, device=points.device)
    index = torch.zeros((len(points), k), dtype=torch.int64, device=points.device)
    for start, squares in squared_distances_once(points, cells=cells):
        stop = start + len(squares)
        _keep_nearest(best[start:stop], index[start:stop], squares, start)
        _keep_nearest(best[stop:], index[stop:], squares[:, len(squares) :].T, start)
    rows = max(1, cells // points.shape[1])
    pairs = zip(points.split(rows), index.split(rows), strict=True)
    return torch.cat([exact_distances(part, points, own).amax(1) for part, own in pairs])


def _keep_nearest(best: Tensor, index: Tensor, squares: Tensor, offset: int) -> None:
    """Update the k smallest squares so far [n, k] and their columns, in place, with squares [n, m] of columns
    `offset` ..."""
    values, columns = squares.topk(min(best.shape[1], squares.shape[1]), dim=1, largest=False)
    smallest, order = torch.cat([best, values], dim=1).topk(best.shape[1], dim=1, largest=False)
    index.copy_(torch.cat([index, columns + offset], dim=1).gather(1, order))
    best.copy_(smallest)


@torch.no_grad()
def prdc(real: Tensor, fake: Tensor, k: int = 5, *, real_radii: Tensor | None = None, cells: int = CELLS) -> PRDC:
    """Precision, recall, density, coverage of fake [M, D] against real [N, D] features, N, M > k.

    Published values use k = 3 (Kynkäänniemi) or k = 5 (Naeem) and N = M; they depend on all three.
    Each distance is computed once: N^2 + M^2 for the radii, N M shared by the four.  `real_radii` [N] saves
    the first.  Memory: float64 copies and `cells` distances, never N x M.  DataError on unfit shapes and NaN.
    """
    check_points("the real side", real, least=k + 1)
    check_points("the fake side", fake, least=k + 1, dim=real.shape[1])
    # Each set's radii are taken about its own centre: a collapsed model may sit far from the real data.
    radii = neighbour_radii(real, k, cells=cells) if real_radii is None else real_radii.to(real.device)
    if radii.shape != (len(real),):
        raise DataError(f"radii of {list(radii.shape)} do not belong to {len(real)} real rows")
    real_balls = radii.to(torch.float64).square() * (1 + TIE)
    fake_balls = neighbour_radii(fake.to(real.device), k, cells=cells).square() * (1 + TIE)

    x, y = centred(real, fake)
    balls_around_fake = torch.zeros(len(y), dtype=torch.int64, device=x.device)
    covered = recalled = 0
    for start, squares in squared_distances(x, y, cells=cells):
        balls = real_balls[start : start + len(squares)]
        balls_around_fake += (squares <= balls[:, None]).sum(0)
        covered += int((squares.amin(1) <= balls).sum())
        recalled += int((squares <= fake_balls).any(1).sum())
    return PRDC(
        precision=float((balls_around_fake > 0).double().mean()),
        recall=recalled / len(x),
        density=float(balls_around_fake.double().mean()) / k,
        coverage=covered / len(x),
        k=k,
        real_count=len(x),
        fake_count=len(y),
    )


def expected_coverage(real_count: int, fake_count: int, k: int = 5) -> float:
    """Mean coverage for equal distributions: 1 - prod_{i=1..k} (N - i) / (M + N - i) (Naeem et al., eq. 9).

    Density's mean is 1 there.  N = `real_count` > k, M = `fake_count`.
    """
    if not 1 <= k < real_count or fake_count < 1:
        raise DataError(f"coverage needs 1 <= k < real rows and a fake, not k={k} of {real_count}, {fake_count}")
    missed = 1.0
    for i in range(1, k + 1):
        missed *= (real_count - i) / (fake_count + real_count - i)
    return 1 - missed
