"""Layers the networks share: normalisations, equalised learning rate, label inputs, Fourier features.

Shapes: pictures [N, C, H, W], vectors [N, D], labels [N] int64.  All are twice differentiable, at zero too.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import RecipeError

Norm = Literal["none", "batch", "layer", "instance", "group"]


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm for [N, C] and [N, C, ...] (Ioffe & Szegedy 2015).

    A channel with a single value in the batch has nothing to be normalised by: then the running statistics
    stand in (and stay as they are), or, where none are kept, only the affine map applies.
    Discriminators build it with tracked=False, so that a forward pass changes nothing.
    """

    def __init__(self, channels: int, affine: bool = True, tracked: bool = True, momentum: float = 0.1) -> None:
        super().__init__(channels, momentum=momentum, affine=affine, track_running_stats=tracked)

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if input.numel() > input.shape[1] or (self.track_running_stats and not self.training):
            return super().forward(input)
        if self.running_mean is not None:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if not self.affine:
            return input
        shape = (1, -1) + (1,) * (input.dim() - 2)
        return input * self.weight.reshape(shape) + self.bias.reshape(shape)


def untrack(module: nn.Module) -> nn.Module:
    """Batch norm inside forgets its running statistics for good: for generators used inside discriminators."""
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.track_running_stats = False
            m.running_mean = m.running_var = m.num_batches_tracked = None
    return module


class LabelBatchNorm(nn.Module):
    """Batch norm with a gain and a bias per class (conditional batch norm, de Vries et al. 2017; Miyato 2018).

    forward(x [N, C, ...], *cond): cond[0] are labels [N]; with classes=0 it is plain batch norm.
    """

    def __init__(self, channels: int, classes: int = 0) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, affine=classes == 0)
        self.gain = nn.Embedding(classes, channels) if classes else None
        self.bias = nn.Embedding(classes, channels) if classes else None
        if self.gain is not None and self.bias is not None:
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, *cond: Tensor) -> Tensor:
        x = self.norm(x)
        if self.gain is None or self.bias is None:
            return x
        label = need_label(cond)
        shape = (x.shape[0], -1) + (1,) * (x.dim() - 2)
        return torch.addcmul(self.bias(label).reshape(shape), x, self.gain(label).reshape(shape))


class VectorBatchNorm(nn.Module):
    """Batch norm whose gain 1 + A v and bias B v come from a vector v [N, V] (BigGAN, appendix B)."""

    def __init__(self, channels: int, inputs: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, affine=False)
        self.gain = nn.Linear(inputs, channels, bias=False)
        self.bias = nn.Linear(inputs, channels, bias=False)

    def forward(self, x: Tensor, v: Tensor) -> Tensor:
        gain, bias = 1 + self.gain(v)[:, :, None, None], self.bias(v)[:, :, None, None]
        return torch.addcmul(bias, self.norm(x), gain)


class InstanceNorm(nn.GroupNorm):
    """Each channel of each example by itself (Ulyanov et al. 2016), the same as group norm with a group per channel, and up to 13 times
    as fast on a CPU in bfloat16, where group norm of channels-last tensors goes number by number."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() < 3 or input[0, 0].numel() == 1:  # a single pixel has nothing to be normalised by
            return super().forward(input)
        return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


def normalise(norm: Norm, channels: int, tracked: bool) -> nn.Module:
    """The normalisation layer of that name; `tracked`: batch norm keeps running statistics (generators only)."""
    if norm == "batch":
        return BatchNorm(channels, tracked=tracked)
    if norm == "none":
        return nn.Identity()
    if norm == "instance":
        return InstanceNorm(channels)
    return nn.GroupNorm(1 if norm == "layer" else math.gcd(channels, max(1, channels // 8)), channels)


class PixelNorm(nn.Module):
    """x / sqrt(mean over channels of x^2 + 1e-8) (Karras et al. 2018)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class EqualLinear(nn.Module):
    """A linear layer with equalised learning rate: weights N(0, 1)/lr_scale, used times lr_scale/sqrt(inputs)
    (Karras et al. 2018); the bias is learnt at lr_scale too and starts at `bias_start`."""

    def __init__(
        self, inputs: int, outputs: int, bias: bool = True, lr_scale: float = 1.0, bias_start: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_scale)
        self.bias = nn.Parameter(torch.full((outputs,), bias_start / lr_scale)) if bias else None
        self.scale, self.lr_scale = lr_scale / math.sqrt(inputs), lr_scale

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.lr_scale if self.bias is not None and self.lr_scale != 1 else self.bias
        return F.linear(x, self.weight * self.scale, bias)


class EqualConv2d(nn.Module):
    """A convolution with equalised learning rate: weights N(0, 1), used times 1/sqrt(fan in)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class ScaledLeaky(nn.Module):
    """Leaky ReLU times a gain; by default sqrt(2), which keeps the variance in StyleGAN's nets."""

    def __init__(self, slope: float = 0.2, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.slope, self.gain = slope, gain

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope) * self.gain


class FourierFeatures(nn.Module):
    """[N, D] -> [N, D + 2 count]: x itself, sin and cos of 2 pi B x, B ~ N(0, scale^2) fixed (Tancik et al. 2020)."""

    directions: Tensor

    def __init__(self, inputs: int, count: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("directions", torch.randn(count, inputs) * scale)
        self.outputs = inputs + 2 * count

    def forward(self, x: Tensor) -> Tensor:
        turns = 2 * math.pi * F.linear(x, self.directions)
        return torch.cat([x, turns.sin(), turns.cos()], 1)


class LogFourier(nn.Module):
    """[N, D] -> [N, D + 2 count]: x itself, a sin(b.x) and a cos(b.x) in fixed random directions, with frequencies |b|
    spaced evenly in their logarithm over `octaves` octaves from 1, and a = |b|^-1/2: fine detail, none of it loud."""

    directions: Tensor
    amplitude: Tensor

    def __init__(self, inputs: int, count: int, octaves: float) -> None:
        super().__init__()
        frequency = 2 ** torch.linspace(0, octaves, count)
        self.register_buffer("directions", F.normalize(torch.randn(count, inputs), dim=1) * frequency[:, None])
        self.register_buffer("amplitude", frequency**-0.5)
        self.outputs = inputs + 2 * count

    def forward(self, x: Tensor) -> Tensor:
        phase = F.linear(x, self.directions)
        return torch.cat([x, self.amplitude * phase.sin(), self.amplitude * phase.cos()], 1)


class JoinLabel(nn.Module):
    """forward(z [N, D], *cond) -> [N, outputs]: the label's embedding beside z; z itself where classes = 0."""

    def __init__(self, latent: int, classes: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, width) if classes else None
        self.outputs = latent + (width if classes else 0)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        if self.embed is None:
            return z
        return torch.cat([z, self.embed(need_label(cond)).to(z.dtype)], 1)


class JoinPlanes(nn.Module):
    """forward(x, *cond): the label's embedding as further channels [N, C + width, H, W], constant over the
    picture, or as further columns [N, D + width] of points (CGAN, Mirza & Osindero 2014)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(classes, width)

    def forward(self, x: Tensor, *cond: Tensor) -> Tensor:
        e = self.embed(need_label(cond)).to(x.dtype)
        e = e.reshape(e.shape + (1,) * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
        return torch.cat([x, e], 1)


def need_label(cond: tuple[Tensor, ...]) -> Tensor:
    """The labels among the conditions; RecipeError where there are none."""
    if not cond:
        raise RecipeError("this network is conditional, but it was given no labels; pass them as second argument")
    return cond[0]


class Chunk(nn.Module):
    """[N, C h w] -> [N, C, h, w]."""

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (channels, *size)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)
