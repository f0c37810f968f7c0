"""The divergence frontier against closed forms, and its cells."""

from __future__ import annotations

import pytest
import torch

from rivalry.errors import DataError
from rivalry.stats.frontier import cells, frontier_area


def test_equal_shares_have_area_one_and_none_in_common_next_to_none() -> None:
    counts = torch.tensor([500, 300, 200])
    assert frontier_area(counts, counts) == pytest.approx(1, abs=1e-6)
    apart = frontier_area(torch.tensor([1000, 0]), torch.tensor([0, 1000]))
    assert 0 < apart < 0.02
    near, far = (frontier_area(torch.tensor([500, 500]), torch.tensor(c)) for c in ([550, 450], [800, 200]))
    assert apart < far < near < 1


def test_of_shares_apart_the_curve_is_known() -> None:
    """p = (1, 0), q = (0, 1): KL(q | r) = -log(1 - a), KL(p | r) = -log a, so x = (1 - a)^5, y = a^5, and the area is
    the integral of a^5 5 (1 - a)^4 = 5 B(6, 5) = 1 / 252."""
    many = 10**9
    assert frontier_area(torch.tensor([many, 0]), torch.tensor([0, many])) == pytest.approx(1 / 252, rel=0.01)


def test_it_is_the_same_from_either_side() -> None:
    a, b = torch.tensor([70, 20, 10]), torch.tensor([10, 60, 30])
    assert frontier_area(a, b) == pytest.approx(frontier_area(b, a), abs=1e-9)


def test_cells_are_those_of_clusters_far_apart() -> None:
    draw = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    which = torch.randint(3, (300,), generator=draw)
    found = cells(centres[which] + 0.1 * torch.randn(300, 2, generator=draw), 3, seed=1)
    assert len(set(zip(which.tolist(), found.tolist(), strict=True))) == 3
    with pytest.raises(DataError, match="4 cells need as many rows"):
        cells(centres, 4)
