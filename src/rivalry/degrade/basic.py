"""One fault at a time: small, noisy, blurred, compressed, dark, grey, with holes, drawn in outline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from rivalry.catalogue import register
from rivalry.degrade.jpeg import jpeg
from rivalry.degrade.kernels import blurred, gaussian, motion
from rivalry.degrade.resize import bicubic
from rivalry.errors import RecipeError
from rivalry.parts import Degradation
from rivalry.streams import Draw
from rivalry.types import constant

LUMA = (0.299, 0.587, 0.114)


def eight_bits(x: Tensor) -> Tensor:
    """[-1, 1] -> the nearest of 256 levels, as a file would keep it."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def between(draw: Draw, name: str, n: int, low: float, high: float) -> Tensor:
    """[n] uniform between the two."""
    return low + (high - low) * draw.uniform(name, n)


def log_between(draw: Draw, name: str, n: int, low: float, high: float) -> Tensor:
    """[n] uniform in the logarithm."""
    return torch.exp(between(draw, name, n, math.log(low), math.log(high)))


@dataclass(frozen=True)
class Same(Degradation):
    """A fault that leaves the size as it is."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@dataclass(frozen=True)
class Shrinks(Degradation):
    """A fault that makes pictures `scale` times smaller a side."""

    scale: int = 4

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        c, h, w = shape
        if h % self.scale or w % self.scale:
            raise RecipeError(f"pictures of {h}x{w} are no multiple of {self.scale}; give --patch {max(self.scale, h // self.scale * self.scale)}")
        return (c, h // self.scale, w // self.scale)


@register("degradation", "down")
@dataclass(frozen=True)
class Down(Shrinks):
    """Smaller by `scale`, bicubic with antialiasing, rounded to 8 bits: the usual protocol of super-resolution."""

    def __post_init__(self) -> None:
        if self.scale not in (2, 3, 4, 8):
            raise RecipeError(f"super-resolution is by 2, 3, 4 or 8, not {self.scale}")

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        return eight_bits(bicubic(x, (x.shape[2] // self.scale, x.shape[3] // self.scale)))


@register("degradation", "noise")
@dataclass(frozen=True)
class Noise(Same):
    """x + sigma * N(0, 1), sigma uniform in low..high per example, in units of 1/255 of the range; not clipped, as
    published figures are measured (Zhang et al. 2017, DnCNN)."""

    low: float = 0.0
    high: float = 55.0

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        sigma = between(draw, "sigma", len(x), self.low, self.high) * (2 / 255)
        return x + sigma.view(-1, 1, 1, 1) * draw.normal("noise", *x.shape)


@register("degradation", "blur")
@dataclass(frozen=True)
class Blur(Same):
    """Out of focus (Gaussian, deviation low..high pixels), moved (a line of up to `motion` pixels), or one of the two by
    chance, then a little noise (deviation up to `noise` of 255)."""

    low: float = 0.6
    high: float = 3.0
    motion: float = 15.0
    noise: float = 2.0
    kernel: int = 21

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n = len(x)
        sigma = between(draw, "sigma", n, self.low, self.high)
        angle = between(draw, "angle", n, 0, math.pi)
        ones = torch.ones_like(sigma)
        focus = gaussian(self.kernel, sigma, sigma, angle, ones, ones < 0)
        moved = motion(self.kernel, between(draw, "length", n, 2, self.motion), angle)
        which = draw.uniform("which", n) < 0.5
        soft = blurred(x, torch.where(which[:, None, None], focus, moved))
        loud = between(draw, "loud", n, 0, self.noise) * (2 / 255)
        return eight_bits(soft + loud.view(-1, 1, 1, 1) * draw.normal("noise", *x.shape))


@register("degradation", "jpeg")
@dataclass(frozen=True)
class Jpeg(Same):
    """Through JPEG at a quality in low..high; blocks begin anywhere, since cut pictures' do."""

    low: float = 10.0
    high: float = 80.0

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        quality = between(draw, "quality", len(x), self.low, self.high)
        top, left = (draw.key(name) % 8 for name in ("top", "left"))  # numbers of the host: the device is not waited for
        turned = torch.roll(x, (top, left), (2, 3))
        return torch.roll(jpeg(turned, quality), (-top, -left), (2, 3))


@register("degradation", "low-light")
@dataclass(frozen=True)
class LowLight(Same):
    """Too dark: light (gamma 2.2) is cut to a share in darkest..brightest, uniform in the logarithm, colours drift by up to
    `drift`, photons are counted (about `photons` at full light) and read out with noise (deviation up to `read` of 255)."""

    darkest: float = 0.03
    brightest: float = 0.4
    drift: float = 0.1
    photons: float = 4000.0
    read: float = 3.0

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n, c = x.shape[:2]
        share = log_between(draw, "share", n, self.darkest, self.brightest).view(-1, 1, 1, 1)
        tint = 1 + self.drift * (2 * draw.uniform("tint", n, c, 1, 1) - 1) if c >= 3 else torch.ones_like(share)
        light = ((x.clamp(-1, 1) + 1) / 2) ** 2.2 * share * tint
        shot = (light / self.photons).sqrt() * draw.normal("shot", *x.shape)
        seen = (light + shot).clamp(0, 1) ** (1 / 2.2)
        read = between(draw, "read", n, 0, self.read).view(-1, 1, 1, 1) / 255
        return eight_bits(2 * (seen + read * draw.normal("noise", *x.shape)) - 1)


@register("degradation", "dull")
@dataclass(frozen=True)
class Dull(Same):
    """Low contrast, in the order in which it comes about: exposure is off by up to `stops` stops either way (in light, gamma 2.2); half of
    the pictures lie in haze, of which a share thinnest..1 of the light comes through, the rest being an airlight of .7 to 1 (He et al.
    2009, eq. 1, at one depth); tones are squeezed into a share least..most of the range, anywhere in it; a little noise is added
    (deviation up to `noise` of 255)."""

    stops: float = 1.0
    thinnest: float = 0.3
    least: float = 0.25
    most: float = 0.9
    noise: float = 2.0

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n = len(x)

        def each(name: str, low: float, high: float) -> Tensor:
            return between(draw, name, n, low, high).view(-1, 1, 1, 1)

        light = (((x.clamp(-1, 1) + 1) / 2) ** 2.2 * 2 ** each("stops", -self.stops, self.stops)).clamp(0, 1)
        through = torch.where(each("hazy", 0, 1) < 0.5, each("through", self.thinnest, 1.0), 1.0)
        tones = (through * light + (1 - through) * each("airlight", 0.7, 1.0)) ** (1 / 2.2)
        share = each("share", self.least, self.most)
        squeezed = share * tones + (1 - share) * each("black", 0, 1)
        return eight_bits(2 * (squeezed + each("loud", 0, self.noise) / 255 * draw.normal("noise", *x.shape)) - 1)


@register("degradation", "grey")
@dataclass(frozen=True)
class Grey(Degradation):
    """Without colour: the luma of RGB (BT.601), one channel."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape[0] != 3:
            raise RecipeError(f"colours are learned from pictures that have them, and these have {shape[0]} channel(s); give --channels 3 with colour pictures")
        return (1, *shape[1:])

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        return (x * constant(LUMA, x.device, x.dtype).view(1, 3, 1, 1)).sum(1, keepdim=True)


@register("degradation", "outline")
@dataclass(frozen=True)
class Outline(Degradation):
    """A drawing of the picture's edges, dark on white, one channel: a line on the darker side of every step, as wide as the blur (deviation
    low..high pixels); what is even stays white, however dark, and faint edges are left out by chance."""

    low: float = 0.7
    high: float = 1.6

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, *shape[1:])

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        n = len(x)
        luma = (x[:, :3] * constant(LUMA, x.device, x.dtype).view(1, 3, 1, 1)).sum(1, keepdim=True) if x.shape[1] >= 3 else x[:, :1]
        sigma = between(draw, "sigma", n, self.low, self.high)
        ones = torch.ones_like(sigma)
        narrow = blurred(luma, gaussian(13, sigma, sigma, ones * 0, ones, ones < 0))
        wide = blurred(luma, gaussian(13, 1.6 * sigma, 1.6 * sigma, ones * 0, ones, ones < 0))
        # difference of Gaussians, soft threshold (Winnemoeller et al. 2012, XDoG); both weigh alike, or dark areas would be filled
        sharp = between(draw, "sharp", n, 8, 16).view(-1, 1, 1, 1)
        edge = narrow - wide + between(draw, "faint", n, 0.005, 0.03).view(-1, 1, 1, 1)
        return (1 + torch.tanh(sharp * edge.clamp_max(0) * 4)).clamp(0, 1) * 2 - 1


@register("degradation", "masked")
@dataclass(frozen=True)
class Masked(Degradation):
    """With holes: [N, C + 1, H, W], pixels inside holes 0, and the mask as last channel (1 inside, 0 outside).

    holes: 'irregular' (thick random strokes), 'box' (one to three rectangles), or 'both' by turns; strokes: at most so
    many (Suvorov et al. 2022, LaMa, section 2.3: wide masks train better)."""

    holes: Literal["irregular", "box", "both"] = "both"
    strokes: int = 6

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] + 1, *shape[1:])

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        mask = self.mask(len(x), x.shape[2], x.shape[3], draw)
        return torch.cat([x * (1 - mask), mask], 1)

    def mask(self, n: int, height: int, width: int, draw: Draw) -> Tensor:
        """[n, 1, height, width] of 0 and 1."""
        lines, boxes = self._lines(n, height, width, draw), self._boxes(n, height, width, draw)
        if self.holes != "both":
            return lines if self.holes == "irregular" else boxes
        return torch.where((draw.uniform("which", n) < 0.5).view(-1, 1, 1, 1), lines, boxes)

    def _boxes(self, n: int, height: int, width: int, draw: Draw) -> Tensor:
        rows, columns = (torch.arange(s, device=draw.device) for s in (height, width))
        mask = torch.zeros(n, 1, height, width, device=draw.device)
        for i in range(3):
            side = 0.15 + 0.35 * draw.uniform(f"side{i}", n, 2)
            first = draw.uniform(f"first{i}", n, 2) * (1 - side)
            there = (draw.uniform(f"there{i}", n) < (1.0, 0.4, 0.2)[i]).view(-1, 1)
            inside = [
                (at[None] >= first[:, k : k + 1] * s) & (at[None] < (first + side)[:, k : k + 1] * s)
                for k, (at, s) in enumerate(((rows, height), (columns, width)))
            ]
            mask = mask.maximum(((inside[0] & there)[:, None, :, None] & inside[1][:, None, None, :]).float())
        return mask

    def _lines(self, n: int, height: int, width: int, draw: Draw) -> Tensor:
        """Strokes: for each a straight piece, as wide as a tenth of the picture or so."""
        ys, xs = torch.meshgrid(*(torch.arange(s, device=draw.device).float() for s in (height, width)), indexing="ij")
        side = float(min(height, width))
        down, right = draw.uniform("ends", n, self.strokes + 1, 2).unbind(-1)
        ends = torch.stack([down * height, right * width], -1)
        thick = side * (0.03 + 0.05 * draw.uniform("thick", n, self.strokes))
        many = 1 + draw.integers("many", self.strokes, n)
        mask = torch.zeros(n, height, width, device=draw.device)
        for i in range(self.strokes):
            a, step = ends[:, i], ends[:, i + 1] - ends[:, i]
            y, x = ys[None] - a[:, 0, None, None], xs[None] - a[:, 1, None, None]
            dy, dx = step[:, 0, None, None], step[:, 1, None, None]
            t = ((y * dy + x * dx) / (dy.square() + dx.square()).clamp_min(1e-6)).clamp(0, 1)
            near = ((y - t * dy).square() + (x - t * dx).square()).sqrt() < thick[:, i, None, None]
            mask = mask.maximum((near & (i < many)[:, None, None]).float())
        return max_pool2d(mask[:, None], 3, 1, 1)
