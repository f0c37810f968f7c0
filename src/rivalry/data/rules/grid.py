"""The numbers that a column can be written with: multiples of its step, or the decimals of 32-bit floats where it has none."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rivalry.data.columns.codes import decimals_of

SLACK = 1e-6


def snapped(values: Tensor, step: float) -> Tensor:
    """[N] float64: the nearest such numbers."""
    if not step:
        return _decimals(values.float())
    scale = 10.0 ** decimals_of(step)
    return ((values / step).round() * step * scale).round() / scale


def at_least(values: Tensor, step: float, strict: bool = False) -> Tensor:
    """[N] float64: the smallest such numbers that are no less than the values (greater, if strict)."""
    if not step:
        near = snapped(values, step)
        short = (near <= values) if strict else (near < values)
        return torch.where(short, _decimals(_next(values.float())), near)
    scale = 10.0 ** decimals_of(step)
    number = (values / step + SLACK).floor()
    for _ in range(2):
        there = (number * step * scale).round() / scale
        number = number + ((there <= values) if strict else (there < values))
    return (number * step * scale).round() / scale


def at_most(values: Tensor, step: float, strict: bool = False) -> Tensor:
    """[N] float64: the largest such numbers that are no greater than the values (less, if strict)."""
    return -at_least(-values, step, strict)


def common_step(*steps: float) -> float:
    """The largest step whose multiples all the steps are; 0 if one of them is 0.

    >>> common_step(0.25, 0.1), common_step(5.0, 10.0), common_step(0.0, 1.0)
    (0.05, 5.0, 0.0)
    """
    if not all(steps):
        return 0.0
    scale = int(10 ** max(map(decimals_of, steps)))
    return float(math.gcd(*(round(s * scale) for s in steps)) / scale)


def _decimals(values: Tensor) -> Tensor:
    """[N] float32 -> float64: the number that its shortest decimals say, which is what stands in a file.  They ascend with the
    values, and are the same 32-bit float again."""
    import pyarrow as arrow

    there = values.cpu().nan_to_num(0.0, posinf=torch.inf, neginf=-torch.inf).numpy()
    said = arrow.array(there).cast(arrow.string()).cast(arrow.float64()).to_numpy(zero_copy_only=False)
    found = torch.from_numpy(said.copy()).to(values.device)
    return torch.where(values.isnan(), torch.nan, found)


def _next(values: Tensor) -> Tensor:
    return torch.nextafter(values, torch.full_like(values, torch.inf))
