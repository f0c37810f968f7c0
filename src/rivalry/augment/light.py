"""Light augmentations: flips, shifts, cutout, noise, jitter, and their composition."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.augment.common import chosen, column, idle, images
from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.parts import Augment
from rivalry.streams import Draw


@register("augment", "compose")
@dataclass(frozen=True)
class Compose(Augment):
    """One after the other, each with its own draws."""

    parts: tuple[Augment, ...] = ()

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        for i, part in enumerate(self.parts):
            x = part(x, draw.at(i), p)
        return x


@register("augment", "flip")
@dataclass(frozen=True)
class Flip(Augment):
    """Left and right changed places: with chance p a side is drawn, so half of those are flipped."""

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        n, _, _ = images(x, "flip")
        if idle(p):
            return x
        return torch.where(column(chosen(draw, "flip", n, p * 0.5), x), x.flip(-1), x)


@register("augment", "translate")
@dataclass(frozen=True)
class Translate(Augment):
    """Shifted by whole pixels, uniformly up to the share `most` of each side; what comes in is 0 (grey), as in
    DiffAugment (Zhao et al. 2020), or the picture's reflection."""

    most: float = 0.125
    reflect: bool = False

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        n, height, width = images(x, "translate")
        if idle(p):
            return x
        moved = chosen(draw, "translate", n, p)
        u = draw.uniform("shift", n, 2)
        most = [int(side * self.most + 0.5) for side in (height, width)]
        down, right = (torch.where(moved, (u[:, i] * (2 * m + 1)).floor().long().clamp(max=2 * m) - m, 0) for i, m in enumerate(most))
        return shifted(x, down, right, self.reflect)


def shifted(x: Tensor, down: Tensor, right: Tensor, reflect: bool) -> Tensor:
    """x [N, C, H, W] moved by [N] int64 pixels down and right."""
    n, channels, height, width = x.shape
    rows, row_in = _source(height, down, reflect)
    columns, column_in = _source(width, right, reflect)
    index = (rows[:, :, None] * width + columns[:, None, :]).reshape(n, 1, -1).expand(-1, channels, -1)
    out = x.flatten(2).gather(2, index).view_as(x)
    if reflect:
        return out
    return out.masked_fill(~(row_in[:, :, None] & column_in[:, None, :])[:, None], 0.0)


def _source(size: int, shift: Tensor, reflect: bool) -> tuple[Tensor, Tensor]:
    """[N, size] where each place takes from, and whether that lies within."""
    at = torch.arange(size, device=shift.device)[None] - shift[:, None]
    within = (at >= 0) & (at < size)
    if not reflect:
        return at.clamp(0, size - 1), within
    period = max(2 * (size - 1), 1)
    at = at.remainder(period)
    return torch.minimum(at, period - at).clamp(0, size - 1), within


@register("augment", "cutout")
@dataclass(frozen=True)
class Cutout(Augment):
    """DeVries & Taylor 2017: a rectangle of the share `ratio` of each side is 0, its centre anywhere."""

    ratio: float = 0.5

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        n, height, width = images(x, "cutout")
        if idle(p):
            return x
        u = draw.uniform("centre", n, 2)
        hole = _span(height, self.ratio, u[:, 0])[:, :, None] & _span(width, self.ratio, u[:, 1])[:, None, :]
        hole = hole & chosen(draw, "cutout", n, p)[:, None, None]
        return x.masked_fill(hole[:, None], 0.0)


def _span(size: int, ratio: float, u: Tensor) -> Tensor:
    """[N, size] bool: the places covered along one side."""
    extent = int(size * ratio + 0.5)
    start = (u * (size + 1 - extent % 2)).floor() - extent // 2
    at = torch.arange(size, device=u.device)[None]
    return (at >= start[:, None]) & (at < start[:, None] + extent)


@register("augment", "noise")
@dataclass(frozen=True)
class Noise(Augment):
    """Instance noise, Sønderby et al. 2016: x + sigma p eps; p scales it, so that its schedule anneals the noise."""

    sigma: float = 0.1

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        if idle(p):
            return x
        return x + (self.sigma * p * draw.normal("noise", *x.shape)).to(x.dtype)


@register("augment", "jitter")
@dataclass(frozen=True)
class Jitter(Augment):
    """Points and rows: with chance p moved by sigma eps, sigma in the data's encoded units."""

    sigma: float = 0.05

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise RecipeError(f"sigma of augmentation 'jitter' must not be below 0, but is {self.sigma}")

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        if idle(p):
            return x
        moved = column(chosen(draw, "jitter", len(x), p), x)
        return torch.where(moved, x + self.sigma * draw.normal("eps", *x.shape).to(x.dtype), x)
