"""From counts to a forest: projections, agreement, proportional fitting, sampling."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rivalry.baselines.forest import Forest, agreed, fitted, joined, on_simplex


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_projection_is_the_nearest_on_the_simplex() -> None:
    """p is the nearest of a convex set exactly if (x - p)(z - p) <= 0 for all its z: for a simplex, its corners."""
    for seed in range(20):
        x = 4 * some(7, seed=seed) - 2
        p = on_simplex(x, 3.0)
        assert float(p.sum()) == pytest.approx(3.0)
        assert float(p.min()) >= 0
        corners = 3.0 * torch.eye(7, dtype=torch.float64)
        assert float(((corners - p) @ (x - p)).amax()) <= 1e-12


def test_singles_are_weighted_by_their_variances() -> None:
    """Two looks at the same counts: the single with variance 2, the sums over a row of 5 noisy cells of variance 3."""
    one, other = torch.tensor([50.0, 30.0, 20.0]).double(), torch.full((5,), 20.0).double()
    pair = torch.outer(torch.tensor([40.0, 40.0, 20.0]).double(), other) / 100
    first, second = agreed([one, other], {(0, 1): pair}, (2.0, 3.0))
    a, b = 1 / 2, 1 / (3 * 5)
    assert first.tolist() == pytest.approx([(a * x + b * y) / (a + b) for x, y in ((50, 40), (30, 40), (20, 20))])
    assert second.tolist() == pytest.approx(other.tolist())


def test_pairs_get_their_margins_and_exact_ones_stay() -> None:
    exact = 100 * some(4, 6)
    exact[1, 2:] = 0
    rows, columns = exact.sum(1), exact.sum(0)
    assert torch.allclose(fitted(exact, rows, columns), exact, atol=1e-6)
    noisy = exact + 40 * (some(4, 6, seed=1) - 0.5)
    found = fitted(noisy, rows, columns)
    assert float(found.min()) >= 0
    assert torch.allclose(found.sum(1), rows)
    assert torch.allclose(found.sum(0), columns)
    assert float((found - exact).norm()) < float((noisy - exact).norm())


def test_a_row_that_noise_wiped_out_is_filled_by_independence() -> None:
    pair = torch.tensor([[50.0, 50.0], [-500.0, -500.0]]).double()
    rows, columns = torch.tensor([90.0, 10.0]).double(), torch.tensor([50.0, 50.0]).double()
    assert fitted(pair, rows, columns).sum(1).tolist() == pytest.approx([90, 10])


def test_trees_are_told_apart() -> None:
    tree = joined([(0, 1), (3, 4)], 5)
    assert tree[0] == tree[1] != tree[2]
    assert tree[3] == tree[4]
    assert len(set(joined([(0, 1), (1, 2)], 3))) == 1


def test_a_forest_has_the_pairs_it_was_made_of() -> None:
    """Chain 2 - 0 - 1 and a lonely 3: every pair's chances, and independence of what is apart."""
    left, right = some(3, 4), some(3, 2, seed=2)
    right = right * (left.sum(1) / right.sum(1))[:, None]
    total = left.sum()
    alone = torch.tensor([0.2, 0.8]).double() * total
    forest = Forest.of([left.sum(1), left.sum(0), right.sum(0), alone], {(0, 1): left, (0, 2): right})
    assert sum(p < 0 for p in forest.parents) == 2
    n = 200_000
    codes = forest.sample(some(n, 4, seed=3))
    for (i, j), truth in {(0, 1): left / total, (0, 2): right / total}.items():
        seen = torch.bincount(codes[:, i] * truth.shape[1] + codes[:, j], minlength=truth.numel()).double() / n
        assert torch.allclose(seen, truth.flatten(), atol=0.005)
    given = torch.einsum("ab,ac->bc", left / total, right / left.sum(1, keepdim=True))  # 1 and 2, through 0
    seen = torch.bincount(codes[:, 1] * 2 + codes[:, 2], minlength=8).double() / n
    assert torch.allclose(seen, given.flatten(), atol=0.005)
    assert float((codes[:, 3] == 1).double().mean()) == pytest.approx(0.8, abs=0.005)
    # deterministic at the ends of the interval
    assert int(forest.sample(torch.zeros(1, 4, dtype=torch.float64)).amax()) <= 3
