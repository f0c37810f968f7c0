"""Rows of a table, compact: codes and deviates; expanded to what networks see in `batch`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns.codes import Code, LevelCode, NumberCode
from rivalry.data.rules.plan import Plan
from rivalry.types import Batch, Block

MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))


@final
class Coder:
    """Encodes raw rows [N, C] float64 by the codes of their columns, and back; with a plan, by those of the columns that
    are learned in their place."""

    def __init__(self, codes: Sequence[Code], blocks: Sequence[Block], seed: int, plan: Plan | None = None) -> None:
        self.codes, self._seed, self._plan = tuple(codes), seed, plan
        self._inner = self.codes if plan is None else plan.codes
        self.width = sum(b.width for b in blocks)
        self._choices = [b for b in blocks if b.kind == "choice"]
        self._numbers = [b.start for b in blocks if b.kind == "number"]

    def compact(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Raw rows -> (options [N, B] int16, deviates / 4 [N, P] float32) of the blocks."""
        options, deviates = list[Tensor](), list[Tensor]()
        inner = raw if self._plan is None else self._plan.inward(raw)
        for i, code in enumerate(self._inner):
            values = inner[:, i].double()
            if isinstance(code, LevelCode):
                options += code.encode(values)
                continue
            places = own_places(raw, i) if code.alone and code.step else None
            chosen, z = code.encode(values, self._seed, places)
            options += chosen
            deviates += [] if z is None else [z]
        none = raw.new_zeros(len(raw), 0)
        chosen_all = torch.stack(options, 1).short() if options else none.short()
        return chosen_all, torch.stack(deviates, 1) if deviates else none.float()

    def expand(self, options: Tensor, deviates: Tensor) -> Tensor:
        """Compact rows -> x [N, D] float32: one-hot choices, numbers in their places."""
        x = torch.zeros(len(options), self.width, device=options.device)
        if self._choices:
            starts = torch.tensor([b.start for b in self._choices], device=x.device)
            x.scatter_(1, options.long() + starts, 1.0)
        if self._numbers:
            x[:, torch.tensor(self._numbers, device=x.device)] = deviates
        return x

    def collapse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of `expand`, for any scores: the largest of each choice."""
        x = x.detach()
        chosen = [x[:, b.start : b.start + b.width].argmax(1) for b in self._choices]
        options = torch.stack(chosen, 1) if chosen else x.new_zeros(len(x), 0).long()
        return options.short(), x[:, self._numbers].float()

    def decode(self, options: Tensor, deviates: Tensor) -> Tensor:
        """Compact rows -> raw rows [N, C] float64."""
        out, at, number = list[Tensor](), 0, 0
        for code in self._inner:
            if isinstance(code, LevelCode):
                width = 2 if code.minor else 1
                out.append(code.decode([o.long() for o in options[:, at : at + width].unbind(1)]))
                at += width
                continue
            chosen = [options[:, at].long()] if code.options else []
            out.append(code.decode(chosen, deviates[:, number] if code.knots else None))
            at, number = at + len(chosen), number + bool(code.knots)
        inner = torch.stack(out, 1)
        return inner if self._plan is None else self._plan.outward(inner)


def own_places(raw: Tensor, column: int) -> Tensor:
    """Raw rows [N, C] float64 -> [N] float64 in [0, 1), as good as random, by the row's own cells and the column's number only."""
    bits = (raw.cpu().double().nan_to_num(-math.inf) + 0.0).numpy().view(np.uint64)
    hashed = np.full(len(raw), column + 1, dtype=np.uint64) * MIX[0]
    for part in bits.T:
        hashed = (hashed ^ (part * MIX[0])) * MIX[1]
        hashed ^= hashed >> np.uint64(29)
    return torch.from_numpy((hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53).to(raw.device)


@final
class TableRows:
    """One side of a table's split, resident: options [N, B] int16, deviates [N, P] float32, and the values of its
    number columns, in 64 bits only where 32 would lose digits."""

    def __init__(self, coder: Coder, options: Tensor, deviates: Tensor, values: Sequence[Tensor]) -> None:
        self._coder, self._options, self._deviates, self._values = coder, options, deviates, tuple(values)

    @classmethod
    def of(cls, coder: Coder, raw: Tensor) -> TableRows:
        """From raw rows [N, C]."""
        options, deviates = coder.compact(raw)
        values = [_narrow(raw[:, i], c) for i, c in enumerate(coder.codes) if isinstance(c, NumberCode)]
        return cls(coder, options, deviates, values)

    @property
    def labels(self) -> Tensor | None:
        """None: a table's classes are a column like the others."""
        return None

    def __len__(self) -> int:
        return len(self._options)

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        near = index.to(self._options.device, non_blocking=True)
        options, deviates = self._options[near].to(device), self._deviates[near].to(device)
        return Batch(self._coder.expand(options, deviates), None, index.to(device, non_blocking=True))

    def raw(self, index: Tensor) -> Tensor:
        """[n, C] float64, as they were read: numbers and dates in their units, levels by number, NaN missing."""
        near = index.to(self._options.device)
        raw = self._coder.decode(self._options[near], self._deviates[near])
        numbers = [(i, c) for i, c in enumerate(self._coder.codes) if isinstance(c, NumberCode)]
        for (i, code), values in zip(numbers, self._values, strict=True):
            kept = values[near]
            raw[:, i] = kept if kept.dtype == torch.float64 else _wide(kept, code)
        return raw

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the rows are here."""

    def to(self, device: torch.device) -> TableRows:
        if device.type == self._options.device.type:
            return self
        values = [v.to(device) for v in self._values]
        return TableRows(self._coder, self._options.to(device), self._deviates.to(device), values)


def _wide(values: Tensor, code: NumberCode) -> Tensor:
    """32-bit values as the 64-bit ones they stand for: where there is a step, its nearest multiple."""
    wide = values.double()
    return torch.where(wide.isnan(), wide, code.on_grid(wide)) if code.step else wide


def _narrow(values: Tensor, code: NumberCode) -> Tensor:
    """In 32 bits if nothing is lost."""
    narrow = values.float()
    same = (_wide(narrow, code) == values) | values.isnan()
    return narrow if bool(same.all()) else values.clone()
