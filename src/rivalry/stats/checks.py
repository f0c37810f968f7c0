"""Sentences for bad input, shared by the statistics of this package."""

from __future__ import annotations

import torch
from torch import Tensor

from rivalry.errors import DataError


def check_points(what: str, x: Tensor, *, least: int = 1, dim: int | None = None) -> None:
    """Demand that `x` is [N, D] of real numbers with N >= `least` and D == `dim`; otherwise DataError.

    Whether the values are finite is asked of their float64 sums (`check_finite`), which costs no pass.
    """
    if x.ndim != 2:
        raise DataError(f"{what} must be a table of [N, D] features, not of shape {list(x.shape)}")
    if x.is_complex():
        raise DataError(f"{what} must hold real numbers, not {x.dtype}")
    if x.shape[0] < least:
        raise DataError(f"{what} holds {x.shape[0]} rows, but this statistic needs at least {least}")
    if dim is not None and x.shape[1] != dim:
        raise DataError(
            f"{what} has {x.shape[1]} features where {dim} were expected; use one extractor for both sides"
        )


def check_finite(what: str, total: Tensor) -> None:
    """DataError unless every number of `total` (any shape: sums over rows will do) is finite."""
    if not bool(torch.isfinite(total).all()):
        raise DataError(f"{what} holds NaN or infinite values; leave those rows out or mend the model first")
