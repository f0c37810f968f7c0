"""Moments against numpy, and their invariance to chunking, order and merging."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rivalry.errors import DataError
from rivalry.stats import Moments, grouped_moments


def features(rows: int, dim: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, dtype=torch.float64, generator=generator)
    return torch.randn(rows, dim, dtype=torch.float64, generator=generator) @ mixing + 3


def assert_equal_moments(a: Moments, b: Moments) -> None:
    assert a.count == b.count
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a.scatter, b.scatter, rtol=1e-12, atol=1e-9)


def test_matches_numpy() -> None:
    x = features(100, 7)
    moments = Moments.of(x)
    np.testing.assert_allclose(moments.mean, x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-11)


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [99, 1], [30, 0, 70]])
def test_chunking_does_not_matter(sizes: list[int]) -> None:
    x = features(100, 5)
    moments = Moments(5)
    for chunk in x.split(sizes):
        moments.update(chunk)
    assert_equal_moments(moments, Moments.of(x))


def test_order_and_merging_do_not_matter() -> None:
    x = features(120, 6)
    shuffled = x[torch.randperm(120, generator=torch.Generator().manual_seed(1))]
    left, right = Moments.of(shuffled[:17]), Moments.of(shuffled[17:])
    assert_equal_moments(Moments.total([left, right]), Moments.of(x))
    assert_equal_moments(Moments.total([right, left]), Moments.of(x))
    assert left.count == 17, "total must not change its parts"
    assert_equal_moments(left.merge(right), Moments.of(x))
    assert_equal_moments(Moments(6).merge(right), right)
    assert_equal_moments(Moments.total(grouped_moments(x, 7)), Moments.of(x))


def test_more_rows_than_one_block() -> None:
    x = features(20_000, 3)
    assert_equal_moments(Moments.of(x), Moments(3).update(x[:8192]).update(x[8192:]))


def test_far_from_the_origin_float32_raw_moments_fail_and_these_do_not() -> None:
    x = (torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)) + 3000).float()
    truth = np.cov(x.double().numpy(), rowvar=False)
    raw = (x.T @ x / len(x) - torch.outer(x.mean(0), x.mean(0))).numpy()
    assert np.abs(raw - truth).max() > 0.05
    np.testing.assert_allclose(Moments.of(x).covariance, truth, rtol=1e-10, atol=1e-12)


def test_state_goes_there_and_back() -> None:
    moments = Moments.of(features(40, 3))
    again = Moments.from_state(moments.state())
    assert_equal_moments(again, moments)
    again.update(features(5, 3))
    assert moments.count == 40, "a restored object must not share memory"


def test_errors_are_sentences() -> None:
    with pytest.raises(DataError, match="5 features where 3"):
        Moments(3).update(torch.zeros(2, 5))
    with pytest.raises(DataError, match="NaN"):
        Moments(2).update(torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(DataError, match="infinite"):
        Moments(1).update(torch.tensor([[float("inf")], [1.0]]))
    with pytest.raises(DataError, match=r"\[N, D\]"):
        Moments(2).update(torch.zeros(2))
    with pytest.raises(DataError, match="two points"):
        _ = Moments.of(torch.zeros(1, 2)).covariance
    with pytest.raises(DataError, match="do not merge"):
        Moments(2).merge(Moments(3))
    with pytest.raises(DataError, match="no moments"):
        Moments.total([])
    with pytest.raises(DataError, match="at least one feature"):
        Moments(0)
    with pytest.raises(DataError, match="lack 'mean'"):
        Moments.from_state({"count": torch.tensor(1)})
    with pytest.raises(DataError, match="do not fit"):
        Moments.from_state({"count": torch.tensor(1), "mean": torch.zeros(2), "scatter": torch.zeros(3, 3)})
    with pytest.raises(DataError, match="needs at least 40"):
        grouped_moments(torch.zeros(39, 2), 20)
