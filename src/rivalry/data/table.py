"""Tables, rows of columns of any type: the modality 'table'."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rivalry.data import defences, table_files, table_look
from rivalry.data.base import Dataset, Plain
from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Index, Numbers, from_text
from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.detect import coarser, detect, looked
from rivalry.data.columns.fit import Column
from rivalry.data.columns.people import Owners
from rivalry.data.columns.schema import Field, Schema
from rivalry.data.inspection import Inspection
from rivalry.data.options import ReadOptions
from rivalry.data.rows import choose, group_by_name
from rivalry.data.rules import plan as plans
from rivalry.data.rules.admit import Admitted, admit, as_levels
from rivalry.data.rules.plan import Plan
from rivalry.data.rules.propose import Proposal, propose
from rivalry.data.rules.text import PROPOSED
from rivalry.data.sources import Arrays, Columns, Source
from rivalry.data.split import FEWEST, share_held, split
from rivalry.data.table_store import Coder, TableRows
from rivalry.data.words import count, some
from rivalry.errors import DataError
from rivalry.types import Block, Spec

COPIES = 0.05


@dataclass(frozen=True)
class TableModality:
    """Rows of a table.

    Raw rows are [N, C] float64, the learned columns in the file's order: numbers and dates (seconds since 1970 UTC) in
    their units, categories and booleans as numbers of their levels, NaN = missing.  Encoded rows [N, D] float32 are
    laid out by `blocks`.  `columns` are all of the table's, also those that are not learned; seed: of the order in which
    ties are spread; plan: how rows are made to meet constraints.  Nothing here is a row, an exact quantile or an extreme.
    """

    columns: tuple[Column, ...] = ()
    seed: int = 0
    plan: Plan | None = None
    kind: ClassVar[str] = "table"

    @cached_property
    def learned(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if c.code is not None)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        made = list[Block]()
        for column in self.columns if self.plan is None else self.plan.inner:
            made += column.blocks(sum(b.width for b in made))
        return tuple(made)

    @cached_property
    def coder(self) -> Coder:
        return Coder([c.code for c in self.columns if c.code is not None], self.blocks, self.seed, self.plan)

    @property
    def spec(self) -> Spec:
        kinds = [(c.name, "number" if isinstance(c.code, NumberCode) and c.code.knots else "category") for c in self.learned]
        return Spec("table", (self.coder.width,), blocks=self.blocks, columns=() if self.plan is None else tuple(kinds))

    def sniff(self, source: Source) -> bool:
        return isinstance(source, Columns)

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Raises DataError for tables without rows or columns to learn, and for schemas that do not fit."""
        table = _chosen(source, options)
        table, fields = _fields(table, options)
        _check_learned(fields, table)
        table, deduped = _distinct(fields, table, options)
        texts, fields = _constraints(fields, table, options)
        table, fields, admitted, defended = _admitted(texts, fields, table, options)
        modality, parts, raw = TableModality(admitted.columns, options.seed, admitted.plan), admitted.parts, admitted.raw
        sides = [TableRows.of(modality.coder, raw[torch.from_numpy(i)]) for i in (parts.train, parts.held)]
        notes = (*table.rows.notes, *_notes(fields, table), *admitted.notes)
        hashed = hashlib.sha256(b"rivalry table 1")
        hashed.update(repr((modality.state(), options.content())).encode())
        for values in (raw.numpy(), parts.train, parts.held):
            hashed.update(np.ascontiguousarray(values).tobytes())
        train, held = sides
        told = (*deduped, *defended)
        paid = _schema(options).prepared
        return Dataset(table.name, modality.spec, modality, train, held, hashed.hexdigest(), notes=notes, defences=told, prepared=paid)

    def looked(self, source: Source, options: ReadOptions) -> tuple[list[Field], tuple[Cells, ...], int, tuple[str, ...]]:
        """(what each column is taken for, its cells, how many rows there are, the constraints of the schema)."""
        table = _chosen(source, options)
        table, fields = _fields(table, options)
        return fields, table.cells, len(table.rows), _schema(options).constraints

    def schema(self, source: Source, options: ReadOptions) -> Schema:
        """What each column is taken for, by its cells and the schema of the options."""
        table = _chosen(source, options)
        table, fields = _fields(table, options)
        texts, _ = _constraints(fields, table, options)
        proposed = tuple(p.text for p in _proposals(fields, table, options) if p.text not in texts)
        return Schema(tuple(fields), texts, proposed)

    def inspect(self, source: Source, options: ReadOptions) -> Inspection:
        table = _chosen(source, options)
        table, fields = _fields(table, options)
        texts, kept = _constraints(fields, table, options)
        said = _admitted(texts, kept, table, options)[2].notes if texts else ()
        official = None if table.rows.held is None else int(table.rows.held.sum())
        back = official if official is not None else round(share_held(len(table.rows), options.holdout) * len(table.rows))
        return Inspection(
            table.name,
            table.where,
            "table",
            total=len(table.rows),
            whole=len(table.rows),
            held=official,
            columns=tuple(table_look.column(f, c) for f, c in zip(fields, table.cells, strict=True)),
            proposal={"columns to learn": sum(f.learned for f in fields), "held back": back},
            notes=(*table.rows.notes, *_notes(fields, table), *(q for f in fields for q in f.quotes), *table_look.rare(fields, table.cells, _owners(table, options)), *said),
            constraints={p.text: p.why for p in _proposals(fields, table, options)},
        )

    def encode(self, raw: Tensor) -> Tensor:
        """[N, C] raw -> [N, D] float32; rows of one value are spread over its step, which takes all of them together."""
        return self.coder.expand(*self.coder.compact(raw))

    def decode(self, x: Tensor) -> Tensor:
        """[N, D], any scores in the places of choices -> [N, C] float64 raw rows."""
        return self.coder.decode(*self.coder.collapse(x))

    def _raw(self, x: Tensor) -> Tensor:
        """Raw rows of encoded ones; float64 rows are raw already."""
        return x if x.dtype == torch.float64 else self.decode(x)

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """x [N, D] encoded (or [N, C] float64 raw) -> a .csv, .tsv or .parquet as the table was: its columns, units,
        precision and types; identifiers made anew, constants repeated, text columns left out.

        Raises DataError for other endings.
        """
        return [table_files.write(self.columns, self._raw(x).cpu(), out, self.seed)]

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """The distributions of at most twelve columns as a PNG, beside the reference's if there is one."""
        real = None if reference is None else self._raw(reference).cpu()
        table_look.marginals(self.learned, self._raw(x).cpu(), path, real)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, D] twice -> [N] in [0, 1]: the mean over columns of 1 where choices differ, else half the difference of
        the encoded numbers (Gower 1971's coefficient, on normal deviates in place of ranges)."""
        names = list(dict.fromkeys(b.name for b in self.blocks))
        far = torch.zeros(len(a), len(names), device=a.device)
        for block in self.blocks:
            part = slice(block.start, block.start + block.width)
            apart = (a[:, part].float() - b[:, part].float()).abs().sum(1) / 2
            column = names.index(block.name)
            far[:, column] = torch.maximum(far[:, column], apart.clamp_max(1))
        return far.mean(1)

    def augments(self) -> tuple[str, ...]:
        return ()

    def extractors(self) -> tuple[str, ...]:
        return ("identity",)

    def state(self) -> dict[str, object]:
        state: dict[str, object] = {"seed": self.seed, "columns": [c.state() for c in self.columns]}
        return state if self.plan is None else state | {"constraints": self.plan.state()}

    def restored(self, state: Plain) -> TableModality:
        columns, seed = state.get("columns"), state.get("seed", 0)
        if not isinstance(columns, list | tuple) or not columns or not isinstance(seed, int):
            raise DataError("the state of a table must list its columns; restore the run's run.toml")
        found, rules = tuple(fit.restored(c) for c in columns), state.get("constraints")
        return TableModality(found, seed, plans.restored(rules, found) if isinstance(rules, Mapping) else None)


def _chosen(source: Source, options: ReadOptions) -> Columns:
    """The columns and rows asked for.  Raises DataError for columns nobody knows."""
    table = _as_columns(source) if isinstance(source, Arrays) else source
    assert isinstance(table, Columns)
    for name in options.columns:
        if name not in table.names:
            raise DataError(f"{table.where} has no column {name!r}; it has {some(table.names, 12)}")
    wanted = options.columns or table.names
    picked = [(n, c) for n, c in zip(table.names, table.cells, strict=True) if n in wanted]
    rows = group_by_name(table.rows, options.group)
    # rows without a class are dropped only where classes are asked for
    chosen = choose(rows if options.only else replace(rows, codes=None, classes=()), options)
    if not len(chosen):
        raise DataError(f"no row of {table.where} is left to read; choose other classes")
    rows = rows.take(chosen) if len(chosen) < len(rows) else rows
    cells = tuple(c.take(chosen) if len(chosen) < len(c) else c for _, c in picked)
    return replace(table, rows=rows, names=tuple(n for n, _ in picked), cells=cells)


def _as_columns(source: Arrays) -> Columns:
    """An array [N, D] as a table of numbers, with its classes as a last column."""
    names = tuple(f"x{i + 1}" for i in range(source.x.shape[1]))
    cells: tuple[Cells, ...] = tuple(Numbers(column) for column in source.x.astype(np.float64).T)
    rows = source.rows
    if rows.codes is None:
        return Columns(source.name, source.where, rows, names, cells)
    import pyarrow as arrow

    words = arrow.array([*rows.classes, ""], arrow.string()).take(arrow.array(np.where(rows.codes < 0, len(rows.classes), rows.codes)))
    return Columns(source.name, source.where, rows, (*names, "label"), (*cells, from_text(words)))


def _schema(options: ReadOptions) -> Schema:
    return Schema() if options.schema is None else Schema.read(options.schema.expanduser())


def _asked(options: ReadOptions) -> dict[str, Field]:
    """What the schema says, by column."""
    return {f.name: f for f in _schema(options).fields}


def _fields(table: Columns, options: ReadOptions) -> tuple[Columns, list[Field]]:
    """(the table, numbers that are written with units and the like as plain ones; what every column means).  The column that groups
    rows names people: it is never learned."""
    asked = _schema(options)
    asked.check_columns(table.names, table.where)
    fields, bare = list[Field](), list[Cells]()
    for name, cells in zip(table.names, table.cells, strict=True):
        said = asked.get(name)
        if said is None and name == options.group:
            said = Field(name, "identifier", notes=(f"{name!r} groups the rows: made anew, never learned",))
        field, known = looked(name, cells, said, table.where, options.reading > 2) if options.reading > 1 else (detect(name, cells, said, table.where, False), cells)
        if options.reading > 3:
            field = coarser(field, known, said)
        if field.type == "identifier" and name != options.group and 1 < field.levels < (there := int((~cells.missing).sum())):
            each = f"{name!r} repeats ({there / field.levels:.1f} rows each on average)"
            advice = f"if it names people, say --group {name!r}, so that all rows of one stay on one side of the split"
            field = replace(field, notes=(*field.notes, f"{each}: {advice}"))
        fields.append(replace(field, by_rows=options.reading < 2))
        bare.append(known)
    table = replace(table, cells=tuple(bare))
    if options.kind is None and options.reading > 1 and table.is_points and table.is_whole:
        table = replace(table, rows=table.rows.noted("columns of whole numbers are read as a table; for points in the plane say --kind points"))
    return table, fields


def _constraints(fields: list[Field], table: Columns, options: ReadOptions) -> tuple[tuple[str, ...], list[Field]]:
    """(the constraints that are asked for, those proposed written out; the fields that they leave)."""
    schema = _schema(options)
    asked = list(dict.fromkeys((*schema.constraints, *options.constraints)))
    if PROPOSED in asked:
        asked += [p.text for p in _proposals(fields, table, options)]
    texts = tuple(t for t in dict.fromkeys(asked) if t != PROPOSED)
    return texts, as_levels(fields, texts)


def _admitted(
    texts: tuple[str, ...], fields: list[Field], table: Columns, options: ReadOptions
) -> tuple[Columns, list[Field], Admitted, tuple[str, ...]]:
    """(the table and its fields, defended as asked; the split rows that meet the constraints, with columns fitted to them;
    what the defences did)."""
    same, copies = _same(fields, table)
    parts = split(table.rows, same, options, table.where)
    table, fields, parts, defended = defences.defended(table, fields, parts, _asked(options), options, _owners(table, options))
    notes = list(parts.notes)
    while True:
        found = admit(texts, as_levels(fields, texts), table.cells, parts, options.seed, table.where, _owners(table, options))
        notes += found.notes
        if options.k_anonymous is None or options.reading < 5 or len(found.parts.train) == len(parts.train):
            break
        table, fields, parts, again = defences.once_more(table, fields, found.parts, _asked(options), options, _owners(table, options))
        defended += again
    if len(notes) > len(parts.notes) + len(found.notes):
        notes.append(f"left with constraints and defences: {len(parts.train):,} rows to train on, {len(parts.held):,} held back")
    return table, fields, replace(found, notes=(*copies, *dict.fromkeys(notes))), defended


def _owners(table: Columns, options: ReadOptions) -> Owners | None:
    """Whose the rows are, where --group says it: what is rare is told by them."""
    if table.rows.groups is None or options.reading < 3:
        return None
    called = "groups" if options.group is None else f"different values of {options.group!r}"
    return Owners(np.unique(table.rows.groups, return_inverse=True)[1].reshape(-1).astype(np.int64), called)


def _proposals(fields: list[Field], table: Columns, options: ReadOptions) -> tuple[Proposal, ...]:
    return propose(fields, table.cells, options.seed) if any(f.learned for f in fields) else ()


def _check_learned(fields: list[Field], table: Columns) -> None:
    if all(c.missing.all() for c in table.cells):
        raise DataError(f"all cells of {table.where} are missing; name a table with values")
    if len(table.rows) >= FEWEST and not any(f.learned for f in fields):  # too few rows are told of by the split
        types = some([f"{f.name} ({f.type})" for f in fields], 6)
        prose = next((f.name for f in fields if f.type == "text"), None)
        remedy = f"; if these are texts to learn, say --kind text --columns {prose!r}, or --kind dialogue where one replies to the other" if prose else ""
        raise DataError(
            f"{table.where} has no column that can be learned: {types}; name another table, or correct the types with "
            f"--schema{remedy}"
        )


def _distinct(fields: list[Field], table: Columns, options: ReadOptions) -> tuple[Columns, tuple[str, ...]]:
    """Without copies, where that is asked for."""
    few = len(table.rows) < FEWEST  # the split says what is wrong with those
    return defences.without_copies(table, fields, _equal(fields, table)) if options.dedupe and not few else (table, ())


def _equal(fields: list[Field], table: Columns) -> Index:
    """[N] equal numbers for rows that are equal in all that is learned."""
    hashed = np.zeros(len(table.rows), dtype=np.uint64)
    for field, cells in zip(fields, table.cells, strict=True):
        if not field.learned:
            continue
        bits = (np.nan_to_num(fit.identity(field, cells), nan=-np.inf) + 0.0).view(np.uint64)
        hashed = (hashed ^ (bits * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
        hashed ^= hashed >> np.uint64(32)
    return np.unique(hashed, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _same(fields: list[Field], table: Columns) -> tuple[Index, tuple[str, ...]]:
    """([N] equal numbers for rows to be kept on one side, notes): copies, unless so many rows are copies that they are
    no coincidence (few columns with few levels), and splitting whole groups would skew the split."""
    same = _equal(fields, table)
    copies = len(same) - int(same.max(initial=-1)) - 1
    if copies > COPIES * len(same):
        note = f"{count(copies, 'row')} repeat an earlier one, as few columns make likely: they may be on both sides"
        return np.arange(len(same)), (note,)
    return same, (f"rows that repeat an earlier one: {copies:,}, kept on the side of the first",) if copies else ()


def _notes(fields: list[Field], table: Columns) -> list[str]:
    """What was decided on the columns, and which cells are missing."""
    notes = [n for f in fields for n in f.notes]
    gaps = [(f.name, int(c.missing.sum())) for f, c in zip(fields, table.cells, strict=True)]
    shown = [f"{name} {n:,}" for name, n in gaps if n]
    if shown:
        spellings = sorted({repr(c.blank) for c in table.cells if c.missing.any() and c.blank})
        as_what = f", spelled {some(spellings)}" if spellings else ""
        notes.append(f"missing cells{as_what}: {some(shown, 8)}")
    return notes
