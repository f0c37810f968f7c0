"""Mode counts, KL and its floor, PacGAN's mixtures, sliced Wasserstein."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats import (
    kl_floor,
    kl_from_counts,
    mixture_modes,
    mode_counts,
    modes_from_labels,
    sliced_wasserstein,
)


def draw(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ring(rows: int, seed: int, modes: int = 8, sigma: float = 0.01) -> tuple[Tensor, Tensor]:
    angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
    centres = torch.stack([angles.cos(), angles.sin()], dim=1)
    which = torch.randint(modes, (rows,), generator=torch.Generator().manual_seed(seed))
    return centres[which] + sigma * draw(rows, 2, seed + 1), centres


def test_kl_is_model_to_truth_in_nats() -> None:
    counts = torch.tensor([6, 2, 0, 0])
    assert kl_from_counts(counts) == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))
    assert kl_from_counts(torch.tensor([5, 5])) == 0.0
    assert kl_from_counts(torch.tensor([1, 0]), torch.tensor([0.25, 0.75])) == pytest.approx(math.log(4))
    assert kl_from_counts(torch.tensor([1, 1]), torch.tensor([1.0, 0.0])) == math.inf
    assert kl_from_counts(torch.tensor([1, 0]), torch.tensor([1.0, 0.0])) == 0.0


@pytest.mark.parametrize("probabilities", [torch.ones(50), torch.arange(1.0, 51.0)])
def test_sampling_floor_is_the_mean_of_perfect_draws(probabilities: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [
        kl_from_counts(
            mode_counts(torch.multinomial(probabilities, 400, replacement=True, generator=generator), 50),
            probabilities,
        )
        for _ in range(300)
    ]
    assert kl_floor(probabilities, 400) == pytest.approx(np.mean(draws), rel=0.03)


def test_sampling_floor_of_stacked_mnist() -> None:
    assert kl_floor(torch.ones(1000), 26_000) == pytest.approx(999 / 52_000, rel=0.02)
    assert kl_floor(torch.tensor([1.0, 0.0]), 10) == pytest.approx(0.0, abs=1e-12)


def test_modes_from_labels() -> None:
    report = modes_from_labels(torch.tensor([0, 0, 3, 3]), 4)
    assert (report.found, report.total, report.count) == (2, 4, 4)
    assert report.kl == pytest.approx(math.log(2))
    assert report.kl_floor > 0


def test_a_perfect_ring() -> None:
    samples, centres = ring(5000, 0)
    report = mixture_modes(samples.float(), centres, 0.01)
    assert (report.found, report.total) == (8, 8)
    assert report.high_quality_expected == pytest.approx(1 - math.exp(-4.5))
    assert report.high_quality == pytest.approx(report.high_quality_expected, abs=0.005)
    assert report.kl == pytest.approx(report.kl_floor, abs=0.002)
    assert int(report.counts.sum()) == 5000
    torch.testing.assert_close(report.variance_ratio, torch.ones(8, dtype=torch.float64), atol=0.12, rtol=0)
    assert float(report.variance_ratio.mean()) == pytest.approx(1.0, abs=0.04)


def test_a_ring_that_lost_modes_and_collapsed_within_them() -> None:
    samples, centres = ring(4000, 0, modes=4, sigma=0.001)
    report = mixture_modes(samples, centres, 0.01)
    assert report.found == 4
    assert report.kl == pytest.approx(math.log(2), abs=0.01)
    assert report.high_quality == 1.0
    assert float(report.variance_ratio[:4].mean()) == pytest.approx(
        0.01 / (1 - 4.5 * math.exp(-4.5) / (1 - math.exp(-4.5))), rel=0.1
    )
    assert report.variance_ratio[4:].isnan().all()


def test_samples_between_modes_are_of_low_quality_but_counted_by_nearest_centre() -> None:
    centres = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    samples = torch.tensor([[0.0, 0.01], [0.9, 0.0], [1.2, 0.0], [5.0, 0.0]])
    report = mixture_modes(samples, centres, 0.05)
    assert report.found == 1
    assert report.high_quality == 0.25
    assert report.counts.tolist() == [2, 2]


def test_sliced_wasserstein_of_a_line_is_scipys() -> None:
    x, y = draw(31, 1, 0), draw(17, 1, 1) * 2
    expected = wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert sliced_wasserstein(x, y, order=1, projections=3) == pytest.approx(expected, rel=1e-12)


def test_sliced_wasserstein_closed_forms() -> None:
    x = draw(200, 3, 0)
    shift = torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64)
    assert sliced_wasserstein(x, x + shift, projections=4000) == pytest.approx(3 / math.sqrt(3), rel=0.03)
    assert sliced_wasserstein(x, x.flip(0)) == 0.0
    assert sliced_wasserstein(x, x.repeat(3, 1)) == pytest.approx(0, abs=1e-12)
    wide = draw(4000, 3, 1) * 2
    assert sliced_wasserstein(draw(4000, 3, 2), wide) == pytest.approx(1.0, rel=0.1)
    assert sliced_wasserstein(x, wide) == sliced_wasserstein(x, wide)
    assert sliced_wasserstein(x, wide) != sliced_wasserstein(x, wide, seed=1)


def test_errors_are_sentences() -> None:
    with pytest.raises(DataError, match=r"outside 0\.\.3"):
        mode_counts(torch.tensor([4]), 4)
    with pytest.raises(DataError, match="whole numbers"):
        mode_counts(torch.tensor([0.5]), 4)
    with pytest.raises(DataError, match="at least one sample"):
        kl_from_counts(torch.zeros(3))
    with pytest.raises(DataError, match="4 probabilities"):
        modes_from_labels(torch.tensor([0]), 4, torch.ones(3))
    with pytest.raises(DataError, match="at least one sample"):
        kl_floor(torch.ones(3), 0)
    with pytest.raises(DataError, match="sigma > 0"):
        mixture_modes(draw(3, 2, 0), draw(2, 2, 0), 0.0)
    with pytest.raises(DataError, match="order >= 1"):
        sliced_wasserstein(draw(3, 2, 0), draw(3, 2, 0), order=0.5)
