"""SqueezeNet 1.0 (Iandola et al. 2016) on ImageNet, from the user's .npz: features, and layers for perceptual distances.

Input is BGR in 0..255 minus (104, 117, 123); pools take in the edge (ceil), as in the Caffe original.  Keys of the
file: `conv1`, `fire2/conv1x1_1` (squeeze), `fire2/conv1x1_2` and `fire2/conv3x3_2` (expand), ..., `conv_final`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import DataError
from rivalry.extractors.base import NetworkExtractor
from rivalry.extractors.preparing import as_rgb, resized
from rivalry.extractors.weights import State, fitted, read_state

SIDE = 227
DIM = 512
MARK = "fire2/conv1x1_1.weight"
"""An entry by which these weights are known."""

MEAN = (104.0, 117.0, 123.0)
WIDTHS = {
    2: (16, 64),
    3: (16, 64),
    4: (32, 128),
    5: (32, 128),
    6: (48, 192),
    7: (48, 192),
    8: (64, 256),
    9: (64, 256),
}
"""Fire modules: channels squeezed to, channels of each expansion."""

POOLED = ("conv1", "fire4", "fire8")
LAYERS = ("conv1", "fire3", "fire4", "fire5", "fire7", "fire8", "fire9")
"""What a perceptual distance looks at: the last layers before and after each pool, and two between."""


class Fire(nn.Module):
    """1x1 squeeze, then 1x1 beside 3x3."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.one = nn.Conv2d(squeezed, expanded, 1)
        self.three = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return F.relu(torch.cat([self.one(x), self.three(x)], dim=1))


class SqueezeNet(nn.Module):
    """[N, 3, H, W] BGR minus the mean -> [N, 512]: mean over places of fire9; `layers` has the way there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, 2)
        inputs = 96
        for number, (squeezed, expanded) in WIDTHS.items():
            self.add_module(f"fire{number}", Fire(inputs, squeezed, expanded))
            inputs = 2 * expanded
        self.conv_final = nn.Conv2d(inputs, 1000, 1)

    def layers(self, x: Tensor) -> dict[str, Tensor]:
        """conv1, fire2, ..., fire9 after their ReLU, each [N, channels, h, w]."""
        found: dict[str, Tensor] = {}
        for name in ("conv1", *(f"fire{number}" for number in WIDTHS)):
            x = self.get_submodule(name)(x)
            x = F.relu(x) if name == "conv1" else x
            found[name] = x
            if name in POOLED:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)["fire9"].mean((2, 3))

    def logits(self, x: Tensor) -> Tensor:
        """[N, 1000] of ImageNet's classes."""
        return F.relu(self.conv_final(self.layers(x)["fire9"])).mean((2, 3))


class Perceptual(nn.Module):
    """(a, b), each [N, C, H, W] in [-1, 1] with C of 1 or 3 -> [N], differentiable in both; no resizing.

    Zhang et al. (2018), eq. 1 with all weights 1: at every place of seven layers, features are brought to unit length
    and compared by squared difference, averaged over places and summed over layers.  Not LPIPS, whose weights are learnt.
    """

    def __init__(self, net: SqueezeNet) -> None:
        super().__init__()
        self.net = net.eval().requires_grad_(False)

    @classmethod
    def load(cls, weights: str | Path | State) -> Self:
        """From the file of weights; WeightsError where they do not fit."""
        return cls(load_network(weights)[0])

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        if a.shape != b.shape or a.ndim != 4 or a.shape[1] not in (1, 3):
            raise DataError(
                f"a perceptual distance compares grey or RGB pictures of one shape, not {list(a.shape)}, {list(b.shape)}"
            )
        first, second = self.net.layers(_blue_first(a)), self.net.layers(_blue_first(b))
        gaps = [(_unit(first[name]) - _unit(second[name])).square().sum(1).mean((1, 2)) for name in LAYERS]
        return torch.stack(gaps).sum(0)


def _unit(x: Tensor) -> Tensor:
    # The small number is inside the root: the slope of a norm at zero is NaN.
    return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()


def _blue_first(x: Tensor) -> Tensor:
    """[N, 1 or 3, H, W] in [-1, 1] -> BGR in 0..255 minus the mean."""
    return _centred((x.expand(-1, 3, -1, -1) + 1) * 127.5)


def _centred(rgb: Tensor) -> Tensor:
    return rgb.flip(1) - torch.tensor(MEAN, device=rgb.device)[:, None, None]


def prepare(x: Tensor) -> Tensor:
    """Pictures as `as_rgb` takes them -> [N, 3, 227, 227]."""
    return _centred(resized(as_rgb(x), (SIDE, SIDE), "bilinear"))


def load_network(weights: str | Path | State) -> tuple[SqueezeNet, str]:
    """The network and the fingerprint of its weights; WeightsError where they do not fit."""
    state = weights if isinstance(weights, dict) else read_state(weights)
    net = SqueezeNet()
    sha = fitted(net, {_ours(name): value for name, value in state.items()}, "SqueezeNet 1.0")
    return net, sha


def _ours(name: str) -> str:
    for theirs, ours in (("/conv1x1_1.", ".squeeze."), ("/conv1x1_2.", ".one."), ("/conv3x3_2.", ".three.")):
        name = name.replace(theirs, ours)
    return name


def load(weights: str | Path | State, device: torch.device | str = "cpu") -> NetworkExtractor:
    """The feature space 'squeezenet', about 30 ms a picture on one core."""
    net, sha = load_network(weights)
    way = f"8 bits, then antialiased bilinear to {SIDE}x{SIDE}, 8 bits"
    return NetworkExtractor("squeezenet", DIM, sha, (SIDE, SIDE), way, net, prepare, torch.device(device))
