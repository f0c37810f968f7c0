"""Residual networks of SNGAN (Miyato et al. 2018), with SAGAN's attention (Zhang et al. 2019) on request.

Sizes follow mimicry's: at 32 px width = cap = 256 (generator, 4,276,739 parameters for z of 128) and 128
(trunk with score, 1,053,825); at 64 and 128 px width = 64, cap = 1024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.attention import SelfAttention
from rivalry.nets.inits import xavier_
from rivalry.nets.layers import Chunk, JoinLabel, LabelBatchNorm, Norm, normalise
from rivalry.nets.resample import mean_down, nearest_up
from rivalry.nets.shapes import Grid, Out, crop, ending, grid_of, image_shape, pad, pyramid
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

RESIDUAL_GAIN = math.sqrt(2)


def attention_level(grid: Grid, side: int) -> int:
    """The level of the grid whose shorter side is nearest to `side`, -1 if none is within a factor of 1.5 or
    side = 0, which asks for none."""
    distance = {k: abs(math.log(min(grid.at(k)) / max(side, 1))) for k in range(grid.doublings + 1)}
    level = min(distance, key=distance.__getitem__)
    return level if side and distance[level] < math.log(1.5) else -1


def halvings_before(grid: Grid, side: int) -> int:
    """How many halvings (at least one) come before a trunk's attention at `side`; 0: there is none."""
    level = attention_level(grid, side)
    return max(1, grid.doublings - level) if level >= 0 else 0


class UpBlock(nn.Module):
    """norm, ReLU, double, conv, norm, ReLU, conv; beside it a 1x1 convolution (before doubling: they commute)."""

    def __init__(self, inputs: int, outputs: int, up: bool, norms: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.norm1, self.norm2 = norms
        self.conv1 = xavier_(nn.Conv2d(inputs, outputs, 3, padding=1), RESIDUAL_GAIN)
        self.conv2 = xavier_(nn.Conv2d(outputs, outputs, 3, padding=1), RESIDUAL_GAIN)
        self.skip = xavier_(nn.Conv2d(inputs, outputs, 1)) if up or inputs != outputs else nn.Identity()
        self.up = up

    def forward(self, x: Tensor, *cond: Tensor) -> Tensor:
        y, skip = F.relu(_normed(self.norm1, x, cond)), self.skip(x)
        if self.up:
            y, skip = nearest_up(y), nearest_up(skip)
        out: Tensor = self.conv2(F.relu(_normed(self.norm2, self.conv1(y), cond))) + skip
        return out


def _normed(norm: nn.Module, x: Tensor, cond: tuple[Tensor, ...]) -> Tensor:
    out: Tensor = norm(x, *cond) if isinstance(norm, LabelBatchNorm) else norm(x)
    return out


@register("net", "resnet")
@dataclass(frozen=True)
class ResNet(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W].

    width: channels at full resolution, doubling towards the base up to `cap`.  condition: labels set gain and
    bias of batch norm ('norm') or join z ('concat').  attention: side of the map that attends to itself, 0 for
    none.  spectral: normalises the generator's weights too (SAGAN).
    """

    width: int = 256
    cap: int = 256
    norm: Norm = "batch"
    condition: Literal["norm", "concat"] = "norm"
    attention: int = 0
    spectral: bool = False
    out: Out = "auto"
    label_width: int = 16
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        module = ResNetGenerator(self, spec, wiring)
        return spectral(module) if self.spectral else module


class ResNetGenerator(nn.Module):
    def __init__(self, settings: ResNet, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "resnet")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, self.grid.doublings + 1)
        by_norm = s.condition == "norm" and s.norm == "batch"
        self.join = JoinLabel(wiring.latent, 0 if by_norm else wiring.classes, s.label_width)
        base = self.grid.base
        self.first = xavier_(nn.Linear(self.join.outputs, widths[0] * base[0] * base[1]))
        self.chunk = Chunk(widths[0], base)

        def norm(channels: int, classes: int = wiring.classes if by_norm else 0) -> nn.Module:
            return LabelBatchNorm(channels, classes) if s.norm == "batch" else normalise(s.norm, channels, True)

        self.blocks, attend = nn.ModuleList(), attention_level(self.grid, s.attention)
        for level, (a, b) in enumerate(pairwise(widths)):
            if level == attend:
                self.blocks.append(SelfAttention(a))
            self.blocks.append(UpBlock(a, b, True, (norm(a), norm(b))))
        if attend == self.grid.doublings:
            self.blocks.append(SelfAttention(widths[-1]))
        self.norm = norm(widths[-1], 0)
        self.last = xavier_(nn.Conv2d(widths[-1], colours, 3, padding=1))
        self.ending = ending(s.out, spec)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        x: Tensor = self.chunk(self.first(self.join(z, *cond)))
        for block in self.blocks:
            x = block(x, *cond) if isinstance(block, UpBlock) else block(x)
        x = self.last(F.relu(_normed(self.norm, x, cond)))
        out: Tensor = self.ending(crop(x, self.grid.size))
        return out


class DownBlock(nn.Module):
    """norm, ReLU, conv, norm, ReLU, conv, mean of four; `first`: straight from the picture, without the first
    norm and ReLU.  Beside it a 1x1 convolution (after the mean: they commute).  wide: channels change at the
    first convolution instead of the second (BigGAN)."""

    def __init__(
        self, inputs: int, outputs: int, down: bool, norm: Norm = "none", first: bool = False, wide: bool = False
    ) -> None:
        super().__init__()
        middle = outputs if first or wide else inputs
        self.norm1 = normalise("none" if first else norm, inputs, tracked=False)
        self.norm2 = normalise(norm, middle, tracked=False)
        self.conv1 = xavier_(nn.Conv2d(inputs, middle, 3, padding=1), RESIDUAL_GAIN)
        self.conv2 = xavier_(nn.Conv2d(middle, outputs, 3, padding=1), RESIDUAL_GAIN)
        self.skip = xavier_(nn.Conv2d(inputs, outputs, 1)) if down or inputs != outputs else nn.Identity()
        self.down, self.first = down, first

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x if self.first else F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        if self.down:
            x, y = mean_down(x), mean_down(y)
        out: Tensor = y + self.skip(x)
        return out


@register("trunk", "resnet")
@dataclass(frozen=True)
class ResNetTrunk(Trunk):
    """x [N, C, H, W] -> features [N, channels] pooled over pixels; maps: what the last block saw.

    width: channels after the first block, doubling up to `cap`.  smallest: the maps are halved while their
    shorter side stays at least this; `plain` blocks follow.  mimicry's 32 px: (128, 128, 7, 2); 64 px:
    (64, 1024, 2, 0); 128 px: (64, 1024, 4, 1).  pool: 'sum' (SNGAN) or 'mean' (WGAN-GP).
    """

    width: int = 128
    cap: int = 128
    smallest: int = 7
    plain: int = 2
    norm: Norm = "none"
    attention: int = 0
    pool: Literal["sum", "mean"] = "sum"

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return ResNetTrunkModule(self, spec)


class ResNetTrunkModule(TrunkModule):
    def __init__(self, settings: ResNetTrunk, spec: Spec) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "resnet")
        self.grid = grid_of((height, width), s.smallest)
        downs = max(self.grid.doublings, 1)
        widths = pyramid(s.width, s.cap, downs)[::-1]
        widths = widths + (widths[-1],) * s.plain
        attend = halvings_before(self.grid, s.attention)
        blocks: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise((colours, *widths))):
            blocks.append(DownBlock(a, b, i < self.grid.doublings, s.norm, first=i == 0))
            if i + 1 == attend:
                blocks.append(SelfAttention(b))
        self.blocks, self.mean = nn.ModuleList(blocks), s.pool == "mean"
        self.norm = normalise(s.norm, widths[-1], tracked=False)
        self.features, self.maps = widths[-1], widths[-2] if len(widths) > 1 else 0

    def forward(self, x: Tensor) -> Seen:
        x = pad(x, self.grid.full)
        before = x
        for block in self.blocks:
            before, x = x, block(x)
        x = F.relu(self.norm(x))
        return Seen(x.mean((2, 3)) if self.mean else x.sum((2, 3)), before if self.maps else None)

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return xavier_(nn.Linear(inputs, outputs, bias))
