"""Chunked Euclidean distances that stay exact where it matters.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y is fast but cancels: in float32, far from the origin, it returned .533 for a
true distance of .0226, which is fatal when looking for copies.  Here points are centred first, products are
float64, what is left of rounding is snapped to 0, and the few distances that are reported are computed again
from differences.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_finite, check_points

CELLS = 4_000_000
"""Distances held at a time (32 MB of float64): rows of a chunk x columns."""

SNAP = 1e-12
"""Squared distances below SNAP (|x|^2 + |y|^2), from the centre, count as 0: a relative distance of 1e-6 is
what float32 features resolve, and float64 rounding is a thousand times smaller."""

TIE = 1e-9
"""Relative slack of squared distances, so that ties (lattices, one-hot records) do not hang on rounding."""


def centred(*sets: Tensor) -> tuple[Tensor, ...]:
    """Float64 copies of [N_i, D] sets, all shifted by the mean of the first; DataError on NaN and infinity."""
    check_points("the first set", sets[0])
    device = sets[0].device
    centre = sets[0].to(torch.float64).mean(0)
    shifted = []
    for position, points in enumerate(sets, start=1):
        check_points(f"set {position}", points, dim=len(centre))
        moved = points.to(device, torch.float64) - centre
        check_finite(f"set {position}", moved.sum(0))
        shifted.append(moved)
    return tuple(shifted)


def squared_distances(
    rows: Tensor, columns: Tensor, *, same: bool = False, cells: int = CELLS
) -> Iterator[tuple[int, Tensor]]:
    """Yield (start, squared distances [chunk, M]) of centred float64 rows [N, D] to all columns [M, D].

    `same` says that row i is column i, whose distance to itself becomes infinite.  `cells` bounds memory
    (at least one row) and changes nothing else.
    """
    norms = columns.square().sum(1)
    for start in range(0, len(rows), step := max(1, cells // max(1, len(columns)))):
        squares = _squares(rows[start : start + step], columns, norms)
        if same:
            squares.diagonal(start).fill_(torch.inf)
        yield start, squares


def squared_distances_once(points: Tensor, *, cells: int = CELLS) -> Iterator[tuple[int, Tensor]]:
    """Yield (start, squared distances [chunk, N - start]) of centred points [N, D] to those not before them.

    Each unordered pair comes once, half the work of `squared_distances`, except within a chunk, where pairs come
    twice; a point's distance to itself is infinite.
    """
    norms = points.square().sum(1)
    start = 0
    while start < len(points):
        rows = points[start : start + max(1, cells // (len(points) - start))]
        squares = _squares(rows, points[start:], norms[start:])
        squares.diagonal().fill_(torch.inf)
        yield start, squares
        start += len(rows)


def _squares(rows: Tensor, columns: Tensor, norms: Tensor) -> Tensor:
    """[n, M] squared distances with what is left of rounding snapped to 0; norms [M] are the columns' squares."""
    scale = rows.square().sum(1, keepdim=True) + norms
    squares = torch.addmm(scale, rows, columns.T, alpha=-2)
    return squares.masked_fill_(squares < scale.mul_(SNAP), 0.0)


def nearest(
    queries: Tensor, reference: Tensor, k: int = 1, *, same: bool = False, cells: int = CELLS
) -> tuple[Tensor, Tensor]:
    """The k nearest rows of reference [M, D] to each of queries [N, D]: distances and indices, each [N, k].

    Distances are float64, ascending, in units of the features, computed from differences (no cancellation).
    `same` says that queries are the reference itself and leaves each row's distance to itself out.
    Memory: float64 copies of both sets and `cells` distances.  DataError where k exceeds the neighbours.
    """
    check_points("queries", queries)
    available = len(reference) - (1 if same else 0)
    if not 1 <= k <= available:
        raise DataError(f"{k} nearest neighbours were asked for, where {available} exist; lower k")
    if same and len(queries) != len(reference):
        raise DataError("neighbours within one set need that set on both sides")
    base, points = centred(reference, queries)
    found, indices = [], []
    for start, squares in squared_distances(points, base, same=same, cells=cells):
        candidates = squares.topk(k, dim=1, largest=False).indices
        exact = exact_distances(points[start : start + len(squares)], base, candidates)
        order = exact.argsort(dim=1, stable=True)
        found.append(exact.gather(1, order))
        indices.append(candidates.gather(1, order))
    return torch.cat(found), torch.cat(indices)


def exact_distances(points: Tensor, base: Tensor, indices: Tensor) -> Tensor:
    """[n, k]: distance of points [n, D] to base[indices] (indices [n, k]), from differences, 1 column at a time."""
    columns = [(points - base[column]).square().sum(1).sqrt() for column in indices.unbind(1)]
    return torch.stack(columns, dim=1)
