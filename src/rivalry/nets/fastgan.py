"""FastGAN (Liu et al. 2021): small nets for few pictures; skip-layer excitation, a self-supervised decoder."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.inits import dcgan_
from rivalry.nets.layers import Chunk, JoinLabel, Norm, normalise
from rivalry.nets.resample import mean_down, nearest_up
from rivalry.nets.shapes import Out, crop, ending, grid_of, image_shape, pad, pyramid
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("net", "fastgan")
@dataclass(frozen=True)
class FastGAN(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W].

    width: channels at full resolution, doubling towards the base up to `cap` (256 px: 32, 1024).  gap: how many
    doublings lie between the map that excites and the one excited (4 in the paper, fewer in small pictures).
    Noise with a learnt strength joins in training only.
    """

    width: int = 32
    cap: int = 1024
    gap: int = 4
    noise: bool = True
    spectral: bool = True
    out: Out = "auto"
    label_width: int = 16
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        module = dcgan_(FastGANGenerator(self, spec, wiring))
        return spectral(module) if self.spectral else module


class FastGANGenerator(nn.Module):
    def __init__(self, settings: FastGAN, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "fastgan")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, self.grid.doublings + 1)
        base, top = self.grid.base, widths[0]
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        self.first = nn.Sequential(
            nn.Linear(self.join.outputs, 2 * top * base[0] * base[1], bias=False), Chunk(2 * top, base),
            normalise("batch", 2 * top, tracked=True), nn.GLU(1),
        )  # fmt: skip
        self.blocks = nn.ModuleList(
            _up_block(a, b, s.noise, double=level % 2 == 0) for level, (a, b) in enumerate(pairwise(widths))
        )
        self.gap = max(1, min(s.gap, self.grid.doublings - 1))
        pairs = range(self.gap, len(widths))
        self.excite = nn.ModuleList(Excitation(widths[i - self.gap], widths[i], base) for i in pairs)
        self.last = nn.Conv2d(widths[-1], colours, 3, padding=1)
        self.ending = ending(s.out, spec)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        maps: list[Tensor] = [self.first(self.join(z, *cond))]
        for level, block in enumerate(self.blocks, start=1):
            x = block(maps[-1])
            if level >= self.gap:
                x = self.excite[level - self.gap](maps[level - self.gap], x)
            maps.append(x)
        out: Tensor = self.ending(crop(self.last(maps[-1]), self.grid.size))
        return out


class Double(nn.Module):
    """Pixels repeated to twice the size."""

    def forward(self, x: Tensor) -> Tensor:
        return nearest_up(x)


class Noise(nn.Module):
    """x + strength * one plane of noise per example; in training only, strength starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return torch.addcmul(x, x.new_empty(x.shape[0], 1, *x.shape[2:]).normal_(), self.strength)


def _up_block(inputs: int, outputs: int, noise: bool, double: bool) -> nn.Module:
    """Double, then convolution, noise, batch norm and gated linear unit: once, or twice where `double`."""
    layers: list[nn.Module] = [Double()]
    for channels in (inputs, outputs)[: 2 if double else 1]:
        layers.append(nn.Conv2d(channels, 2 * outputs, 3, padding=1, bias=False))
        layers += [Noise()] if noise else []
        layers += [normalise("batch", 2 * outputs, tracked=True), nn.GLU(1)]
    return nn.Sequential(*layers)


class Excitation(nn.Module):
    """(low [N, C, h, w], high [N, D, H, W]) -> high times gates in (0, 1) per channel, computed from low pooled to
    the base's size (skip-layer excitation, equation 1)."""

    def __init__(self, low: int, high: int, base: tuple[int, int]) -> None:
        super().__init__()
        self.base = base
        self.look, self.gate = nn.Conv2d(low, high, base, bias=False), nn.Conv2d(high, high, 1, bias=False)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        step = low.shape[2] // self.base[0]
        low = F.avg_pool2d(low, step) if step > 1 else low
        gates: Tensor = self.gate(F.silu(self.look(low))).sigmoid()
        return high * gates


@register("trunk", "fastgan")
@dataclass(frozen=True)
class FastGANTrunk(Trunk):
    """x [N, C, H, W] -> features [N, channels], 'score' [N, K] of K patches, and, with decode > 0,
    'reconstruction' [N, C, h, w]: the picture back from its last maps, doubled so many times at most up to the
    picture's size (compare it with x resized to its size).  patches=False leaves the score to a linear head.
    """

    width: int = 32
    cap: int = 512
    norm: Norm = "batch"
    decode: int = 4
    patches: bool = True
    slope: float = 0.2
    smallest: int = 7

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return dcgan_(FastGANTrunkModule(self, spec))


class FastGANTrunkModule(TrunkModule):
    def __init__(self, settings: FastGANTrunk, spec: Spec) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "fastgan")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, max(self.grid.doublings, 1))[::-1]
        first = nn.Conv2d(colours, widths[0], *((4, 2, 1) if self.grid.doublings else (3, 1, 1)))
        self.first = nn.Sequential(first, nn.LeakyReLU(s.slope))
        self.blocks = nn.Sequential(*(FastDownBlock(a, b, s) for a, b in pairwise(widths)))
        top = widths[-1]
        self.mix = nn.Sequential(*_conv(top, top, (1, 1, 0), s))
        kernel = (min(4, self.grid.base[0]), min(4, self.grid.base[1]))
        self.patches = nn.Conv2d(top, 1, kernel, bias=False) if s.patches else None
        doubles = min(s.decode, self.grid.doublings)
        self.decoder = _decoder(top, colours, doubles, s.norm) if doubles else None
        self.says = frozenset({"score"} if s.patches else ()) | frozenset({"reconstruction"} if doubles else ())
        self.features = self.maps = top

    def forward(self, x: Tensor) -> Seen:
        maps = self.blocks(self.first(pad(x, self.grid.full)))
        said, mixed = {}, self.mix(maps)
        if self.patches is not None:
            said["score"] = self.patches(mixed).flatten(1)
        if self.decoder is not None:
            said["reconstruction"] = self.decoder(maps)
        return Seen(mixed.mean((2, 3)), maps, said)

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return dcgan_(nn.Linear(inputs, outputs, bias))


def _conv(inputs: int, outputs: int, shape: tuple[int, int, int], settings: FastGANTrunk) -> list[nn.Module]:
    """Convolution of (kernel, stride, padding), norm, leaky ReLU."""
    return [
        nn.Conv2d(inputs, outputs, *shape, bias=settings.norm != "batch"),
        normalise(settings.norm, outputs, tracked=False),
        nn.LeakyReLU(settings.slope),
    ]


class FastDownBlock(nn.Module):
    """The mean of two ways down: two convolutions, the first of stride 2, and mean of four with a 1x1."""

    def __init__(self, inputs: int, outputs: int, settings: FastGANTrunk) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_conv(inputs, outputs, (4, 2, 1), settings), *_conv(outputs, outputs, (3, 1, 1), settings)
        )
        self.direct = nn.Sequential(*_conv(inputs, outputs, (1, 1, 0), settings))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (self.main(x) + self.direct(mean_down(x))) / 2
        return out


def _decoder(inputs: int, colours: int, doubles: int, norm: Norm) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(doubles):
        outputs = max(1, inputs // 2)
        layers += [Double(), nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False)]
        layers += [normalise(norm, 2 * outputs, tracked=False), nn.GLU(1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.Conv2d(inputs, colours, 3, padding=1), nn.Tanh())
