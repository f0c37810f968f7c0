"""How strongly each pair of a table's columns hangs together, whatever their kinds: one matrix to look at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from rivalry.stats.tabular import DENSE, checked, correlations, level_codes


def associations(rows: Tensor, kinds: Sequence[str]) -> Tensor:
    """[C, C] symmetric, diagonal 1: Pearson's correlation of two numbers (-1..1), Cramer's V of two categories (0..1), the
    correlation ratio eta of a number and a category (0..1), over the rows [N, C] where both are present.

    0 where a column does not vary.  V and eta of independent columns are above 0 by about the square root of levels / N,
    so compare sides of equal N.
    """
    (rows,) = checked(kinds, rows)
    numbers = torch.tensor([kind == "number" for kind in kinds])
    found = torch.eye(len(kinds), dtype=torch.float64)
    own = numbers.nonzero().flatten()
    found[own[:, None], own] = correlations(rows[:, own]).cpu()
    found.fill_diagonal_(1.0)
    for i, j in combinations(range(len(kinds)), 2):
        if bool(numbers[i]) and bool(numbers[j]):
            continue
        both = ~(rows[:, i].isnan() | rows[:, j].isnan())
        x, y = rows[both, i], rows[both, j]
        if bool(numbers[i]) or bool(numbers[j]):
            value = correlation_ratio(*((x, y) if bool(numbers[i]) else (y, x)))
        else:
            value = cramers_v(x, y)
        found[i, j] = found[j, i] = value
    return found


def cramers_v(x: Tensor, y: Tensor) -> float:
    """sqrt(chi^2 / (N (min(levels) - 1))) of two categories [N] (Cramer 1946), without correction; 0 if one is constant."""
    (a, last_a), (b, last_b) = level_codes(x), level_codes(y)
    if min(last_a, last_b) < 2:
        return 0.0
    cells = a * last_b + b
    if last_a * last_b <= DENSE:
        counts = cells.bincount(minlength=last_a * last_b).double()
        places = torch.arange(len(counts))
    else:
        places, counts = cells.unique(return_counts=True)
    expected = a.bincount().double()[places // last_b] * b.bincount().double()[places % last_b] / len(x)
    # chi^2 = sum n_ij^2 / e_ij - N, which empty cells add nothing to
    chi = float((counts.double().square() / expected).sum()) - len(x)
    return float(max(0.0, chi / len(x) / (min(last_a, last_b) - 1)) ** 0.5)


def correlation_ratio(number: Tensor, category: Tensor) -> float:
    """sqrt(variance between the categories' means / variance) of [N] each (Pearson 1911); 0 for a constant number."""
    if not len(number) or float(number.max()) == float(number.min()):
        return 0.0
    codes, levels = level_codes(category)
    moved = number - number.mean()
    counts = codes.bincount(minlength=levels).double()
    sums = torch.zeros(levels, dtype=torch.float64, device=number.device).index_add_(0, codes, moved)
    between = float((sums.square() / counts).sum())
    return float(min(1.0, between / float(moved.square().sum())) ** 0.5)
