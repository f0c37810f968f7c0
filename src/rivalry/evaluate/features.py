"""From samples and rows to features: one pass, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from rivalry.data.base import Store
from rivalry.errors import DataError, Diverged
from rivalry.streams import key

BLOCK = 256
"""Rows at a time.  It is part of what a seed means: block b of an evaluation is drawn with key(seed, b), so the
first samples of a longer evaluation are those of a shorter one, and ranks can share blocks out."""

Draw = Callable[[int, int], Tensor]
"""(n, seed) -> encoded samples [n, *spec.shape]."""


class FeatureSpace(Protocol):
    """What is asked of a feature space (`rivalry.extractors` has them).

    name: as rulers carry it.  sha: hash of its weights.  resize: how rows are brought to its size.
    """

    @property
    def name(self) -> str: ...
    @property
    def sha(self) -> str: ...
    @property
    def resize(self) -> str: ...

    def __call__(self, x: Tensor) -> Tensor:
        """Encoded rows [n, *spec.shape] -> features [n, F] float32."""


@runtime_checkable
class Likely(Protocol):
    """What draws samples and may know how likely real rows are."""

    def surprise(self, x: Tensor) -> Tensor | None:
        """Rows [n, *spec.shape] -> -log p of each entry, None where it is not known."""


@runtime_checkable
class Classifier(Protocol):
    """A feature space that also tells the classes of the data apart (as `LocalClassifier` does)."""

    def logits(self, features: Tensor) -> Tensor:
        """[n, F] -> [n, classes]."""


@dataclass(frozen=True, eq=False)
class Features:
    """Of N rows: values [N, F] float32; classes [N] int64 as the extractor sees them; points [N, D], the encoded
    rows themselves, for kinds of data that are measured as they are; surprise [H, T]: -log p of the reference's tokens by the
    model that made the rows."""

    values: Tensor
    classes: Tensor | None = None
    points: Tensor | None = None
    surprise: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    def head(self, n: int) -> Features:
        """The first n rows."""
        classes = None if self.classes is None else self.classes[:n]
        return Features(self.values[:n], classes, None if self.points is None else self.points[:n])


def home(device: torch.device) -> torch.device:
    """Where statistics are computed: they need float64, which MPS does not have."""
    return device if device.type == "cuda" else torch.device("cpu")


def of_samples(
    draw: Draw, extractor: FeatureSpace, n: int, seed: int, device: torch.device, *, points: bool
) -> Features:
    """Features of n samples.  Raises Diverged if a sample is NaN or infinite."""

    def blocks() -> Iterator[Tensor]:
        for b in range(0, n, BLOCK):
            x = draw(min(BLOCK, n - b), key(seed, "evaluate", b // BLOCK)).to(device)
            if not bool(torch.isfinite(x).all()):
                raise Diverged("the model makes NaN or infinite samples; go back to an earlier checkpoint")
            yield x

    return _features(blocks(), extractor, device, points)


def of_rows(store: Store, index: Tensor, extractor: FeatureSpace, device: torch.device, *, points: bool) -> Features:
    """Features of the store's rows `index` [n]."""
    if not len(index):
        raise DataError("there are no rows to measure against; hold some back")
    return _features((store.batch(part, device).x for part in index.split(BLOCK)), extractor, device, points)


@torch.no_grad()
def _features(blocks: Iterator[Tensor], extractor: FeatureSpace, device: torch.device, points: bool) -> Features:
    there = home(device)
    values: list[Tensor] = []
    classes: list[Tensor] = []
    rows: list[Tensor] = []
    for x in blocks:
        found = extractor(x)
        values.append(found.to(there, torch.float32))
        if isinstance(extractor, Classifier):
            classes.append(extractor.logits(found).argmax(1).to(there))
        if points:
            rows.append(x.flatten(1).to(there, torch.float32))
    return Features(
        torch.cat(values), torch.cat(classes) if classes else None, torch.cat(rows) if rows else None
    )
