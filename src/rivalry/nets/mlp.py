"""Multi-layer perceptrons for points and flattened pictures (Goodfellow et al. 2014 at their defaults)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.inits import he_
from rivalry.nets.layers import BatchNorm, FourierFeatures, JoinLabel, LogFourier
from rivalry.nets.shapes import NO_NUMBERS, Out, ending, numel
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

VectorNorm = Literal["none", "batch", "layer"]


class Hidden(nn.Module):
    """[N, D] -> [N, outputs]: linear, norm, leaky ReLU, dropout for every size; with `residual` the input is added
    wherever a layer keeps its width, with `joined` it goes on beside the output (so widths grow)."""

    def __init__(
        self, inputs: int, sizes: tuple[int, ...], slope: float, norm: VectorNorm, tracked: bool,
        dropout: float = 0.0, residual: bool = False, joined: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        widths = tuple(accumulate((inputs, *sizes))) if joined else (inputs, *sizes)
        pairs = list(zip(widths, sizes, strict=False))
        self.linear = nn.ModuleList(nn.Linear(a, b, bias=norm != "batch") for a, b in pairs)
        self.norm = nn.ModuleList(_norm(norm, b, tracked) for b in sizes)
        self.skip = [residual and not joined and a == b for a, b in pairs]
        self.joined = joined
        self.slope, self.dropout, self.outputs = slope, dropout, widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        for linear, norm, skip in zip(self.linear, self.norm, self.skip, strict=True):
            y = F.leaky_relu(norm(linear(x)), self.slope)
            if self.dropout:
                y = F.dropout(y, self.dropout, self.training)
            x = torch.cat([y, x], 1) if self.joined else x + y if skip else y
        return x


def _norm(norm: VectorNorm, channels: int, tracked: bool) -> nn.Module:
    if norm == "batch":
        return BatchNorm(channels, tracked=tracked)
    return nn.LayerNorm(channels) if norm == "layer" else nn.Identity()


@register("net", "mlp")
@dataclass(frozen=True)
class MLP(Net):
    """Generator (z [N, latent], *cond) -> x [N, *shape]; by default 100-128-256-784 for z of 100 and 28 x 28.

    sizes: hidden layers.  out: see `shapes.Out`.  label_width: width of the label's embedding beside z.
    residual: adds a layer's input to its output where widths agree.
    """

    sizes: tuple[int, ...] = (128, 256)
    slope: float = 0.2
    norm: VectorNorm = "none"
    out: Out = "auto"
    residual: bool = False
    label_width: int = 16

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if spec.kind == "tokens":
            raise RecipeError(f"mlp makes numbers, but the data are text; {NO_NUMBERS}")
        return MLPGenerator(self, spec, wiring)


class MLPGenerator(nn.Module):
    def __init__(self, settings: MLP, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s = settings
        self.shape = spec.shape
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        self.hidden = Hidden(self.join.outputs, s.sizes, s.slope, s.norm, tracked=True, residual=s.residual)
        self.last = nn.Linear(self.hidden.outputs, numel(spec))
        self.ending = ending(s.out, spec)
        he_(self.hidden, s.slope)
        nn.init.xavier_normal_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        x: Tensor = self.ending(self.last(self.hidden(self.join(z, *cond))))
        return x.reshape(x.shape[0], *self.shape)


@register("trunk", "mlp")
@dataclass(frozen=True)
class MLPTrunk(Trunk):
    """x [N, *shape], flattened -> features [N, sizes[-1]]; with a linear head 784-256-128-1 by default.

    fourier: how many random Fourier features join the input (0: none), of standard deviation fourier_scale, or, with
    `octaves`, of frequencies from 1 to 2^octaves, evenly spaced in their logarithm.
    """

    sizes: tuple[int, ...] = (256, 128)
    slope: float = 0.2
    norm: VectorNorm = "none"
    dropout: float = 0.0
    residual: bool = False
    fourier: int = 0
    fourier_scale: float = 1.0
    octaves: float = 0.0

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return MLPTrunkModule(self, numel(spec))


def _fourier(settings: MLPTrunk, inputs: int) -> FourierFeatures | LogFourier | None:
    if not settings.fourier:
        return None
    if settings.octaves:
        return LogFourier(inputs, settings.fourier, settings.octaves)
    return FourierFeatures(inputs, settings.fourier, settings.fourier_scale)


class MLPTrunkModule(TrunkModule):
    def __init__(self, settings: MLPTrunk, inputs: int) -> None:
        super().__init__()
        s = settings
        self.fourier = _fourier(s, inputs)
        inputs = self.fourier.outputs if self.fourier else inputs
        self.hidden = he_(Hidden(inputs, s.sizes, s.slope, s.norm, False, s.dropout, s.residual), s.slope)
        self.features = self.hidden.outputs

    def forward(self, x: Tensor) -> Seen:
        x = x.flatten(1)
        return Seen(self.hidden(x if self.fourier is None else self.fourier(x)))
