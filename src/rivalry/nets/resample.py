"""Resampling pictures with the triangle filter (1, 3, 3, 1) = (1, 2, 1) * (1, 1), as fixed linear maps per axis.

Rows of each map sum to one and edges are repeated, so constants stay constants.  Two matrix products are
faster on CPU than a depthwise convolution (2x with double backward) and have simple derivatives of any order.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Step = Literal["up", "down", "join", "part"]
TAPS = (1, 3, 3, 1)


def axis_map(inputs: int, step: Step) -> Tensor:
    """[outputs, inputs], the filter along one axis: 'down' n -> n/2, 'up' n -> 2n, 'join' n -> n - 1 (which
    smooths what a transposed convolution of stride 2 left at n = 2m + 1 pixels), 'part' n -> n + 1 (before a
    3x3 convolution of stride 2 without padding)."""
    outputs = {"down": inputs // 2, "up": 2 * inputs, "join": inputs - 1, "part": inputs + 1}[step]
    rows = torch.zeros(outputs, inputs)
    for i in range(outputs):
        spots: tuple[tuple[int, int], ...]
        if step == "up":
            centre, near = i // 2, (i // 2) + (1 if i % 2 else -1)
            spots = ((centre, 3), (near, 1))
        else:
            first = {"down": 2 * i - 1, "join": i - 1, "part": i - 2}[step]
            spots = tuple((first + j, tap) for j, tap in enumerate(TAPS))
        for j, tap in spots:
            rows[i, min(max(j, 0), inputs - 1)] += tap
    return rows / rows.sum(1, keepdim=True)


class Resample(nn.Module):
    """[N, C, *size] -> [N, C, H', W']: halved, doubled, joined or parted (see `axis_map`)."""

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], step: Step) -> None:
        super().__init__()
        self.register_buffer("rows", axis_map(size[0], step), persistent=False)
        self.register_buffer("columns", axis_map(size[1], step).t().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.rows, self.columns
        if x.dtype != rows.dtype:  # autocast
            rows, columns = rows.to(x.dtype), columns.to(x.dtype)
        if x.shape[1] == 1 or x.stride(1) != 1:
            return rows @ (x @ columns)
        n, c, h, w = x.shape  # channels last, and so it stays
        y = (rows @ x.permute(0, 2, 3, 1).reshape(n, h, w * c)).reshape(n, -1, w, c)
        return (columns.t() @ y).permute(0, 3, 1, 2)


def nearest_up(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W] by repeating pixels."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def mean_down(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2] by the mean of four pixels."""
    return F.avg_pool2d(x, 2)
