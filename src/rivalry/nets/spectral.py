"""Spectral normalisation (Miyato et al. 2018): every weight divided by its largest singular value.

A forward pass uses the fixed vectors u, v and sigma = u^T W v, which is differentiable in W (equation 12); the
power iteration happens in `refresh`, once before a turn, so that forward passes have no side effects and the
function stays pure for torch.func.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import RecipeError
from rivalry.parts import Refreshes

M = TypeVar("M", bound=nn.Module)


class SpectralLayer(nn.Module, Refreshes):
    """A layer with a `weight`, of which forward passes use W / sigma(W)."""

    weight: Tensor
    u: Tensor
    v: Tensor

    def matrix(self) -> Tensor:
        """[outputs, everything else]."""
        return self.weight.flatten(1)

    def watch(self, iterations: int = 15) -> None:
        """Starts u, v at random and iterates; a weight of zeros, which has no direction, is drawn anew."""
        if not self.weight.detach().any():
            nn.init.orthogonal_(self.weight)
        rows, columns = self.matrix().shape
        start = self.weight.detach().new_empty
        self.register_buffer("u", F.normalize(start(rows).normal_(), dim=0))
        self.register_buffer("v", F.normalize(start(columns).normal_(), dim=0))
        for _ in range(iterations):
            self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        matrix = self.matrix()
        self.v.copy_(F.normalize(matrix.t() @ self.u, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))

    def sigma(self) -> Tensor:
        """The largest singular value by the present u, v; d sigma/dW = u v^T."""
        return self.u @ (self.matrix() @ self.v)

    def normal_weight(self) -> Tensor:
        """W / sigma(W)."""
        return self.weight / self.sigma()


class SNLinear(SpectralLayer, nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.normal_weight(), self.bias)


class SNConv2d(SpectralLayer, nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(input, self.normal_weight(), self.bias)
        return out


class SNConvTranspose2d(SpectralLayer, nn.ConvTranspose2d):
    def matrix(self) -> Tensor:
        return self.weight.transpose(0, 1).flatten(1)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(
            input, self.normal_weight(), self.bias, self.stride, _pair(self.padding), self.output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class SNEmbedding(SpectralLayer, nn.Embedding):
    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.normal_weight())


def spectral(module: M) -> M:
    """Gives every convolution, linear layer and embedding inside (not the module itself) spectral norm.

    Parameters keep their values, identity and names.  RecipeError if there is nothing to normalise.
    """
    found = _convert(module)
    if not found:
        raise RecipeError(f"spectral norm finds no plain layer inside {type(module).__name__}; leave it out there")
    return module


def _convert(module: nn.Module) -> int:
    found = 0
    for name, child in module.named_children():
        twin = _twin(child)
        if twin is None:
            found += 1 if isinstance(child, SpectralLayer) else _convert(child)
        else:
            setattr(module, name, twin)
            found += 1
    return found


def _twin(layer: nn.Module) -> SpectralLayer | None:
    """The layer's spectral twin on the same parameters, watched; None for other kinds of modules."""
    twin: SNLinear | SNConv2d | SNConvTranspose2d | SNEmbedding
    if type(layer) is nn.Linear:
        twin = SNLinear(layer.in_features, layer.out_features, layer.bias is not None)
    elif type(layer) is nn.Conv2d or type(layer) is nn.ConvTranspose2d:
        twin = _twin_conv(layer)
    elif type(layer) is nn.Embedding:
        twin = SNEmbedding(layer.num_embeddings, layer.embedding_dim)
    else:
        return None
    twin.weight = layer.weight
    if not isinstance(layer, nn.Embedding):
        twin.bias = layer.bias
    twin.watch()
    return twin


def _twin_conv(layer: nn.Conv2d | nn.ConvTranspose2d) -> SNConv2d | SNConvTranspose2d:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise RecipeError("spectral norm supports convolutions with numeric zero padding only")
    kernel, stride, dilation = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.dilation)
    padding, bias = _pair(layer.padding), layer.bias is not None
    if isinstance(layer, nn.ConvTranspose2d):
        return SNConvTranspose2d(
            layer.in_channels, layer.out_channels, kernel, stride, padding, _pair(layer.output_padding),
            layer.groups, bias, dilation,
        )  # fmt: skip
    return SNConv2d(layer.in_channels, layer.out_channels, kernel, stride, padding, dilation, layer.groups, bias)


def _pair(value: tuple[int, ...] | str) -> tuple[int, int]:
    return int(value[0]), int(value[1])
