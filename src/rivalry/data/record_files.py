"""Records into the tables that they came from: new keys that join, times from gaps, codes a row each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rivalry.data import table_files
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.data.record_codes import Bag, repeated
from rivalry.data.record_fit import FIRST
from rivalry.errors import DataError

if TYPE_CHECKING:
    from rivalry.data.record_tables import Layout
    from rivalry.data.records import RecordModality

ENDINGS = (".csv", ".tsv", ".parquet")


def write(modality: RecordModality, raw: Tensor, out: Path) -> list[Path]:
    """raw [N, R] -> a file for each table."""
    single = len(modality.layouts) == 1
    if out.suffix and not (single and out.suffix.lower() in ENDINGS):
        what = f"a file ending in {', '.join(ENDINGS)}, or a folder" if single else "a folder"
        raise DataError(f"these records cannot be written as {out.name}; name {what}")
    parts = _Parts(modality, raw)
    written = []
    for layout in modality.layouts:
        file = out if out.suffix else out / _named(layout.file)
        columns, rows = parts.table(layout)
        file.parent.mkdir(parents=True, exist_ok=True)
        written.append(table_files.write(columns, rows, file, modality.seed))
    return written


def _named(file: str) -> str:
    """The file's name, plain (a written table is not compressed)."""
    name = Path(file).name.removesuffix(".gz")
    return name if name.lower().endswith(ENDINGS) else f"{name}.csv"


class _Parts:
    """Raw records, taken apart: a value for every column that is written."""

    def __init__(self, modality: RecordModality, raw: Tensor) -> None:
        m = modality
        self.m = m
        static, visits = m.coder.raw_parts(raw)
        self.who, which = (~visits[:, :, 0].isnan()).nonzero(as_tuple=True)
        own = {c.name: static[:, i] for i, c in enumerate(m.own)}
        self.static = {c.name: (c, own.get(c.name)) for c in m.static}
        values = visits[self.who, which]
        changing = {c.name: values[:, i] for i, c in enumerate(m.changing)}
        self.dynamic = {c.name: (c, changing.get(c.name)) for c in m.dynamic}
        assert m.key is not None
        assert m.time is not None
        self.patients = len(raw)
        self.keys = _names(m.key, len(raw), m.seed)
        self.visit = None if m.visit is None else _names(m.visit, len(self.who), m.seed + 1)
        first = self.static[FIRST]
        start = torch.full((len(raw),), float(first[0].value), dtype=torch.float64) if first[1] is None else first[1]
        self.times = start.nan_to_num(0.0)[self.who] + visits[:, :, 0].nan_to_num(0.0).cumsum(1)[self.who, which]

    def table(self, layout: Layout) -> tuple[list[Column], Tensor]:
        """The columns of a file, with the values of those that are learned [rows, C]."""
        if layout.kind == "codes":
            return self._codes(layout, next(b for b in self.m.bags if b.file == layout.file))
        rows = torch.arange(self.patients) if layout.kind == "patients" else self.who
        columns, values = list[Column](), list[Tensor]()
        for name in layout.columns:
            column, value = self._column(name, rows, layout.kind == "visits")
            columns.append(column)
            values += [] if value is None else [value]
        return columns, torch.stack(values, 1)

    def _column(self, name: str, rows: Tensor, by_visit: bool) -> tuple[Column, Tensor | None]:
        assert self.m.key is not None
        assert self.m.time is not None
        if name == self.m.key.name:
            return self.keys, rows.double()
        if by_visit and name == self.m.time.name:
            return self.m.time, self.times
        if by_visit and self.visit is not None and name == self.visit.name:
            return self.visit, torch.arange(len(self.who)).double()
        if name in self.dynamic:
            return self.dynamic[name]
        column, value = self.static[name]
        if column.pattern is not None and by_visit:  # one identifier for each patient, repeated at the visits
            return _names(column, self.patients, self.m.seed), rows.double()
        return column, None if value is None else value[rows]

    def _codes(self, layout: Layout, bag: Bag) -> tuple[list[Column], Tensor]:
        side = self.dynamic if bag.visit else self.static
        counted = [side[n] for n in bag.names() if side[n][1] is not None]
        held = [v for _, v in counted if v is not None]
        units = len(self.who) if bag.visit else self.patients
        raw = torch.stack(held, 1) if held else torch.zeros(units, 0, dtype=torch.float64)
        unit, code = repeated(bag, [c for c, _ in counted], raw)
        names = tuple(c.name.removeprefix(f"{bag.column}=") for c, _ in counted)
        who = self.who[unit] if bag.visit else unit
        columns, values = list[Column](), list[Tensor]()
        for name in layout.columns:
            if name == bag.column:
                columns.append(Column(name, "category", LevelCode(names or ("",))))
                values.append(code.double())
                continue
            column, value = self._column(name, who if self.m.key is not None and name == self.m.key.name else unit, bag.visit)
            columns.append(column)
            assert value is not None
            values.append(value if name == (self.m.key and self.m.key.name) else value[unit])
        return columns, torch.stack(values, 1)


def _names(column: Column, n: int, seed: int) -> Column:
    """The column with n new identifiers as its levels, to be written by number."""
    assert column.pattern is not None
    return replace(column, type="category", code=LevelCode(tuple(column.pattern.make(n, seed))), pattern=None)
