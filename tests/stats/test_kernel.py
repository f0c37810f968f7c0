"""Kernel distance against a double loop, exact expectations and its own scatter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats import kernel_distance


def draw(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def brute(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def off_diagonal(k: np.ndarray) -> float:
        return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))

    return off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def test_matches_brute_force_whatever_the_chunk() -> None:
    x, y = draw(57, 9, 0), draw(41, 9, 1) + 0.5
    expected = brute(x.numpy(), y.numpy())
    for chunk in (1, 7, 57, 1024):
        assert kernel_distance(x, y, chunk=chunk).value == pytest.approx(expected, rel=1e-11)
    shuffled = x[torch.randperm(57, generator=torch.Generator().manual_seed(0))]
    assert kernel_distance(shuffled, y).value == pytest.approx(expected, rel=1e-11)
    assert kernel_distance(y, x).value == pytest.approx(expected, rel=1e-11)
    assert kernel_distance(x.float(), y.float()).value == pytest.approx(expected, rel=1e-5)


def test_error_is_the_delete_one_jackknife() -> None:
    x, y = draw(13, 4, 0), draw(11, 4, 1) + 1
    without_x = np.array([brute(np.delete(x.numpy(), i, 0), y.numpy()) for i in range(13)])
    without_y = np.array([brute(x.numpy(), np.delete(y.numpy(), j, 0)) for j in range(11)])
    variance = 12 * without_x.var() + 10 * without_y.var()
    assert kernel_distance(x, y).error == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_unbiased_and_deterministic_for_equal_distributions() -> None:
    results = [kernel_distance(draw(60, 5, 2 * seed), draw(80, 5, 2 * seed + 1)) for seed in range(150)]
    values = np.array([result.value for result in results])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).any(), "an unbiased estimate of 0 must fall below it at times"
    # Degenerate case: conservative by at most sqrt(2), as documented.
    assert 0.9 < np.mean([result.error for result in results]) / values.std() < 1.6
    again = kernel_distance(draw(60, 5, 0), draw(80, 5, 1))
    assert again == results[0]


def test_error_is_the_scatter_for_unequal_distributions() -> None:
    results = [kernel_distance(draw(120, 5, 2 * seed) + 1, draw(100, 5, 2 * seed + 1)) for seed in range(150)]
    scatter = np.std([result.value for result in results])
    assert np.mean([result.error for result in results]) == pytest.approx(scatter, rel=0.2)


def test_errors_are_sentences() -> None:
    with pytest.raises(DataError, match="at least 3"):
        kernel_distance(draw(2, 3, 0), draw(5, 3, 0))
    with pytest.raises(DataError, match="4 features where 3"):
        kernel_distance(draw(5, 3, 0), draw(5, 4, 0))
    with pytest.raises(DataError, match="y holds NaN"):
        kernel_distance(draw(5, 3, 0), draw(5, 3, 0) * torch.nan)
    with pytest.raises(DataError, match="at least one row"):
        kernel_distance(draw(5, 3, 0), draw(5, 3, 0), chunk=0)
