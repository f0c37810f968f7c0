"""Attacks against closed forms: what a known difference of distributions must give, and what randomised response."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as reference
from torch import Tensor

from rivalry import stats
from rivalry.errors import DataError


def draw(rows: int, seed: int, dim: int = 1) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def auc(members: Tensor, others: Tensor) -> float:
    return stats.roc_auc(members, others)[0]


def phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def test_the_search_is_that_of_all_pairs_over_all_forms() -> None:
    forms, rows = [draw(30, 0, 3), draw(30, 1, 3) + 1], draw(50, 2, 3)
    found = stats.near(forms, rows, 4, radius=0.8, cells=200)
    apart = torch.stack([torch.cdist(f, rows, compute_mode="donot_use_mm_for_euclid_dist") for f in forms]).amin(0)
    best = apart.sort(1)
    torch.testing.assert_close(found.distance, best.values[:, :4])
    torch.testing.assert_close(found.index, best.indices[:, :4])
    assert found.within.tolist() == (apart <= 0.8).sum(1).tolist()


def test_nearest_distance_tells_narrow_members_from_wide_others() -> None:
    """All samples at 0: the score is -|x|, and P(|s Z1| < |Z2|) = 2/pi atan(1/s)."""
    s = 0.6
    members, others, samples = s * draw(6000, 0), draw(6000, 1), torch.zeros(5, 1)
    scores = stats.gan_leaks(stats.near([torch.cat([members, others])], samples))
    assert auc(scores[:6000], scores[6000:]) == pytest.approx(2 / math.pi * math.atan(1 / s), abs=0.015)


def test_ball_counts_are_an_indicator_for_one_sample() -> None:
    """AUC of an indicator: 1/2 + (p - q) / 2 with p, q the chances of lying in the ball."""
    s, radius = 0.6, 0.5
    members, others = s * draw(6000, 0), draw(6000, 1)
    found = stats.near([torch.cat([members, others])], torch.zeros(1, 1), radius=radius)
    scores = stats.ball_counts(found)
    p, q = (2 * phi(radius / scale) - 1 for scale in (s, 1.0))
    assert auc(scores[:6000], scores[6000:]) == pytest.approx(0.5 + (p - q) / 2, abs=0.012)


def test_density_ratio_and_classifiers_find_a_shift() -> None:
    """Samples and members from N(a, 1), reference and others from N(0, 1): the best attack, a ratio monotone in x, has
    AUC Phi(a / sqrt 2)."""
    a = 1.0
    samples, known = draw(4000, 0) + a, draw(4000, 1)
    members, others = draw(2000, 2) + a, draw(2000, 3)
    both = torch.cat([members, others])
    best = phi(a / math.sqrt(2))
    ratio = stats.density_ratio(stats.near([both], samples, 200), stats.near([both], known, 200), 200)
    assert auc(ratio[:2000], ratio[2000:]) == pytest.approx(best, abs=0.02)
    linear = stats.told_by_logistic(samples, known, both)
    assert auc(linear[:2000], linear[2000:]) == pytest.approx(best, abs=0.015)
    slope = float((linear[1] - linear[0]) / (both[1, 0] - both[0, 0]))
    assert slope == pytest.approx(a, abs=0.1), "log N(x; a, 1) / N(x; 0, 1) has the slope a"
    pytest.importorskip("sklearn")
    trees = stats.told_by_trees(samples, known, both, 0)
    assert auc(trees[:2000], trees[2000:]) == pytest.approx(best, abs=0.03)


def test_logistic_agrees_with_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = draw(80, 0, 3) + 0.5, draw(120, 1, 3)
    found = stats.told_by_logistic(x, y, draw(10, 2, 3))
    both = torch.cat([x, y])
    centre, scale = both.mean(0), both.std(0, correction=0)
    share = np.r_[np.full(80, 200 / 160), np.full(120, 200 / 240)]
    model = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    model.fit(((both - centre) / scale).numpy(), np.r_[np.ones(80), np.zeros(120)], sample_weight=share)
    known = model.decision_function(((draw(10, 2, 3) - centre) / scale).numpy())
    np.testing.assert_allclose(found.numpy(), known, atol=1e-4)


def test_calibration_takes_away_what_is_only_rare() -> None:
    """Members are copied, and half of all rows are outliers: the plain distance confuses rare with new."""
    scale = torch.where(torch.arange(1000) % 2 == 0, 1.0, 30.0)[:, None].double()
    rows = [scale * draw(1000, seed, 4) for seed in range(3)]
    members, others, known = rows
    samples = members + 0.1 * scale * draw(1000, 9, 4)
    both = torch.cat([members, others])
    plain, base = stats.near([both], samples), stats.near([both], known)
    calibrated = stats.gan_leaks_calibrated(plain, base)
    raw = stats.gan_leaks(plain)
    assert auc(calibrated[:1000], calibrated[1000:]) > auc(raw[:1000], raw[1000:]) + 0.05


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (20, 20), (137, 5000)])
def test_clopper_pearson_agrees_with_scipy(k: int, n: int) -> None:
    found = stats.clopper_pearson(k, n, 0.95)
    known = reference.binomtest(k, n).proportion_ci(0.95, "exact")
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


def test_p_values_agree_with_scipy() -> None:
    members, others = (draw(300, 0) + 0.2)[:, 0], draw(300, 1)[:, 0]
    coarse = (members * 2).round(), (others * 2).round()
    for m, o in ((members, others), coarse):
        found = stats.chance(m, o, tops=(0.1,))
        known = reference.mannwhitneyu(m.numpy(), o.numpy(), alternative="greater", method="asymptotic", use_continuity=False)
        assert found.ranking == pytest.approx(float(known.pvalue), rel=1e-6)
        pooled = torch.cat([m, o])
        threshold = pooled.sort(descending=True).values[59]
        hits, drawn = int((m >= threshold).sum()), int((pooled >= threshold).sum())
        assert found.tops[0] == pytest.approx(float(reference.hypergeom.sf(hits - 1, 600, 300, drawn)), rel=1e-6)


def test_p_values_are_uniform_without_a_difference() -> None:
    found = [stats.chance(draw(200, 2 * s)[:, 0], draw(200, 2 * s + 1)[:, 0]) for s in range(400)]
    for values in ([f.ranking for f in found], [f.tops[1] for f in found]):
        share = np.mean([v < 0.1 for v in values])
        assert 0.03 < share < 0.14
    assert stats.chance(torch.zeros(50), torch.zeros(60)).ranking == 1.0


def test_true_positives_at_a_rate() -> None:
    others = torch.arange(1000.0)
    members = torch.cat([torch.full((30,), 2000.0), torch.full((20,), 995.5), torch.arange(950.0)])
    found = stats.true_positives(members, others, 0.01)
    assert found.value == pytest.approx(50 / 1000)  # ten of the others lie at 990 and above
    assert stats.true_positives(others, others, 0.1).value == pytest.approx(0.1)
    assert stats.true_positives(torch.zeros(10), torch.zeros(10), 0.1).value == 0.0
    assert [len(stats.supported_rates(n)) for n in (99, 100, 1000, 10_000)] == [0, 1, 2, 3]


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_epsilon_of_randomised_response(epsilon: float) -> None:
    """Each row answers truly with chance e^eps / (1 + e^eps): the bound stays below eps in 95 % and comes near it."""
    n, bounds = 4000, []
    for seed in range(60):
        g = np.random.default_rng(seed)
        truth = math.exp(epsilon) / (1 + math.exp(epsilon))
        members = torch.from_numpy((g.random(n) < truth).astype(float))
        others = torch.from_numpy((g.random(n) >= truth).astype(float))
        bounds.append(stats.epsilon_lower_bound(members, others, seed=seed))
    assert np.mean([b > epsilon for b in bounds]) <= 0.08
    assert np.median(bounds) > 0.8 * epsilon


def test_epsilon_is_zero_where_nothing_is_told() -> None:
    bounds = [stats.epsilon_lower_bound(draw(500, s)[:, 0], draw(500, s + 1000)[:, 0], seed=s) for s in range(40)]
    assert sum(b > 0 for b in bounds) <= 4
    assert stats.epsilon_lower_bound(torch.ones(1), torch.zeros(1)) == 0.0


def test_auc_interval_covers_and_is_open_at_the_end() -> None:
    a, inside = 0.5, 0
    for seed in range(200):
        found = stats.auc_interval((draw(150, 2 * seed) + a)[:, 0], draw(150, 2 * seed + 1)[:, 0])
        inside += found.low <= phi(a / math.sqrt(2)) <= found.high
    assert 0.9 <= inside / 200 <= 0.99
    sure = stats.auc_interval(torch.ones(100), torch.zeros(100))
    assert sure.value == 1.0
    assert 0.95 < sure.low < 0.98


def test_holm_agrees_with_the_textbook() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]


def test_errors() -> None:
    with pytest.raises(DataError, match="at least 3"):
        stats.near([draw(4, 0)], draw(2, 1), 3)
    with pytest.raises(DataError, match="0 <= successes"):
        stats.clopper_pearson(3, 2)
