"""Nearest neighbours, precision, recall, density, coverage: float64 brute force, closed forms, named traps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats import expected_coverage, nearest, neighbour_radii, prdc
from rivalry.stats.distances import centred, squared_distances, squared_distances_once


def draw(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def brute_prdc(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """By the formulas, from all pairwise differences."""

    def radii(x: np.ndarray) -> np.ndarray:
        return np.sort(cdist(x, x) + np.diag(np.full(len(x), np.inf)), axis=1)[:, k - 1]

    x, y = real.numpy(), fake.numpy()
    between, of_real, of_fake = cdist(x, y), radii(x), radii(y)
    inside_real, inside_fake = between <= of_real[:, None], between <= of_fake[None]
    return (
        float(inside_real.any(0).mean()),
        float(inside_fake.any(1).mean()),
        float(inside_real.sum(0).mean() / k),
        float((between.min(1) <= of_real).mean()),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
def test_matches_brute_force_whatever_the_chunk(k: int) -> None:
    real, fake = draw(90, 6, 0), draw(70, 6, 1) * 0.8 + 0.3
    expected = brute_prdc(real, fake, k)
    for cells in (1, 200, 10**7):
        result = prdc(real, fake, k, cells=cells)
        assert (result.precision, result.recall, result.density, result.coverage) == pytest.approx(expected)
    kept = prdc(real, fake, k, real_radii=neighbour_radii(real, k))
    assert kept == result
    assert (result.real_count, result.fake_count, result.k) == (90, 70, k)


def test_order_does_not_matter() -> None:
    real, fake = draw(60, 4, 0), draw(50, 4, 1)
    shuffled = real[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    assert prdc(real, fake) == prdc(shuffled, fake.flip(0))


def test_equal_distributions_reach_density_one_and_the_expected_coverage() -> None:
    k, n, m = 3, 60, 40
    results = [prdc(draw(n, 5, 2 * seed), draw(m, 5, 2 * seed + 1), k) for seed in range(300)]
    assert np.mean([result.density for result in results]) == pytest.approx(1.0, abs=0.03)
    coverage = np.mean([result.coverage for result in results])
    assert coverage == pytest.approx(expected_coverage(n, m, k), abs=0.01)
    assert expected_coverage(n, m, 1) == pytest.approx(m / (m + n - 1))


def test_a_collapsed_model_has_precision_and_no_recall() -> None:
    real = draw(300, 4, 0)
    collapsed = draw(300, 4, 1) * 0.05
    result = prdc(real, collapsed)
    assert result.precision > 0.95
    assert result.recall < 0.05
    assert result.coverage < 0.2


def test_a_noisy_model_has_recall_and_little_precision() -> None:
    real = draw(300, 4, 0)
    noisy = draw(300, 4, 1) * 4
    result = prdc(real, noisy)
    assert result.precision < 0.3
    assert result.recall > 0.9
    assert result.density < 0.2


def test_a_point_mass_and_a_model_far_away() -> None:
    real = draw(100, 8, 0).float()
    point = prdc(real, torch.ones(50, 8))
    assert point.recall == 0.0
    far = prdc(real, draw(60, 8, 1).float() * 1e-3 + 1e6)
    assert (far.precision, far.recall, far.density, far.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_a_copy_of_the_data_is_perfect_also_where_rows_repeat() -> None:
    """Closed balls: with six equal rows and k = 5 the radius is 0, and an exact copy still counts."""
    real = draw(20, 3, 0).repeat(6, 1) + 1e4
    result = prdc(real, real.clone(), 5)
    assert (result.precision, result.recall, result.coverage) == (1.0, 1.0, 1.0)


def test_ties_on_a_lattice_do_not_hang_on_rounding() -> None:
    axis = torch.arange(6, dtype=torch.float64) * 0.1 + 1e3
    lattice = torch.cartesian_prod(axis, axis)
    result = prdc(lattice, lattice + torch.tensor([0.1, 0.0], dtype=torch.float64), 2)
    assert (result.precision, result.coverage) == (1.0, 1.0)


def test_radii_leave_the_point_itself_out() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert neighbour_radii(x, 1).tolist() == [1.0, 1.0, 2.0, 4.0]
    for cells in (1, 5, 100):
        assert neighbour_radii(x, 2, cells=cells).tolist() == [3.0, 2.0, 3.0, 6.0]
    many = draw(70, 5, 0)
    expected = np.sort(cdist(many.numpy(), many.numpy()), axis=1)[:, 4]
    for cells in (1, 333, 10**6):
        np.testing.assert_allclose(neighbour_radii(many, 4, cells=cells), expected, rtol=1e-12)
    with pytest.raises(DataError, match="from the first"):
        neighbour_radii(x, 0)


def test_near_duplicates_far_from_the_origin_where_cdist_fails() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(2000, 64, generator=generator) + 100
    copies = base[:200] + 0.003 * torch.randn(200, 64, generator=generator)
    truth = (copies.double() - base[:200].double()).norm(dim=1)
    trap = torch.cdist(copies, base, compute_mode="use_mm_for_euclid_dist").amin(1).double()
    assert ((trap - truth).abs() / truth).max() > 1, "if this fails, torch has mended its trap"
    distances, indices = nearest(copies, base)
    assert indices[:, 0].tolist() == list(range(200))
    torch.testing.assert_close(distances[:, 0], truth, rtol=1e-12, atol=0)


def test_nearest_matches_brute_force() -> None:
    queries, reference = draw(40, 5, 0), draw(60, 5, 1)
    full = cdist(queries.numpy(), reference.numpy())
    for cells in (1, 100, 10**7):
        distances, indices = nearest(queries, reference, 4, cells=cells)
        np.testing.assert_array_equal(indices, np.argsort(full, axis=1)[:, :4])
        np.testing.assert_allclose(distances, np.sort(full, axis=1)[:, :4], rtol=1e-12)
    own, others = nearest(reference, reference, 1, same=True)
    assert (others[:, 0] != torch.arange(60)).all()
    assert (own > 0).all()


def test_no_matrix_of_all_pairs() -> None:
    x, y = centred(draw(500, 3, 0), draw(300, 3, 1))
    sizes = [block.numel() for _, block in squared_distances(x, y, cells=3000)]
    assert max(sizes) <= 3000
    assert sum(sizes) == 500 * 300
    halves = [block for _, block in squared_distances_once(x, cells=3000)]
    assert max(block.numel() for block in halves) <= 3000
    assert sum(block.numel() for block in halves) == pytest.approx(500 * 500 / 2, rel=0.05), "each pair once"


def test_errors_are_sentences() -> None:
    x = draw(10, 3, 0)
    with pytest.raises(DataError, match="the fake side holds 5 rows"):
        prdc(x, draw(5, 3, 1), 5)
    with pytest.raises(DataError, match="one extractor"):
        prdc(x, draw(10, 4, 1), 5)
    with pytest.raises(DataError, match="do not belong to 10"):
        prdc(x, x, 5, real_radii=torch.ones(9))
    with pytest.raises(DataError, match="NaN"):
        prdc(x, x * torch.nan, 5)
    with pytest.raises(DataError, match="where 10 exist"):
        nearest(x, x, 11)
    with pytest.raises(DataError, match="that set on both sides"):
        nearest(x[:5], x, 1, same=True)
    with pytest.raises(DataError, match="k < real rows"):
        expected_coverage(5, 5, 5)
