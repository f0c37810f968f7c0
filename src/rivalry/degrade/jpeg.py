"""What JPEG does to pictures (ITU T.81, annexes A and K; quality as the Independent JPEG Group's code counts it)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from rivalry.types import constant

LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *([99] * 32),
)  # fmt: skip


def to_ycbcr(x: Tensor) -> Tensor:
    """[N, 3, H, W] RGB in 0..255 -> Y, Cb, Cr in 0..255 (JFIF)."""
    r, g, b = x.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return torch.stack([y, 128 + (b - y) * 0.5 / (1 - 0.114), 128 + (r - y) * 0.5 / (1 - 0.299)], 1)


def to_rgb(x: Tensor) -> Tensor:
    """The inverse of `to_ycbcr`."""
    y, cb, cr = x[:, 0], x[:, 1] - 128, x[:, 2] - 128
    r, b = y + 1.402 * cr, y + 1.772 * cb
    return torch.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], 1)


def tables(base: tuple[int, ...], quality: Tensor) -> Tensor:
    """[N, 8, 8]: the quantisation table at quality [N] in 1..100."""
    q = quality.round().clamp(1, 100)
    scale = torch.where(q < 50, (5000 / q).floor(), 200 - 2 * q)
    plain = constant(base, quality.device).view(1, 8, 8)
    return ((plain * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def cosines(device: torch.device) -> Tensor:
    """[8, 8]: the orthonormal DCT-II, rows are frequencies."""
    k = torch.arange(8, device=device, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


def quantised(plane: Tensor, table: Tensor) -> Tensor:
    """[N, H, W] in 0..255, sides multiples of 8 -> the same after quantisation by table [N, 8, 8]."""
    n, h, w = plane.shape
    blocks = (plane - 128).view(n, h // 8, 8, w // 8, 8).transpose(2, 3)
    basis, steps = cosines(plane.device), table[:, None, None]
    found = ((basis @ blocks @ basis.T) / steps).round() * steps
    back = basis.T @ found @ basis
    return back.transpose(2, 3).reshape(n, h, w) + 128


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """[N, 1 or 3, H, W] in [-1, 1], through JPEG at quality [N] (colour 4:2:0) and back, in 8 bits.

    As a decoder does it that repeats chroma smoothly; alpha, if there is a fourth channel, is left as it is.
    """
    if x.shape[1] == 4:
        return torch.cat([jpeg(x[:, :3], quality), x[:, 3:]], 1)
    channels, h, w = x.shape[1:]
    levels = ((x.clamp(-1, 1) + 1) * 127.5).round()
    whole = pad(levels, (0, -w % 16, 0, -h % 16), mode="replicate")
    luma = tables(LUMA, quality)
    if channels == 1:
        out = quantised(whole[:, 0], luma)[:, None]
    else:
        y, *colour = to_ycbcr(whole).round().unbind(1)
        small = avg_pool2d(torch.stack(colour, 1), 2).round()
        table = tables(CHROMA, quality)
        coded = quantised(small.flatten(0, 1), table.repeat_interleave(2, 0)).view_as(small).round().clamp(0, 255)
        large = interpolate(coded, scale_factor=2, mode="bilinear", align_corners=False)
        out = to_rgb(torch.cat([quantised(y, luma)[:, None].round().clamp(0, 255), large], 1))
    return out[:, :, :h, :w].round().clamp(0, 255) / 127.5 - 1
