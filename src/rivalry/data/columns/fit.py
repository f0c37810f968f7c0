"""Columns of a table, fitted to their training rows: how each is encoded, decoded and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns import dates, declared
from rivalry.data.columns.cells import Cells, Floats, Index, Numbers, Words, name_order, numeric, plain, spelled
from rivalry.data.columns.codes import Code, LevelCode, NumberCode, knots_of, shares_of
from rivalry.data.columns.declared import OTHER, Public
from rivalry.data.columns.identifiers import Pattern, learn
from rivalry.data.columns.schema import TYPES, Field, Type
from rivalry.data.words import count
from rivalry.errors import DataError
from rivalry.types import Block

PUBLIC: tuple[Public, ...] = get_args(Public)
RARE, SMALL = 5, 500
"""Levels of fewer training rows are one; runs of reading 1 kept them in tables that were smaller than SMALL."""
MANY = 0.2
"""Of the rows: so many with rare levels are worth a word on what to do."""


@dataclass(frozen=True)
class Column:
    """A column as it is learned and written.

    code: None for what is not learned.  form: of dates, and of numbers that are not plain; dtype: Arrow type in the file it came from, '' for text; blank:
    how missing cells are spelled; value: of a constant; pattern: of identifiers; public: whether all this was declared, or paid
    for, and none of it read off the rows.
    """

    name: str
    type: Type
    code: Code | None = None
    form: str = ""
    dtype: str = ""
    blank: str = ""
    value: str = ""
    pattern: Pattern | None = None
    public: Public = ""

    def blocks(self, start: int) -> list[Block]:
        return self.code.blocks(self.name, start) if self.code is not None else []

    def state(self) -> dict[str, object]:
        """Plain values for TOML."""
        plain = {k: getattr(self, k) for k in ("name", "type", "form", "dtype", "blank", "value")}
        plain |= {"public": self.public} if self.public else {}
        for k, part in (("number", NumberCode), ("level", LevelCode)):
            if isinstance(self.code, part):
                # said only where it holds, so that the state, and with it the fingerprint, of earlier runs is what it was
                plain[k] = {key: v for key, v in _lists(asdict(self.code)).items() if (key, v) != ("alone", False)}
        return plain if self.pattern is None else plain | {"pattern": _lists(asdict(self.pattern))}


def restored(plain: object) -> Column:
    """The inverse of `Column.state`.  Raises DataError for what it never wrote."""
    if not isinstance(plain, Mapping) or plain.get("type") not in TYPES:
        raise DataError("the state of a table must describe each of its columns; restore the run's run.toml")
    words = {k: str(plain.get(k, "")) for k in ("name", "form", "dtype", "blank", "value")}
    kind = next(t for t in TYPES if t == plain["type"])
    try:
        code: Code | None = None
        if "number" in plain:
            code = NumberCode(**_tuples(plain["number"]))
        elif "level" in plain:
            code = LevelCode(**_tuples(plain["level"]))
        pattern = Pattern(**_tuples(plain["pattern"])) if "pattern" in plain else None
    except TypeError as error:
        raise DataError(f"the state of the column {words['name']!r} is not whole ({error}); restore run.toml") from error
    public: Public = next((p for p in PUBLIC if p == plain.get("public")), "")
    return Column(words["name"], kind, code, words["form"], words["dtype"], words["blank"], words["value"], pattern, public)


def _lists(values: Mapping[str, object]) -> dict[str, object]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


@dataclass(frozen=True)
class Fitted:
    """A column, its raw values [N] (None if it is not learned), and what was decided."""

    column: Column
    raw: Tensor | None
    notes: tuple[str, ...] = ()


def fit(field: Field, cells: Cells, train: Index, seed: int) -> Fitted:
    """The column of all N rows; `train` [n] are the numbers of those it may be fitted to."""
    made = Column(field.name, field.type, dtype=cells.dtype, blank=cells.blank, public=field.declared.public)
    if field.type in ("category", "boolean"):
        return (_levels if field.declared.levels is None else _named)(made, field, spelled(cells), train)
    if field.type in ("number", "date"):
        return _number(made, field, cells, train, seed)
    if field.type == "constant":
        if field.declared.levels is not None:
            return Fitted(replace(made, value=field.declared.levels[0]), None)
        words = spelled(cells)
        return Fitted(replace(made, value=str(words.words[0].as_py()) if len(words.words) else ""), None)
    if field.type == "identifier":
        pattern = Pattern(stem=f"{field.name}-") if field.declared.public else learn(field.name, cells)
        return Fitted(replace(made, pattern=pattern), None)
    return Fitted(made, None)


def identity(field: Field, cells: Cells) -> Floats:
    """[N] numbers that are equal where the column's cells are, NaN where they are missing."""
    if isinstance(cells, Words) and field.type != "number":
        return np.where(cells.codes < 0, np.nan, cells.codes.astype(np.float64))
    return numeric(cells).values


def _number(made: Column, field: Field, cells: Cells, train: Index, seed: int) -> Fitted:
    form = field.format or ""
    values = seconds(cells, form) if field.type == "date" else numeric(cells).values
    raw = torch.from_numpy(np.where(np.isfinite(values), values, np.nan))
    step, low, high = field.step or 0.0, field.low or 0.0, 1.0 if field.high is None else field.high
    spikes = field.spikes or ()
    if field.declared.public:
        code = declared.number(field.declared, step, low, high, spikes, field.name)
        _check_gaps(field, raw)
        return Fitted(replace(made, code=code, form=form), raw)
    code, few = number_code(raw, train, step, (low, high), spikes, seed)
    where = "brought to the nearest spike" if spikes else "left missing"
    note = f"values of {field.name!r} that only {count(few, 'row')} have are {where}" if few else ""
    return Fitted(replace(made, code=code, form=form), raw, (note,) if note else ())


def number_code(
    raw: Tensor, train: Index, step: float, bounds: tuple[float, float], spikes: tuple[float, ...], seed: int
) -> tuple[NumberCode, int]:
    """(the code of a column of numbers [N], fitted to its training rows; how many rows have values too few to learn)."""
    mine = raw[torch.from_numpy(train)]
    mine = mine[~mine.isnan() & ~torch.isin(mine, torch.tensor(spikes, dtype=torch.float64))]
    knots, deviates = knots_of(mine, step, seed)
    gaps = bool(raw.isnan().any()) or not (knots or spikes)
    code = NumberCode(step, *bounds, spikes, gaps, knots, deviates)
    if code.options:
        chosen = code.encode(raw[torch.from_numpy(train)], seed)[0][0]
        code = replace(code, shares=shares_of(chosen, code.options))
    return code, len(mine) if not knots else 0


def seconds(cells: Cells, form: str) -> Floats:
    """[N] a date column's cells as seconds since 1970 UTC, NaN where they are missing or no dates."""
    if isinstance(cells, Numbers) and cells.is_time:
        return cells.values
    words = spelled(cells)
    found: Floats = np.append(dates.parse(words.words, form), np.nan)[words.codes]
    return found


def _levels(made: Column, field: Field, cells: Words, train: Index) -> Fitted:
    """Levels in the order of their names; those of fewer than five training rows, whatever the size of the table, are one: their
    names would be handed over, and a name that one person alone has is that person's cell."""
    names = [str(w) for w in cells.words.to_pylist()]
    mine = cells.codes[train]
    times = np.bincount(mine[mine >= 0], minlength=len(names))
    rare = np.zeros(len(names), dtype=bool)
    if field.type == "category" and (len(cells) >= SMALL or not field.by_rows):
        rare = times < RARE
    rare &= cells.counts() > 0
    group = np.where(cells.counts() > 0, np.arange(len(names)), -1)
    as_gap = bool(rare.any()) and bool(plain(cells.words).all())
    if rare.any() and not as_gap:
        place = names.index(OTHER) if OTHER in names else len(names)
        names, times = (names, times) if OTHER in names else ([*names, OTHER], np.append(times, 0))
        times[place] += times[: len(rare)][rare].sum() - (times[place] if place < len(rare) and rare[place] else 0)
        group[rare] = place
    elif as_gap:
        group[rare] = -1
    kept = np.unique(group[group >= 0])
    if field.by_rows:
        kept = kept[np.lexsort((np.array(names)[kept], -times[kept]))]
    else:
        kept = kept[name_order([names[i] for i in kept.tolist()])]
    number = np.full(len(names) + 1, np.nan)
    number[kept] = np.arange(len(kept))
    raw = torch.from_numpy(number[np.append(group, -1)][cells.codes])
    code = LevelCode(tuple(names[i] for i in kept.tolist()), bool(raw.isnan().any()))
    option = torch.where(raw.isnan(), float(len(code.levels)), raw).long()[torch.from_numpy(train)]
    code = replace(code, shares=shares_of(option, code.options))
    note = merged_note(field, int(rare.sum()), f"{RARE} rows", int(np.isin(mine, np.flatnonzero(rare)).sum()) / max(len(mine), 1), as_gap)
    return Fitted(replace(made, code=code), raw, (note,) if rare.any() else ())


def merged_note(field: Field, levels: int, few: str, share: float, as_gap: bool) -> str:
    """What became of rare levels, and how to keep them where they are many: `share` of the rows have one."""
    what = "missing" if as_gap else f"{OTHER!r}"
    note = f"{count(levels, 'level')} of {field.name!r} with fewer than {few} became {what}"
    if share <= MANY or field.by_rows:
        return note
    return (
        f"{note}, in {100 * share:.0f} % of the rows, for such a name may point at a person; if the names are public, such as those of a "
        "code list, declare them in a schema: levels = [...]"
    )


def _named(made: Column, field: Field, cells: Words, train: Index) -> Fitted:
    """Levels that a schema names."""
    raw, strange = declared.numbered(field.declared, cells, field.name)
    if field.declared.public:
        return Fitted(replace(made, code=declared.levels(field.declared, field.name)), raw)
    code = LevelCode(field.declared.levels or (), bool(raw.isnan().any()))
    option = torch.where(raw.isnan(), float(len(code.levels)), raw).long()[torch.from_numpy(train)]
    what = f"{OTHER!r}" if OTHER in code.levels else "missing"
    note = f"{count(strange, 'cell')} of {field.name!r} that are none of the declared levels became {what}"
    return Fitted(replace(made, code=replace(code, shares=shares_of(option, code.options))), raw, (note,) if strange else ())


def _check_gaps(field: Field, raw: Tensor) -> None:
    if field.declared.gaps is False and bool(raw.isnan().any()):
        raise DataError(f"the schema says that no cell of {field.name!r} is missing, and {int(raw.isnan().sum()):,} are")
