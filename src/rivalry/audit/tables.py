"""Where rows of tables are compared: ranks of numbers, levels of categories, without networks or training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivalry.streams import generator

CPU = torch.device("cpu")
LEVELS = 64
"""Levels that get a place of their own; the vectors of more are random, of length 1 and WIDTH entries, nearly at right
angles to one another."""
WIDTH = 32


@dataclass(frozen=True, eq=False)
class _Number:
    """values [U] ascending and the share of rows below each, ties half; gaps: whether cells are missing."""

    values: NDArray[np.float64]
    shares: NDArray[np.float64]
    gaps: bool

    def ranks(self, cells: Tensor) -> Tensor:
        """[N] in (0, 1): linear between known values, the ends' beyond them; .5 for missing cells."""
        found = np.interp(cells.nan_to_num(0.0).numpy(), self.values, self.shares)
        return torch.from_numpy(found).masked_fill(cells.isnan(), 0.5)

    def places(self, cells: Tensor) -> Tensor:
        """[N, 1 or 2]: the rank's normal deviate over sqrt 2 (two rows are 1 apart, squared, on average), and 1 where
        the cell is missing."""
        z = torch.special.ndtri(self.ranks(cells))[:, None] / math.sqrt(2)
        return torch.cat([z, cells.isnan().double()[:, None]], 1) if self.gaps else z


@dataclass(frozen=True, eq=False)
class _Levels:
    """levels [L] ascending; vectors [L + 2, w]: of the levels, of a missing cell, of a level nobody knows."""

    levels: Tensor
    vectors: Tensor

    def codes(self, cells: Tensor) -> Tensor:
        at = torch.searchsorted(self.levels, cells.nan_to_num(0.0)).clamp_max(max(0, len(self.levels) - 1))
        known = self.levels[at] == cells if len(self.levels) else torch.zeros_like(cells, dtype=torch.bool)
        at = torch.where(known, at, len(self.levels) + 1)
        return torch.where(cells.isnan(), len(self.levels), at)

    def places(self, cells: Tensor) -> Tensor:
        """[N, w]: rows of different levels are 1 apart, squared."""
        return self.vectors[self.codes(cells)]


@dataclass(frozen=True, eq=False)
class TableSpace:
    """Raw rows [N, C] float64 -> [N, D]: normal deviates of ranks, one-hot levels.

    Ranks and levels are those of the pool it was made from: members and non-members alike, so that it tells nothing of
    who is which.
    """

    columns: tuple[_Number | _Levels, ...]
    name: str = "rows"

    @classmethod
    def of(cls, kinds: Sequence[str], pool: Tensor) -> TableSpace:
        """From raw rows [P, C] whose columns are of `kinds`, 'number' or 'category'."""
        pairs = zip(kinds, pool.cpu().double().unbind(1), strict=True)
        return cls(tuple(_number(cells) if kind == "number" else _levels(cells) for kind, cells in pairs))

    def plain(self, raw: Tensor) -> Tensor:
        cells = raw.cpu().double().contiguous().unbind(1)
        return torch.cat([c.places(x.contiguous()) for c, x in zip(self.columns, cells, strict=True)], 1)

    def forms(self, raw: Tensor) -> list[Tensor]:
        return [self.plain(raw)]

    def only(self, columns: Sequence[int]) -> TableSpace:
        """The space of these columns."""
        return TableSpace(tuple(self.columns[c] for c in columns), self.name)

    def agree(self, column: int, x: Tensor, y: Tensor, close: float) -> Tensor:
        """[N] bool for cells [N] of a column twice: the same level, ranks within `close`, or both missing."""
        return _agree(self.columns[column], x.contiguous(), y.contiguous(), close)

    def gower(self, a: Tensor, b: Tensor) -> Tensor:
        """Raw [N, C] twice -> [N] in [0, 1]: Gower's (1971) distance with ranks for numbers (Podani 1999): the mean over
        columns of the difference of ranks, 1 where levels differ or one of two cells is missing."""
        total = torch.zeros(len(a), dtype=torch.float64)
        for column, x, y in zip(self.columns, a.unbind(1), b.unbind(1), strict=True):
            x, y = x.contiguous(), y.contiguous()
            if isinstance(column, _Number):
                apart = (column.ranks(x) - column.ranks(y)).abs()
                total += torch.where(x.isnan() != y.isnan(), 1.0, apart)
            else:
                total += (column.codes(x) != column.codes(y)).double()
        return total / max(1, len(self.columns))


def _agree(column: _Number | _Levels, x: Tensor, y: Tensor, close: float) -> Tensor:
    if isinstance(column, _Levels):
        return column.codes(x) == column.codes(y)
    return (x.isnan() == y.isnan()) & ((column.ranks(x) - column.ranks(y)).abs() <= close)


def _number(cells: Tensor) -> _Number:
    known = cells[~cells.isnan()]
    values, counts = known.unique(return_counts=True)
    if not len(values):
        return _Number(np.zeros(1), np.full(1, 0.5), gaps=True)
    shares = (counts.cumsum(0) - counts / 2) / len(known)
    return _Number(values.numpy(), shares.numpy(), bool(cells.isnan().any()))


def _levels(cells: Tensor) -> _Levels:
    levels = cells[~cells.isnan()].unique()
    size = len(levels) + 2
    if size <= LEVELS:
        return _Levels(levels, torch.eye(size, dtype=torch.float64) / math.sqrt(2))
    vectors = torch.randn(size, WIDTH, dtype=torch.float64, generator=generator(CPU, 0, "levels"))
    return _Levels(levels, torch.nn.functional.normalize(vectors, dim=1) / math.sqrt(2))
