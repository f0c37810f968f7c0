"""R3GAN's networks (Huang et al. 2024): no normalisation, grouped inverted bottlenecks, careful starts.

Two blocks per resolution: 1x1, leaky ReLU, 3x3 grouped, leaky ReLU, 1x1; biases only before the activations.
Published: CIFAR-10 width = cap = 768; FFHQ-64 width 384, cap 768; FFHQ-256 width 96, cap 768; z of 64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.inits import msr_
from rivalry.nets.layers import JoinLabel
from rivalry.nets.resample import Resample
from rivalry.nets.shapes import Grid, Out, crop, ending, grid_of, image_shape, pad, pyramid
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))


class Block(nn.Module):
    """x + conv1x1(act(conv3x3 grouped(act(conv1x1(x))))); the last starts at zero, the others are MSR times
    L^-1/4, L the number of blocks in the network."""

    def __init__(self, channels: int, per_group: int, expansion: int, blocks: int) -> None:
        super().__init__()
        inner, gain = channels * expansion, GAIN * blocks**-0.25
        groups = math.gcd(inner, max(1, inner // per_group))
        self.widen = msr_(nn.Conv2d(channels, inner, 1), gain)
        self.mix = msr_(nn.Conv2d(inner, inner, 3, padding=1, groups=groups), gain)
        self.narrow = msr_(nn.Conv2d(inner, channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.mix(F.leaky_relu(self.widen(x), SLOPE)), SLOPE)
        out: Tensor = x + self.narrow(y)
        return out


def _change(inputs: int, outputs: int) -> nn.Module:
    """1x1 convolution where the number of channels changes."""
    return nn.Identity() if inputs == outputs else msr_(nn.Conv2d(inputs, outputs, 1, bias=False))


@register("net", "resnet3")
@dataclass(frozen=True)
class ResNet3(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W]; z (with the label's embedding) weights a learnt basis.

    width: channels at full resolution, doubling towards the base up to `cap`.  per_group: channels in a group
    of the 3x3 convolutions.
    """

    width: int = 768
    cap: int = 768
    blocks: int = 2
    per_group: int = 16
    expansion: int = 2
    label_width: int = 64
    out: Out = "none"
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return ResNet3Generator(self, spec, wiring)


class ResNet3Generator(nn.Module):
    def __init__(self, settings: ResNet3, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "resnet3")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, self.grid.doublings + 1)
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        if self.join.embed is not None:
            nn.init.normal_(self.join.embed.weight, 0, wiring.classes**-0.5)
        self.weigh = msr_(nn.Linear(self.join.outputs, widths[0], bias=False))
        self.basis = nn.Parameter(torch.randn(widths[0], *self.grid.base))
        steps = [_up(self.grid, i, widths) for i in range(1, len(widths))]
        self.stages = _stages([nn.Identity(), *steps], widths, s.blocks, s.per_group, s.expansion)
        self.last = msr_(nn.Conv2d(widths[-1], colours, 1, bias=False))
        self.ending = ending(s.out, spec)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        x = self.basis * self.weigh(self.join(z, *cond))[:, :, None, None]
        out: Tensor = self.ending(crop(self.last(self.stages(x)), self.grid.size))
        return out


def _up(grid: Grid, level: int, widths: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(_change(widths[level - 1], widths[level]), Resample(grid.at(level - 1), "up"))


def _stages(
    steps: list[nn.Module], widths: tuple[int, ...], blocks: int, per_group: int, expansion: int
) -> nn.Sequential:
    total = blocks * len(widths)
    return nn.Sequential(*(
        nn.Sequential(step, *(Block(width, per_group, expansion, total) for _ in range(blocks)))
        for step, width in zip(steps, widths, strict=True)
    ))  # fmt: skip


@register("trunk", "resnet3")
@dataclass(frozen=True)
class ResNet3Trunk(Trunk):
    """x [N, C, H, W] -> features [N, channels] by a depthwise filter of the base's size; maps [N, channels, h, w].

    The mirror image of the generator; its heads are linear without bias.
    """

    width: int = 768
    cap: int = 768
    blocks: int = 2
    per_group: int = 16
    expansion: int = 2
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return ResNet3TrunkModule(self, spec)


class ResNet3TrunkModule(TrunkModule):
    def __init__(self, settings: ResNet3Trunk, spec: Spec) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "resnet3")
        self.grid = grid_of((height, width), s.smallest)
        levels = self.grid.doublings + 1
        widths = pyramid(s.width, s.cap, levels)[::-1]
        first: nn.Module = msr_(nn.Conv2d(colours, widths[0], 1, bias=False))
        steps = [first, *(
            nn.Sequential(Resample(self.grid.at(levels - i), "down"), _change(widths[i - 1], widths[i]))
            for i in range(1, levels)
        )]  # fmt: skip
        self.stages = _stages(steps, widths, s.blocks, s.per_group, s.expansion)
        h, w = self.grid.base
        self.basis = nn.Parameter(torch.randn(widths[-1], h, w) / math.sqrt(h * w))
        self.features = self.maps = widths[-1]

    def forward(self, x: Tensor) -> Seen:
        maps = self.stages(pad(x, self.grid.full))
        return Seen((maps * self.basis).sum((2, 3)), maps)

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return msr_(nn.Linear(inputs, outputs, bias=False))
