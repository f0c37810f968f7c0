"""Mode coverage: labels of many modes (StackedMNIST) and mixtures of Gaussians (ring, grid).

KL is in nats and always KL(model || truth), "reverse KL" in Srivastava et al. (2017) and Lin et al. (2018,
PacGAN, section 4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_finite, check_points
from rivalry.stats.distances import centred


@dataclass(frozen=True)
class ModeReport:
    """found of `total` modes; kl to the truth in nats; kl_floor: its mean for a perfect model of `count` samples."""

    found: int
    total: int
    kl: float
    kl_floor: float
    count: int


def mode_counts(labels: Tensor, modes: int) -> Tensor:
    """[modes] int64: how often each mode occurs among predicted labels [N] in 0..modes-1; DataError otherwise.

    StackedMNIST has 1000 modes: label = 100 a + 10 b + c for digits a, b, c of its three channels.
    """
    if labels.ndim != 1 or labels.is_floating_point() or not len(labels):
        raise DataError("mode labels must be a non-empty [N] tensor of whole numbers")
    if int(labels.min()) < 0 or int(labels.max()) >= modes:
        raise DataError(f"mode labels run from {int(labels.min())} to {int(labels.max())}, outside 0..{modes - 1}")
    return torch.bincount(labels, minlength=modes)


def modes_from_labels(labels: Tensor, modes: int, probabilities: Tensor | None = None) -> ModeReport:
    """Modes found and KL from predicted labels [N]; `probabilities` [modes] of the truth, uniform by default."""
    counts = mode_counts(labels, modes)
    truth = _truth(modes, probabilities)
    return ModeReport(
        found=int((counts > 0).sum()),
        total=modes,
        kl=kl_from_counts(counts, truth),
        kl_floor=kl_floor(truth, len(labels)),
        count=len(labels),
    )


def kl_from_counts(counts: Tensor, probabilities: Tensor | None = None) -> float:
    """sum q log(q / p) in nats for q = counts / N [modes]; infinite where q > 0 = p."""
    if counts.ndim != 1 or not float(counts.sum()) > 0:
        raise DataError("a divergence needs counts [modes] of at least one sample")
    truth = _truth(len(counts), probabilities).to(counts.device)
    share = counts.to(torch.float64) / counts.sum()
    return max(0.0, float((torch.xlogy(share, share) - torch.xlogy(share, truth)).sum()))


def kl_floor(probabilities: Tensor, count: int) -> float:
    """Mean of `kl_from_counts` over `count` samples of the truth itself, in nats: about (modes - 1) / (2 count).

    Exact: each bin is binomial, E[KL] = sum_k E[(X_k/n) log(X_k / (n p_k))], for `probabilities` [modes].
    """
    truth = _truth(len(probabilities), probabilities).cpu()
    if count < 1:
        raise DataError(f"a sampling floor needs at least one sample, not {count}")
    values, repeats = truth[truth > 0].unique(return_counts=True)
    hits = torch.arange(1, count + 1, dtype=torch.float64)
    total = torch.lgamma(torch.tensor(count + 1.0, dtype=torch.float64))
    ways = total - torch.lgamma(hits + 1) - torch.lgamma(count - hits + 1)
    expected = 0.0
    for p, repeat in zip(values.tolist(), repeats.tolist(), strict=True):  # distinct probabilities only
        misses = torch.special.xlog1py(count - hits, torch.tensor(-p, dtype=torch.float64))
        chance = (ways + hits * math.log(p) + misses).exp()
        expected += repeat * float((chance * hits / count * (hits / (count * p)).log()).sum())
    return max(0.0, expected)


def _truth(modes: int, probabilities: Tensor | None) -> Tensor:
    """[modes] float64 that sums to 1."""
    if probabilities is None:
        return torch.full((modes,), 1 / modes, dtype=torch.float64)
    if probabilities.shape != (modes,) or bool((probabilities < 0).any()) or not float(probabilities.sum()) > 0:
        raise DataError(f"the truth needs {modes} probabilities, none negative, not all 0")
    return probabilities.to(torch.float64) / probabilities.to(torch.float64).sum()


@dataclass(frozen=True, eq=False)
class MixtureReport:
    """A model of Gaussian modes, by PacGAN's protocol (see `mixture_modes`).

    found of `total` modes; high_quality: share of samples within 3 sigma of the nearest centre, of which the
    truth itself reaches `high_quality_expected`; kl, kl_floor in nats; counts [total]: samples by nearest
    centre; variance_ratio [total]: variance of a mode's high-quality samples over the truth's (1 is right,
    below 1 collapse within the mode, NaN where fewer than two samples lie there).
    """

    found: int
    total: int
    high_quality: float
    high_quality_expected: float
    kl: float
    kl_floor: float
    counts: Tensor
    variance_ratio: Tensor


def mixture_modes(
    samples: Tensor, centres: Tensor, sigma: float, probabilities: Tensor | None = None, *, reach: float = 3.0
) -> MixtureReport:
    """Lin et al. (2018), section 4.1: samples [N, D] against isotropic Gaussians at centres [K, D], sd `sigma`.

    A mode is found when at least one sample lies within `reach` sigma (Euclidean) of its centre; KL bins every
    sample, good or bad, by its nearest centre.  Published tables use N = 2500; ring: 8 modes, radius 1,
    sigma .01; grid: 25 modes, +-4 in steps of 2, sigma .05.  `probabilities` [K], uniform by default.
    """
    check_points("centres", centres)
    check_points("samples", samples, dim=centres.shape[1])
    if not sigma > 0 or not reach > 0:
        raise DataError(f"a mode needs sigma > 0 and reach > 0, not {sigma} and {reach}")
    middle, points = centred(centres, samples)
    modes, dim = centres.shape
    squares, nearest = torch.cat([block.square() for block in _to_centres(points, middle)]).min(1)
    good = squares <= (reach * sigma) ** 2
    counts = torch.bincount(nearest, minlength=modes)
    truth = _truth(modes, probabilities)
    within = _ball_mass(dim, reach)
    # A Gaussian cut off at `reach` sigma varies less than sigma^2 along each axis; the ratio allows for that.
    variance = sigma**2 * _ball_mass(dim + 2, reach) / within
    return MixtureReport(
        found=int(torch.bincount(nearest[good], minlength=modes).count_nonzero()),
        total=modes,
        high_quality=float(good.double().mean()),
        high_quality_expected=within,
        kl=kl_from_counts(counts, truth),
        kl_floor=kl_floor(truth, len(points)),
        counts=counts,
        variance_ratio=_mode_variance(points[good], nearest[good], modes) / variance,
    )


def _to_centres(points: Tensor, centres: Tensor) -> list[Tensor]:
    """Euclidean distances [chunk, K], exactly: modes are few, so differences are affordable."""
    return [torch.cdist(rows, centres, compute_mode="donot_use_mm_for_euclid_dist") for rows in points.split(65536)]


def _ball_mass(dim: int, reach: float) -> float:
    """P(|Z| <= reach) for a standard normal Z in `dim` dimensions."""
    half = torch.tensor([dim / 2, reach**2 / 2], dtype=torch.float64)
    return float(torch.special.gammainc(half[0], half[1]))


def _mode_variance(points: Tensor, labels: Tensor, modes: int) -> Tensor:
    """[modes]: unbiased variance of each mode's points about their own mean, averaged over axes; NaN below 2."""
    counts = torch.bincount(labels, minlength=modes).to(points)
    sums = torch.zeros(modes, points.shape[1], dtype=points.dtype, device=points.device)
    means = sums.index_add(0, labels, points) / counts[:, None].clamp(min=1)
    squares = sums.index_add(0, labels, (points - means[labels]).square()).mean(1)
    return torch.where(counts > 1, squares / (counts - 1).clamp(min=1), torch.nan)


@torch.no_grad()
def sliced_wasserstein(x: Tensor, y: Tensor, *, order: float = 2.0, projections: int = 128, seed: int = 0) -> float:
    """Sliced Wasserstein distance between the rows of x [N, D] and y [M, D], in units of the features.

        SW_p^p = mean over unit directions u of  int_0^1 |F_x.u^-1(t) - F_y.u^-1(t)|^p dt

    (Rabin et al. 2012; Bonneel et al. 2015).  Directions depend on (seed, D, projections) only; the integral
    is exact also where N != M.  A shift by s gives SW_2 = |s| / sqrt(D) up to the directions drawn.
    """
    check_points("x", x)
    check_points("y", y, dim=x.shape[1])
    if order < 1 or projections < 1:
        raise DataError(f"sliced Wasserstein needs order >= 1 and a projection, not {order}, {projections}")
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(x.shape[1], projections, dtype=torch.float64, generator=generator)
    directions = (directions / directions.norm(dim=0)).to(x.device)
    x_sorted = (x.to(torch.float64) @ directions).sort(0).values
    y_sorted = (y.to(x.device, torch.float64) @ directions).sort(0).values
    check_finite("x or y", x_sorted.sum(0) + y_sorted.sum(0))
    # Both quantile functions are constant between multiples of 1/N and of 1/M: whole numbers in units 1/(N M).
    n, m = len(x), len(y)
    steps = torch.cat([torch.arange(n + 1) * m, torch.arange(m + 1) * n]).unique()
    left, widths = steps[:-1], steps.diff().to(torch.float64) / (n * m)
    gaps = (x_sorted[left // m] - y_sorted[left // n]).abs().pow(order)
    return math.pow(float((widths.to(gaps) @ gaps).mean()), 1 / order)
