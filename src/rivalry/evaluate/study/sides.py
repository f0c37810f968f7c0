"""The rows of a table that a study compares, and how it tells counts of people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rivalry.data.base import Dataset
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.data.record_fit import FIRST
from rivalry.data.records import RecordModality
from rivalry.data.table import TableModality
from rivalry.errors import DataError, UnknownName
from rivalry.evaluate.tabular import kinds
from rivalry.stats.intervals import Interval

LEAST = 10
"""Fewer real people than this are not told of: no count, no share, no score of theirs."""
DIGITS = 4


@dataclass(frozen=True)
class Sides:
    """Raw rows [N, C] float64 of the learned `columns` (of patient records, those that are the patients' own): training, held out, and
    fake (as many as one likes)."""

    columns: tuple[Column, ...]
    kinds: tuple[str, ...]
    train: Tensor
    held: Tensor
    fake: Tensor

    @classmethod
    def of(cls, dataset: Dataset, fake: Tensor) -> Sides:
        """fake: raw rows or records.  DataError for data that are neither."""
        columns = columns_of(dataset)
        what = kinds(dataset.spec)[: len(columns)]
        n = len(columns)
        train, held = (side.raw(torch.arange(len(side)))[:, :n] for side in (dataset.train, dataset.held))
        return cls(columns, what, train, held, fake[:, :n].cpu().double())

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    def place(self, name: str) -> int:
        """The column of that name; UnknownName with the nearest one."""
        if name not in self.names:
            raise UnknownName("column", name, self.names)
        return self.names.index(name)

    def levels(self, place: int) -> tuple[str, ...]:
        """The words of a category's levels, by their number; () for a number."""
        code = self.columns[place].code
        return code.levels if isinstance(code, LevelCode) else ()

    def without(self, *places: int) -> list[int]:
        return [i for i in range(len(self.columns)) if i not in places]


def columns_of(dataset: Dataset) -> tuple[Column, ...]:
    """The first columns of the data's raw rows: all of a table, and those of patient records that are the patients' own.  DataError for
    other data, and for records whose patients have none."""
    modality = dataset.modality
    if isinstance(modality, TableModality):
        return modality.learned
    if not isinstance(modality, RecordModality):
        raise DataError(f"these are measures of tables and patient records, and {dataset.name} holds {dataset.spec.kind}; leave them out")
    own = tuple(c for c in modality.own if c.name != FIRST)
    if not own:
        raise DataError(f"the patients of {dataset.name} have no columns of their own to be measured by; `rivalry evaluate` measures their visits")
    return own


def about(count: int) -> int | None:
    """A count of real rows to the nearest ten, None below LEAST: so that differences of counts name nobody."""
    return None if count < LEAST else LEAST * round(count / LEAST)


def share(count: float, total: float) -> float | None:
    """Of real rows, their count to the nearest ten, so that what is left out cannot be had by subtraction; None where fewer
    than LEAST rows are on either side of it, but some."""
    few = 0 < count < LEAST or 0 < total - count < LEAST
    return None if few or not total else round(min(1.0, LEAST * round(count / LEAST) / total), 3)


def rounded(value: float, digits: int = DIGITS) -> float | None:
    """For JSON: None where there is no number."""
    return round(float(value), digits) if math.isfinite(value) else None


def plain(found: Interval) -> dict[str, float | None]:
    return {"value": rounded(found.value), "low": rounded(found.low), "high": rounded(found.high)}
