"""What the processor makes for every step, on its way to the device: side by side, in one copy that waits for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SLOTS = 8
"""Steps that the processor may be ahead of a GPU: so many copies may be on their way at a time."""
ALIGNED = 16


class Staging:
    """Tensors of the processor become `pieces` of one tensor on the device.

    A GPU is sent them from pinned memory, since a copy from other memory may wait until the GPU has reached it.  A slot is written anew
    only once its copy has arrived.
    """

    def __init__(self, first: Sequence[Tensor], device: torch.device) -> None:
        starts, size = [], 0
        for made in first:
            starts.append(size)
            size += -(-made.nbytes // ALIGNED) * ALIGNED
        pinned = device.type == "cuda"
        self._there = torch.zeros(size, dtype=torch.uint8, device=device)
        self._slots = [torch.zeros(size, dtype=torch.uint8, pin_memory=pinned) for _ in range(SLOTS if pinned else 1)]
        self._arrived = [torch.cuda.Event() for _ in self._slots] if pinned else []
        self._next = 0
        self.pieces, *self._parts = ([_part(t, start, like) for start, like in zip(starts, first, strict=True)] for t in (self._there, *self._slots))
        self.send(first)

    def send(self, made: Sequence[Tensor]) -> None:
        """Puts tensors of the same shapes and types in the pieces' place."""
        if not len(self._there):
            return
        slot, self._next = self._next, (self._next + 1) % len(self._slots)
        if self._arrived:
            self._arrived[slot].synchronize()
        for part, value in zip(self._parts[slot], made, strict=True):
            part.copy_(value)
        self._there.copy_(self._slots[slot], non_blocking=True)
        if self._arrived:
            self._arrived[slot].record()


def _part(whole: Tensor, start: int, like: Tensor) -> Tensor:
    """[*like.shape] from byte `start` on."""
    return whole[start : start + like.nbytes].view(like.dtype).view(like.shape)
