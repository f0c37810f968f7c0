"""Inception-v3 as FID uses it: TensorFlow's graph of 2015-12-05, features of its last average pool.

The network is that of Szegedy et al. (2016), table 1, with the graph's own ways: average pools inside blocks do not
count the padding, the last block pools by maximum, batch norm has eps 1e-3, and pictures are resized by TensorFlow 1's
bilinear and mapped by (x - 128) / 128.  Weights are the user's (`pt_inception-2015-12-05-*.pth`, or the same tensors in
safetensors); the Fréchet distance on these features alone is "FID" (Heusel et al. 2017).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.extractors.base import NetworkExtractor
from rivalry.extractors.preparing import as_rgb, resized_as_tensorflow_1
from rivalry.extractors.weights import State, fitted, read_state

SIDE = 299
DIM = 2048
MARK = "Conv2d_1a_3x3.conv.weight"
"""An entry by which these weights are known."""

Kernel = int | tuple[int, int]
Layer = tuple[str, int, Kernel]
"""Name, output channels, kernel (height, width); stride 1, padded to keep the size."""

Branch = tuple[Layer | tuple[Layer, ...], ...]
"""Layers in a row; a tuple of layers side by side on the same input ends a branch."""


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; keeps the size, unless it is `valid` (no padding)."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, *, valid: bool = False) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid else (high // 2, wide // 2)
        self.conv = nn.Conv2d(inputs, outputs, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Branches on the same input, then a pooled branch, joined by channel.

    `pool` layers follow a 3x3 pool: average without padding counted, or maximum if `by_maximum`.
    With `shrink`, the last layer of each branch and the pool have stride 2 and no padding, and the pool no layer.
    """

    def __init__(
        self,
        inputs: int,
        branches: tuple[Branch, ...],
        pool: int = 0,
        *,
        by_maximum: bool = False,
        shrink: bool = False,
    ) -> None:
        super().__init__()
        self.chains: list[list[tuple[str, ...]]] = []
        self.shrink, self.by_maximum, self.outputs = shrink, by_maximum, 0
        for branch in branches:
            width, chain = inputs, []
            for position, step in enumerate(branch):
                last = shrink and position == len(branch) - 1
                layers = (step,) if isinstance(step[0], str) else step
                for name, outputs, kernel in layers:  # type: ignore[misc]
                    self.add_module(name, Conv(width, outputs, kernel, 2 if last else 1, valid=last))
                chain.append(tuple(name for name, _, _ in layers))  # type: ignore[misc]
                width = sum(outputs for _, outputs, _ in layers)  # type: ignore[misc]
            self.chains.append(chain)
            self.outputs += width
        if pool:
            self.branch_pool = Conv(inputs, pool, 1)
        self.outputs += pool or inputs

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for chain in self.chains:
            y = x
            for names in chain:
                y = torch.cat([self.get_submodule(name)(y) for name in names], dim=1)
            parts.append(y)
        return torch.cat([*parts, self._pooled(x)], dim=1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.shrink:
            return F.max_pool2d(x, 3, 2)
        pool = F.max_pool2d if self.by_maximum else _mean_of_what_is_there
        out: Tensor = self.branch_pool(pool(x, 3, 1, 1))
        return out


def _mean_of_what_is_there(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)


def _block_35(inputs: int, pool: int) -> Mixed:
    """35 x 35 places: 1x1, 5x5 and two 3x3."""
    one = (("branch1x1", 64, 1),)
    five = (("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5))
    three = (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3))
    return Mixed(inputs, (one, five, three), pool)


def _shrink_to_17(inputs: int) -> Mixed:
    double = (("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3))
    return Mixed(inputs, ((("branch3x3", 384, 3),), double), shrink=True)


def _block_17(inputs: int, width: int) -> Mixed:
    """17 x 17 places: 7x7 convolutions as 1x7 after 7x1, `width` channels wide inside."""
    one = (("branch1x1", 192, 1),)
    once = (("branch7x7_1", width, 1), ("branch7x7_2", width, (1, 7)), ("branch7x7_3", 192, (7, 1)))
    twice = (
        ("branch7x7dbl_1", width, 1),
        ("branch7x7dbl_2", width, (7, 1)),
        ("branch7x7dbl_3", width, (1, 7)),
        ("branch7x7dbl_4", width, (7, 1)),
        ("branch7x7dbl_5", 192, (1, 7)),
    )
    return Mixed(inputs, (one, once, twice), 192)


def _shrink_to_8(inputs: int) -> Mixed:
    three = (("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3))
    seven = (
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4", 192, 3),
    )
    return Mixed(inputs, (three, seven), shrink=True)


def _block_8(inputs: int, *, by_maximum: bool) -> Mixed:
    """8 x 8 places: branches that end in 1x3 beside 3x1."""
    one = (("branch1x1", 320, 1),)
    three = (("branch3x3_1", 384, 1), (("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))))
    double = (
        ("branch3x3dbl_1", 448, 1),
        ("branch3x3dbl_2", 384, 3),
        (("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))),
    )
    return Mixed(inputs, (one, three, double), 192, by_maximum=by_maximum)


class InceptionV3(nn.Module):
    """[N, 3, 299, 299] in [-1, 1] -> [N, 2048]: the mean over 8 x 8 places of the last block ('pool3')."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2, valid=True)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1, valid=True)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, valid=True)
        self.Mixed_5b = _block_35(192, 32)
        self.Mixed_5c = _block_35(256, 64)
        self.Mixed_5d = _block_35(288, 64)
        self.Mixed_6a = _shrink_to_17(288)
        self.Mixed_6b = _block_17(768, 128)
        self.Mixed_6c = _block_17(768, 160)
        self.Mixed_6d = _block_17(768, 160)
        self.Mixed_6e = _block_17(768, 192)
        self.Mixed_7a = _shrink_to_8(768)
        self.Mixed_7b = _block_8(1280, by_maximum=False)
        self.Mixed_7c = _block_8(2048, by_maximum=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def prepare(x: Tensor) -> Tensor:
    """Pictures as `as_rgb` takes them -> [N, 3, 299, 299] in [-1, 1), as the graph of 2015 does it."""
    return (resized_as_tensorflow_1(as_rgb(x), (SIDE, SIDE)) - 128) / 128


def load(weights: str | Path | State, device: torch.device | str = "cpu") -> NetworkExtractor:
    """FID's feature space from the user's weights (a path or their tensors); WeightsError where they do not fit.

    The classifier's `fc` entries may be there and are not used.  About .1 s a picture on one CPU core.
    """
    net = InceptionV3()
    state = weights if isinstance(weights, dict) else read_state(weights)
    sha = fitted(net, state, "FID's Inception-v3 (pt_inception-2015-12-05)", unused=("fc.", "AuxLogits."))
    way = f"8 bits, then TensorFlow 1 bilinear to {SIDE}x{SIDE}"
    return NetworkExtractor("inception", DIM, sha, (SIDE, SIDE), way, net, prepare, torch.device(device))
