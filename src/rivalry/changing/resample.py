"""Bicubic enlargement by a whole factor, as a convolution: what a tile gives is what the whole picture gives."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 2
"""Source pixels on either side that a value is made of."""


def enlarged(x: Tensor, scale: int) -> Tensor:
    """[n, c, h, w] -> [n, c, scale * h, scale * w] by cubic convolution with a = -0.5 (Keys 1981), which is Pillow's BICUBIC
    inside the picture; at the border the outermost pixels are repeated."""
    if scale == 1:
        return x
    n, c, h, w = x.shape
    padded = F.pad(x.reshape(n * c, 1, h, w), (REACH, REACH, REACH, REACH), mode="replicate")
    return F.pixel_shuffle(F.conv2d(padded, _taps(scale).to(x)), scale).reshape(n, c, scale * h, scale * w)


@cache
def _taps(scale: int) -> Tensor:
    """[scale², 1, 5, 5]: the kernel of each place within a source pixel."""
    places = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    t = (places[:, None] - torch.arange(-REACH, REACH + 1)).abs()
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    rows = torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))
    return torch.einsum("ai,bj->abij", rows, rows).reshape(scale * scale, 1, 5, 5)
