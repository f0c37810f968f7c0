"""Canaries, likelihood ratios, data copying and the three risks: closed forms, brute force, scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from rivalry.errors import DataError
from rivalry.stats.canaries import canary_bound, guesses, guesses_bound, lira, p_of_guesses, standardised
from rivalry.stats.data_copying import data_copying, k_means, mann_whitney_z
from rivalry.stats.risks import Predicates, linked, linked_by_chance, predicates, risk

# -- one-run bound ----------------------------------------------------------------------------------------------------


def test_without_delta_it_is_the_binomial_tail() -> None:
    for m, r, v, epsilon in [(100, 50, 40, 1.0), (20, 20, 11, 0.0), (9, 3, 3, 2.5)]:
        q = math.exp(epsilon) / (1 + math.exp(epsilon))
        assert p_of_guesses(m, r, v, epsilon, 0.0) == pytest.approx(scipy_stats.binom.sf(v - 1, r, q), rel=1e-9)


def test_delta_adds_what_the_theorem_says() -> None:
    """Brute force of 2 m delta max_i (f(v - i) - f(v)) / i."""
    m, r, v, epsilon, delta = 60, 40, 31, 0.7, 1e-4
    f = [float(scipy_stats.binom.sf(k - 1, r, math.exp(epsilon) / (1 + math.exp(epsilon)))) for k in range(r + 1)]
    steepest = max(((f[v - i] if v - i >= 0 else 1.0) - f[v]) / i for i in range(1, m + 1))
    assert p_of_guesses(m, r, v, epsilon, delta) == pytest.approx(f[v] + 2 * m * delta * steepest, rel=1e-9)


def test_all_right_has_a_closed_form() -> None:
    q = 0.05 ** (1 / 100)
    assert guesses_bound(100, 100, 100) == pytest.approx(math.log(q / (1 - q)), rel=1e-6)
    assert guesses_bound(100, 100, 55) == 0.0
    assert guesses_bound(100, 100, 100, delta=1e-5) < guesses_bound(100, 100, 100)


def test_the_bound_holds_for_randomised_response() -> None:
    """Each coin is told truly with chance q, which is exactly epsilon-private: the bound errs in 5 % of runs at most."""
    epsilon, m, g = 1.0, 100, torch.Generator().manual_seed(0)
    q = math.exp(epsilon) / (1 + math.exp(epsilon))
    wrong = 0
    for _ in range(150):
        planted = torch.rand(m, generator=g) < 0.5
        told = planted ^ (torch.rand(m, generator=g) > q)
        wrong += canary_bound(told.double() + 0.01 * torch.rand(m, generator=g), planted)[0] > epsilon
    assert wrong <= 14


def test_guesses_take_the_surest_of_both_ends() -> None:
    scores, planted = torch.tensor([5.0, 4, 3, 2, 1, 0]), torch.tensor([True, False, True, True, False, False])
    assert guesses(scores, planted, 1.0) == (6, 4)
    assert guesses(scores, planted, 0.3) == (2, 2)
    with pytest.raises(DataError):
        p_of_guesses(5, 6, 3, 1.0, 0.0)


# -- likelihood ratio -------------------------------------------------------------------------------------------------


def test_lira_is_the_ratio_of_two_normals() -> None:
    g = torch.Generator().manual_seed(1)
    member = torch.rand(8, 50, generator=g) < 0.5
    shadows, target = torch.randn(8, 50, generator=g, dtype=torch.float64), torch.randn(50, generator=g, dtype=torch.float64)
    expected, sums = [], {True: [], False: []}
    for side in (True, False):
        for i in range(50):
            mine = shadows[member[:, i] == side, i].numpy()
            sums[side] += [((mine - mine.mean()) ** 2).sum() if len(mine) else 0.0]
    pooled = {s: sum(sums[s]) / max(1, sum(max(0, int((member[:, i] == s).sum()) - 1) for i in range(50))) for s in sums}
    for i in range(50):
        told = []
        for side in (True, False):
            mine = shadows[member[:, i] == side, i]
            told.append(scipy_stats.norm.logpdf(float(target[i]), float(mine.mean()) if len(mine) else 0, pooled[side] ** 0.5))
        known = bool(member[:, i].any() and (~member[:, i]).any())
        expected.append(told[0] - told[1] if known else 0.0)
    torch.testing.assert_close(lira(target, shadows, member), torch.tensor(expected, dtype=torch.float64))


def test_lira_finds_members_that_a_threshold_does_not() -> None:
    """Rows differ by far more among themselves than membership adds: only the comparison with shadows tells."""
    g = torch.Generator().manual_seed(2)
    hard, member = 10 * torch.randn(400, generator=g), torch.rand(8, 400, generator=g) < 0.5
    truth = torch.rand(400, generator=g) < 0.5
    shadows = (hard + 2.0 * member + 0.5 * torch.randn(8, 400, generator=g)).double()
    target = (hard + 2.0 * truth + 0.5 * torch.randn(400, generator=g)).double()
    score = lira(target, shadows, member)
    assert float(((score > 0) == truth).double().mean()) > 0.9
    assert standardised(torch.tensor([1.0, 2, 3, 4, 5])).tolist() == [-2, -1, 0, 1, 2]


# -- data copying -----------------------------------------------------------------------------------------------------


def test_u_is_scipys() -> None:
    g = np.random.default_rng(0)
    a, b = g.integers(0, 9, 40).astype(float), g.integers(2, 9, 60).astype(float)
    u = scipy_stats.mannwhitneyu(a, b, alternative="two-sided", method="asymptotic", use_continuity=False)
    z = mann_whitney_z(torch.from_numpy(a), torch.from_numpy(b))
    assert 2 * scipy_stats.norm.sf(abs(z)) == pytest.approx(u.pvalue, rel=1e-9)
    assert z < 0
    assert mann_whitney_z(torch.ones(5), torch.ones(7)) == 0.0


def test_k_means_finds_separate_heaps() -> None:
    g = torch.Generator().manual_seed(0)
    heaps = torch.tensor([[0.0, 0], [20, 0], [0, 20]])
    x = (heaps[:, None] + torch.randn(3, 100, 2, generator=g)).flatten(0, 1)
    found = k_means(x, 3, 0)
    torch.testing.assert_close(found[found.sum(1).argsort()][0], x[:100].double().mean(0))
    with pytest.raises(DataError):
        k_means(x, 301, 0)


def test_copying_is_below_and_noise_above() -> None:
    g = torch.Generator().manual_seed(0)
    train, held, new = (torch.randn(800, 4, generator=g) for _ in range(3))
    assert abs(data_copying(new, train, held).c_t) < 3
    copied = data_copying(train[:600] + 0.05 * torch.randn(600, 4, generator=g), train, held)
    assert copied.c_t < -5
    assert copied.cells == 8
    assert data_copying(new * 1.6, train, held).c_t > 3
    one_cell = torch.where((new[:, :1] > 0).expand_as(new), train, new)  # copies in one half of space only
    assert data_copying(one_cell, train, held).worst < -3


# -- risks ------------------------------------------------------------------------------------------------------------


def hits(n: int, share: float) -> torch.Tensor:
    return torch.arange(n) < share * n


def test_risk_is_what_goes_beyond_the_control() -> None:
    found = risk("x", hits(1000, 0.6), hits(1000, 0.2), hits(1000, 0.1))
    assert found.risk.value == pytest.approx((0.6 - 0.2) / 0.8)
    assert found.risk.low == pytest.approx((found.attack.low - found.control.high) / (1 - found.control.high))
    assert found.measures
    assert found.p_value == pytest.approx(scipy_stats.fisher_exact([[600, 400], [200, 800]], "greater").pvalue, rel=1e-6)
    poor = risk("x", hits(1000, 0.1), hits(1000, 0.1), hits(1000, 0.1))
    assert not poor.measures
    assert poor.risk.low < 0 < poor.risk.high


def test_links_are_found_where_both_halves_are_near_the_same_sample() -> None:
    g = torch.Generator().manual_seed(0)
    samples, targets = torch.randn(500, 6, generator=g), torch.randn(200, 6, generator=g)
    copies = samples[:200] + 0.01

    def halves(x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(x[:, :3], samples[:, :3]), (x[:, 3:], samples[:, 3:])]

    assert linked(*halves(copies)).all()
    mine, chance = linked(*halves(targets)).double().mean(), linked_by_chance(2000, 500, 5, 0).double().mean()
    assert abs(float(mine) - float(chance)) < 0.1
    assert float(chance) == pytest.approx(1 - math.comb(495, 5) / math.comb(500, 5), abs=0.015)


def test_predicates_ask_what_their_sample_says() -> None:
    nan = math.nan
    samples = torch.tensor([[1.0, 0, 5.0], [2, 1, nan], [9, 0, 7.0]], dtype=torch.float64)
    asked = predicates(samples, ("number", "category", "number"), 0, count=300)
    assert int(asked.used.sum(1).min()) == 1
    assert int(asked.used.sum(1).max()) == 3
    met = asked.met(samples)
    assert int(met.min()) >= 1, "a sample answers its own question"
    brute = []
    for p in range(300):
        count = 0
        for row in samples.tolist():
            yes = True
            for c, (x, v) in enumerate(zip(row, asked.values[p].tolist(), strict=True)):
                if not asked.used[p, c]:
                    continue
                if math.isnan(v):
                    yes &= math.isnan(x)
                elif c == 1:
                    yes &= x == v
                else:
                    yes &= x >= v if asked.above[p, c] else x <= v
            count += yes
        brute.append(count)
    assert met.tolist() == brute
    alone = torch.zeros(3, dtype=torch.bool)
    for p in range(300):
        mine = Question(asked, p).met_by(samples)
        if mine.sum() == 1:
            alone |= mine
    assert torch.equal(asked.singled(samples), alone)


class Question:
    """One question, asked of each row on its own."""

    def __init__(self, asked: Predicates, p: int) -> None:
        self.one = Predicates(asked.used[p : p + 1], asked.values[p : p + 1], asked.above[p : p + 1], asked.number)

    def met_by(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.tensor([bool(self.one.met(row[None])[0]) for row in rows])
