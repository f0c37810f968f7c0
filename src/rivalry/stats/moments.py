"""Mean and covariance of features, gathered piece by piece.

Sums are float64 and about the running mean, merged by Chan, Golub & LeVeque (1979): raw second moments in
float32 shift a Fréchet distance by about a percent, and lose everything for features far from the origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_finite, check_points

_ROWS = 8192
"""Rows turned into float64 at a time: bounds memory, does not change the result beyond rounding."""


class Moments:
    """Count, mean [D] and scatter [D, D] (sum of outer products about the mean) of points seen so far.

    The result does not depend on chunking, order or merging, up to float64 rounding (tests: 1e-12).
    `update` and `merge` change the object in place and return it.  DataError on rows of another length, on
    NaN and infinity, and on a covariance of fewer than two points.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        if dim < 1:
            raise DataError(f"moments need at least one feature, not {dim}")
        self.count = 0
        self.mean = torch.zeros(dim, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(dim, dim, dtype=torch.float64, device=device)

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Moments of the rows of x [N, D], on its device."""
        check_points("x", x)
        return cls(x.shape[1], x.device).update(x)

    @classmethod
    def total(cls, parts: Iterable[Moments]) -> Self:
        """The moments of all points of `parts` together; the parts stay as they were."""
        items = list(parts)
        if not items:
            raise DataError("there are no moments to add up")
        result = cls(items[0].dim, items[0].mean.device)
        for part in items:
            result.merge(part)
        return result

    @property
    def dim(self) -> int:
        return self.mean.shape[0]

    @property
    def covariance(self) -> Tensor:
        """[D, D] float64, unbiased (divides by N - 1)."""
        if self.count < 2:
            raise DataError(f"a covariance needs at least two points, not {self.count}")
        return self.scatter / (self.count - 1)

    @torch.no_grad()
    def update(self, x: Tensor) -> Self:
        """Add the rows of x [N, D], of any dtype and device; N = 0 changes nothing."""
        check_points("x", x, least=0, dim=self.dim)
        for rows in x.split(_ROWS):
            block = rows.to(self.mean)
            if not len(block):
                continue
            mean = block.mean(0)
            check_finite("x", mean)
            block = block - mean
            self._absorb(len(block), mean, block.T @ block)
        return self

    def merge(self, other: Moments) -> Self:
        """Add the points that `other` has seen; `other` stays as it was."""
        if other.dim != self.dim:
            raise DataError(f"moments of {other.dim} features do not merge with moments of {self.dim}")
        self._absorb(other.count, other.mean.to(self.mean), other.scatter.to(self.scatter))
        return self

    def _absorb(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        """Chan et al. (1979), eq. 2.1: the cross term is the outer product of the means' difference."""
        if not count:
            return
        total = self.count + count
        gap = mean - self.mean
        cross = torch.outer(gap, gap) * (self.count * count / total)
        self.scatter = self.scatter + scatter + cross
        self.mean = self.mean + gap * (count / total)
        self.count = total

    def state(self) -> dict[str, Tensor]:
        """Tensors to write down or to gather over ranks: count [] int64, mean [D], scatter [D, D]."""
        return {"count": torch.tensor(self.count), "mean": self.mean.clone(), "scatter": self.scatter.clone()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """Inverse of `state`; DataError where an entry is missing or does not fit the others."""
        try:
            count, mean, scatter = state["count"], state["mean"], state["scatter"]
        except KeyError as missing:
            raise DataError(f"stored moments lack {missing}; compute them again") from None
        if mean.ndim != 1 or scatter.shape != (len(mean), len(mean)) or count.numel() != 1 or int(count) < 0:
            raise DataError("stored moments have shapes that do not fit together; compute them again")
        result = cls(len(mean), mean.device)
        result.count = int(count)
        result.mean = mean.to(torch.float64).clone()
        result.scatter = scatter.to(torch.float64).clone()
        return result


def grouped_moments(x: Tensor, groups: int = 20) -> list[Moments]:
    """Moments of `groups` disjoint, equally large (to one row) shares of x [N, D], for `frechet_interval`.

    Row i goes to share i mod `groups`, so that features written class by class are spread over all shares.
    DataError where N < 2 * groups.
    """
    check_points("x", x, least=2 * groups)
    return [Moments.of(x[start::groups]) for start in range(groups)]
