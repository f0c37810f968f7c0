"""Fréchet distances against closed forms and scipy's matrix square root."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats import (
    Moments,
    Reference,
    frechet_distance,
    frechet_from_features,
    frechet_interval,
    grouped_moments,
)


def draw(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gaussian(mean: Tensor, covariance: Tensor) -> Moments:
    """Moments with exactly this mean [D] and covariance [D, D]."""
    return Moments.from_state({"count": torch.tensor(11), "mean": mean, "scatter": covariance * 10})


def by_scipy(x: Tensor, y: Tensor) -> float:
    a, b = (np.cov(side.numpy(), rowvar=False) for side in (x, y))
    gap = x.mean(0) - y.mean(0)
    return float(gap @ gap) + float(np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real))


def test_diagonal_gaussians_closed_form() -> None:
    a, b = torch.rand(6, dtype=torch.float64) + 0.1, torch.rand(6, dtype=torch.float64)
    b[0] = 0.0  # a constant feature
    mean = torch.arange(6.0, dtype=torch.float64)
    expected = float(mean.square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    left, right = gaussian(torch.zeros(6, dtype=torch.float64), a.diag()), gaussian(mean, b.diag())
    assert frechet_distance(left, right) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(right, left) == pytest.approx(expected, rel=1e-12)


def test_covariances_that_do_not_commute_against_scipy_and_the_eigvalsh_trap() -> None:
    x = draw(400, 12, 0) @ draw(12, 12, 1)
    y = draw(300, 12, 2) @ draw(12, 12, 3) + 1
    expected = by_scipy(x, y)
    a, b = Moments.of(x), Moments.of(y)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)
    assert frechet_from_features(x, y) == pytest.approx(expected, rel=1e-9)
    # S_a S_b is not symmetric: taking its eigenvalues as if it were gives another number.
    wrong = torch.linalg.eigvalsh(a.covariance @ b.covariance).clamp(min=0).sqrt().sum()
    right = torch.linalg.eigvals(a.covariance @ b.covariance).real.clamp(min=0).sqrt().sum()
    assert abs(float(wrong - right)) > 0.01 * float(right)


@pytest.mark.parametrize("rows", [50, 5])
def test_distance_to_itself_is_zero(rows: int) -> None:
    x = draw(rows, 20, 0) * 100 + 1000
    scale = float(x.var(0).sum())
    assert frechet_distance(Moments.of(x), Moments.of(x)) < 1e-7 * scale
    assert frechet_from_features(x, x) < 1e-12 * scale


@pytest.mark.parametrize(("n", "m"), [(6, 9), (6, 200), (200, 6), (200, 200)])
def test_fewer_points_than_features(n: int, m: int) -> None:
    dim = 30
    x, y = draw(n, dim, 4), draw(m, dim, 5) * 2 + 1
    values, vectors = np.linalg.eigh(np.cov(x.numpy(), rowvar=False))  # sqrtm is poor on singular matrices
    half = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    inner = half @ np.cov(y.numpy(), rowvar=False) @ half
    root = np.sqrt(np.clip(np.linalg.eigvalsh(inner), 0, None)).sum()
    gap = x.mean(0) - y.mean(0)
    expected = float(gap @ gap) + float(x.var(0).sum() + y.var(0).sum()) - 2 * float(root)
    assert frechet_from_features(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(expected, rel=1e-6)


def test_reference_is_reusable_and_its_factor_exact() -> None:
    x, y = draw(90, 8, 0), draw(70, 8, 1) + 0.3
    reference = Reference(Moments.of(y))
    torch.testing.assert_close(reference.factor @ reference.factor.T, Moments.of(y).covariance)
    assert frechet_distance(Moments.of(x), reference) == frechet_distance(Moments.of(x), Moments.of(y))
    thin = Reference(Moments.of(draw(4, 8, 2)))
    assert thin.factor.shape == (8, 3), "rank of four centred points"


def test_float32_features_far_from_the_origin() -> None:
    x = draw(500, 6, 0)
    near, far = x.float(), (x + 500).float()
    assert frechet_distance(Moments.of(far), Moments.of(far + 1)) == pytest.approx(6.0, rel=1e-4)
    assert frechet_from_features(near, near + 1) == pytest.approx(6.0, rel=1e-4)


def test_the_number_of_samples_biases_the_distance_and_the_jackknife_corrects_it() -> None:
    truth = gaussian(torch.zeros(6, dtype=torch.float64), torch.eye(6, dtype=torch.float64))
    reference = Reference(truth)
    small = [frechet_interval(grouped_moments(draw(150, 6, seed), 15), reference) for seed in range(20)]
    large = [frechet_distance(Moments.of(draw(1500, 6, seed)), reference) for seed in range(20)]
    mean_small = np.mean([estimate.value for estimate in small])
    assert mean_small > 5 * np.mean(large)
    assert abs(np.mean([estimate.corrected for estimate in small])) < 0.2 * mean_small
    assert small[0].count == 150
    assert small[0].groups == 15


def test_interval_is_the_delete_a_group_jackknife() -> None:
    x, reference = draw(90, 3, 0), Moments.of(draw(80, 3, 1) + 0.2)
    parts = [x[start::5] for start in range(5)]
    without = np.array(
        [frechet_distance(Moments.of(torch.cat(parts[:g] + parts[g + 1 :])), reference) for g in range(5)]
    )
    value = frechet_distance(Moments.of(x), reference)
    found = frechet_interval(grouped_moments(x, 5), reference, 0.95)
    error = np.sqrt(4 / 5 * ((without - without.mean()) ** 2).sum())
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.error == pytest.approx(error, rel=1e-9)
    assert found.corrected == pytest.approx(5 * value - 4 * without.mean(), rel=1e-9)
    assert found.high - found.value == pytest.approx(scipy.stats.t.ppf(0.975, 4) * error, rel=1e-3)


def test_interval_covers_the_mean_and_its_error_is_the_scatter_of_fresh_draws() -> None:
    reference = Reference(Moments.of(draw(4000, 4, 999)))
    estimates = [
        frechet_interval(grouped_moments(draw(300, 4, seed) * 1.3 + 0.4, 10), reference) for seed in range(200)
    ]
    values = np.array([estimate.value for estimate in estimates])
    covered = np.mean([estimate.low <= values.mean() <= estimate.high for estimate in estimates])
    assert 0.90 <= covered <= 0.99
    assert np.mean([estimate.error for estimate in estimates]) == pytest.approx(values.std(), rel=0.15)
    wide = frechet_interval(grouped_moments(draw(300, 4, 0) * 1.3 + 0.4, 10), reference, 0.999)
    assert wide.value == estimates[0].value
    assert wide.high > estimates[0].high


def test_errors_are_sentences() -> None:
    x = Moments.of(draw(9, 3, 0))
    with pytest.raises(DataError, match="one extractor: 4 features against 3"):
        frechet_distance(Moments.of(draw(9, 4, 0)), x)
    with pytest.raises(DataError, match="two points"):
        frechet_distance(Moments.of(draw(1, 3, 0)), x)
    with pytest.raises(DataError, match="at least 2"):
        frechet_from_features(draw(1, 3, 0), draw(3, 3, 0))
    with pytest.raises(DataError, match="NaN"):
        frechet_from_features(draw(3, 3, 0) * torch.nan, draw(3, 3, 0))
    with pytest.raises(DataError, match="two shares"):
        frechet_interval([x], x)
    with pytest.raises(DataError, match="between 0 and 1"):
        frechet_interval([x, x], x, 95)
