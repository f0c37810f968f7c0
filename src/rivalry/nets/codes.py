"""Networks of medGAN: a generator of codes, and a judge that sees each row beside the mean of its batch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.layers import BatchNorm
from rivalry.nets.mlp import MLPTrunk
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Couples, Net, Wiring
from rivalry.types import Spec


@register("net", "code")
@dataclass(frozen=True)
class CodeNet(Net):
    """Generator of codes (z [N, latent]) -> [N, latent]: medGAN, Choi et al. 2017, section 3.4 and appendix:
    x <- f(batch norm(W x)) + x, with ReLU for f, and tanh in the last of `layers`."""

    layers: int = 2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if not wiring.latent or self.layers < 1:
            raise RecipeError("the net 'code' needs a game with a latent, and at least one layer")
        return CodeGenerator(self.layers, wiring.latent)


class CodeGenerator(nn.Module):
    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.norm = nn.ModuleList(BatchNorm(width) for _ in range(layers))

    def forward(self, z: Tensor) -> Tensor:
        x = z
        for i, (linear, norm) in enumerate(zip(self.linear, self.norm, strict=True)):
            y = norm(linear(x))
            x = x + (y.tanh() if i == len(self.linear) - 1 else y.relu())
        return x


@register("trunk", "averaged")
@dataclass(frozen=True)
class Averaged(Trunk):
    """medGAN's minibatch averaging, Choi et al. 2017, section 3.3: rows x [N, D] -> `inner` sees [x, mean of the batch],
    [N, 2 D], so that a collapsed generator is found out.  Couples the batch."""

    inner: Trunk = field(default_factory=MLPTrunk)

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        (width,) = spec.shape
        return AveragedModule(self.inner.build(replace(spec, shape=(2 * width,)), wiring))


class AveragedModule(TrunkModule, Couples):
    def __init__(self, inner: TrunkModule) -> None:
        super().__init__()
        self.inner, self.features, self.maps, self.says = inner, inner.features, inner.maps, inner.says

    def forward(self, x: Tensor) -> Seen:
        seen: Seen = self.inner(torch.cat([x, x.mean(0, keepdim=True).expand_as(x)], 1))
        return seen

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return self.inner.dense(inputs, outputs, bias)
