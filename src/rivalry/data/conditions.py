"""Conditions on a table's columns, as people write them: 'age>60, sex=F, ward=A|B, lab!=missing'."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns import dates
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.errors import DataError, UnknownName

Sign = Literal["<=", ">=", "!=", "=", "<", ">"]
MISSING = "missing"
PART = re.compile(r"^\s*(?P<column>.+?)\s*(?P<sign><=|>=|!=|==|=|<|>)\s*(?P<value>.+?)\s*$")
COMMA = re.compile(r",(?=[^,]*?(?:<=|>=|!=|=|<|>))")
"""Commas that another condition follows; those inside of values stay."""


@dataclass(frozen=True)
class Condition:
    """One column against a value (or any of several, for = and !=).

    column: its place among the raw rows' columns.  values: as raw rows hold them; NaN for missing cells.
    """

    column: int
    sign: Sign
    values: tuple[float, ...]

    def holds(self, raw: Tensor) -> Tensor:
        """[N, C] raw rows -> [N] bool.  A missing cell meets no condition but '=missing' and '!=' of something else."""
        cells = raw[:, self.column]
        if self.sign in ("=", "!="):
            known = torch.tensor([v for v in self.values if not np.isnan(v)], dtype=torch.float64)
            among = torch.isin(cells, known)
            if len(known) < len(self.values):
                among |= cells.isnan()
            return among if self.sign == "=" else ~among
        value = self.values[0]
        return {"<": cells < value, "<=": cells <= value, ">": cells > value, ">=": cells >= value}[self.sign]


def parse(text: str, columns: Sequence[Column]) -> tuple[Condition, ...]:
    """Of all columns of a table.  Raises DataError for what is no condition, UnknownName for columns and levels that are
    not there."""
    learned = {c.name: (i, c) for i, c in enumerate(c for c in columns if c.code is not None)}
    others = tuple(c.name for c in columns if c.code is None)
    return tuple(_condition(part, learned, others) for part in COMMA.split(text) if part.strip())


def _condition(text: str, columns: Mapping[str, tuple[int, Column]], others: tuple[str, ...]) -> Condition:
    found = PART.match(text)
    if found is None:
        raise DataError(f"{text.strip()!r} is no condition; write for example age>60, sex=F, ward=A|B or lab!=missing")
    name = found["column"]
    if name not in columns:
        if name in others:
            raise DataError(f"the column {name!r} is not learned, so nothing can be asked of it")
        raise UnknownName("column", name, columns)
    place, column = columns[name]
    sign: Sign = "=" if found["sign"] == "==" else found["sign"]  # type: ignore[assignment]
    words = found["value"].split("|") if sign in ("=", "!=") else [found["value"]]
    values = tuple(value_of(w.strip().strip("'\""), column) for w in words)
    if sign not in ("=", "!=") and (isinstance(column.code, LevelCode) or np.isnan(values[0])):
        raise DataError(f"{text.strip()!r} asks for an order that {name!r} does not have; use = or !=")
    return Condition(place, sign, values)


def value_of(word: str, column: Column) -> float:
    """A word as raw rows hold it.  Raises UnknownName for a level, DataError for a word that is no value of the column."""
    if word == MISSING and not (isinstance(column.code, LevelCode) and MISSING in column.code.levels):
        return float("nan")
    if isinstance(column.code, LevelCode):
        if word not in column.code.levels:
            raise UnknownName(f"level of {column.name!r}", word, column.code.levels)
        return float(column.code.levels.index(word))
    if column.type == "date":
        import pyarrow as arrow

        for form in (column.form, *(dates.CLOCKS if dates.is_clock(column.form) else dates.FORMATS)):
            seconds = float(dates.parse(arrow.array([word]), form)[0])
            if np.isfinite(seconds):
                return seconds
    try:
        return float(word)
    except ValueError:
        raise DataError(f"{word!r} is no {column.type}, as the column {column.name!r} holds them") from None


def met(raw: Tensor, conditions: tuple[Condition, ...]) -> Tensor:
    """[N, C] raw rows -> [N] bool: which meet all conditions."""
    keep = torch.ones(len(raw), dtype=torch.bool)
    for condition in conditions:
        keep &= condition.holds(raw.cpu())
    return keep


def levels_asked(conditions: Sequence[Condition], learned: Sequence[Column]) -> list[tuple[str, int]]:
    """(category, level number) of every condition that asks for a single level of a category; missing is the last."""
    found = list[tuple[str, int]]()
    for condition in conditions:
        column = learned[condition.column]
        if condition.sign == "=" and len(condition.values) == 1 and isinstance(column.code, LevelCode):
            value = condition.values[0]
            found.append((column.name, len(column.code.levels) if np.isnan(value) else int(value)))
    return found
