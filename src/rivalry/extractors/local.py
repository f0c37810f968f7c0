"""A small feature space of one's own data: a network trained on the training split, in seconds.

Fréchet distances in it are comparable within one project only, and carry the name 'local' and the weights' hash.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import DataError, RunError, WeightsError
from rivalry.extractors.base import Tick, batched
from rivalry.extractors.preparing import on_white
from rivalry.extractors.weights import State, fingerprint
from rivalry.files import read_tensors, write_tensors

DIM = 64
SMALLEST, LARGEST = 16, 64
"""Sides in pixels that the network works at; other pictures are resized into this range."""
FORMAT = 2


class LocalNet(nn.Module):
    """[N, C, h, w] in [-1, 1] -> features [N, 64].

    Four convolutions, means over the quarters of the picture (so that what stands where is seen), and a linear layer,
    whose outputs are nearer to Gaussian than those after a ReLU.  Heads read ReLU(features).
    """

    size: Tensor

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        # The size is a buffer so that the hash of the weights covers it.
        self.register_buffer("size", torch.tensor(size))
        self.blocks = nn.Sequential(
            _block(channels, 32, 5, 2),
            _block(32, 32, 3, 2 if max(size) > 32 else 1),
            _block(32, 64, 3, 2),
            _block(64, 64, 3, 1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * 64, DIM),
        )

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.blocks(x.contiguous(memory_format=torch.channels_last))
        return features


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


@dataclass(frozen=True, eq=False)
class LocalExtractor(ABC):
    """Pictures of the kind it was trained on -> [N, 64] float32; the name of its two final classes together.

    size: (height, width) the network sees.  train_accuracy, held_accuracy: share of training pictures (in the last
    steps, as they were disturbed) and of held-out ones whose class, or without labels whose cluster, it tells;
    held_accuracy is None where nothing was held out.
    """

    net: LocalNet
    sha: str
    size: tuple[int, int]
    train_accuracy: float
    held_accuracy: float | None
    device: torch.device

    name = "local"
    dim = DIM

    @property
    def resize(self) -> str:
        return f"antialiased bilinear to {self.size[0]}x{self.size[1]}"

    @property
    def classes(self) -> int:
        """How many classes `LocalClassifier.logits` tells apart; 0 without labels."""
        return 0

    def __call__(self, x: Tensor, *, batch: int = 256, tick: Tick | None = None) -> Tensor:
        """Pictures [N, C, H, W], uint8 or floating in [-1, 1] -> [N, 64] float32 on the device of x.

        DataError where the channels are not those it was trained on.
        """
        return batched(lambda part: self.net(self._prepared(part)), x, DIM, self.device, batch, tick)

    def _prepared(self, x: Tensor) -> Tensor:
        channels = self.net.blocks[0][0].in_channels  # type: ignore[index, union-attr]
        pictures = prepare(x, self.size)
        if pictures.shape[1] != channels:
            raise DataError(
                f"this local feature space was trained on pictures of {channels} channels, not of {pictures.shape[1]}; "
                "train one on this data"
            )
        return pictures

    def tensors(self) -> State:
        """All that is saved and fingerprinted."""
        return _named(self.net, None)

    def save(self, path: Path) -> None:
        """A safetensors file; written whole or not at all."""
        accuracies = {"train_accuracy": self.train_accuracy, "held_accuracy": self.held_accuracy}
        meta = {"format": FORMAT, "kind": "local extractor", **accuracies}
        write_tensors(path, {name: value.cpu().contiguous() for name, value in self.tensors().items()}, meta)

    @staticmethod
    def load(path: Path, device: torch.device | str = "cpu") -> LocalExtractor:
        """The inverse of `save`; WeightsError if the file is missing, damaged or of another kind."""
        try:
            tensors, meta = read_tensors(path)
        except RunError as error:
            raise WeightsError(f"{error} (wanted: a local feature space)") from error
        if meta.get("format") != FORMAT or meta.get("kind") != "local extractor":
            raise WeightsError(f"{path} holds no local feature space; delete it and it will be trained again")
        return _restored(tensors, meta, torch.device(device), path)


@final
@dataclass(frozen=True, eq=False)
class LocalFeatures(LocalExtractor):
    """Trained without labels."""


@final
@dataclass(frozen=True, eq=False)
class LocalClassifier(LocalExtractor):
    """Trained with labels: also tells the classes apart."""

    head: nn.Linear

    @property
    def classes(self) -> int:
        return self.head.out_features

    def logits(self, features: Tensor) -> Tensor:
        """Features [N, 64] -> [N, classes], on the device of the features."""
        with torch.no_grad():
            out: Tensor = self.head(features.to(self.device).relu()).to(features.device)
        return out

    def tensors(self) -> State:
        return _named(self.net, self.head)


def _named(net: LocalNet, head: nn.Linear | None) -> State:
    found = {f"net.{name}": value for name, value in net.state_dict().items()}
    return found if head is None else found | {f"head.{name}": value for name, value in head.state_dict().items()}


def finished(
    net: LocalNet, head: nn.Linear | None, accuracies: tuple[float, float | None], device: torch.device
) -> LocalExtractor:
    """A trained network as an extractor on `device`, with its fingerprint."""
    # The layout decides which kernels run, and so the last digits: loaded and fresh networks must have the same.
    net.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    height, width = (int(side) for side in net.size)
    sha = fingerprint(_named(net, head))
    if head is None:
        return LocalFeatures(net, sha, (height, width), *accuracies, device)
    return LocalClassifier(net, sha, (height, width), *accuracies, device, head.to(device).requires_grad_(False))


def _restored(tensors: State, meta: dict[str, Any], device: torch.device, path: Path) -> LocalExtractor:
    try:
        size = tensors["net.size"]
        net = LocalNet(tensors["net.blocks.0.0.weight"].shape[1], (int(size[0]), int(size[1])))
        net.load_state_dict({n.removeprefix("net."): v for n, v in tensors.items() if n.startswith("net.")})
        head = None
        if "head.weight" in tensors:
            head = nn.Linear(DIM, len(tensors["head.weight"]))
            head.load_state_dict({n.removeprefix("head."): v for n, v in tensors.items() if n.startswith("head.")})
    except (KeyError, IndexError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is a damaged local feature space; delete it and it will be trained again"
        ) from error
    return finished(net, head, (meta["train_accuracy"], meta["held_accuracy"]), device)


def inner_size(height: int, width: int) -> tuple[int, int]:
    """The size pictures are resized to: as they are, or shrunk to sides of at most 64 px, or grown to at least 16."""
    factor = min(1.0, LARGEST / max(height, width))
    high, wide = (min(LARGEST, max(SMALLEST, round(side * factor))) for side in (height, width))
    return high, wide


def prepare(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, C, H, W], uint8 or floating in [-1, 1] (beyond is cut off) -> [N, C, *size] in [-1, 1] float32.

    Four channels are taken for RGBA and laid on white: what transparent pixels hold beneath is nobody's concern.  Not
    rounded to bytes, since the data may have 16 bits.  DataError on another rank or integer type, and on NaN.
    """
    if x.ndim != 4 or not (x.dtype == torch.uint8 or x.is_floating_point()):
        raise DataError(f"pictures are [N, C, H, W], uint8 or floating in [-1, 1], not {list(x.shape)} {x.dtype}")
    if x.dtype == torch.uint8:
        x = on_white(x.float()) / 127.5 - 1
    else:
        x = x.float().clamp(-1, 1)
        if bool(x.isnan().any()):
            raise DataError("pictures hold NaN; leave them out or go back to a model that works")
        if x.shape[1] == 4:
            alpha = (x[:, 3:] + 1) / 2
            x = x[:, :3] * alpha + 1 - alpha
    if tuple(x.shape[-2:]) != size:
        x = F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
    return x
