"""Records as tensors: the patient's own columns, then visits of one layout; and one side of the split.

Raw [N, S + L (1 + V)] float64: static columns; then for each visit the gap since the one before (0 for the first, NaN where
there is no such visit) and its columns.  Encoded [N, D] float32: static blocks; then for each visit a choice of [there is
one, there is none], the gap's blocks and its columns' blocks, all 0 but the choice where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from rivalry.data.columns.codes import Code
from rivalry.data.rules.plan import Plan
from rivalry.data.table_store import Coder
from rivalry.types import Batch, Block

ALIVE = 2
"""Entries of the choice that begins a visit."""


@final
class RecordCoder:
    """Encodes raw records and back.  static: codes of the patient's columns; visit: of the gap, then of a visit's columns; own, within: their
    plans, where constraints are met by how rows are made."""

    def __init__(
        self, static: Sequence[Code], visit: Sequence[Code], visits: int, seed: int, own: Plan | None = None, within: Plan | None = None
    ) -> None:
        self.static, self.visit = (
            Coder(codes, _blocks(codes if plan is None else plan.codes), seed, plan) for codes, plan in ((static, own), (visit, within))
        )
        self.gap = sum(b.width for b in visit[0].blocks("gap", 0))
        self.columns, self.own, self.visits = len(static), len(visit), visits
        self.width = ALIVE + self.visit.width

    def raw_parts(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """[N, S + L (1 + V)] -> static [N, S], visits [N, L, 1 + V]."""
        return raw[:, : self.columns], raw[:, self.columns :].reshape(len(raw), self.visits, self.own)

    def encode(self, raw: Tensor) -> Tensor:
        """Raw -> encoded."""
        static, visits = self.raw_parts(raw)
        there = ~visits[:, :, 0].isnan()
        x = torch.zeros(len(raw), self.visits, self.width, device=raw.device)
        x[:, :, 0], x[:, :, 1] = there.float(), (~there).float()
        if bool(there.any()):
            x[there] = torch.cat([x[there][:, :ALIVE], self.visit.expand(*self.visit.compact(visits[there]))], 1)
        x[:, 0, ALIVE : ALIVE + self.gap] = 0.0  # nothing comes before the first visit
        parts = [self.static.expand(*self.static.compact(static))] if self.columns else []
        return torch.cat([*parts, x.flatten(1)], 1)

    def decode(self, x: Tensor) -> Tensor:
        """Encoded, or any scores in the places of choices, -> raw; a visit needs all those before it."""
        x = x.detach()
        visits = x[:, self.static.width :].reshape(len(x), self.visits, self.width)
        there = (visits[:, :, 0] >= visits[:, :, 1]).cumprod(1).bool()
        rows = visits[:, :, ALIVE:].flatten(0, 1)
        raw = self.visit.decode(*self.visit.collapse(rows)).reshape(len(x), self.visits, self.own)
        raw[:, 0, 0] = 0.0
        raw = torch.where(there[:, :, None], raw, torch.nan)
        parts = [self.static.decode(*self.static.collapse(x[:, : self.static.width]))] if self.columns else []
        return torch.cat([*parts, raw.flatten(1)], 1)


def _blocks(codes: Sequence[Code]) -> list[Block]:
    made = list[Block]()
    for i, code in enumerate(codes):
        made += code.blocks(str(i), sum(b.width for b in made))
    return made


@final
class RecordRows:
    """One side of the split, resident: raw [N, R] float64 and what networks see of it [N, D] float32."""

    def __init__(self, coder: RecordCoder, raw: Tensor, x: Tensor | None = None) -> None:
        self._coder, self._raw = coder, raw
        self._x = coder.encode(raw) if x is None else x

    @property
    def labels(self) -> Tensor | None:
        """None: a class is a column like the others."""
        return None

    def __len__(self) -> int:
        return len(self._raw)

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        near = index.to(self._x.device, non_blocking=True)
        return Batch(self._x[near].to(device), None, index.to(device, non_blocking=True))

    def raw(self, index: Tensor) -> Tensor:
        """[n, R] float64, as they were read."""
        return self._raw[index.to(self._raw.device)]

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the rows are here."""

    def to(self, device: torch.device) -> RecordRows:
        return RecordRows(self._coder, self._raw, self._x.to(device))
