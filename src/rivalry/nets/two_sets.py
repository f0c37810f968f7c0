"""Networks between two sets of pictures that meet in a shared code: UNIT's pair of autoencoders, MUNIT's content and style."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.layers import Norm, normalise
from rivalry.nets.resample import nearest_up
from rivalry.nets.restorers import ChangeModule, change_of
from rivalry.nets.shapes import Out, ending
from rivalry.nets.translators import Block, to_multiple
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

Set = Literal[0, 1]
SOURCE: Set = 0
TARGET: Set = 1
STRIDE = 4


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect" if stride == 1 and kernel > 3 else "zeros")


def down(inputs: int, w: int, norm: Norm, more: int = 0) -> nn.Sequential:
    """A convolution of 7 to w channels, then halved twice to 4 w, and `more` times at 4 w; a norm and ReLU after each."""
    widths = [w, 2 * w, 4 * w, *([4 * w] * more)]
    layers: list[nn.Module] = [conv(inputs, w, 7), normalise(norm, w, tracked=True), nn.ReLU()]
    for a, b in pairwise(widths):
        layers += [conv(a, b, 3, 2), normalise(norm, b, tracked=True), nn.ReLU()]
    return nn.Sequential(*layers)


class Up(nn.Module):
    """Doubled twice by repeating pixels before a convolution, from 4 w to w channels, then one of 7 to the picture."""

    def __init__(self, w: int, outputs: int, norm: Norm, last: nn.Module) -> None:
        super().__init__()
        self.convs = nn.ModuleList((conv(4 * w, 2 * w, 5), conv(2 * w, w, 5)))
        self.norms = nn.ModuleList((normalise(norm, 2 * w, tracked=True), normalise(norm, w, tracked=True)))
        self.last, self.ending = conv(w, outputs, 7), last

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(nearest_up(x))))
        out: Tensor = self.ending(self.last(x))
        return out


class TwoSetsModule(ChangeModule):
    """What games ask of such networks: `encode` pictures of a set, `decode` to pictures of a set, cut to a size."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.multiple = STRIDE
        # convolutions of 7; of 3 at half and quarter steps; the blocks at a quarter; of 5 at a quarter and a half, each on repeated pixels
        self.reach = 3 + 1 + 2 + 2 * STRIDE * blocks + 2 * 2 + 2 + 3 + STRIDE

    def _begin(self) -> None:
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(m.weight)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)

    @abstractmethod
    def encode(self, x: Tensor, which: Set) -> Tensor:
        """[n, c, h, w] of set `which` -> the shared code [n, K, h / 4, w / 4], sides rounded up."""


@register("net", "unit")
@dataclass(frozen=True)
class UNIT(Net):
    """(source [N, c, h, w]) -> [N, C, h, w], by two autoencoders that share a code (Liu et al. 2017, UNIT, sections 3 and 3.1).

    Each encoder halves twice and has `blocks` residual blocks, of which the last `shared` belong to both; each decoder begins with as many
    shared ones.  The code is the mean of N(mean, 1).
    """

    width: int = 64
    blocks: int = 4
    shared: int = 1
    norm: Norm = "instance"
    out: Out = "auto"

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if not 0 <= self.shared <= self.blocks:
            raise RecipeError(f"of {self.blocks} blocks {self.shared} cannot be shared")
        return UNITModule(self, *_channels(spec, wiring, "unit"), ending(self.out, spec))


def _channels(spec: Spec, wiring: Wiring, who: str) -> tuple[int, int]:
    change = change_of(spec, wiring, who)
    if change.scale != 1:
        raise RecipeError(f"{who} goes between sets of pictures of one size")
    return change.inputs, change.outputs


class UNITModule(TwoSetsModule):
    def __init__(self, s: UNIT, inputs: int, outputs: int, last: nn.Module) -> None:
        super().__init__(2 * s.blocks)
        sets, own, wide = (inputs, outputs), s.blocks - s.shared, 4 * s.width

        def blocks(n: int) -> nn.Sequential:
            return nn.Sequential(*(Block(wide, s.norm) for _ in range(n)))

        self.encoders = nn.ModuleList(nn.Sequential(down(c, s.width, s.norm), blocks(own)) for c in sets)
        self.shared_in, self.shared_out = blocks(s.shared), blocks(s.shared)
        self.decoders = nn.ModuleList(nn.Sequential(blocks(own), Up(s.width, c, s.norm, last)) for c in sets)
        self._begin()

    def encode(self, x: Tensor, which: Set) -> Tensor:
        code: Tensor = self.shared_in(self.encoders[which](to_multiple(x, STRIDE)))
        return code

    def decode(self, code: Tensor, which: Set, size: Sequence[int]) -> Tensor:
        """The code -> [n, *, *size] of set `which`."""
        made: Tensor = self.decoders[which](self.shared_out(code))
        return made[:, :, : size[0], : size[1]]

    def forward(self, source: Tensor) -> Tensor:
        return self.decode(self.encode(source, SOURCE), TARGET, source.shape[2:])


def adain(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """gain (x - mean) / deviation + bias, moments over places of each channel of each example; x [N, K, h, w], gain and bias [N, K]
    (Huang & Belongie 2017, eq. 8; Huang et al. 2018, MUNIT, eq. 10)."""
    return F.instance_norm(x) * gain[:, :, None, None] + bias[:, :, None, None]


class StyledBlock(nn.Module):
    """x + adain(3x3(ReLU(adain(3x3(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1, padding_mode="reflect") for _ in range(2))

    def forward(self, x: Tensor, style: Sequence[Tensor]) -> Tensor:
        """style: gain, bias, gain, bias, each [N, K]."""
        y = F.relu(adain(self.convs[0](x), style[0], style[1]))
        return x + adain(self.convs[1](y), style[2], style[3])


class StyledDecoder(nn.Module):
    """(content, style [N, latent]) -> picture: residual blocks whose norms a small network of the style sets, then `Up` with layer norm."""

    def __init__(self, s: MUNIT, latent: int, outputs: int, last: nn.Module) -> None:
        super().__init__()
        wide = 4 * s.width
        self.blocks = nn.ModuleList(StyledBlock(wide) for _ in range(s.blocks))
        self.mlp = nn.Sequential(
            nn.Linear(latent, s.hidden), nn.ReLU(), nn.Linear(s.hidden, s.hidden), nn.ReLU(), nn.Linear(s.hidden, 4 * wide * s.blocks)
        )
        self.up = Up(s.width, outputs, "layer", last)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        wanted = self.mlp(style.to(x.dtype)).unflatten(1, (len(self.blocks), 4, -1))
        for i, block in enumerate(self.blocks):
            gain, bias, gain2, bias2 = wanted[:, i].unbind(1)
            x = block(x, (1 + gain, bias, 1 + gain2, bias2))
        out: Tensor = self.up(x)
        return out


@register("net", "munit")
@dataclass(frozen=True)
class MUNIT(Net):
    """(source [N, c, h, w], z [N, latent]) -> [N, C, h, w]: the source's content in the style z (Huang et al. 2018, MUNIT, section 5.1).

    For each set a content encoder (halves twice, `blocks` residual blocks, instance norm), a style encoder (halves four times, the mean
    over places, linear; no norm, which would take the style away) and a decoder, whose norms a perceptron of the style (`hidden` wide)
    sets.  Gains are 1 + what the perceptron says, so that training starts from plain instance norm.
    """

    width: int = 64
    blocks: int = 4
    hidden: int = 256
    out: Out = "auto"

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if not wiring.latent:
            raise RecipeError("net 'munit' takes a style, and this game draws none; use the game 'munit'")
        return MUNITModule(self, wiring.latent, *_channels(spec, wiring, "munit"), ending(self.out, spec))


class MUNITModule(TwoSetsModule):
    def __init__(self, s: MUNIT, latent: int, inputs: int, outputs: int, last: nn.Module) -> None:
        super().__init__(2 * s.blocks)
        sets, wide = (inputs, outputs), 4 * s.width
        self.contents = nn.ModuleList(nn.Sequential(down(c, s.width, "instance"), *(Block(wide, "instance") for _ in range(s.blocks))) for c in sets)
        self.styles = nn.ModuleList(down(c, s.width, "none", more=2) for c in sets)
        self.heads = nn.ModuleList(nn.Linear(wide, latent) for _ in sets)
        self.decoders = nn.ModuleList(StyledDecoder(s, latent, c, last) for c in sets)
        self._begin()

    def encode(self, x: Tensor, which: Set) -> Tensor:
        code: Tensor = self.contents[which](to_multiple(x, STRIDE))
        return code

    def style(self, x: Tensor, which: Set) -> Tensor:
        """[n, latent]: the style of pictures of set `which`."""
        found: Tensor = self.heads[which](self.styles[which](x).mean((2, 3)))
        return found

    def decode(self, code: Tensor, style: Tensor, which: Set, size: Sequence[int]) -> Tensor:
        """The code in that style -> [n, *, *size] of set `which`."""
        made: Tensor = self.decoders[which](code, style)
        return made[:, :, : size[0], : size[1]]

    def forward(self, source: Tensor, z: Tensor) -> Tensor:
        return self.decode(self.encode(source, SOURCE), z, TARGET, source.shape[2:])
