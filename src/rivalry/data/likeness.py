"""Which pictures look alike: a 64-bit gradient hash of a small grey version, then the small versions themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from rivalry.data.sources import Array

SIDE = 16
BITS_APART = 6
GREY_APART = 4.0
ROWS = 2048
MOST = 20_000

Thumbs = npt.NDArray[np.float32]


def thumb(picture: Image.Image) -> Thumbs:
    """[16, 16] grey values, 0 to 255."""
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def thumbs_of(pictures: Array, high: int) -> Thumbs:
    """[N, C, H, W] stored pictures -> [N, 16, 16] grey values, 0 to 255; alpha darkens."""
    parts = []
    for start in range(0, len(pictures), ROWS):
        x = torch.from_numpy(pictures[start : start + ROWS].astype(np.float32)) * (255 / high)
        if x.shape[1] == 4:
            x = x[:, :3] * (x[:, 3:] / 255)
        parts.append(interpolate(x.mean(1, keepdim=True), (SIDE, SIDE), mode="area")[:, 0].numpy())
    return np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE), np.float32)


def gradient_bits(thumbs: Thumbs) -> Tensor:
    """[N, 16, 16] -> [N, 64] of -1 and 1: is each of 8 x 8 cells clearly brighter than its right neighbour?"""
    x = torch.from_numpy(np.ascontiguousarray(thumbs))[:, None]
    cells = interpolate(x, (8, 9), mode="area")[:, 0]
    return torch.where(cells[:, :, :-1] - cells[:, :, 1:] > 2, 1.0, -1.0).flatten(1)


def near_pairs(thumbs: Thumbs, same: Array, most: int = 1000) -> list[tuple[int, int]]:
    """At most `most` pairs i < j of rows that look alike but are not equal.

    thumbs: [N, 16, 16]; same: [N] equal numbers for rows of equal content.  A pair differs in at most 6 of 64
    gradient bits, and by at most 4 grey levels (root mean square) in the small versions.
    """
    bits, flat = gradient_bits(thumbs), torch.from_numpy(np.ascontiguousarray(thumbs)).flatten(1)
    kinds, busy = torch.from_numpy(np.ascontiguousarray(same)), flat.std(1) > 1
    found = list[tuple[int, int]]()
    for start in range(0, len(bits), ROWS):
        rows = slice(start, start + ROWS)
        alike = bits[rows] @ bits[start:].T >= 64 - 2 * BITS_APART
        alike &= (kinds[rows, None] != kinds[None, start:]) & busy[rows, None] & busy[None, start:]
        i, j = alike.triu(1).nonzero(as_tuple=True)
        close = torch.cat(
            [
                (flat[start + a] - flat[start + b]).square().mean(1).sqrt() <= GREY_APART
                for a, b in zip(i.split(1 << 16), j.split(1 << 16), strict=True)
            ]
        )
        found += zip((i[close] + start).tolist(), (j[close] + start).tolist(), strict=True)
        if len(found) >= most:
            break
    return found[:most]
