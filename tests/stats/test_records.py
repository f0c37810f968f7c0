"""Rulers of records: against counting by hand, and a faithful, a shuffled, a collapsed and a copying model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rivalry.stats.records import change_errors, independent_visits, lag_errors, successive, summaries, visit_counts
from rivalry.stats.tabular import shape_errors

F = torch.float64
KINDS = ["number", "category"]


def walks(n: int, seed: int, keep: float = 0.9) -> tuple[Tensor, Tensor]:
    """(table, owner): an autoregressive number and a ward that mostly stays, of 1 to 6 visits."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 7, (n,), generator=g)
    owner = torch.arange(n).repeat_interleave(lengths)
    x, ward = torch.randn(n, generator=g, dtype=F), torch.randint(3, (n,), generator=g)
    rows = []
    for _ in range(6):
        rows.append(torch.stack([x, ward.double()], 1))
        x = keep * x + (1 - keep**2) ** 0.5 * torch.randn(n, generator=g, dtype=F)
        ward = torch.where(torch.rand(n, generator=g) < keep, ward, torch.randint(3, (n,), generator=g))
    place = torch.arange(len(owner)) - (lengths.cumsum(0) - lengths)[owner]
    return torch.stack(rows, 1)[owner, place], owner


def test_successive_and_counts() -> None:
    owner = torch.tensor([0, 0, 2, 2, 2, 3])
    assert successive(owner).tolist() == [0, 2, 3]
    assert visit_counts(owner, 5).tolist() == [2, 0, 3, 1, 0]


def test_lag_and_change_against_counting() -> None:
    real = (torch.tensor([[1.0, 0], [2, 0], [4, 1], [3, 1]], dtype=F), torch.tensor([0, 0, 1, 1]))
    fake = (torch.tensor([[1.0, 0], [2, 1], [4, 1], [5, 0]], dtype=F), torch.tensor([0, 0, 1, 1]))
    lag = lag_errors(real, fake, KINDS)
    # numbers: corr((1, 4), (2, 3)) = 1 and corr((1, 4), (2, 5)) = 1; transitions 00, 11 against 01, 10
    assert lag.tolist() == pytest.approx([0.0, 1.0])
    change = change_errors(real, fake, KINDS)
    # steps 1, -1 against 1, 1; wards that change: none of two against two of two
    assert change.tolist() == pytest.approx([0.5, 1.0])


def test_a_change_that_one_side_alone_knows_counts_by_how_often_it_is() -> None:
    owner = torch.arange(100).repeat_interleave(2)
    real = torch.full((200, 1), torch.nan, dtype=F)
    fake = real.clone()
    fake[:6] = torch.tensor([[1.0], [2], [1], [3], [5], [4]], dtype=F)
    assert change_errors((real, owner), (fake, owner), ["number"]).tolist() == pytest.approx([0.03])
    real[10:16] = torch.tensor([[1.0], [2], [1], [3], [4], [3]], dtype=F)  # the same changes, elsewhere
    assert change_errors((real, owner), (fake, owner), ["number"]).tolist() == pytest.approx([0.0])


def test_a_faithful_model_is_near_and_a_shuffled_one_is_not() -> None:
    real, fresh = walks(2000, 0), walks(2000, 1)
    order = torch.randperm(len(fresh[0]), generator=torch.Generator().manual_seed(0))
    shuffled = (fresh[0][order], fresh[1])
    assert float(lag_errors(real, fresh, KINDS).max()) < 0.04
    assert float(change_errors(real, fresh, KINDS).max()) < 0.05
    assert float(shape_errors(real[0], shuffled[0], KINDS).max()) < 0.05  # the margins say nothing
    assert float(lag_errors(real, shuffled, KINDS).min()) > 0.4
    assert float(change_errors(real, shuffled, KINDS).min()) > 0.25


def test_a_copying_and_a_collapsed_model() -> None:
    real = walks(500, 0)
    assert float(lag_errors(real, real, KINDS).max()) == 0.0
    assert float(change_errors(real, real, KINDS).max()) == 0.0
    still = (real[0][:1].expand_as(real[0]).clone(), real[1])
    assert float(lag_errors(real, still, KINDS).min()) > 0.4
    single = (real[0][:3], torch.arange(3))
    assert lag_errors(real, single, KINDS).tolist() == [1.0, 1.0]


def test_summaries_of_patients() -> None:
    table = torch.tensor([[1.0, 2], [torch.nan, 1], [5, 0]], dtype=F)
    rows, kinds = summaries(table, torch.tensor([0, 0, 2]), 3, KINDS)
    assert kinds == ["number", "number", "number", "number", "number", "category", "category"]
    assert rows[0, [0, 1, 3, 4, 5, 6]].tolist() == [2, 1, 1, 0.5, 2, 1]
    assert bool(rows[0, 2].isnan())
    assert rows[2].tolist() == [1, 5, 5, 5, 0, 0, 0]
    assert float(rows[1, 0]) == 0
    assert bool(rows[1, 1:].isnan().all())


def test_independent_visits_keep_margins_and_lose_memory() -> None:
    table, owner = walks(1500, 0)
    visits = torch.full((1500, 6, 3), torch.nan, dtype=F)
    starts = visit_counts(owner, 1500).cumsum(0).long() - visit_counts(owner, 1500).long()
    place = torch.arange(len(owner)) - starts[owner]
    visits[owner, place, 1:] = table
    visits[owner, place, 0] = place.double().clamp(max=1)
    static = torch.arange(1500, dtype=F)[:, None].expand(-1, 2)
    own, made = independent_visits(static, visits, 1500, 0)
    assert not torch.equal(own[:, 0], own[:, 1])
    there = ~made[:, :, 0].isnan()
    assert bool((there[:, :-1] | ~there[:, 1:]).all())
    assert set(made[:, 0, 0].tolist()) == {0.0}
    who, at = there.nonzero(as_tuple=True)
    rows = made[who, at, 1:]
    lengths = [visit_counts(o, 1500)[:, None] for o in (owner, who)]
    assert float(shape_errors(*lengths, ["number"])) < 0.05
    assert float(shape_errors(table, rows, KINDS).max()) < 0.05
    assert float(lag_errors((table, owner), (rows, who), KINDS).min()) > 0.4
    again = independent_visits(static, visits, 1500, 0)
    assert torch.equal(again[1].nan_to_num(-9), made.nan_to_num(-9))
