"""Networks that change pictures and see only what is near: restorers, any size in, `scale` times that out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.layers import BatchNorm
from rivalry.nets.shapes import image_shape
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

Body = Literal["residual", "plain", "dense"]


@dataclass(frozen=True)
class Change:
    """What is put in and what comes out: channels, and how many times as large a side."""

    inputs: int
    outputs: int
    scale: int


def change_of(spec: Spec, wiring: Wiring, who: str) -> Change:
    """RecipeError where the game has no pictures to put in, or sizes do not fit."""
    channels, height, width = image_shape(spec, who)
    if len(wiring.source) != 3:
        raise RecipeError(f"{who} changes pictures, but this game makes them of noise; use the game 'change'")
    c, h, w = wiring.source
    scale = height // h
    if (h * scale, w * scale) != (height, width):
        raise RecipeError(f"{who} enlarges by whole numbers, not from {h}x{w} to {height}x{width}")
    return Change(c, channels, scale)


class ChangeModule(nn.Module):
    """A network that changes pictures.  reach: source pixels around a place that may bear on it (statistics over the whole picture,
    as instance norm takes them, aside).  multiple: its stride in all: it grows sides to it at the right and the bottom."""

    reach: int
    multiple: int = 1


@register("net", "restorer")
@dataclass(frozen=True)
class Restorer(Net):
    """(source [N, c, h, w]) -> [N, C, scale h, scale w]: a convolution, `blocks` blocks, a long way round them, and pixel
    shuffle (Shi et al. 2016); what it makes is added to the source, enlarged bicubically.

    body: 'residual' (two convolutions a block; Lim et al. 2017, EDSR), 'plain' (one and ReLU, with batch norm where `norm` is
    set; Zhang et al. 2017, DnCNN), 'dense' (residual in residual dense blocks of Wang et al. 2018, ESRGAN).  shrink: the
    source is folded so many times (pixel unshuffle), so that most work is done at a smaller size (Zhang et al. 2018, FFDNet).
    attention: channels are weighed by what the whole of their neighbourhood holds, over `attention` pixels (0: not at all).
    """

    width: int = 64
    blocks: int = 8
    body: Body = "residual"
    shrink: int = 1
    norm: bool = False
    skip: bool = True
    grow: int = 32

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return RestorerModule(self, change_of(spec, wiring, "restorer"))


class Residual(nn.Module):
    """x + 3x3(ReLU(3x3(x))), which begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class Plain(nn.Module):
    """3x3, batch norm if asked for, ReLU."""

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, bias=not norm)
        self.norm = BatchNorm(width) if norm else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Dense(nn.Module):
    """Five convolutions, each seeing all before it; a fifth of the last is added to x."""

    def __init__(self, width: int, grow: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width + i * grow, grow if i < 4 else width, 3, 1, 1) for i in range(5)
        )
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_normal_(conv.weight, a=0.2)
            conv.weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for conv in self.convs[:-1]:
            seen = torch.cat([seen, F.leaky_relu(conv(seen), 0.2)], 1)
        out: Tensor = x + 0.2 * self.convs[-1](seen)
        return out


class DenseTrio(nn.Module):
    """Three dense blocks, a fifth of whose work is added to x."""

    def __init__(self, width: int, grow: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Dense(width, grow) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + 0.2 * (self.blocks(x) - x)
        return out


def alike(source: Tensor, channels: int) -> Tensor:
    """[N, c, h, w] -> [N, channels, h, w]: its first channels, or their mean in each where there are fewer."""
    if source.shape[1] >= channels:
        return source[:, :channels]
    return source.mean(1, keepdim=True).expand(-1, channels, -1, -1)


class RestorerModule(ChangeModule):
    def __init__(self, settings: Restorer, change: Change) -> None:
        super().__init__()
        s, self.change = settings, change
        self.shrink, self.skip, self.multiple = s.shrink, s.skip, s.shrink
        fold = s.shrink**2
        self.head = nn.Conv2d(change.inputs * fold, s.width, 3, 1, 1)
        self.body = nn.Sequential(*(self._block(s) for _ in range(s.blocks)))
        self.join = nn.Conv2d(s.width, s.width, 3, 1, 1)
        self.factor = change.scale * s.shrink
        self.tail = nn.Conv2d(s.width, change.outputs * self.factor**2, 3, 1, 1)
        if s.skip:  # at the start the source comes out as it is
            nn.init.zeros_(self.tail.weight)
            nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        # source pixels that bear on one: half of all kernels, unfolded, and the bicubic way round
        deep = {"residual": 2, "plain": 1, "dense": 15}[s.body]
        self.reach = (s.blocks * deep + 3) * s.shrink + 2

    @staticmethod
    def _block(s: Restorer) -> nn.Module:
        if s.body == "plain":
            return Plain(s.width, s.norm)
        return Residual(s.width) if s.body == "residual" else DenseTrio(s.width, s.grow)

    def forward(self, source: Tensor) -> Tensor:
        h, w = source.shape[2:]
        folded = source
        if self.shrink > 1:
            folded = F.pad(source, (0, -w % self.shrink, 0, -h % self.shrink), mode="replicate")
            folded = F.pixel_unshuffle(folded, self.shrink)
        first = self.head(folded)
        made = F.pixel_shuffle(self.tail(first + self.join(self.body(first))), self.factor)
        made = made[:, :, : h * self.change.scale, : w * self.change.scale]
        # added in full precision: rounded to bfloat16 the source itself would lose a level in 256
        return made.float() + self._around(source).float() if self.skip else made

    def _around(self, source: Tensor) -> Tensor:
        """The source at the size and with the channels of what is made."""
        base = alike(source, self.change.outputs)
        if self.change.scale == 1:
            return base
        size = (source.shape[2] * self.change.scale, source.shape[3] * self.change.scale)
        return F.interpolate(base.float(), size=size, mode="bicubic", align_corners=False)
