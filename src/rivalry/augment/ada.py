"""ADA's pipeline: blits, geometry and colour as one warp and one matrix per example, twice differentiable."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from rivalry.augment.common import chosen, column, hues, idle, images, with_alpha
from rivalry.catalogue import register
from rivalry.parts import Augment
from rivalry.streams import Draw
from rivalry.types import constant


@register("augment", "ada")
@dataclass(frozen=True)
class ADA(Augment):
    """Karras et al. 2020, appendix B, set 'bgc': each transformation with chance p per example, for pictures in
    [-1, 1] of any size; grey ones get of the colours brightness, contrast and luma flip alone, alpha gets none.

    blit: x-flip, quarter turns, whole-pixel shifts (shift of each side).  geometry: scale (2^N(0, scale)), turns (all
    angles), stretch, fractional shifts (N(0, fraction) of each side).  colour: brightness N(0, brightness), contrast
    2^N(0, contrast), luma flip, hue (all angles), saturation 2^N(0, saturation).  Pictures go on as their reflection;
    resampling is bilinear, where theirs filters with wavelets.
    """

    blit: bool = True
    geometry: bool = True
    colour: bool = True
    quarter_turns: bool = True
    shift: float = 0.125
    scale: float = 0.2
    turn: float = 1.0
    fraction: float = 0.125
    brightness: float = 0.2
    contrast: float = 0.5
    luma_flip: bool = True
    hue: float = 1.0
    saturation: float = 1.0

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        images(x, "ada")
        if idle(p):
            return x
        if self.blit or self.geometry:
            x = warp(x, self._placement(x, draw, p))
        return self._coloured(x, draw.at("colour"), p) if self.colour else x

    def _placement(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        """[N, 3, 3] from a pixel of the result to where it comes from, both counted from the centre."""
        n, height, width = images(x, "ada")
        size = constant((width, height), x.device)
        dice = _Dice(draw, n, p)
        m = torch.eye(3, device=x.device).expand(n, 3, 3)
        if self.blit:
            flip = dice.uniform("flip", 1) < 0.5
            m = m @ _scaling(torch.where(dice.on("flip") & flip[:, 0], -1.0, 1.0), torch.ones(n, device=x.device))
            if self.quarter_turns:
                m = m @ _quarter_turns(dice.uniform("quarter", 1)[:, 0], dice.on("quarter"))
            shift = ((dice.uniform("shift", 2) * 2 - 1) * self.shift * size).round()
            m = m @ _shifting(dice.or_none("shift", shift, 0.0))
        if self.geometry:
            scale = dice.or_none("scale", torch.exp2(dice.normal("scale", 1) * self.scale), 1.0)[:, 0]
            m = m @ _scaling(1 / scale, 1 / scale)
            m = m @ _turning(self._angle(dice, "before"))
            stretch = dice.or_none("stretch", torch.exp2(dice.normal("stretch", 1) * self.scale), 1.0)[:, 0]
            m = m @ _scaling(1 / stretch, stretch)
            m = m @ _turning(self._angle(dice, "after"))
            fraction = dice.normal("fraction", 2) * self.fraction * size
            m = m @ _shifting(dice.or_none("fraction", fraction, 0.0))
        return m

    def _angle(self, dice: _Dice, name: str) -> Tensor:
        """[N] radians: turned before or after stretching (or both) with chance p in all: 1 - sqrt(1 - p) each."""
        angle = (dice.uniform(name, 1)[:, 0] * 2 - 1) * math.pi * self.turn
        return torch.where(chosen(dice.draw, f"{name}?", dice.n, 1 - (1 - dice.p) ** 0.5), angle, 0.0)

    def _coloured(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        n = len(x)
        dice = _Dice(draw, n, p)
        add = dice.or_none("brightness", dice.normal("brightness", 1) * self.brightness, 0.0)[:, 0]
        contrast = dice.or_none("contrast", torch.exp2(dice.normal("contrast", 1) * self.contrast), 1.0)[:, 0]
        flip = dice.on("luma") & (dice.uniform("luma", 1)[:, 0] < 0.5) & self.luma_flip
        colour = x[:, : hues(x)]
        if colour.shape[1] != 3:
            sign = torch.where(flip, -1.0, 1.0)
            grey = (colour + column(add.to(x.dtype), x)) * column((contrast * sign).to(x.dtype), x)
            return with_alpha(grey, x)
        angle = dice.or_none("hue", (dice.uniform("hue", 1) * 2 - 1) * math.pi * self.hue, 0.0)[:, 0]
        saturation = dice.or_none("saturation", torch.exp2(dice.normal("saturation", 1) * self.saturation), 1.0)[:, 0]
        m = _hue(angle, saturation, torch.where(flip, -contrast, contrast), contrast).to(x.dtype)
        moved = colour + column(add.to(x.dtype), x)
        return with_alpha((m @ moved.flatten(2)).view_as(colour), x)


@dataclass(frozen=True)
class _Dice:
    """Draws by name for n examples, and whom each transformation falls on."""

    draw: Draw
    n: int
    p: float | Tensor

    def uniform(self, name: str, k: int) -> Tensor:
        return self.draw.uniform(f"{name}.u", self.n, k)

    def normal(self, name: str, k: int) -> Tensor:
        return self.draw.normal(f"{name}.z", self.n, k)

    def on(self, name: str) -> Tensor:
        """[n] bool."""
        return chosen(self.draw, f"{name}?", self.n, self.p)

    def or_none(self, name: str, value: Tensor, neutral: float) -> Tensor:
        """[n, k]: the value for those it falls on, else the neutral one."""
        return torch.where(self.on(name)[:, None], value, neutral)


def _matrix(*entries: Tensor) -> Tensor:
    """Nine [N] -> [N, 3, 3]."""
    return torch.stack(entries, 1).view(-1, 3, 3)


def _scaling(sx: Tensor, sy: Tensor) -> Tensor:
    zero, one = torch.zeros_like(sx), torch.ones_like(sx)
    return _matrix(sx, zero, zero, zero, sy, zero, zero, zero, one)


def _shifting(by: Tensor) -> Tensor:
    """[N, 2] (right, down) -> [N, 3, 3]."""
    zero, one = torch.zeros_like(by[:, 0]), torch.ones_like(by[:, 0])
    return _matrix(one, zero, -by[:, 0], zero, one, -by[:, 1], zero, zero, one)


def _turning(angle: Tensor) -> Tensor:
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    c, s = angle.cos(), angle.sin()
    return _matrix(c, -s, zero, s, c, zero, zero, zero, one)


def _quarter_turns(u: Tensor, on: Tensor) -> Tensor:
    """Turns by 0, 90, 180 or 270 degrees as u in [0, 1) says, with exact entries."""
    k = torch.where(on, (u * 4).floor().long(), 0)
    c = constant((1.0, 0.0, -1.0, 0.0), u.device)[k]
    s = constant((0.0, 1.0, 0.0, -1.0), u.device)[k]
    zero, one = torch.zeros_like(u), torch.ones_like(u)
    return _matrix(c, -s, zero, s, c, zero, zero, zero, one)


def _hue(angle: Tensor, saturation: Tensor, along: Tensor, across: Tensor) -> Tensor:
    """[N, 3, 3]: times `along` on the luma axis (1, 1, 1); across it, turned and times saturation x `across`."""
    luma = torch.full((3, 3), 1 / 3, device=angle.device)
    cross = constant(((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0)), angle.device) / math.sqrt(3)
    size = (saturation * across)[:, None, None]
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return size * c * torch.eye(3, device=angle.device) + size * s * cross + (along[:, None, None] - size * c) * luma


def warp(x: Tensor, placement: Tensor) -> Tensor:
    """x [N, C, H, W] with each pixel of the result taken, bilinearly, from where placement [N, 3, 3] sends it (pixels
    from the centre; x right, y down); beyond the edge the picture's reflection.  Identities change no bit of x."""
    n, _, height, width = x.shape
    ys = torch.arange(height, device=x.device, dtype=placement.dtype) - (height - 1) / 2
    xs = torch.arange(width, device=x.device, dtype=placement.dtype) - (width - 1) / 2
    at = torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], -1).view(1, -1, 2)
    source = at @ placement[:, :2, :2].mT + placement[:, None, :2, 2]
    places = [_folded(source[..., i] + (size - 1) / 2, size) for i, size in enumerate((width, height))]
    scaled = [2 * place / max(size - 1, 1) - 1 for place, size in zip(places, (width, height), strict=True)]
    grid = torch.stack(scaled, -1).view(n, height, width, 2)
    work = x if x.dtype in (torch.float32, torch.float64) else x.float()
    out = grid_sample(work, grid.to(work.dtype), "bilinear", "zeros", align_corners=True).to(x.dtype)
    still = (placement == torch.eye(3, device=x.device)).flatten(1).all(1)
    return torch.where(column(still, x), x, out)


def _folded(place: Tensor, size: int) -> Tensor:
    """Places in pixels, reflected into [0, size - 1]."""
    period = max(2 * (size - 1), 1)
    place = place.remainder(period)
    return torch.minimum(place, period - place).clamp(0, size - 1)
