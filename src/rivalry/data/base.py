"""What every kind of data offers to the floors above: Store, Modality, Dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from rivalry.data.columns.declared import Prepared
from rivalry.data.inspection import Inspection
from rivalry.data.options import ReadOptions
from rivalry.data.sources import Source
from rivalry.data.truths import Truth
from rivalry.types import Batch, Spec

Plain = Mapping[str, object]
"""Strings, numbers, booleans and lists of them: what TOML can say."""


class Store(Protocol):
    """One side of the split: N rows, addressed by number."""

    @property
    def labels(self) -> Tensor | None:
        """[N] int64 on the CPU, None where there are no classes."""

    def __len__(self) -> int: ...

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        """Encoded rows: x [n, *spec.shape] float32 on the device; `Batch.index` is the index."""

    def raw(self, index: Tensor) -> Tensor:
        """Rows as they are stored: uint8 or uint16 pictures [n, C, H, W], points [n, D] in their own units."""

    def to(self, device: torch.device) -> Store:
        """The rows on the device where they fit there, else as they are."""

    def prefetch(self, index: Tensor) -> None:
        """May be called one step ahead of `batch` or `raw` with the same index; does nothing where data are
        resident."""


class Modality(Protocol):
    """A kind of data: the one place where it plugs in.

    An instance carries what decoding needs, and `state` writes it down, so that a run folder can turn samples
    into files without the data.
    """

    kind: ClassVar[str]

    def sniff(self, source: Source) -> bool:
        """Is the source of this kind?"""

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Raises DataError when the source cannot be used as asked."""

    def inspect(self, source: Source, options: ReadOptions) -> Inspection: ...

    def encode(self, raw: Tensor) -> Tensor:
        """Raw rows as networks see them: float32."""

    def decode(self, x: Tensor) -> Tensor:
        """The inverse of `encode`; clamps to what can be stored."""

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """Encoded (or raw, if integers) rows into files, by `out`'s ending; returns what was written."""

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """A picture of encoded rows, beside a reference if there is one."""

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, ...], [N, ...] -> [N]: a simple distance between encoded rows, pair by pair."""

    def augments(self) -> tuple[str, ...]:
        """Names of augmentations that are safe for this kind."""

    def extractors(self) -> tuple[str, ...]:
        """Names of feature spaces that fit, the best first."""

    def state(self) -> dict[str, object]:
        """Plain values for TOML; `restore(kind, state)` makes the same modality of them."""

    def restored(self, state: Plain) -> Modality: ...


@dataclass(frozen=True)
class Dataset:
    """Data ready to be trained on and measured against.

    source: the name or the absolute path that `load` would read again, '' for data that came from Python.
    fingerprint: sha256 of the decoded rows, their labels, their split, and the options that bear on them.
    notes: what was decided while reading, in sentences for the user.
    truth: the true density, where it is known (built-in points).
    defences: what was done to rows for privacy's sake before the split is learned from, in counts.
    prepared: what it cost to measure the columns that the schema says were paid for, None where none were.
    layout, task: of pictures that are to be changed into others: 'patches', 'pairs' or 'unpaired', and the task's name.
    """

    name: str
    spec: Spec
    modality: Modality
    train: Store
    held: Store
    fingerprint: str
    source: str = ""
    notes: tuple[str, ...] = ()
    truth: Truth | None = None
    defences: tuple[str, ...] = ()
    layout: str = ""
    task: str = ""
    prepared: Prepared | None = None

    def to(self, device: torch.device) -> Dataset:
        """The same data, resident on the device where they fit."""
        return replace(self, train=self.train.to(device), held=self.held.to(device))
