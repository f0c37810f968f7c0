"""Patient records whose missing cells are filled: tables read as they are, put together by patient and time, and written with every
other cell as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rivalry.data import filling
from rivalry.data.columns.cells import Cells, Index, from_arrow, from_text, spelled
from rivalry.data.columns.fit import Column
from rivalry.data.filling import Sheet, values_of
from rivalry.data.record_fit import FIRST
from rivalry.data.record_tables import Layout
from rivalry.data.records import RecordModality
from rivalry.data.words import count
from rivalry.errors import DataError
from rivalry.files import copy

ENDINGS = (*filling.TEXTS, ".parquet")
"""Of files, so of no folder."""


@dataclass(frozen=True)
class File:
    """A table of the records.  path: its file; columns: those of it that are learned; unit [rows]: the patient, or the visit, of each
    row.  sheet: None of what is copied as it is (codes, and tables without a learned column)."""

    path: Path
    layout: Layout
    columns: tuple[Column, ...] = ()
    sheet: Sheet | None = field(default=None, repr=False)
    unit: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)


@dataclass(frozen=True)
class Sheets:
    """Records as they stand in their files.

    static [N, S]: values of the patients' learned columns, NaN where nothing is known, and gaps [N, S] of it; visits [V, C] of visits'
    learned columns, sorted by patient and time; owner [V], place [V] among the patient's, gap [V] since the one before (NaN for a
    first), time [V].
    """

    files: tuple[File, ...]
    static: Tensor
    static_gaps: Tensor
    visits: Tensor
    visit_gaps: Tensor
    owner: Tensor
    place: Tensor
    gap: Tensor
    time: Tensor

    @property
    def notes(self) -> tuple[str, ...]:
        sheets = [f.sheet for f in self.files if f.sheet is not None]
        said = [f"{n:,} cells of {name!r} say nothing to the model (an unknown level, or no number); they stay" for s in sheets for name, n in s.strange]
        return (*said, *(f"{s.where} lacks the column {name!r}, so nothing is known of it" for s in sheets for name in s.absent))


def read(source: Path, modality: RecordModality) -> Sheets:
    """Raises DataError for tables that are not those of the run, keys that do not join and visits without a time."""
    files = [_opened(path, layout, modality) for path, layout in _found(source, modality.layouts)]
    keys, files = _joined(files, modality)
    main = next(f for f in files if f.layout.kind == "visits")
    assert main.sheet is not None
    owner = torch.from_numpy(keys)
    time = torch.from_numpy(_times(main.sheet, modality))
    order = torch.from_numpy(np.lexsort((time.numpy(), keys)))
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    owner, time = owner[order], time[order]
    starts = torch.searchsorted(owner, owner)
    place = torch.arange(len(owner)) - starts
    gap = torch.where(place > 0, time.diff(prepend=time[:1]), torch.nan)
    files = [f if f is not main else File(f.path, f.layout, f.columns, f.sheet, back.numpy()) for f in files]
    patients = 1 + max(int(owner.max()), *(int(f.unit.max()) for f in files if f.layout.kind == "patients" and f.sheet is not None), 0)
    own, changing = _names(modality.own), _names(modality.changing[1:])
    static, static_gaps = torch.full((patients, len(own)), torch.nan, dtype=torch.float64), torch.zeros(patients, len(own), dtype=torch.bool)
    visits, visit_gaps = torch.full((len(owner), len(changing)), torch.nan, dtype=torch.float64), torch.zeros(len(owner), len(changing), dtype=torch.bool)
    if FIRST in own:
        static[owner[place == 0], own.index(FIRST)] = time[place == 0]
    for file in files:
        _put(file, own, static, static_gaps, owner if file.layout.kind == "visits" else None)
        if file.layout.kind == "visits":
            _put(file, changing, visits, visit_gaps, None)
    return Sheets(tuple(files), static, static_gaps & static.isnan(), visits, visit_gaps, owner, place, gap, time)


def _names(columns: Sequence[Column]) -> list[str]:
    return [c.name for c in columns]


def _found(source: Path, layouts: Sequence[Layout]) -> list[tuple[Path, Layout]]:
    if len(layouts) == 1:
        if not source.is_file():
            raise DataError(f"there is no table {source}; name one file like {layouts[0].file}, which the run was trained on")
        return [(source, layouts[0])]
    if not source.is_dir():
        raise DataError(f"{source} is no folder; name one with {', '.join(Path(x.file).name for x in layouts)}, as the run was trained on")
    for layout in layouts:
        if not (source / Path(layout.file).name).is_file():
            raise DataError(f"{source} has no {Path(layout.file).name}, which the run's records have; add it")
    return [(source / Path(x.file).name, x) for x in layouts]


def _opened(path: Path, layout: Layout, modality: RecordModality) -> File:
    """The table with those of its columns that can be filled: counts of codes are none."""
    bags = {name for bag in modality.bags for name in bag.names()}
    learned = tuple(c for c in (*modality.own, *modality.changing) if c.name in layout.columns and c.name not in bags)
    if layout.kind == "codes" or (layout.kind == "patients" and not learned):
        return File(path, layout)
    assert modality.time is not None
    # the time is read besides, so that a table of visits in which nothing else is learned is no stranger
    columns = learned if layout.kind == "patients" else (*learned, modality.time)
    return File(path, layout, columns, filling.read(path, columns))


def _cells(sheet: Sheet, name: str) -> Cells:
    if name not in sheet.names:
        raise DataError(f"{sheet.where} has no column {name!r}, which the run's records have; add it")
    column = sheet.columns[sheet.names.index(name)]
    return from_text(column) if sheet.comma else from_arrow(column, sheet.where)


def _joined(files: list[File], modality: RecordModality) -> tuple[Index, list[File]]:
    """(the patient of each row of the visits; the files, with the patients of their rows)."""
    assert modality.key is not None
    known: dict[str, int] = {}
    made = list[File]()
    people = [f for f in files if f.layout.kind == "patients" and f.sheet is not None]
    for file in people:
        words = _words(file, modality.key.name)
        if file is people[0]:
            known = {w: i for i, w in enumerate(words)}
        if len(set(words)) < len(words) or set(words) != set(known):
            raise DataError(f"{file.path} does not list each patient once, by the same {modality.key.name!r} as {people[0].path.name}; mend it")
    main = next(f for f in files if f.layout.kind == "visits")
    words = _words(main, modality.key.name)
    if not people:
        known = {w: i for i, w in enumerate(dict.fromkeys(words))}
    stranger = next((w for w in words if w not in known), None)
    if stranger is not None:
        raise DataError(f"{main.path} has visits of {stranger!r}, who is not in {people[0].path.name}; add the patient or remove the rows")
    for file in files:
        unit = [known[w] for w in _words(file, modality.key.name)] if file in people else []
        made.append(File(file.path, file.layout, file.columns, file.sheet, np.array(unit, dtype=np.int64)))
    return np.array([known[w] for w in words], dtype=np.int64), made


def _words(file: File, key: str) -> list[str]:
    assert file.sheet is not None
    words = spelled(_cells(file.sheet, key))
    if (words.codes < 0).any():
        raise DataError(f"{count(int((words.codes < 0).sum()), 'row')} of {file.path} have no {key!r}, so nobody knows whose they are; fill it in")
    names = words.words.to_pylist()
    return [str(names[c]) for c in words.codes.tolist()]


def _times(sheet: Sheet, modality: RecordModality) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert modality.time is not None
    times = values_of(modality.time, _cells(sheet, modality.time.name))
    bad = int(np.isnan(times).sum())
    if bad:
        raise DataError(f"{count(bad, 'visit')} of {sheet.where} have no time in {modality.time.name!r}; mend or remove them")
    return times


def _put(file: File, names: Sequence[str], into: Tensor, gaps: Tensor, owner: Tensor | None) -> None:
    """Values and gaps of the file's columns among `names`, at the units of its rows.  owner: of visits, for what each repeats of its
    patient: the first that is known counts."""
    if file.sheet is None:
        return
    unit = torch.from_numpy(file.unit)
    rows = torch.arange(len(unit)) if owner is None else unit.argsort()
    unit = unit if owner is None else owner[unit]
    for i, column in enumerate(file.columns):
        if column.name not in names:
            continue
        at, values = names.index(column.name), file.sheet.raw[:, i]
        there = rows[~values[rows].isnan()].flip(0)  # of several that fall on one unit NumPy keeps the last
        into.numpy()[unit[there].numpy(), at] = values[there].numpy()
        gaps[unit[file.sheet.gaps[:, i]], at] = True


@dataclass
class Written:
    """paths; how many cells of their columns were filled, and how many are left."""

    paths: list[Path] = field(default_factory=list)
    cells: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def count(self, column: str, filled: int, left: int) -> None:
        for counts, n in ((self.cells, filled), (self.left, left)):
            if n:
                counts[column] = counts.get(column, 0) + n


def write(sheets: Sheets, modality: RecordModality, static: Tensor, visits: Tensor, out: Path) -> Written:
    """The files with the cells that `static` [N, S] and `visits` [V, C] know and they lack; all else as it was.

    out: a file for a single table, else a folder.  Raises DataError for an ending of another kind than the file's own."""
    own, changing = _names(modality.own), _names(modality.changing[1:])
    written = Written()
    for file in sheets.files:
        target = out if len(sheets.files) == 1 else out / file.path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.sheet is None:
            copy(file.path, target)
            written.paths.append(target)
            continue
        raw, gaps = file.sheet.raw.clone(), file.sheet.gaps.clone()
        unit = torch.from_numpy(file.unit)
        for i, column in enumerate(file.columns):
            if column.name in changing and file.layout.kind == "visits":
                raw[:, i] = visits[unit, changing.index(column.name)]
            elif column.name in own:
                raw[:, i] = static[unit if file.layout.kind == "patients" else sheets.owner[unit], own.index(column.name)]
        for i, column in enumerate(file.columns):
            written.count(column.name, int((gaps[:, i] & ~raw[:, i].isnan()).sum()), int((gaps[:, i] & raw[:, i].isnan()).sum()))
        written.paths.append(filling.write(file.sheet, file.columns, raw, gaps & ~raw.isnan(), target))
    return written


def check_out(sheets: Sheets, source: Path, out: Path) -> None:
    """Raises DataError unless a folder goes to another folder, and a table to another file of its kind."""
    filling.check_apart(source, out)
    if len(sheets.files) > 1 and out.is_file():
        raise DataError(f"the filled records are several tables, and {out} is a file; name a folder")
    if len(sheets.files) > 1 and out.suffix.lower() in ENDINGS:
        raise DataError(f"the filled records are several tables and cannot be written as {out.name}; name a folder")
    if len(sheets.files) == 1 and sheets.files[0].sheet is not None:
        filling.check_ending(sheets.files[0].sheet.comma, out)
