"""Stores: rows resident in one tensor, or streamed from a mapped file with one batch read ahead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import final

import torch
from torch import Tensor

from rivalry.types import Batch

Encode = Callable[[Tensor], Tensor]
CHUNK = 4096


def fits(rows: Tensor, count: int, device: torch.device) -> bool:
    """Would `count` of the rows leave the device at least half of its free memory?"""
    size = count * rows[:1].numel() * rows.element_size()
    if device.type == "cuda":
        return size * 2 <= torch.cuda.mem_get_info(device)[0]
    return size <= 2 << 30


def gather(rows: Tensor, index: Tensor) -> Tensor:
    """rows[index]; 16-bit rows are moved as signed ones, which every device can index."""
    if rows.dtype == torch.uint16:
        return rows.view(torch.int16).index_select(0, index).view(torch.uint16)
    return rows.index_select(0, index)


def _copied(rows: Tensor, places: Tensor, device: torch.device) -> Tensor:
    """rows[places] on the device, a chunk at a time."""
    out = torch.empty((len(places), *rows.shape[1:]), dtype=rows.dtype, device=device)
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK]
        out[start : start + len(part)] = gather(rows, part).to(device)
    return out


@final
class Resident:
    """Rows in one tensor on one device.

    rows: [M, ...] raw; places: [N] int64, which of them are this store's (shared by both sides of the split);
    labels: [N] int64 on the CPU.
    """

    def __init__(self, rows: Tensor, places: Tensor | None, encode: Encode, labels: Tensor | None = None) -> None:
        self._rows, self._places, self._encode, self._labels = rows, places, encode, labels
        self._near = None if labels is None else labels.to(rows.device)

    @property
    def labels(self) -> Tensor | None:
        return self._labels

    def __len__(self) -> int:
        return len(self._rows) if self._places is None else len(self._places)

    def raw(self, index: Tensor) -> Tensor:
        places = index.to(self._rows.device)
        return gather(self._rows, places if self._places is None else self._places[places])

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        near = index.to(self._rows.device, non_blocking=True)
        x = self._encode(self.raw(near).to(device, non_blocking=True))
        label = None if self._near is None else self._near[near].to(device, non_blocking=True)
        return Batch(x, label, near.to(device, non_blocking=True))

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the rows are here."""

    def to(self, device: torch.device) -> Resident:
        if device == self._rows.device or (device.type == "cpu" and self._rows.device.type == "cpu"):
            return self
        if not fits(self._rows, len(self), device):
            return self
        places = torch.arange(len(self._rows)) if self._places is None else self._places
        return Resident(_copied(self._rows, places, device), None, self._encode, self._labels)


@final
class Streamed:
    """Rows in a tensor that is mapped from a file, or too large for the device: read as they are asked for.

    `prefetch` reads the next batch on a thread of its own.
    """

    def __init__(self, rows: Tensor, places: Tensor, encode: Encode, labels: Tensor | None = None) -> None:
        self._rows, self._places, self._encode, self._labels = rows, places, encode, labels
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: tuple[Tensor, Future[Tensor]] | None = None

    @property
    def labels(self) -> Tensor | None:
        return self._labels

    def __len__(self) -> int:
        return len(self._places)

    def _read(self, index: Tensor) -> Tensor:
        """Rows in the order of the file, which is kinder to disks, then in the order asked for."""
        places = self._places[index]
        order = places.argsort()
        read = gather(gather(self._rows, places[order]), order.argsort())
        return read.pin_memory() if torch.cuda.is_available() else read

    def prefetch(self, index: Tensor) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="rivalry-read")
        own = index.cpu().clone()
        self._ahead = own, self._pool.submit(self._read, own)

    def raw(self, index: Tensor) -> Tensor:
        asked = index.cpu()
        if self._ahead is not None and torch.equal(self._ahead[0], asked):
            (_, future), self._ahead = self._ahead, None
            return future.result()
        return self._read(asked)

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        own = index.cpu()
        x = self._encode(self.raw(own).to(device, non_blocking=True))
        label = None if self._labels is None else self._labels[own].to(device, non_blocking=True)
        return Batch(x, label, index.to(device, non_blocking=True))

    def to(self, device: torch.device) -> Resident | Streamed:
        if device.type == "cpu" or not fits(self._rows, len(self), device):
            return self
        return Resident(_copied(self._rows, self._places, device), None, self._encode, self._labels)


def both(
    rows: Tensor, sides: tuple[Tensor, Tensor], encode: Encode, labels: Tensor | None, streamed: bool
) -> tuple[Resident | Streamed, Resident | Streamed]:
    """(train, held) over the same rows: each of the sides [N] names places in `rows`; labels [M] are the rows'."""
    kind = Streamed if streamed else Resident
    train, held = (kind(rows, places, encode, None if labels is None else labels[places]) for places in sides)
    return train, held
