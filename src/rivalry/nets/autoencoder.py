"""Autoencoders as discriminators: the reconstruction error is the energy, its negative the score
(EBGAN, Zhao et al. 2017; BEGAN, Berthelot et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.dcgan import DCGAN, DCGANTrunk
from rivalry.nets.inits import he_
from rivalry.nets.layers import Chunk, JoinLabel, untrack
from rivalry.nets.resample import nearest_up
from rivalry.nets.shapes import Out, crop, ending, grid_of, image_shape, pad
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("trunk", "autoencoder")
@dataclass(frozen=True)
class Autoencoder(Trunk):
    """x [N, *shape] -> features [N, code], and by itself 'reconstruction' [N, *shape], 'energy' [N] (the mean
    over an example's numbers of |error|, 'l1', or error^2, 'l2') and 'score' = -energy.

    trunk: the encoder below the code.  decoder: any generator, fed with the code as its z.
    """

    trunk: Trunk = field(default_factory=DCGANTrunk)
    decoder: Net = field(default_factory=DCGAN)
    code: int = 128
    error: Literal["l1", "l2"] = "l2"

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        encoder = self.trunk.build(spec, wiring)
        return AutoencoderModule(encoder, self.decoder.build(spec, Wiring(latent=self.code)), self.code, self.error)


class AutoencoderModule(TrunkModule):
    says = frozenset({"score", "energy", "reconstruction"})

    def __init__(self, encoder: TrunkModule, decoder: nn.Module, code: int, error: str) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, untrack(decoder)
        self.code = encoder.dense(encoder.features, code)
        self.features, self.squared = code, error == "l2"

    def forward(self, x: Tensor) -> Seen:
        code = self.code(self.encoder(x).features)
        back = self.decoder(code)
        error = (back - x).flatten(1)
        energy = (error.square() if self.squared else error.abs()).mean(1)
        return Seen(code, None, {"score": -energy, "energy": energy, "reconstruction": back})

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return self.encoder.dense(inputs, outputs, bias)


@register("net", "began")
@dataclass(frozen=True)
class BEGAN(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W] without normalisation: two 3x3 convolutions with ELU per
    resolution, all of `width` channels, pixels repeated in between (BEGAN's generator and decoder)."""

    width: int = 64
    smallest: int = 7
    out: Out = "none"
    label_width: int = 16

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return BEGANGenerator(self, spec, wiring)


class BEGANGenerator(nn.Module):
    def __init__(self, settings: BEGAN, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "began")
        self.grid = grid_of((height, width), s.smallest)
        h, w = self.grid.base
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        self.first = nn.Linear(self.join.outputs, s.width * h * w)
        self.chunk = Chunk(s.width, self.grid.base)
        pairs = self.grid.doublings + 1
        self.convs = nn.ModuleList(nn.Conv2d(s.width, s.width, 3, padding=1) for _ in range(2 * pairs))
        self.last = nn.Conv2d(s.width, colours, 3, padding=1)
        self.ending = ending(s.out, spec)
        he_(self, 1.0)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        x: Tensor = self.chunk(self.first(self.join(z, *cond)))
        for i, conv in enumerate(self.convs):
            x = F.elu(conv(nearest_up(x) if i and i % 2 == 0 else x))
        out: Tensor = self.ending(crop(self.last(x), self.grid.size))
        return out


@register("trunk", "began")
@dataclass(frozen=True)
class BEGANTrunk(Trunk):
    """x [N, C, H, W] -> features [N, levels width h w]: two 3x3 convolutions with ELU per resolution, of width,
    2 width, 3 width ... channels, halved by stride 2 (BEGAN's encoder)."""

    width: int = 64
    smallest: int = 7

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return BEGANTrunkModule(self, spec)


class BEGANTrunkModule(TrunkModule):
    def __init__(self, settings: BEGANTrunk, spec: Spec) -> None:
        super().__init__()
        colours, height, width = image_shape(spec, "began")
        self.grid = grid_of((height, width), settings.smallest)
        convs = [nn.Conv2d(colours, settings.width, 3, padding=1)]
        for level in range(1, self.grid.doublings + 2):
            inputs, last = level * settings.width, level == self.grid.doublings + 1
            convs.append(nn.Conv2d(inputs, inputs, 3, padding=1))
            outputs, stride = (inputs, 1) if last else (inputs + settings.width, 2)
            convs.append(nn.Conv2d(inputs, outputs, 3, stride, padding=1))
        self.convs = nn.ModuleList(convs)
        self.maps = convs[-1].out_channels
        self.features = self.maps * self.grid.base[0] * self.grid.base[1]
        he_(self, 1.0)

    def forward(self, x: Tensor) -> Seen:
        x = pad(x, self.grid.full)
        for conv in self.convs:
            x = F.elu(conv(x))
        return Seen(x.flatten(1), x)
