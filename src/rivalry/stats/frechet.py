"""The Fréchet distance between Gaussians fitted to two sets of features.

    FD = |mu_a - mu_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2)          (Dowson & Landau 1982, eq. 16;
                                                                           Heusel et al. 2017, eq. 6)

in squared units of the features.  It is "FID" only on TF-Inception features.  S_a S_b is not symmetric, so
`eigvalsh(S_a S_b)` is wrong; with S_b = F F^T the matrix F^T S_a F is symmetric and has the same nonzero
eigenvalues.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_finite, check_points
from rivalry.stats.intervals import check_confidence, student_quantile
from rivalry.stats.moments import Moments


class Reference:
    """Moments of the real data with the factor F [D, R] of their covariance (F F^T = S), ready for many looks.

    F comes from a float64 `eigh`; eigenvalues below rounding (and below 0) are dropped, so R is the rank.
    """

    def __init__(self, moments: Moments) -> None:
        covariance = moments.covariance
        values, vectors = torch.linalg.eigh(covariance)
        kept = values > values[-1].clamp(min=0) * (len(values) * torch.finfo(values.dtype).eps)
        self.moments = moments
        self.trace = float(values[kept].sum())
        self.factor = vectors[:, kept] * values[kept].sqrt()

    @property
    def dim(self) -> int:
        return self.moments.dim


@torch.no_grad()
def frechet_distance(a: Moments, b: Moments | Reference) -> float:
    """FD between two Gaussians; pass the real side as a `Reference` to pay for its factor only once.

    Never negative; FD(x, x) is 0 to rounding.  DataError where the features differ in number or a side has
    fewer than two points.  Where points are fewer than features, `frechet_from_features` is more exact.
    """
    if a.dim != b.dim:
        raise DataError(f"a Fréchet distance needs one extractor: {a.dim} features against {b.dim}")
    reference = b if isinstance(b, Reference) else Reference(b)
    factor = reference.factor.to(a.mean)
    covariance = a.covariance
    values = torch.linalg.eigvalsh(factor.T @ covariance @ factor)
    root = float(values.clamp(min=0).sqrt().sum())
    gap = float((a.mean - reference.moments.mean.to(a.mean)).square().sum())
    return max(0.0, gap + float(covariance.trace()) + reference.trace - 2 * root)


@torch.no_grad()
def frechet_from_features(x: Tensor, y: Tensor) -> float:
    """FD between Gaussians fitted to the rows of x [N, D] and y [M, D], for any N, M >= 2, also below D.

    With centred X, Y scaled so that S = X^T X, tr (S_x S_y)^(1/2) is the nuclear norm of X Y^T.  Nothing is
    squared, so rank-deficient sides lose no digits; a side with more rows than features is replaced by its
    triangular factor first, hence never more than [min(N, D), min(M, D)] singular values.
    """
    check_points("x", x, least=2)
    check_points("y", y, least=2, dim=x.shape[1])
    (mean_x, root_x), (mean_y, root_y) = _square_root(x), _square_root(y.to(x.device))
    cross = float(torch.linalg.svdvals(root_x @ root_y.T).sum())
    traces = float(root_x.square().sum() + root_y.square().sum())
    return max(0.0, float((mean_x - mean_y).square().sum()) + traces - 2 * cross)


def _square_root(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and R [min(N, D), D] with R^T R = covariance of x [N, D], float64."""
    points = x.to(torch.float64)
    mean = points.mean(0)
    check_finite("features", mean)
    points = (points - mean) / math.sqrt(len(points) - 1)
    if points.shape[0] > points.shape[1]:
        points = torch.linalg.qr(points, mode="r").R
    return mean, points


@dataclass(frozen=True)
class FrechetEstimate:
    """A Fréchet distance with its sampling error; see `frechet_interval` for what that covers.

    value: FD of all `count` samples.  error: its standard error.  low, high: the interval at `confidence`.
    corrected: the jackknife's estimate of FD at infinitely many samples of the model (reference as given).
    """

    value: float
    low: float
    high: float
    error: float
    corrected: float
    confidence: float
    count: int
    groups: int


def frechet_interval(
    parts: Sequence[Moments], reference: Moments | Reference, confidence: float = 0.95
) -> FrechetEstimate:
    """Delete-a-group jackknife of FD over the model's samples, given as moments of G disjoint shares.

    With theta_g the FD of all shares but g: error^2 = (G-1)/G sum_g (theta_g - mean theta)^2, and the interval
    is value +- t_{G-1} error, cut at 0.  It says how FD *at this number of samples* would scatter if the same
    model drew afresh against the same reference.  It covers neither the reference's own sampling, nor FD's
    upward bias at finite N, nor training seeds.  `corrected` = G value - (G-1) mean theta takes the
    1/N bias off (compare Chong & Forsyth 2020); trust it only where the samples outnumber the features.
    Shares: `grouped_moments`, or one per rank and batch.  DataError with fewer than 2 shares or unequal dims.
    """
    check_confidence(confidence)
    groups = len(parts)
    if groups < 2:
        raise DataError("an interval needs the moments of at least two shares of the samples")
    fixed = reference if isinstance(reference, Reference) else Reference(reference)
    value = frechet_distance(Moments.total(parts), fixed)
    without = torch.tensor([frechet_distance(rest, fixed) for rest in _leave_one_out(parts)], dtype=torch.float64)
    spread = float((without - without.mean()).square().sum())
    error = math.sqrt((groups - 1) / groups * spread)
    half = student_quantile(0.5 + confidence / 2, groups - 1) * error
    return FrechetEstimate(
        value=value,
        low=max(0.0, value - half),
        high=value + half,
        error=error,
        corrected=groups * value - (groups - 1) * float(without.mean()),
        confidence=confidence,
        count=sum(part.count for part in parts),
        groups=groups,
    )


def _leave_one_out(parts: Sequence[Moments]) -> list[Moments]:
    """All shares but g, for every g: running sums from both ends, so 3 G merges instead of G^2."""
    ahead = [Moments(parts[0].dim, parts[0].mean.device)]
    for part in parts[:-1]:
        ahead.append(Moments.total([ahead[-1], part]))
    behind = [Moments(parts[0].dim, parts[0].mean.device)]
    for part in reversed(parts[1:]):
        behind.append(Moments.total([behind[-1], part]))
    return [Moments.total(pair) for pair in zip(ahead, reversed(behind), strict=True)]
