"""How weights start: each function draws in place for all layers inside a module and gives the module back."""

from __future__ import annotations

import math
from typing import Literal, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)
Init = Literal["normal", "he"]
WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def dcgan_(module: M, std: float = 0.02) -> M:
    """N(0, std^2) for convolutions and linear layers, N(1, std^2) for batch norm's gains (Radford et al. 2016)."""
    for m in module.modules():
        if isinstance(m, WEIGHTED):
            nn.init.normal_(m.weight, 0, std)
            _zero_bias(m)
        elif isinstance(m, nn.modules.batchnorm._BatchNorm) and m.affine:
            nn.init.normal_(m.weight, 1, std)
            nn.init.zeros_(m.bias)
    return module


def orthogonal_(module: M, gain: float = 1.0) -> M:
    """Orthogonal weights for convolutions, linear layers and embeddings (BigGAN; Saxe et al. 2014)."""
    for m in module.modules():
        if isinstance(m, (*WEIGHTED, nn.Embedding)):
            nn.init.orthogonal_(m.weight, gain)
            _zero_bias(m)
    return module


def he_(module: M, slope: float = 0.2) -> M:
    """N(0, 2 / ((1 + slope^2) fan in)), biases zero (He et al. 2015)."""
    for m in module.modules():
        if isinstance(m, WEIGHTED):
            nn.init.kaiming_normal_(m.weight, slope)
            _zero_bias(m)
    return module


def initialise_(module: M, init: Init, slope: float) -> M:
    """The start of that name; slope: of the leaky ReLUs inside (1: none)."""
    return dcgan_(module) if init == "normal" else he_(module, slope)


def xavier_(module: M, gain: float = 1.0) -> M:
    """U(-a, a), a = gain sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010); mimicry's choice, gain sqrt(2)
    inside residual branches."""
    for m in module.modules():
        if isinstance(m, WEIGHTED):
            nn.init.xavier_uniform_(m.weight, gain)
            _zero_bias(m)
    return module


def msr_(layer: M, gain: float = 1.0) -> M:
    """N(0, gain^2 / fan in) for this one layer, zeros where gain = 0; biases zero (R3GAN's MSR initialiser)."""
    if not isinstance(layer, WEIGHTED):
        raise TypeError(f"msr_ sets one convolution or linear layer, not a {type(layer).__name__}")
    fan_in = math.prod(layer.weight.shape[1:])
    with torch.no_grad():
        layer.weight.normal_(0, 1).mul_(gain / math.sqrt(fan_in))
    _zero_bias(layer)
    return layer


def _zero_bias(layer: nn.Module) -> None:
    bias = getattr(layer, "bias", None)
    if isinstance(bias, nn.Parameter):
        nn.init.zeros_(bias)
