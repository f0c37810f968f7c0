"""Rows of tokens, resident: batches say how long each text is."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from rivalry.types import PAD, Batch


@final
class TokenRows:
    """One side of the split: tokens [N, T] (kept in 32 bits), labels [N] int64 on the CPU or None."""

    def __init__(self, tokens: Tensor, labels: Tensor | None = None) -> None:
        self._tokens, self._labels = tokens.int(), labels

    @property
    def labels(self) -> Tensor | None:
        return self._labels

    def __len__(self) -> int:
        return len(self._tokens)

    def raw(self, index: Tensor) -> Tensor:
        return self._tokens[index.to(self._tokens.device)].long()

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        """x [n, T] int64; extra 'length' [n]: tokens of each text, its end counted."""
        x = self.raw(index).to(device, non_blocking=True)
        label = None if self._labels is None else self._labels[index.cpu()].to(device, non_blocking=True)
        return Batch(x, label, index.to(device, non_blocking=True), {"length": (x != PAD).sum(1)})

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the rows are here."""

    def to(self, device: torch.device) -> TokenRows:
        return self if device.type == self._tokens.device.type else TokenRows(self._tokens.to(device), self._labels)
