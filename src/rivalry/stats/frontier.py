"""The divergence frontier of two sets of features in one number, as MAUVE has it, computed anew.

Features are cut into cells by k-means over both sets; with the shares p (real) and q (made) of the cells and the mixtures
r = a p + (1 - a) q, the curve is (exp(-c KL(q | r)), exp(-c KL(p | r))) for a in (0, 1), closed at the axes, and the value
the area under it: 1 where p = q, near 0 where they share no cell.  Pillutla et al. 2021 (arXiv:2102.01454), eq. 1-3 and
c = 5; shares by Krichevsky & Trofimov, half a row added to each cell (Pillutla et al. 2023, section 4.2).

Not comparable with published MAUVE: other features, other cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rivalry.errors import DataError

SCALE = 5.0
STEPS = 100
ROUNDS = 20


@torch.no_grad()
def cells(points: Tensor, k: int, seed: int = 0) -> Tensor:
    """[N, D] -> [N] cell numbers below k: k-means, begun at k rows chosen by the seed, ROUNDS of Lloyd's steps."""
    if len(points) < k:
        raise DataError(f"{k} cells need as many rows, and there are {len(points)}; give more")
    x = points.float()
    generator = torch.Generator().manual_seed(seed)
    centres = x[torch.randperm(len(x), generator=generator)[:k].to(x.device)].clone()
    nearest = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for _ in range(ROUNDS):
        nearest = (centres.square().sum(1) - 2 * x @ centres.T).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        counts = torch.bincount(nearest, minlength=k)
        moved = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return nearest


def frontier_area(real: Tensor, made: Tensor) -> float:
    """Counts of the k cells [k] of either set -> the area, in [0, 1]."""
    p, q = ((counts.double() + 0.5) / (counts.double() + 0.5).sum() for counts in (real, made))
    a = torch.linspace(0, 1, STEPS + 2, dtype=torch.float64, device=p.device)[1:-1, None]
    mixed = a * p + (1 - a) * q
    # as a rises, r goes from q to p: KL(q | r) rises and KL(p | r) falls
    x = torch.exp(-SCALE * (q * (q / mixed).log()).sum(1))
    y = torch.exp(-SCALE * (p * (p / mixed).log()).sum(1))
    one, zero = x.new_ones(1), x.new_zeros(1)
    x, y = torch.cat([one, x, zero]), torch.cat([zero, y, one])
    return float(-torch.trapezoid(y, x))
