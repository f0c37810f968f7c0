"""Tables as columns, with their classes, groups and official split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rivalry.data import csv_blocks
from rivalry.data.columns.cells import Cells, Numbers, join, numeric, spelled
from rivalry.data.csv_blocks import delimiter_of, is_number, text_of
from rivalry.data.options import ReadOptions
from rivalry.data.rows import TEST, TRAIN, VALID, Ints, Rows, classify, grouped, official_split
from rivalry.data.sources import Columns
from rivalry.errors import DataError

LABEL_NAMES = ("label", "labels", "class", "class_name", "target", "category", "species")


def begins_with_numbers(content: bytes, where: str) -> bool:
    """Is the first line that is not empty made of two or more numbers?"""
    if content[:2] == b"\x1f\x8b" or b"\0" in content:
        return False
    first = next((line for line in text_of(content, where).splitlines() if line.strip()), "")
    cells = first.replace(delimiter_of(first) or " ", " ").split()
    return len(cells) > 1 and all(map(is_number, cells))


def read_table(content: bytes | Path, where: str, options: ReadOptions) -> Columns:
    """A text table with or without a header line.  Raises DataError for ragged, empty and binary ones."""
    header, cells = csv_blocks.read(content, where)
    return finish(Path(where).name.split(".")[0], where, header, cells, options)


def read_split(parts: Sequence[tuple[bytes | Path, str]], name: str, where: str, options: ReadOptions) -> Columns | None:
    """Tables named train... and test... as one, with their official split; None if they are not named so."""
    sides = [side_of(Path(path).name) for _, path in parts]
    if official_split(np.array(sides))[0] is None:
        return None
    tables = [csv_blocks.read(content, path) for content, path in parts]
    header = tables[0][0]
    for (_, path), (names, _) in zip(parts, tables, strict=True):
        if names != header:
            raise DataError(f"{path} differs in its columns from {parts[0][1]}; give both the same header")
    joined = tuple(join([cells[i] for _, cells in tables]) for i in range(len(header)))
    whole = finish(name, where, header, joined, options)
    return with_split(whole, sides, [len(cells[0]) for _, cells in tables])


def side_of(name: str) -> str:
    """'train', 'test' or the like if just one word of a file's name says so, else ''."""
    found = set(re.split(r"[^a-z0-9]+", name.lower())) & (TRAIN | TEST | VALID)
    return found.pop() if len(found) == 1 else ""


def with_split(table: Columns, sides: Sequence[str], counts: Sequence[int]) -> Columns:
    """The table of files one after the other, with the split that their names give."""
    if official_split(np.array(sides))[0] is None:
        return table
    held, keep, note = official_split(np.repeat(np.array(sides), counts))
    rows = replace(table.rows, held=held).noted(note)
    if keep is None:
        return replace(table, rows=rows)
    return replace(table, rows=rows.take(keep), cells=tuple(c.take(keep) for c in table.cells))


def finish(name: str, where: str, header: tuple[str, ...], cells: tuple[Cells, ...], options: ReadOptions) -> Columns:
    """Finds the label and the group column.  Raises DataError for columns of one name, and if there are no rows."""
    csv_blocks.check_names(header, where)
    if not len(cells[0]):
        raise DataError(f"{where} has a header but no rows; name a table with rows")
    rows, aside = Rows(len(cells[0])), list[str]()
    label = next((h for h in header if h.lower() in LABEL_NAMES and h not in options.columns), None)
    if label is not None and len(header) > 2:
        codes, classes, _ = _classes(cells[header.index(label)])
        if codes is not None:
            rows = replace(rows, codes=codes, classes=classes).noted(f"the column {label!r} gives the classes")
            aside.append(label)
    if options.group is not None and options.group in header:
        words = spelled(cells[header.index(options.group)])
        names = np.array([*words.words.to_pylist(), ""], dtype=np.str_)
        rows = grouped(rows, names[words.codes], options.group, "row")
        aside += [] if options.group in options.columns else [options.group]
    return Columns(name, where, rows, header, cells, tuple(aside), options.columns)


def _classes(cells: Cells) -> tuple[Ints | None, tuple[str, ...], str]:
    """The classes of a label column, found among its distinct words."""
    numbers = numeric(cells)
    if isinstance(cells, Numbers) or bool((numbers.missing == cells.missing).all()):
        return classify(numbers.values)
    words = spelled(cells)
    return classify(np.array([*words.words.to_pylist(), ""], dtype=np.str_)[words.codes])
