"""Batches of texts of like length, for likelihoods: next to no padding is computed."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rivalry.catalogue import register
from rivalry.data.order import batch_index
from rivalry.games.samplers import IID
from rivalry.parts import Rows, Sampler, Turn
from rivalry.streams import generator
from rivalry.types import PAD, Spec

STREAM = "likelihood"
"""The stream whose batches are sorted.  Those that a discriminator sees must not be: fakes have all lengths."""
POOL = 32
BLOCK = 4096


@register("sampler", "by-length")
@dataclass(frozen=True)
class ByLength(IID):
    """As 'iid', but stream 'likelihood' takes 32 of its batches at a time, sorts their texts by length, and deals them out
    again as batches in random order: every text once an epoch all the same."""

    def over(self, spec: Spec, rows: Rows) -> Sampler:
        if spec.kind != "tokens":
            return self
        index, cpu = torch.arange(len(rows)), torch.device("cpu")
        lengths = [(rows.batch(part, cpu).x != PAD).sum(1) for part in index.split(BLOCK)]
        return _Sorted(torch.cat(lengths))


@dataclass(frozen=True, eq=False)
class _Sorted(IID):
    """lengths [N] of the rows; pool: the one that was sorted last."""

    lengths: Tensor
    pool: dict[tuple[int, int, int], Tensor] = field(default_factory=dict)

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        if stream != STREAM:
            return super().index(stream, rows, turn)
        share, count = turn.draw.share
        batch, number = turn.batch * count, turn.position // POOL
        place = (number, batch, turn.draw.seed)
        if place not in self.pool:
            self.pool.clear()
            self.pool[place] = self._sorted(number, batch, rows, turn.draw.seed)
        return self.pool[place][turn.position % POOL][share * turn.batch : (share + 1) * turn.batch]

    def _sorted(self, number: int, batch: int, rows: int, seed: int) -> Tensor:
        """[POOL, batch]."""
        found = torch.cat([batch_index(rows, number * POOL + i, batch, seed) for i in range(POOL)])
        order = self.lengths[found].argsort(stable=True)
        draw = generator(torch.device("cpu"), seed, "by-length", number)
        return found[order].view(POOL, batch)[torch.randperm(POOL, generator=draw)]
