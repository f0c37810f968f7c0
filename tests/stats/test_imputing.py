"""Filling missing cells: against conditional distributions that are known."""

import math

import pytest
import torch

from rivalry.stats.imputing import Pool, Ways, fill, ranks, relevance


def normal(n, rho=0.8, seed=0):
    g = torch.Generator().manual_seed(seed)
    x, e = torch.randn(2, n, generator=g, dtype=torch.float64)
    return torch.stack([x, rho * x + math.sqrt(1 - rho**2) * e, torch.randn(n, generator=g, dtype=torch.float64)], 1)


def emptied(rows, column):
    gaps = torch.zeros(rows.shape, dtype=torch.bool)
    gaps[:, column] = True
    return rows.masked_fill(gaps, torch.nan), gaps


def test_draws_have_the_conditional_mean_and_spread_of_a_normal():
    pool, real = Pool.of(normal(40_000), ("number",) * 3), normal(4000, seed=1)
    holed, gaps = emptied(real, 1)
    drawn, left = fill(holed, gaps, pool, (1,), 0)
    assert not bool(left.any())
    assert torch.equal(drawn[:, [0, 2]], real[:, [0, 2]])
    rest = drawn[:, 1] - 0.8 * real[:, 0]
    inside = real[:, 0].abs() < 2
    assert abs(float(rest[inside].mean())) < 0.03
    assert float(rest[inside].std()) == pytest.approx(0.6, abs=0.03)
    slope = float((drawn[:, 1] * real[:, 0]).mean() / real[:, 0].square().mean())
    assert slope == pytest.approx(0.8, abs=0.03)
    best, _ = fill(holed, gaps, pool, (1,), 0, Ways(likely=True))
    error = (best[:, 1] - real[:, 1]).square().mean().sqrt()
    assert float(error) < 1.05 * 0.6  # the root of the conditional variance cannot be beaten


def test_levels_are_drawn_at_their_conditional_shares():
    g = torch.Generator().manual_seed(0)
    table = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])

    def made(n):
        a = torch.randint(2, (n,), generator=g)
        return torch.stack([a, torch.multinomial(table[a], 1, generator=g)[:, 0], torch.randint(5, (n,), generator=g)], 1).double()

    holed, gaps = emptied(made(6000), 1)
    drawn, _ = fill(holed, gaps, Pool.of(made(30_000), ("category",) * 3), (1,), 0, Ways(neighbours=200))
    for a in (0, 1):
        shares = torch.bincount(drawn[drawn[:, 0] == a, 1].long(), minlength=3) / int((drawn[:, 0] == a).sum())
        assert shares.tolist() == pytest.approx(table[a].tolist(), abs=0.03)


def test_cells_of_one_row_go_together():
    """y = x exactly: filled one after the other they stay equal, though nothing else is known."""
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pool = Pool.of(torch.stack([x, x], 1), ("number", "number"))
    gaps = torch.ones(2000, 2, dtype=torch.bool)
    rows, _ = fill(torch.full((2000, 2), torch.nan, dtype=torch.float64), gaps, pool, (0, 1), 0)
    assert float((rows[:, 0] - rows[:, 1]).abs().median()) < 0.01
    assert float(rows[:, 0].std()) == pytest.approx(1, abs=0.06)


def test_only_gaps_are_filled_and_seeds_differ():
    pool = Pool.of(normal(5000), ("number",) * 3)
    holed, gaps = emptied(normal(300, seed=2), 1)
    gaps[::2] = False
    a, left = fill(holed, gaps, pool, (0, 1, 2), 0)
    assert bool(a[::2, 1].isnan().all())
    assert not bool(left.any())
    again, other = fill(holed, gaps, pool, (0, 1, 2), 0)[0], fill(holed, gaps, pool, (0, 1, 2), 1)[0]
    assert torch.equal(a.nan_to_num(9), again.nan_to_num(9))
    assert not torch.equal(a.nan_to_num(9), other.nan_to_num(9))


def test_what_is_not_allowed_is_not_filled_in():
    pool = Pool.of(normal(5000), ("number",) * 3)
    holed, gaps = emptied(normal(400, seed=2), 1)
    rows, left = fill(holed, gaps, pool, (1,), 0, Ways(allowed=lambda r, t: ~(r[:, 1] < r[:, 0])))
    filled = ~left[:, 1]
    assert 0.8 < float(filled.double().mean()) <= 1
    assert bool((rows[filled, 1] >= rows[filled, 0]).all())
    assert bool(rows[left[:, 1], 1].isnan().all())
    _, left = fill(holed, gaps, pool, (1,), 0, Ways(allowed=lambda r, t: torch.zeros(len(r), dtype=torch.bool)))
    assert bool(left[:, 1].all())
    pool.rows[:, 1] = torch.nan  # the pool has no value to give
    assert bool(fill(holed, gaps, pool, (1,), 0)[1][:, 1].all())


def test_ranks_and_relevance():
    among = torch.tensor([1.0, 2, 2, 3, torch.nan], dtype=torch.float64)
    assert ranks(torch.tensor([0.0, 1, 2, 9], dtype=torch.float64), among).tolist() == [0, 0.125, 0.5, 1]
    g = torch.Generator().manual_seed(0)
    a, b = torch.randint(4, (2, 20_000), generator=g)
    found = relevance(torch.stack([a, b, a // 2, a], 1).double(), ("category",) * 4)
    assert found[0].tolist() == pytest.approx([0, 0, 0.5, 1], abs=0.002)  # a // 2 tells one bit of two
    assert found[2].tolist() == pytest.approx([1, 0, 0, 1], abs=0.002)
