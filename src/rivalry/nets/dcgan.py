"""DCGAN (Radford, Metz & Chintala 2016) for any picture size: 4x4 convolutions that double or halve."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.inits import Init, initialise_
from rivalry.nets.layers import Chunk, JoinLabel, LabelBatchNorm, Norm, normalise
from rivalry.nets.resample import nearest_up
from rivalry.nets.shapes import Out, crop, ending, grid_of, image_shape, pad, pyramid
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("net", "dcgan")
@dataclass(frozen=True)
class DCGAN(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W]; 3,576,704 parameters for z of 100 and 3 x 64 x 64.

    width: channels at half the resolution, doubling towards the base up to `cap`.  upsample: 'transposed'
    4x4 convolutions or 'resize' (repeat pixels, 3x3 convolution).  condition: the label's embedding joins z
    ('concat') or sets gain and bias of batch norm ('norm').  spectral: normalises the generator's weights.
    init: 'normal' as published, or 'he', which starts narrow nets without normalisation at a useful scale.
    """

    width: int = 64
    cap: int = 512
    norm: Norm = "batch"
    upsample: Literal["transposed", "resize"] = "transposed"
    condition: Literal["concat", "norm"] = "concat"
    slope: float = 0.0
    out: Out = "auto"
    label_width: int = 16
    smallest: int = 4
    spectral: bool = False
    init: Init = "normal"

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        module = initialise_(DCGANGenerator(self, spec, wiring), self.init, self.slope)
        return spectral(module) if self.spectral else module


class DCGANGenerator(nn.Module):
    def __init__(self, settings: DCGAN, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, (colours, *size) = settings, image_shape(spec, "dcgan")
        self.grid = grid_of((size[0], size[1]), s.smallest)
        widths = pyramid(s.width, s.cap, max(self.grid.doublings, 1))
        self.join = JoinLabel(wiring.latent, 0 if s.condition == "norm" else wiring.classes, s.label_width)
        base = self.grid.base
        self.first = nn.Linear(self.join.outputs, widths[0] * base[0] * base[1], bias=s.norm != "batch")
        self.chunk = Chunk(widths[0], base)
        self.norms = nn.ModuleList(_norm(s, w, wiring.classes) for w in widths)
        outputs = (*widths[1:], colours)
        transposed = s.upsample == "transposed" and self.grid.doublings > 0
        self.convs = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) if transposed else nn.Conv2d(a, b, 3, 1, 1, bias=False)
            for a, b in zip(widths, outputs, strict=True)
        )
        self.repeats = s.upsample == "resize" and self.grid.doublings > 0
        self.slope, self.ending = s.slope, ending(s.out, spec)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        x: Tensor = self.chunk(self.first(self.join(z, *cond)))
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = norm(x, *cond) if isinstance(norm, LabelBatchNorm) else norm(x)
            x = F.leaky_relu(x, self.slope) if self.slope else F.relu(x)
            x = conv(nearest_up(x) if self.repeats else x)
        out: Tensor = self.ending(crop(x, self.grid.size))
        return out


def _norm(settings: DCGAN, channels: int, classes: int) -> nn.Module:
    if settings.norm == "batch":
        return LabelBatchNorm(channels, classes if settings.condition == "norm" else 0)
    return normalise(settings.norm, channels, tracked=True)


@register("trunk", "dcgan")
@dataclass(frozen=True)
class DCGANTrunk(Trunk):
    """x [N, C, H, W] -> features [N, channels h w] of the base grid, maps [N, channels, 2h, 2w] one level up.

    With a linear score it has 2,765,569 parameters at 3 x 64 x 64 (the head has a bias).  Batch norm couples
    the batch; norm='none' with Discriminator(spectral=True) does not.  init: see `DCGAN`.
    """

    width: int = 64
    cap: int = 512
    norm: Norm = "batch"
    slope: float = 0.2
    smallest: int = 4
    init: Init = "normal"

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return initialise_(DCGANTrunkModule(self, spec), self.init, self.slope)


class DCGANTrunkModule(TrunkModule):
    def __init__(self, settings: DCGANTrunk, spec: Spec) -> None:
        super().__init__()
        s, (colours, *size) = settings, image_shape(spec, "dcgan")
        self.grid = grid_of((size[0], size[1]), s.smallest)
        halved = self.grid.doublings > 0
        widths = pyramid(s.width, s.cap, max(self.grid.doublings, 1))[::-1]
        bias = s.norm != "batch"
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1, bias=bias and i > 0) if halved else nn.Conv2d(a, b, 3, 1, 1)
            for i, (a, b) in enumerate(pairwise((colours, *widths)))
        )
        norms = [normalise("none" if i == 0 else s.norm, w, tracked=False) for i, w in enumerate(widths)]
        self.norms, self.slope, self.init = nn.ModuleList(norms), s.slope, s.init
        self.features = widths[-1] * self.grid.base[0] * self.grid.base[1]
        self.maps = widths[-2] if len(widths) > 1 else widths[-1]

    def forward(self, x: Tensor) -> Seen:
        x = pad(x, self.grid.full)
        before = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            before, x = x, F.leaky_relu(norm(conv(x)), self.slope)
        return Seen(x.flatten(1), before if len(self.convs) > 1 else x)

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return initialise_(nn.Linear(inputs, outputs, bias), self.init, 1.0)
