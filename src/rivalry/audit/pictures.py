"""Where pictures are compared: small pixels, gradients, or a network of the user's; under flips, shifts and crops.

Nothing here was trained on the rows that are attacked, and nothing changes with brightness or contrast.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.data.image import ImageModality
from rivalry.extractors import Extractor

SIDE = 16
"""Pixels a side at which values are compared."""
EDGE = 32
"""Pixels a side at which gradients are taken."""
CELLS, ANGLES = 6, 8
STEP = 1 / 14
"""Shifts and crops, as a share of the side: 2 of 28 pixels."""
FAINT = 0.05
"""Pictures of a smaller standard deviation (of values in [-1, 1]) are not stretched to 1: they are blank."""


@dataclass(frozen=True)
class PixelSpace:
    """Encoded pictures [N, C, H, W] -> [N, D]: at most 16 x 16 pixels, each channel less its mean, of standard
    deviation 1 over all: brightness and contrast are gone.  forms: flipped or not, as they are, shifted to eight sides,
    and with the edge cropped off."""

    modality: ImageModality
    name: str = "pixels"

    def plain(self, x: Tensor) -> Tensor:
        small = _small(self.modality.rgb(x.float()), SIDE)
        if x.shape[1] == 1:
            small = small[:, :1]
        level = small - small.mean((2, 3), keepdim=True)
        spread = level.flatten(1).square().mean(1).sqrt().clamp_min(FAINT)
        return level.flatten(1) / spread[:, None]

    def forms(self, x: Tensor) -> list[Tensor]:
        return [self.plain(moved) for side in (x, x.flip(3)) for moved in moves(side)]


@dataclass(frozen=True)
class GradientSpace:
    """Encoded pictures [N, C, H, W] -> [N, 288]: histograms of oriented gradients (Dalal & Triggs 2005), 8 directions
    without sign in 6 x 6 cells, of length 1, then the square root.  forms: flipped or not."""

    modality: ImageModality
    name: str = "gradients"

    def plain(self, x: Tensor) -> Tensor:
        grey = _small(self.modality.rgb(x.float()).mean(1, keepdim=True), EDGE)
        padded = F.pad(grey, (1, 1, 1, 1), mode="replicate")
        across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
        down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
        size = torch.sqrt(across.square() + down.square())
        place = torch.atan2(down, across) / torch.pi % 1 * ANGLES  # directions without sign, in [0, ANGLES]
        bins = torch.arange(ANGLES, dtype=place.dtype, device=x.device)[None, :, None, None]
        away = (place - bins).abs()
        weight = (1 - torch.minimum(away, ANGLES - away)).clamp_min(0)
        cells = F.adaptive_avg_pool2d(weight * size, CELLS).flatten(1)
        total = cells.sum(1, keepdim=True).clamp_min(FAINT)
        return (cells / total).sqrt()

    def forms(self, x: Tensor) -> list[Tensor]:
        return [self.plain(x), self.plain(x.flip(3))]


@dataclass(frozen=True, eq=False)
class NetworkSpace:
    """Encoded pictures -> features of a network trained on other pictures, of length 1.  forms: flipped or not."""

    extractor: Extractor

    @property
    def name(self) -> str:
        return self.extractor.name

    def plain(self, x: Tensor) -> Tensor:
        return F.normalize(self.extractor(x.float().clamp(-1, 1)), dim=1)

    def forms(self, x: Tensor) -> list[Tensor]:
        return [self.plain(x), self.plain(x.flip(3))]


def _small(x: Tensor, side: int) -> Tensor:
    """Area means at no more than side x side pixels."""
    return F.adaptive_avg_pool2d(x, (min(side, x.shape[2]), min(side, x.shape[3])))


def moves(x: Tensor) -> list[Tensor]:
    """[N, C, H, W] -> itself, shifted by STEP to eight sides (edges repeated), and its middle enlarged to the whole."""
    height, width = x.shape[2:]
    high, wide = (max(1, round(STEP * side)) for side in (height, width))
    if min(height - 2 * high, width - 2 * wide) < 1:
        return [x]
    padded = F.pad(x, (wide, wide, high, high), mode="replicate")
    corners = [(top, left) for top in (0, high, 2 * high) for left in (0, wide, 2 * wide) if (top, left) != (high, wide)]
    found = [x, *(padded[:, :, top : top + height, left : left + width] for top, left in corners)]
    middle = x[:, :, high : height - high, wide : width - wide]
    found.append(F.interpolate(middle, size=(height, width), mode="bilinear", align_corners=False))
    return found
