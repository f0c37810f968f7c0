"""Kinds of constraints, as tests of raw rows [N, C] float64; columns are places among the learned ones.

Where a cell that a constraint compares or adds is missing, it asks for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rivalry.data.conditions import Condition, met

TOLERANCE = 1e-6
"""Of sums, as a share of what is added up."""


@dataclass(frozen=True)
class Order:
    """raw[upper] >= raw[lower], or > if strict."""

    text: str
    lower: int
    upper: int
    strict: bool

    @property
    def columns(self) -> tuple[int, ...]:
        return self.lower, self.upper

    def holds(self, raw: Tensor) -> Tensor:
        low, high = raw[:, self.lower], raw[:, self.upper]
        return ~((high <= low) if self.strict else (high < low))


@dataclass(frozen=True)
class Range:
    """low <= raw[column] <= high; strict ends are none of its values."""

    text: str
    column: int
    low: float = float("-inf")
    high: float = float("inf")
    strict: bool = False

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column,)

    def holds(self, raw: Tensor) -> Tensor:
        values = raw[:, self.column]
        beyond = (values <= self.low) | (values >= self.high) if self.strict else (values < self.low) | (values > self.high)
        return ~beyond


@dataclass(frozen=True)
class Sum:
    """The parts add up to the total; one part: both are equal."""

    text: str
    parts: tuple[int, ...]
    total: int

    @property
    def columns(self) -> tuple[int, ...]:
        return *self.parts, self.total

    def value(self, raw: Tensor, column: int) -> Tensor:
        """[N]: what one of its columns follows to be from the others, NaN where one of those is missing."""
        parts = raw[:, [p for p in self.parts if p != column]].sum(1)
        return parts if column == self.total else raw[:, self.total] - parts

    def holds(self, raw: Tensor) -> Tensor:
        parts, total = raw[:, list(self.parts)], raw[:, self.total]
        scale = parts.abs().sum(1) + total.abs()
        return ~((parts.sum(1) - total).abs() > TOLERANCE * scale)


@dataclass(frozen=True)
class Together:
    """Only combinations of levels that at least `least` training rows have.

    known [K, m]: those combinations, levels by number, NaN where the cell is missing, in an order that tells nothing of the rows.
    """

    text: str
    columns: tuple[int, ...]
    least: int
    known: Tensor | None = field(default=None, repr=False, compare=False)

    def place(self, raw: Tensor) -> Tensor:
        """[N] int64: which of the known combinations a row has, -1 for none of them."""
        assert self.known is not None
        mine = raw[:, list(self.columns)].cpu()
        both, place = torch.cat([self.known, mine]).nan_to_num(-1.0).unique(dim=0, return_inverse=True)
        number = torch.full((len(both),), -1)
        number[place[: len(self.known)]] = torch.arange(len(self.known))
        return number[place[len(self.known) :]]

    def holds(self, raw: Tensor) -> Tensor:
        return (self.place(raw) >= 0).to(raw.device)

    def counted(self, raw: Tensor, by_rows: bool = False, owners: Tensor | None = None) -> Tensor:
        """[K, m]: the combinations of these rows that are frequent enough, or had by enough owners [N]; `by_rows` puts the most
        frequent first."""
        cells = raw[:, list(self.columns)].cpu().nan_to_num(-1.0)
        if owners is not None:
            cells = torch.cat([cells, owners[:, None].to(cells)], 1).unique(dim=0)[:, :-1]
        found, times = cells.unique(dim=0, return_counts=True)
        order = (-times).argsort(stable=True) if by_rows else torch.arange(len(times))
        found = found[order][times[order] >= self.least]
        return torch.where(found < 0, torch.nan, found)


@dataclass(frozen=True)
class MissingIf:
    """raw[column] is missing wherever all conditions hold."""

    text: str
    column: int
    conditions: tuple[Condition, ...]

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column, *(c.column for c in self.conditions))

    def applies(self, raw: Tensor) -> Tensor:
        return met(raw, self.conditions).to(raw.device)

    def holds(self, raw: Tensor) -> Tensor:
        return ~self.applies(raw) | raw[:, self.column].isnan()


Rule = Order | Range | Sum | Together | MissingIf


def all_hold(rules: tuple[Rule, ...], raw: Tensor) -> Tensor:
    """[N, C] raw rows -> [N] bool: which meet all of the rules."""
    keep = torch.ones(len(raw), dtype=torch.bool, device=raw.device)
    for rule in rules:
        keep &= rule.holds(raw)
    return keep
