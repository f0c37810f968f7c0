"""Many small discriminators that know nothing of one another, as one network (PATE-GAN's teachers)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.shapes import numel
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("net", "teachers")
@dataclass(frozen=True)
class Teachers(Net):
    """`count` multi-layer perceptrons side by side: x [count, n, D], each one's own rows, or [1, n, D], the same for all,
    -> scores [count, n].  No number of one goes into what another says, or into its slope.

    sizes: hidden layers of each.
    """

    count: int = 10
    sizes: tuple[int, ...] = (32,)
    slope: float = 0.2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if self.count < 1:
            raise RecipeError(f"there must be at least one teacher, not {self.count}")
        return TeacherBank(self, numel(spec))


class TeacherBank(nn.Module):
    def __init__(self, settings: Teachers, inputs: int) -> None:
        super().__init__()
        self.count, self.slope = settings.count, settings.slope
        widths = (inputs, *settings.sizes, 1)
        self.weights = nn.ParameterList(
            torch.randn(settings.count, a, b) * math.sqrt((2.0 if b > 1 else 1.0) / a)
            for a, b in pairwise(widths)
        )
        self.biases = nn.ParameterList(torch.zeros(settings.count, 1, b) for b in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = h @ weight + bias
            if i < len(self.weights) - 1:
                h = leaky_relu(h, self.slope)
        return h[..., 0]
