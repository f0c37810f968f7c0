"""Faults as they come in the wild: blur, resizing, noise and JPEG, twice over (Real-ESRGAN)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.catalogue import register
from rivalry.degrade.basic import LUMA, Shrinks, between, eight_bits, log_between
from rivalry.degrade.jpeg import jpeg
from rivalry.degrade.kernels import blurred, gaussian, sinc
from rivalry.degrade.resize import FILTERS, resize_each
from rivalry.errors import RecipeError
from rivalry.streams import Draw
from rivalry.types import constant

KERNEL = 21
LARGEST = 1.5
SHAPES = (0.45, 0.7, 0.85, 1.0)
"""Cumulative shares of isotropic, anisotropic, generalised and plateau kernels."""


@register("degradation", "realistic")
@dataclass(frozen=True)
class Realistic(Shrinks):
    """Real-ESRGAN's pipeline of second order (Wang et al. 2021, section 3 and table of settings): blur, resizing, noise,
    JPEG; again; then a sinc filter and JPEG in either order, at `scale` times smaller.  Every choice is drawn per example.

    strength: 1 as published; below, deviations, noise and loss of quality shrink in proportion.  Pictures of changing
    sizes lie in one canvas, whose rest continues their border.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.scale not in (1, 2, 3, 4, 8) or not 0 < self.strength <= 1.5:
            raise RecipeError(f"scale must be 1, 2, 3, 4 or 8 and strength in (0, 1.5], not {self.scale} and {self.strength}")

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n, _, h, w = x.shape
        whole = _sizes(n, h, w, x.device)
        canvas = (math.ceil(h * LARGEST), math.ceil(w * LARGEST))
        side = (h // self.scale, w // self.scale)
        end = _sizes(n, *side, x.device)
        first, second = draw.at("first"), draw.at("second")
        x = self._blurred(x, first, (0.2, 3.0), 1.0)
        x, size = self._resized(x, whole, whole, first, (0.2, 0.7), (0.15, 1.5), canvas)
        x = self._noisy(x, first, (1, 30), (0.05, 3))
        x = self._compressed(x, first)
        x = self._blurred(x, second, (0.2, 1.5), 0.8)
        x, size = self._resized(x, size, end, second, (0.3, 0.4), (0.3, 1.2), canvas)
        x = self._noisy(x, second, (1, 25), (0.05, 2.5))
        return eight_bits(self._finished(x, size, end, side, draw.at("last")))

    def _blurred(self, x: Tensor, draw: Draw, sigma: tuple[float, float], chance: float) -> Tensor:
        """Most by Gaussians of all shapes, a tenth by a sinc; `chance`: of being blurred at all."""
        n = len(x)
        s = self.strength
        which = draw.uniform("shape", n)
        wide = between(draw, "wide", n, sigma[0], max(sigma[0], sigma[1] * s))
        narrow = torch.where(which < SHAPES[0], wide, between(draw, "narrow", n, sigma[0], max(sigma[0], sigma[1] * s)))
        generalised = (which >= SHAPES[1]) & (which < SHAPES[2])
        flat = which >= SHAPES[2]
        form = torch.where(generalised, between(draw, "form", n, 0.5, 4), torch.where(flat, between(draw, "flat", n, 1, 2), torch.ones_like(wide)))
        kernel = gaussian(KERNEL, wide, narrow, between(draw, "angle", n, -math.pi, math.pi), form, flat)
        ring = (draw.uniform("ring", n) < 0.1)[:, None, None]
        kernel = torch.where(ring, sinc(KERNEL, between(draw, "cutoff", n, math.pi / 3, math.pi)), kernel)
        soft = blurred(x, kernel)
        return torch.where((draw.uniform("blur", n) < chance).view(-1, 1, 1, 1), soft, x)

    def _resized(
        self, x: Tensor, old: Tensor, base: Tensor, draw: Draw, shares: tuple[float, float], span: tuple[float, float],
        canvas: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Larger, smaller or as they are, by the shares of the first two, times `base`."""
        n = len(x)
        which = draw.uniform("resize", n)
        low = span[0] if self.strength >= 1 else 1 - (1 - span[0]) * self.strength
        up, down = between(draw, "up", n, 1, span[1]), between(draw, "down", n, low, 1)
        factor = torch.where(which < shares[0], up, torch.where(which < shares[0] + shares[1], down, torch.ones_like(up)))
        new = (base * factor[:, None]).round().long().clamp_min(2)
        new = torch.minimum(new, constant(canvas, x.device, torch.long))
        return resize_each(x, old, new, draw.integers("filter", len(FILTERS), n), canvas), new

    def _noisy(self, x: Tensor, draw: Draw, sigma: tuple[float, float], scale: tuple[float, float]) -> Tensor:
        """Half of them Gaussian, half as photons are counted; two fifths the same in all colours."""
        n = len(x)
        noise = draw.normal("noise", *x.shape)
        grey = (draw.uniform("grey", n) < 0.4).view(-1, 1, 1, 1)
        noise = torch.where(grey, noise[:, :1], noise)
        loud = between(draw, "loud", n, sigma[0], max(sigma[0], sigma[1] * self.strength)).view(-1, 1, 1, 1) * (2 / 255)
        light = (x.clamp(-1, 1) + 1) / 2
        if x.shape[1] >= 3:
            luma = (light[:, :3] * constant(LUMA, x.device, x.dtype).view(1, 3, 1, 1)).sum(1, keepdim=True)
            light = torch.where(grey, luma, light)
        # a Poisson count at 2^8 levels of light, times the scale: its deviation is sqrt(light / 256)
        counted = log_between(draw, "counted", n, scale[0], max(scale[0], scale[1] * self.strength)).view(-1, 1, 1, 1)
        shot = 2 * (light / 256).sqrt() * counted
        return (x + torch.where((draw.uniform("kind", n) < 0.5).view(-1, 1, 1, 1), loud, shot) * noise).clamp(-1, 1)

    def _compressed(self, x: Tensor, draw: Draw) -> Tensor:
        lowest = 95 - (95 - 30) * min(1.0, self.strength)
        return jpeg(x, between(draw, "quality", len(x), lowest, 95))

    def _finished(self, x: Tensor, size: Tensor, end: Tensor, side: tuple[int, int], draw: Draw) -> Tensor:
        """To the size asked for, a sinc filter (four fifths of them) and JPEG, in either order."""
        n = len(x)
        kind = draw.integers("filter", len(FILTERS), n)
        small = resize_each(x, size, end, kind, side)
        ring = (draw.uniform("ring", n) < 0.8).view(-1, 1, 1, 1)
        kernel = sinc(KERNEL, between(draw, "cutoff", n, math.pi / 3, math.pi))

        def rung(x: Tensor) -> Tensor:
            return torch.where(ring, blurred(x, kernel), x)

        order = (draw.uniform("order", n) < 0.5).view(-1, 1, 1, 1)
        return torch.where(order, self._compressed(rung(small), draw), rung(self._compressed(small, draw)))


def _sizes(n: int, height: int, width: int, device: torch.device) -> Tensor:
    """[n, 2] of (height, width), made on the device, so that it is not waited for."""
    return torch.stack([torch.full((n,), side, device=device) for side in (height, width)], 1)
