"""CoGAN (Liu & Tuzel 2016): nets of several domains that share their high-level layers, with domains as labels.

So one generator and one discriminator play the ordinary conditional game, and a pair of pictures is the same z
seen in two domains.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.dcgan import DCGAN, DCGANTrunk
from rivalry.nets.discriminators import DiscriminatorModule
from rivalry.nets.heads import LinearHead
from rivalry.nets.inits import dcgan_
from rivalry.nets.layers import BatchNorm, need_label
from rivalry.nets.shapes import Out, crop, ending, image_shape, pad
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Trunk
from rivalry.parts import Net, Wiring
from rivalry.types import Heads, Spec


@register("net", "coupled")
@dataclass(frozen=True)
class Coupled(Net):
    """Generator (z [N, latent], domain [N]) -> x [N, C, H, W]; `pair(z)` gives the same z in every domain.

    body: the generator all domains share; it makes maps of `width` channels at half the size, from which each
    domain's own last layer makes its pictures.
    """

    body: Net = field(default_factory=lambda: DCGAN(width=128, out="none"))
    width: int = 64
    slope: float = 0.0
    out: Out = "auto"

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        half = _half(spec, self.width)
        body = self.body.build(half, replace(wiring, classes=0))
        return CoupledGenerator(self, body, spec, _domains(wiring))


class CoupledGenerator(nn.Module):
    def __init__(self, settings: Coupled, body: nn.Module, spec: Spec, domains: int) -> None:
        super().__init__()
        colours, height, width = image_shape(spec, "coupled")
        self.body, self.norm = body, BatchNorm(settings.width)
        self.branches = nn.ModuleList(
            dcgan_(nn.ConvTranspose2d(settings.width, colours, 4, 2, 1)) for _ in range(domains)
        )
        self.size, self.slope, self.ending = (height, width), settings.slope, ending(settings.out, spec)

    def pair(self, z: Tensor) -> tuple[Tensor, ...]:
        """One [N, C, H, W] per domain."""
        maps = F.leaky_relu(self.norm(self.body(z)), self.slope)
        return tuple(self.ending(crop(branch(maps), self.size)) for branch in self.branches)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        return choose(self.pair(z), need_label(cond))


@register("net", "coupled-discriminator")
@dataclass(frozen=True)
class CoupledDiscriminator(Net):
    """(x [N, C, H, W], domain [N]) -> Heads with 'score' [N]: each domain's own first convolution, then the trunk
    and head all domains share."""

    trunk: Trunk = field(default_factory=lambda: DCGANTrunk(width=128))
    width: int = 64
    slope: float = 0.2
    spectral: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        trunk = self.trunk.build(_half(spec, self.width), replace(wiring, pack=1))
        heads = [] if "score" in trunk.says else [LinearHead("score", trunk, 1)]
        shared = DiscriminatorModule(trunk, list(heads), None)
        module = CoupledDiscriminatorModule(self, shared, spec, wiring)
        return spectral(module) if self.spectral else module


class CoupledDiscriminatorModule(nn.Module):
    def __init__(
        self, settings: CoupledDiscriminator, shared: DiscriminatorModule, spec: Spec, wiring: Wiring
    ) -> None:
        super().__init__()
        colours, height, width = image_shape(spec, "coupled-discriminator")
        self.branches = nn.ModuleList(
            dcgan_(nn.Conv2d(colours * wiring.pack, settings.width, 4, 2, 1)) for _ in range(_domains(wiring))
        )
        self.even, self.slope, self.shared = (height + height % 2, width + width % 2), settings.slope, shared

    def forward(self, x: Tensor, *cond: Tensor) -> Heads:
        x = pad(x, self.even)
        maps = choose(tuple(branch(x) for branch in self.branches), need_label(cond))
        heads: Heads = self.shared(F.leaky_relu(maps, self.slope))
        return heads


def choose(outcomes: tuple[Tensor, ...], domain: Tensor) -> Tensor:
    """[N, ...]: example by example, the outcome of its domain."""
    out = outcomes[0]
    domain = domain.reshape(-1, *[1] * (out.dim() - 1))
    for k, other in enumerate(outcomes[1:], start=1):
        out = torch.where(domain == k, other, out)
    return out


def _half(spec: Spec, channels: int) -> Spec:
    _, height, width = image_shape(spec, "coupled")
    return replace(spec, shape=(channels, (height + 1) // 2, (width + 1) // 2))


def _domains(wiring: Wiring) -> int:
    if wiring.classes < 2:
        raise RecipeError("coupled nets need at least two domains as labels: put each domain's pictures in a folder")
    return wiring.classes
