"""What a feature space is, and the one way in which pictures pass through a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor, nn

from rivalry.errors import DataError

Prepare = Callable[[Tensor], Tensor]
"""Pictures [n, C, H, W], uint8 or in [-1, 1], on the network's device -> what the network takes."""

Tick = Callable[[int], None]
"""Told how many rows (or steps) are done so far, for a progress bar."""


class Extractor(Protocol):
    """Rows [N, ...] -> features [N, dim] float32.

    name: as rulers carry it.  dim: number of features.  sha: hash of its weights.  size: (height, width) in
    pixels that the network sees, () where rows are no pictures.  resize: how pictures are brought to that size.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def sha(self) -> str: ...
    @property
    def size(self) -> tuple[int, ...]: ...
    @property
    def resize(self) -> str: ...

    def __call__(self, x: Tensor, *, batch: int = 64, tick: Tick | None = None) -> Tensor: ...


@final
@dataclass(frozen=True, eq=False)
class NetworkExtractor:
    """A pretrained network as a feature space; see `Extractor` for the fields.

    net: takes what `prepare` makes of a batch and returns [n, dim].
    """

    name: str
    dim: int
    sha: str
    size: tuple[int, ...]
    resize: str
    net: nn.Module
    prepare: Prepare
    device: torch.device

    def __post_init__(self) -> None:
        self.net.to(self.device).eval().requires_grad_(False)

    def __call__(self, x: Tensor, *, batch: int = 64, tick: Tick | None = None) -> Tensor:
        """Pictures [N, C, H, W], uint8 in 0..255 or floating in [-1, 1], with 1, 3 or 4 channels -> [N, dim]
        float32 on the device of x.  The batch size moves results by no more than rounding."""
        return batched(lambda part: self.net(self.prepare(part)), x, self.dim, self.device, batch, tick)


@final
@dataclass(frozen=True)
class PointsExtractor:
    """The feature space of points [N, D]: the coordinates themselves."""

    dim: int
    name: str = "coordinates"
    sha: str = "identity"
    size: tuple[int, ...] = ()
    resize: str = "none"

    def __call__(self, x: Tensor, *, batch: int = 64, tick: Tick | None = None) -> Tensor:
        """[N, dim] -> the same, float32; DataError on another shape."""
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise DataError(f"these features are {self.dim} coordinates, not rows of shape {list(x.shape[1:])}")
        if tick is not None:
            tick(len(x))
        return x.detach().float()


def batched(
    network: Callable[[Tensor], Tensor], x: Tensor, dim: int, device: torch.device, batch: int, tick: Tick | None
) -> Tensor:
    """Run `network` over x [N, ...] in batches on `device`, without gradients: [N, dim] float32 on x's device."""
    if batch < 1:
        raise DataError(f"a batch needs at least one row, not {batch}")
    # Made outside inference mode, so that whoever gets the features may change them in place.
    features = torch.empty(len(x), dim, device=x.device)
    with torch.inference_mode():
        for start in range(0, len(x), batch):
            part = x[start : start + batch]
            features[start : start + len(part)] = network(part.to(device)).to(x.device)
            if tick is not None:
                tick(start + len(part))
    return features
