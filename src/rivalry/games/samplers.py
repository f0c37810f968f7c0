"""Which rows make up a batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rivalry.catalogue import register
from rivalry.data.order import batch_index
from rivalry.parts import Sampler, Turn


@register("sampler", "iid")
@dataclass(frozen=True)
class IID(Sampler):
    """Every row once per epoch, in an order that depends on seed and epoch only."""

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        share, count = turn.draw.share
        whole = batch_index(rows, turn.position, turn.batch * count, turn.draw.seed)
        return whole[share * turn.batch : (share + 1) * turn.batch]
