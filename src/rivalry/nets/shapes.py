"""Geometry of pictures: which small grid a network starts from, and how it meets sizes that are no power of two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import RecipeError
from rivalry.types import Spec

Out = Literal["auto", "tanh", "none"]
"""How a generator ends: 'tanh' stretched to the data's range, 'none', or 'auto' (tanh for pictures only)."""


@dataclass(frozen=True)
class Grid:
    """A picture of `size` (H, W) seen as `base` (h, w) doubled so many times; `full` >= size."""

    size: tuple[int, int]
    base: tuple[int, int]
    doublings: int

    @property
    def full(self) -> tuple[int, int]:
        return self.at(self.doublings)

    def at(self, level: int) -> tuple[int, int]:
        """The (h, w) after so many doublings of the base."""
        return self.base[0] << level, self.base[1] << level


def grid_of(size: tuple[int, int], smallest: int = 4) -> Grid:
    """As many doublings as leave the base's shorter side at least `smallest` (before rounding up).

    >>> grid_of((28, 28)).base, grid_of((64, 48)).base, grid_of((256, 256)).doublings
    ((7, 7), (8, 6), 6)
    """
    doublings = max(0, int(math.log2(max(min(size) / smallest, 1))))
    step = 2**doublings
    return Grid(size, (math.ceil(size[0] / step), math.ceil(size[1] / step)), doublings)


NO_NUMBERS = "rows that write text are listed by: rivalry zoo search text"


def image_shape(spec: Spec, who: str) -> tuple[int, int, int]:
    """(C, H, W) of the Spec's pictures; RecipeError for other kinds of data."""
    if spec.kind != "image" or len(spec.shape) != 3:
        hint = NO_NUMBERS if spec.kind == "tokens" else "try 'mlp'"
        raise RecipeError(f"{who} works on pictures, but the data are {spec.kind} of shape {spec.shape}; {hint}")
    channels, height, width = spec.shape
    return channels, height, width


def numel(spec: Spec) -> int:
    """How many numbers an example has."""
    return math.prod(spec.shape)


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle (H, W) of [N, C, H', W']; x itself if nothing is to be cut."""
    top, left = x.shape[-2] - size[0], x.shape[-1] - size[1]
    if top == 0 and left == 0:
        return x
    return x[..., top // 2 : top // 2 + size[0], left // 2 : left // 2 + size[1]]


def pad(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, C, H, W] grown to (H', W') by repeating its edges, the twin of `crop`."""
    down, right = size[0] - x.shape[-2], size[1] - x.shape[-1]
    if down == 0 and right == 0:
        return x
    return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2), mode="replicate")


class Squash(nn.Module):
    """tanh stretched to the range of the data: (-1, 1) -> (low, high)."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.middle, self.reach = (high + low) / 2, (high - low) / 2

    def forward(self, x: Tensor) -> Tensor:
        x = x.tanh()
        if self.reach != 1:
            x = x * self.reach
        return x + self.middle if self.middle != 0 else x


def ending(out: Out, spec: Spec) -> nn.Module:
    """The generator's last, parameterless layer."""
    bounded = out == "tanh" or (out == "auto" and spec.kind == "image")
    return Squash(*spec.range) if bounded else nn.Identity()


def pyramid(width: int, cap: int, levels: int) -> tuple[int, ...]:
    """Channels from the coarsest level to the finest: `width` at the finest, doubling up to `cap`.

    >>> pyramid(64, 512, 5)
    (512, 512, 256, 128, 64)
    """
    return tuple(max(1, min(width << (levels - 1 - i), max(cap, width))) for i in range(levels))
