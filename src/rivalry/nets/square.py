"""Rows of a table as small square pictures, for convolutions (TableGAN, Park et al. 2018, section 4.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.dcgan import DCGAN, DCGANTrunk
from rivalry.nets.table import RowGenerator, log_shares, of_table
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

SIDE = 4
"""Sides are multiples of it, so that they can be halved."""


def side_of(width: int) -> int:
    """The side of the least square, a multiple of 4, that holds a row of so many numbers.

    >>> side_of(110), side_of(7)
    (12, 4)
    """
    return -(-max(1, math.isqrt(max(width, 1) - 1) + 1) // SIDE) * SIDE


def squared(x: Tensor) -> Tensor:
    """Rows [N, D] -> [N, 1, s, s], line by line, filled up with zeros."""
    side = side_of(x.shape[1])
    return F.pad(x, (0, side * side - x.shape[1])).view(len(x), 1, side, side)


def _square(width: int) -> Spec:
    side = side_of(width)
    return Spec("image", (1, side, side))


@register("trunk", "square")
@dataclass(frozen=True)
class SquareTrunk(Trunk):
    """Rows [N, D] (packed and with conditions, where there are) -> what `inner` sees in them as squares."""

    inner: Trunk = field(default_factory=DCGANTrunk)

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        (width,) = spec.shape
        return SquareModule(self.inner.build(_square(width), wiring))


class SquareModule(TrunkModule):
    def __init__(self, inner: TrunkModule) -> None:
        super().__init__()
        self.inner, self.features, self.maps, self.says = inner, inner.features, inner.maps, inner.says

    def forward(self, x: Tensor) -> Seen:
        seen: Seen = self.inner(squared(x))
        return seen

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return self.inner.dense(inputs, outputs, bias)


@register("net", "square-table")
@dataclass(frozen=True)
class SquareTable(Net):
    """Generator (z [N, latent], *cond) -> encoded rows [N, D]: `inner`, a generator of pictures that must end without
    tanh, makes a square whose first D numbers, plus a bias each, are scores of options and numbers; see `TableNet`."""

    inner: DCGAN = field(default_factory=lambda: DCGAN(out="none"))
    temperature: float = 0.2
    margins: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return SquareGenerator(self, of_table(spec, "square-table"), wiring)


class SquareGenerator(RowGenerator):
    def __init__(self, settings: SquareTable, spec: Spec, wiring: Wiring) -> None:
        super().__init__(spec.blocks, settings.temperature, margins=settings.margins)
        self.width = spec.shape[0]
        self.inner = settings.inner.build(_square(self.width), wiring)
        self.bias = nn.Parameter(log_shares(spec.blocks))  # every choice begins at its share, every number at zero

    def before(self, z: Tensor, *cond: Tensor) -> Tensor:
        square: Tensor = self.inner(z, *cond)
        return square.flatten(1)[:, : self.width] + self.bias
