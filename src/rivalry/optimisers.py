"""Optimisers: how a side moves its parameters.

`lr` is the rate before any lazy rescaling; schedules are factors on the rate the built optimiser's groups start with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.parts import Optimiser

_FUSED = ("cpu", "cuda", "mps", "xpu")


def _ready(parameters: Iterable[nn.Parameter]) -> tuple[list[nn.Parameter], bool]:
    """The parameters as a list, and whether torch's fused kernels take them all."""
    listed = list(parameters)
    if not listed:
        raise RecipeError("a side without parameters has nothing to optimise; give it a network that learns")
    return listed, all(p.is_floating_point() and p.device.type in _FUSED for p in listed)


@register("optimiser", "adam")
@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam, Kingma & Ba 2014; with weight_decay AdamW (decoupled, Loshchilov & Hutter 2017).

    lazy k > 0: a regulariser is charged every k turns only, so that lr becomes lr c and each beta beta^c with
    c = k / (k + 1) (Karras et al. 2019b, StyleGAN2, appendix B).
    """

    lr: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    lazy: int = 0

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        listed, fused = _ready(parameters)
        c = self.lazy / (self.lazy + 1) if self.lazy > 0 else 1.0
        betas = (self.beta1**c, self.beta2**c)
        if self.weight_decay:
            return torch.optim.AdamW(listed, self.lr * c, betas, self.eps, self.weight_decay, fused=fused)
        return torch.optim.Adam(listed, self.lr * c, betas, self.eps, fused=fused)


@register("optimiser", "rmsprop")
@dataclass(frozen=True)
class RMSprop(Optimiser):
    """RMSprop, Hinton 2012 (WGAN's choice, at lr 5e-5); alpha: decay of the mean square."""

    lr: float = 5e-5
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        listed, _ = _ready(parameters)
        # on a GPU steps are counted there from the beginning, since recorded steps need it
        there = listed[0].device.type == "cuda"
        return torch.optim.RMSprop(listed, self.lr, self.alpha, self.eps, self.weight_decay, self.momentum, capturable=there)


@register("optimiser", "sgd")
@dataclass(frozen=True)
class SGD(Optimiser):
    """Stochastic gradient descent with (Nesterov) momentum; Goodfellow et al. 2014 used it with momentum."""

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum <= 0:
            raise RecipeError("nesterov needs momentum above 0")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        listed, fused = _ready(parameters)
        return torch.optim.SGD(
            listed, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov, fused=fused
        )
