"""How rows are learned so that they meet constraints: columns as they are, gaps, totals, joint columns, masks.

Each turns raw rows [N, C] into the values [N] of the column that is learned in place of its own (`inward`), and writes its
own columns of raw rows from learned ones (`outward`), in the plan's order: what a step needs is made before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.data.rules.grid import at_least, snapped
from rivalry.data.rules.kinds import MissingIf, Sum, Together

INFINITE = float("inf")


@dataclass(frozen=True)
class Own:
    """A column as it is, brought between its bounds; step: None where nothing is asked of its values."""

    column: int
    low: float = -INFINITE
    high: float = INFINITE
    step: float | None = None

    def inward(self, raw: Tensor) -> Tensor:
        return raw[:, self.column]

    def outward(self, values: Tensor, raw: Tensor) -> None:
        raw[:, self.column] = values if self.step is None else snapped(values.clamp(self.low, self.high), self.step)


@dataclass(frozen=True)
class Gap:
    """A column that is at least all of its parents: how far it is above the greatest of them that is there.

    anchor: stands in for parents where none is there.  step: of the column; unit: of the gap.
    """

    column: int
    parents: tuple[int, ...]
    strict: tuple[bool, ...]
    anchor: float
    step: float
    unit: float
    low: float
    high: float

    def _base(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """(the greatest parent [N], whether there is one [N])."""
        parents = raw[:, list(self.parents)]
        there = ~parents.isnan().all(1)
        top = parents.nan_to_num(-INFINITE).amax(1)
        return torch.where(there, top, self.anchor), there

    def inward(self, raw: Tensor) -> Tensor:
        return snapped(raw[:, self.column] - self._base(raw)[0], self.unit) if self.unit else raw[:, self.column] - self._base(raw)[0]

    def outward(self, values: Tensor, raw: Tensor) -> None:
        base, there = self._base(raw)
        made = snapped((base + torch.where(there, values.clamp_min(0), values)).clamp(self.low, self.high), self.step)
        for parent, strict in zip(self.parents, self.strict, strict=True):
            least = at_least(raw[:, parent], self.step, strict)
            made = torch.where(made < least, least, made)  # false where either is missing
        raw[:, self.column] = made


@dataclass(frozen=True)
class Total:
    """A column that its parts add up to.  Where it or one of them can be missing, what is learned is `follows` (it is the
    sum), the value where a part is missing, or missing; else nothing is."""

    column: int
    parts: tuple[int, ...]
    step: float
    follows: float

    def inward(self, raw: Tensor) -> Tensor:
        total = raw[:, self.column]
        whole = ~raw[:, list(self.parts)].isnan().any(1)
        return torch.where(whole & ~total.isnan(), self.follows, total)

    def outward(self, values: Tensor | None, raw: Tensor) -> None:
        total = snapped(raw[:, list(self.parts)].sum(1), self.step)  # missing where a part is
        if values is not None:
            loose = total.isnan() & (values != self.follows)
            total = torch.where(values.isnan() | loose, values, total)
        raw[:, self.column] = total


@dataclass(frozen=True)
class Joint:
    """Several columns of levels as one of combinations."""

    rule: Together

    def inward(self, raw: Tensor) -> Tensor:
        place = self.rule.place(raw).double().to(raw.device)
        return torch.where(place < 0, torch.nan, place)

    def outward(self, values: Tensor, raw: Tensor) -> None:
        assert self.rule.known is not None
        raw[:, list(self.rule.columns)] = self.rule.known.to(raw.device)[values.nan_to_num(0).long()]


@dataclass(frozen=True)
class Follow:
    """A column that follows from the others of its sum, where they are there and it is not missing."""

    rule: Sum
    column: int
    step: float

    def outward(self, raw: Tensor) -> None:
        made, drawn = snapped(self.rule.value(raw, self.column), self.step), raw[:, self.column]
        raw[:, self.column] = torch.where(made.isnan() | drawn.isnan(), drawn, made)


@dataclass(frozen=True)
class Mask:
    """Cells that conditions empty."""

    rule: MissingIf

    def outward(self, raw: Tensor) -> None:
        raw[:, self.rule.column] = torch.where(self.rule.applies(raw), torch.nan, raw[:, self.rule.column])


def emptied(masks: Sequence[Mask], raw: Tensor) -> None:
    """All of them, in place, until none has anything left to empty: what one empties may be what another goes by."""
    for _ in masks:
        before = int(raw.isnan().sum())
        for mask in masks:
            mask.outward(raw)
        if int(raw.isnan().sum()) == before:
            return


Step = Own | Gap | Total | Joint
