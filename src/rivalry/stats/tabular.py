"""Rulers for tables: marginals, pairs of columns, missing cells, support; and the baseline of independent columns.

Rows are [N, C] float64 in the columns' own units: numbers as they are, categories as level numbers, NaN where a
cell is missing; `kinds` says 'number' or 'category' for each column.  Shape and trend follow SDMetrics 0.32, which
TabSyn's protocol uses (Zhang et al. 2024, arXiv:2310.09656, section 5): 0 is perfect, 1 the worst, and tables
usually print percent.  Sampling noise keeps even a second real sample above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_points
from rivalry.stats.distances import CELLS, TIE, centred, squared_distances
from rivalry.stats.neighbours import neighbour_radii
from rivalry.streams import generator

KINDS = ("number", "category")

DENSE = 1_000_000
"""Joint tables of up to so many cells are counted whole, larger ones by their occupied cells."""

TICK = 1e-9
"""Distances from the centre count as equal below TICK times the largest real one (one-hot rows tie often)."""


def checked(kinds: Sequence[str], *tables: Tensor) -> tuple[Tensor, ...]:
    """The tables [N_i, C] as float64 on the first one's device; DataError unless they fit `kinds` and are finite."""
    if unknown := set(kinds) - set(KINDS):
        raise DataError(f"a column is a number or a category, not a {min(unknown)!r}")
    moved = []
    for position, table in enumerate(tables, start=1):
        check_points(f"table {position}", table, dim=len(kinds))
        if bool(table.isinf().any()):
            raise DataError(f"table {position} holds infinite values; make them missing (NaN) or leave them out")
        moved.append(table.to(tables[0].device, torch.float64))
    return tuple(moved)


def level_codes(column: Tensor) -> tuple[Tensor, int]:
    """Codes [N] of a column's values, ascending from 0, and the code of missing cells: one after the last value."""
    missing = column.isnan()
    levels = column[~missing].unique()
    return torch.where(missing, len(levels), torch.searchsorted(levels, column.contiguous())), len(levels)


def row_codes(rows: Tensor) -> Tensor:
    """[N] int64: equal rows of [N, C] (NaN equals NaN) have equal numbers, different rows different ones."""
    codes = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    for column in rows.unbind(1):
        own, last = level_codes(column)
        codes = torch.unique(codes * (last + 1) + own, return_inverse=True)[1]
    return codes


def shape_errors(real: Tensor, fake: Tensor, kinds: Sequence[str]) -> Tensor:
    """[C] in [0, 1]: how far each column's distribution is off, among the cells that are not missing.

    number: Kolmogorov-Smirnov distance max_t |F_real(t) - F_fake(t)| (1 - SDMetrics' KSComplement).
    category: total variation 1/2 sum_k |p_real(k) - p_fake(k)| (1 - TVComplement).  Both leave missing cells out;
    `missing_errors` counts those.  A column without any value: 0 if on both sides, 1 if on one.
    """
    real, fake = checked(kinds, real, fake)
    errors = torch.zeros(len(kinds), dtype=torch.float64, device=real.device)
    for column, kind in enumerate(kinds):
        x, y = (side[:, column] for side in (real, fake))
        x, y = x[~x.isnan()], y[~y.isnan()]
        if not len(x) or not len(y):
            errors[column] = float(len(x) != len(y))
        elif kind == "number":
            errors[column] = _kolmogorov_smirnov(x, y)
        else:
            codes, cells = level_codes(torch.cat([x, y]))
            errors[column] = _variation(codes, len(x), cells)
    return errors


def shape_error(real: Tensor, fake: Tensor, kinds: Sequence[str]) -> float:
    """Mean of `shape_errors`, in [0, 1]."""
    return float(shape_errors(real, fake, kinds).mean())


def _kolmogorov_smirnov(x: Tensor, y: Tensor) -> Tensor:
    """max_t |F_x(t) - F_y(t)| of the empirical distributions of [N] and [M]."""
    points = torch.cat([x, y])
    at_x, at_y = (torch.searchsorted(s.sort().values, points, right=True).double() / len(s) for s in (x, y))
    return (at_x - at_y).abs().amax()


def _variation(codes: Tensor, split: int, cells: int) -> Tensor:
    """Total variation between codes[:split] and codes[split:], whole numbers in 0..cells - 1."""
    if cells > DENSE:
        occupied, codes = torch.unique(codes, return_inverse=True)
        cells = len(occupied)
    shares = [side.bincount(minlength=cells).double() / len(side) for side in (codes[:split], codes[split:])]
    return (shares[0] - shares[1]).abs().sum() / 2


def trend_errors(real: Tensor, fake: Tensor, kinds: Sequence[str], bins: int = 10) -> Tensor:
    """[C, C] in [0, 1], symmetric, diagonal 0: how far the relation of each pair of columns is off.

    number, number: half the difference of Pearson's correlations over rows where both are present (1 -
    SDMetrics' CorrelationSimilarity).  A correlation that does not exist (a constant column) counts as 0, where
    SDMetrics leaves the pair out: a model whose column collapsed must not be spared.
    Any other pair: total variation of the joint table, missing being a level of its own (1 -
    ContingencySimilarity); a number is cut into `bins` intervals of equal width over the real range, open at both
    ends.  SDMetrics' quality report cuts each side over its own range instead, against its documentation, so
    mixed pairs differ from published ones where the ranges do.
    """
    real, fake = checked(kinds, real, fake)
    errors = torch.zeros(len(kinds), len(kinds), dtype=torch.float64, device=real.device)
    numbers = [column for column, kind in enumerate(kinds) if kind == "number"]
    own = torch.tensor(numbers, dtype=torch.int64, device=real.device)
    errors[own[:, None], own] = (correlations(real[:, own]) - correlations(fake[:, own])).abs() / 2
    both = torch.cat([real, fake])
    coded = [
        _binned(both[:, column], len(real), bins) if column in numbers else level_codes(both[:, column])
        for column in range(len(kinds))
    ]
    for i, j in combinations(range(len(kinds)), 2):
        if kinds[i] == kinds[j] == "number":
            continue
        (a, last_a), (b, last_b) = coded[i], coded[j]
        cells = (last_a + 1) * (last_b + 1)
        errors[i, j] = errors[j, i] = _variation(a * (last_b + 1) + b, len(real), cells)
    return errors.fill_diagonal_(0.0)


def trend_error(real: Tensor, fake: Tensor, kinds: Sequence[str], bins: int = 10) -> float:
    """Mean of `trend_errors` over the pairs, in [0, 1]; 0 where there is one column only."""
    pairs = len(kinds) * (len(kinds) - 1)
    return float(trend_errors(real, fake, kinds, bins).sum()) / max(pairs, 1)


def _binned(column: Tensor, split: int, bins: int) -> tuple[Tensor, int]:
    """Codes [N] of intervals [edge, next edge) over the range of column[:split]; `bins` is missing's code."""
    missing = column.isnan()
    known = column[:split][~missing[:split]]
    # A range of no width is widened, and edges computed, as NumPy does it: whole numbers often lie on an edge.
    edges = np.histogram_bin_edges(known.cpu().numpy(), bins)[1:-1]
    codes = torch.bucketize(column.contiguous(), torch.from_numpy(edges).to(column), right=True)
    return torch.where(missing, bins, codes), bins


def correlations(x: Tensor) -> Tensor:
    """[C, C] Pearson correlations over the rows where both columns of x [N, C] are present; 0 where undefined."""
    present = ~x.isnan()
    unit = _unit(x, present)
    found = unit.T @ unit
    for column in (~present.all(0)).nonzero().flatten().tolist():
        both = present & present[:, column, None]
        partner = x[:, column, None].expand_as(x)
        found[column] = found[:, column] = (_unit(x, both) * _unit(partner, both)).sum(0)
    return found.clamp(-1, 1)


def _unit(x: Tensor, use: Tensor) -> Tensor:
    """Columns of x [N, C] over the cells `use`, centred and of length 1; 0 elsewhere and for constant columns."""
    high = x.masked_fill(~use, -torch.inf).amax(0)
    low = x.masked_fill(~use, torch.inf).amin(0)
    mean = x.masked_fill(~use, 0.0).sum(0) / use.sum(0).clamp(min=1)
    moved = (x - mean).masked_fill(~(use & (high > low)), 0.0)
    length: Tensor = moved.norm(dim=0)
    return moved / length.masked_fill(length == 0, 1.0)


def missing_errors(real: Tensor, fake: Tensor) -> Tensor:
    """[C] in [0, 1]: |share of missing cells, real - fake| of each column."""
    real, fake = checked(("number",) * real.shape[-1], real, fake)
    return (real.isnan().double().mean(0) - fake.isnan().double().mean(0)).abs()


def missing_pattern_distance(real: Tensor, fake: Tensor) -> float:
    """Total variation, in [0, 1], between the joint patterns of missing cells (which columns a row lacks)."""
    real, fake = checked(("number",) * real.shape[-1], real, fake)
    holes = torch.cat([real, fake]).isnan()
    codes = row_codes(holes[:, holes.any(0)].double())
    return float(_variation(codes, len(real), int(codes.max()) + 1))


def independent_marginals(real: Tensor, n: int, seed: int) -> Tensor:
    """[n, C]: each column of real [N, C] permuted on its own, missing cells included: marginals without relations.

    The baseline that shows what marginals alone are worth.  Beyond N rows permutations follow each other, so
    that every value comes as often as any other, give or take one.  The same for the same seed.
    """
    check_points("the table", real)
    if n < 1:
        raise DataError(f"a table has one row or more, not {n}")
    rounds = -(-n // len(real))
    draws = torch.rand(
        rounds, *real.shape, dtype=torch.float64, generator=generator(torch.device("cpu"), seed, "marginals")
    )
    order = draws.argsort(1).flatten(0, 1)[:n]
    return real.gather(0, order.to(real.device))


class Faithfulness(NamedTuple):
    """alpha: integrated alpha-precision (fidelity).  beta: integrated beta-recall (diversity).  authenticity: share
    of fakes that are no copies.  All in [0, 1]; see `alpha_precision_beta_recall` for what a perfect model gets."""

    alpha: float
    beta: float
    authenticity: float


def alpha_precision_beta_recall(real: Tensor, fake: Tensor, *, cells: int = CELLS) -> Faithfulness:
    """Integrated alpha-precision, beta-recall and authenticity (Alaa et al. 2022, arXiv:2102.08921, section 4).

    real [N, D], fake [M, D]: encoded rows (no NaN), compared as they are, without the paper's one-class network.
    With c the mean of the real rows and r_i the distance of real x_i to its nearest other real row:

        P(a) = share of fakes in the ball around c that holds the share a of the reals; alpha = 1 - 2 int |P(a) - a|
        R(b) = share of reals x_i with a fake within r_i among the share b of fakes nearest to c;  beta likewise
        authenticity = share of fakes y farther from their nearest real x_i than r_i (ties: than each of them)

    Differences from the authors' code, so that values do not mix with published ones: fakes are ordered around
    the real centre, not their own, which hid a shift; their order counts all fakes, not those that reals
    chose; authenticity is of fakes, with their own neighbour's r_i; integrals are exact, and ties from the centre
    share their rank.  For equal distributions alpha is about 1, beta about M / (N + M - 1) (`expected_coverage`)
    or a little more, and authenticity 1/3 for D = 1, .38 for D = 2 and up to .9 in high dimensions; in tables of
    few levels most rows repeat and it falls towards 0 without copying: compare with what held-out real rows get.
    Work: N^2 / 2 + N M distances; memory as in `prdc`.  DataError on unfit shapes, N < 2, NaN.
    """
    found, _ = _faithful(real, fake, 1, cells)
    return found


class Spread(NamedTuple):
    """The value, and its standard error over the drawing of the fakes by a delete-a-group jackknife."""

    value: float
    error: float


def faithfulness(real: Tensor, fake: Tensor, groups: int = 5, *, cells: int = CELLS) -> tuple[Spread, Spread]:
    """(alpha, beta) of `alpha_precision_beta_recall`, each with its error; distances are computed once.

    DataError where there are fewer than two groups, or fewer fakes than twice as many.
    """
    if groups < 2 or len(fake) < 2 * groups:
        raise DataError(f"{groups} groups of {len(fake)} fakes show no spread; give at least two groups of two rows")
    found, without = _faithful(real, fake, groups, cells)
    parts = torch.tensor(without, dtype=torch.float64)
    errors = ((groups - 1) / groups * (parts - parts.mean(0)).square().sum(0)).sqrt().tolist()
    return Spread(found.alpha, errors[0]), Spread(found.beta, errors[1])


@torch.no_grad()
def _faithful(real: Tensor, fake: Tensor, groups: int, cells: int) -> tuple[Faithfulness, list[tuple[float, float]]]:
    """What all fakes get, and (alpha, beta) without each group of them (fake i is of group i % groups)."""
    check_points("the real side", real, least=2)
    check_points("the fake side", fake, dim=real.shape[1])
    x, y = centred(real, fake)
    balls = neighbour_radii(real, 1, cells=cells).square() * (1 + TIE)
    tick = float(x.norm(dim=1).amax()) * TICK or 1.0
    far_x, far_y = ((side.norm(dim=1) / tick).round() for side in (x, y))
    far_y, order = far_y.sort()
    group = order % groups
    first, copied = _first_inside(y[order], x, balls, group, groups, cells)
    everyone = torch.ones_like(group, dtype=torch.bool)
    alpha, beta = _alpha_beta(far_x, far_y, first.amin(1), everyone)
    without = []
    for g in range(groups) if groups > 1 else ():
        others = [h for h in range(groups) if h != g]
        without.append(_alpha_beta(far_x, far_y, first[:, others].amin(1), group != g))
    return Faithfulness(alpha, beta, 1 - copied / len(y)), without


def _alpha_beta(far_x: Tensor, far_y: Tensor, first: Tensor, kept: Tensor) -> tuple[float, float]:
    """(alpha, beta) of the `kept` fakes: far_y [M] ascending; first [N]: place in it of the first kept one in each real's
    ball, M for none."""
    own = far_y[kept]
    levels, counts = far_x.unique(return_counts=True)
    below, upto = (torch.searchsorted(own, levels, right=side).double() / len(own) for side in (False, True))
    alpha = _agreement(counts.double() / len(far_x), below, upto)

    _, group, counts = own.unique_consecutive(return_inverse=True, return_counts=True)
    place = (kept.cumsum(0) - 1)[first[first < len(kept)]]
    recalled = group[place].bincount(minlength=len(counts)).double() / len(far_x)
    reached = recalled.cumsum(0)
    return alpha, _agreement(counts.double() / len(own), reached - recalled, reached)


def _first_inside(
    y: Tensor, x: Tensor, balls: Tensor, group: Tensor, groups: int, cells: int
) -> tuple[Tensor, int]:
    """[N, groups]: the first row of y [M, D] of each group [M] inside the ball (square radius `balls` [N]) around each of
    x [N, D], M if none; and how many rows of y lie inside the ball of a nearest row of x."""
    first = torch.full((len(x), groups), len(y), dtype=torch.int64, device=x.device)
    copied = 0
    for start, squares in squared_distances(y, x, cells=cells):
        inside = squares <= balls
        nearest = squares <= squares.amin(1, keepdim=True) * (1 + TIE)
        copied += int((inside & nearest).any(1).sum())
        mine = group[start : start + len(squares)]
        for g in range(groups):
            rows = (mine == g).nonzero().flatten()
            if len(rows):
                of_group = inside[rows]
                here = torch.where(of_group.any(0), rows[of_group.byte().argmax(0)] + start, len(y))
                first[:, g] = torch.minimum(first[:, g], here)
    return first, copied


def _agreement(widths: Tensor, start: Tensor, stop: Tensor) -> float:
    """1 - 2 int_0^1 |G(t) - t| dt for G linear from `start` to `stop` on intervals of these widths [K], sum 1."""
    edges = widths.cumsum(0)
    left, right = start - (edges - widths), stop - edges
    size = left.abs() + right.abs()
    crossing = (left.square() + right.square()) / size.masked_fill(size == 0, 1.0)
    area = torch.where(left * right < 0, crossing, size) * widths / 2
    return 1 - 2 * float(area.sum())
