"""Which rows make up a batch."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rivalry.catalogue import register
from rivalry.data.order import batch_index
from rivalry.parts import Sampler, Turn
from rivalry.streams import key


@register("sampler", "iid")
@dataclass(frozen=True)
class IID(Sampler):
    """Every row once per epoch, in an order that depends on seed and epoch only."""

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        share, count = turn.draw.share
        whole = batch_index(rows, turn.position, turn.batch * count, turn.draw.seed)
        return whole[share * turn.batch : (share + 1) * turn.batch]


@register("sampler", "unpaired")
@dataclass(frozen=True)
class Unpaired(Sampler):
    """As 'iid', but every stream in an order of its own: rows of 'real' and 'source' have nothing to do with one another."""

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        share, count = turn.draw.share
        whole = batch_index(rows, turn.position, turn.batch * count, key(turn.draw.seed, stream))
        return whole[share * turn.batch : (share + 1) * turn.batch]


@register("sampler", "poisson")
@dataclass(frozen=True)
class Poisson(Sampler):
    """Every row on its own with the chance turn.batch / rows, so that batches differ in size and may be empty: what
    accounting for differential privacy supposes (Abadi et al. 2016).

    No function of its arguments, alone among samplers: rows are drawn from the operating system's secure source, which
    nobody can repeat, and a resumed run draws others.  For one process; [n] row numbers in ascending order.
    """

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        if turn.batch >= rows:
            return torch.arange(rows)
        below = np.uint64(int(turn.batch / rows * 2.0**64))  # a power of two times a float64 is exact
        drawn = np.frombuffer(os.urandom(8 * rows), dtype=np.uint64) < below
        return torch.from_numpy(np.flatnonzero(drawn))
