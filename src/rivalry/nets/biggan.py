"""BigGAN and BigGAN-deep (Brock, Donahue & Simonyan 2019): class and noise set gain and bias of every batch norm.

Published widths: at 32 px width = cap = 256 (generator, D likewise, attention 64 has no place there); at 128 px
width 96, cap 1536; BigGAN-deep width 128, cap 2048.  Use with Discriminator(spectral=True, condition='projection').
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.attention import SelfAttention
from rivalry.nets.inits import orthogonal_
from rivalry.nets.layers import BatchNorm, Chunk, VectorBatchNorm, need_label
from rivalry.nets.resample import mean_down, nearest_up
from rivalry.nets.resnet import DownBlock, attention_level, halvings_before
from rivalry.nets.shapes import Grid, Out, crop, ending, grid_of, image_shape, pad, pyramid
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("net", "biggan")
@dataclass(frozen=True)
class BigGAN(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W].

    width: channels at full resolution, doubling towards the base up to `cap`.  Each block gets its own chunk of
    z beside a class embedding of label_width that all share; deep: the four-convolution bottleneck blocks of
    BigGAN-deep, two per resolution, which all get the whole z.  attention: side of the map that attends to
    itself (0: none).
    """

    width: int = 96
    cap: int = 1536
    deep: bool = False
    label_width: int = 128
    attention: int = 64
    spectral: bool = True
    out: Out = "auto"
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        module = BigGANGenerator(self, spec, wiring)
        if self.spectral:
            spectral(module.body)
        return module


class BigGANGenerator(nn.Module):
    """The class embedding is shared and free of spectral norm; the rest is `body`."""

    def __init__(self, settings: BigGAN, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, classes = settings, wiring.classes
        image_shape(spec, "biggan")
        self.embed = orthogonal_(nn.Embedding(classes, s.label_width)) if classes else None
        label = s.label_width if classes else 0
        self.body: DeepBody | ChunkedBody
        if s.deep:
            self.body = DeepBody(s, spec, wiring.latent + label)
        else:
            self.body = ChunkedBody(s, spec, wiring.latent, label)
        orthogonal_(self.body)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        label = z.new_empty(z.shape[0], 0) if self.embed is None else self.embed(need_label(cond))
        out: Tensor = self.body(z, label)
        return out


class Body(nn.Module):
    """What both forms share: the picture's grid, channels per level, and the end."""

    def __init__(self, settings: BigGAN, spec: Spec, first_inputs: int) -> None:
        super().__init__()
        colours, height, width = image_shape(spec, "biggan")
        self.grid = grid_of((height, width), settings.smallest)
        self.widths = pyramid(settings.width, settings.cap, self.grid.doublings + 1)
        self.attend = attention_level(self.grid, settings.attention)
        base, top = self.grid.base, self.widths[0]
        self.first = nn.Sequential(nn.Linear(first_inputs, top * base[0] * base[1]), Chunk(top, base))
        self.last = nn.Sequential(
            BatchNorm(self.widths[-1]), nn.ReLU(), nn.Conv2d(self.widths[-1], colours, 3, padding=1)
        )
        self.ending, self.blocks, self.attention = ending(settings.out, spec), nn.ModuleList(), nn.ModuleList()

    def attention_at(self, level: int) -> nn.Module:
        return SelfAttention(self.widths[level]) if level == self.attend else nn.Identity()

    def finish(self, x: Tensor) -> Tensor:
        out: Tensor = self.ending(crop(self.last(x), self.grid.size))
        return out


class ChunkedBody(Body):
    """z in as many chunks as there are resolutions: the first makes the base, each block gets the next."""

    def __init__(self, settings: BigGAN, spec: Spec, latent: int, label: int) -> None:
        levels = grid_of(image_shape(spec, "biggan")[1:], settings.smallest).doublings + 1
        chunk = latent // levels
        if not chunk:
            raise RecipeError(f"biggan splits z into {levels} chunks; give it a latent of at least {levels}")
        self.split = [latent - (levels - 1) * chunk, *[chunk] * (levels - 1)]
        super().__init__(settings, spec, self.split[0])
        for level, (a, b) in enumerate(pairwise(self.widths), start=1):
            self.blocks.append(BigBlock(a, b, chunk + label))
            self.attention.append(self.attention_at(level))

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        first, *chunks = z.split(self.split, 1)
        x = self.first(first)
        for block, attention, chunk in zip(self.blocks, self.attention, chunks, strict=True):
            x = attention(block(x, torch.cat([label, chunk], 1)))
        return self.finish(x)


class BigBlock(nn.Module):
    """(x, v): conditional norm, ReLU, double, conv, conditional norm, ReLU, conv; a 1x1 shortcut beside."""

    def __init__(self, inputs: int, outputs: int, vector: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = VectorBatchNorm(inputs, vector), VectorBatchNorm(outputs, vector)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        y = self.conv1(nearest_up(F.relu(self.norm1(x, v))))
        out: Tensor = self.conv2(F.relu(self.norm2(y, v))) + nearest_up(self.skip(x))
        return out


class DeepBody(Body):
    """The whole z beside the label makes the base and goes to every block."""

    def __init__(self, settings: BigGAN, spec: Spec, vector: int) -> None:
        super().__init__(settings, spec, vector)
        for level, (a, b) in enumerate(pairwise(self.widths), start=1):
            self.blocks.extend([DeepBlock(a, a, vector, up=False), DeepBlock(a, b, vector, up=True)])
            self.attention.extend([nn.Identity(), self.attention_at(level)])

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        v = torch.cat([z, label], 1)
        x = self.first(v)
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x, v))
        return self.finish(x)


class DeepBlock(nn.Module):
    """(x, v): 1x1 to a quarter of the channels, two 3x3, 1x1, each after conditional norm and ReLU, doubling
    before the first 3x3; the shortcut drops surplus channels."""

    def __init__(self, inputs: int, outputs: int, vector: int, up: bool) -> None:
        super().__init__()
        inner = max(1, inputs // 4)
        self.norms = nn.ModuleList(VectorBatchNorm(c, vector) for c in (inputs, inner, inner, inner))
        self.narrow = nn.Conv2d(inputs, inner, 1)
        self.conv1 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.widen = nn.Conv2d(inner, outputs, 1)
        self.up, self.outputs = up, outputs

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        norm1, norm2, norm3, norm4 = self.norms
        y = F.relu(norm2(self.narrow(F.relu(norm1(x, v))), v))
        x = x[:, : self.outputs]
        if self.up:
            x, y = nearest_up(x), nearest_up(y)
        y = self.conv2(F.relu(norm3(self.conv1(y), v)))
        out: Tensor = x + self.widen(F.relu(norm4(y, v)))
        return out


@register("trunk", "biggan")
@dataclass(frozen=True)
class BigGANTrunk(Trunk):
    """x [N, C, H, W] -> features [N, channels] summed over pixels; maps: what the last block saw.

    width: channels after the first halving, doubling up to `cap`; halved to `smallest`, then `plain` blocks
    (32 px: 256, 256, 7, 2; 128 px: 96, 1536, 4, 1).  deep: BigGAN-deep's bottleneck blocks.
    """

    width: int = 96
    cap: int = 1536
    smallest: int = 4
    plain: int = 1
    deep: bool = False
    attention: int = 64

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return orthogonal_(BigGANTrunkModule(self, spec))


class BigGANTrunkModule(TrunkModule):
    def __init__(self, settings: BigGANTrunk, spec: Spec) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "biggan")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, max(self.grid.doublings, 1))[::-1]
        widths = widths + (widths[-1],) * s.plain
        if s.deep:
            self.first: nn.Module = nn.Conv2d(colours, s.width, 3, padding=1)
            blocks = _deep_blocks(s.width, widths, self.grid)
        else:
            self.first = nn.Identity()
            blocks = [
                DownBlock(a, b, i < self.grid.doublings, first=i == 0, wide=True)
                for i, (a, b) in enumerate(pairwise((colours, *widths)))
            ]
        attend = halvings_before(self.grid, s.attention)
        per_level = 2 if s.deep else 1
        if attend and attend * per_level <= len(blocks):
            blocks.insert(attend * per_level, SelfAttention(widths[attend - 1]))
        self.blocks = nn.ModuleList(blocks)
        self.features, self.maps = widths[-1], widths[-2] if len(widths) > 1 and not s.deep else 0

    def forward(self, x: Tensor) -> Seen:
        x = self.first(pad(x, self.grid.full))
        before = x
        for block in self.blocks:
            before, x = x, block(x)
        return Seen(F.relu(x).sum((2, 3)), before if self.maps else None)

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return orthogonal_(nn.Linear(inputs, outputs, bias))


def _deep_blocks(inputs: int, widths: tuple[int, ...], grid: Grid) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise((inputs, *widths))):
        blocks += [DeepDownBlock(a, b, down=i < grid.doublings), DeepDownBlock(b, b, down=False)]
    return blocks


class DeepDownBlock(nn.Module):
    """ReLU, 1x1 to a quarter of the channels, two 3x3, mean of four, 1x1; the shortcut gains missing channels
    by a 1x1 convolution beside it."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        inner = max(1, outputs // 4)
        self.narrow = nn.Conv2d(inputs, inner, 1)
        self.conv1 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.widen = nn.Conv2d(inner, outputs, 1)
        self.more = nn.Conv2d(inputs, outputs - inputs, 1) if outputs > inputs else None
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.narrow(F.relu(x)))
        y = F.relu(self.conv2(F.relu(self.conv1(y))))
        if self.down:
            x, y = mean_down(x), mean_down(y)
        if self.more is not None:
            x = torch.cat([x, self.more(x)], 1)
        out: Tensor = x + self.widen(y)
        return out
