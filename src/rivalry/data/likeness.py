"""Which pictures look alike: a perceptual hash that survives another size, compression or brightness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from rivalry.data.progress import track
from rivalry.data.sources import Array

SIDE = 16
ALIKE = 0.985
FLAT = 1.0
ROWS = 2048
MOST = 20_000

Thumbs = npt.NDArray[np.float32]


def thumb(picture: Image.Image) -> Thumbs:
    """[16, 16] grey values, 0 to 255."""
    if picture.mode.startswith(("I", "F")):  # 16 bits and more, which Pillow would clip
        values = np.asarray(picture, dtype=np.float32)
        grey = Image.fromarray(values * (255 / max(float(values.max()), 1.0)))
    else:
        grey = picture.convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)


def thumbs_of(pictures: Array, high: int) -> Thumbs:
    """[N, C, H, W] stored pictures -> [N, 16, 16] grey values, 0 to 255; alpha darkens."""
    parts = []
    for start in range(0, len(pictures), ROWS):
        x = torch.from_numpy(pictures[start : start + ROWS].astype(np.float32)) * (255 / high)
        if x.shape[1] == 4:
            x = x[:, :3] * (x[:, 3:] / 255)
        parts.append(interpolate(x.mean(1, keepdim=True), (SIDE, SIDE), mode="area")[:, 0].numpy())
    return np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE), np.float32)


def signatures(thumbs: Thumbs) -> Tensor:
    """[N, 16, 16] -> [N, 480] of length 1: differences of neighbours, so brightness, contrast and what all pictures
    of a kind have in common count little; 0 for pictures that are nearly flat."""
    x = torch.from_numpy(np.ascontiguousarray(thumbs))
    slopes = torch.cat([x.diff(dim=2).flatten(1), x.diff(dim=1).flatten(1)], 1)
    length = slopes.norm(dim=1, keepdim=True)
    return torch.where(length > FLAT * SIDE, slopes / length.clamp_min(1e-6), 0.0)


def near_pairs(thumbs: Thumbs, same: Array, most: int = 1000) -> list[tuple[int, int]]:
    """At most `most` pairs i < j of rows that look alike but are not equal: signatures that correlate by ALIKE.

    thumbs: [N, 16, 16]; same: [N] equal numbers for rows of equal content.
    """
    signs, kinds = signatures(thumbs), torch.from_numpy(np.ascontiguousarray(same))
    found = list[tuple[int, int]]()
    for start in track(range(0, len(signs), ROWS), "looking for near copies", -(-len(signs) // ROWS)):
        alike = signs[start : start + ROWS] @ signs[start:].T >= ALIKE
        i, j = (alike.nonzero() + start).unbind(1)
        other = (i < j) & (kinds[i] != kinds[j])
        found += zip(i[other].tolist(), j[other].tolist(), strict=True)
        if len(found) >= most:
            break
    return found[:most]
