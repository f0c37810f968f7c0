"""The CSV file that gives pictures their classes and groups."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from rivalry.data.csv_blocks import delimiter_of, text_of
from rivalry.data.options import ReadOptions
from rivalry.data.rows import Ints, Rows, Strings, classify, grouped, unlabelled
from rivalry.data.tables import LABEL_NAMES
from rivalry.data.words import count
from rivalry.errors import DataError

FILE_NAMES = ("file", "filename", "file_name", "path", "image", "image_path", "image_id", "img", "picture", "name", "id")


def apply_labels(rows: Rows, options: ReadOptions) -> Rows:
    """The classes (and groups) of pictures from the CSV file that the options name; pictures it does not list are
    left out.  Raises DataError if it cannot be read, lists none of the pictures, or one with two labels."""
    if options.labels is None:
        return rows
    where = str(options.labels)
    try:
        content = options.labels.read_bytes()
    except OSError as error:
        raise DataError(f"the labels file {where} cannot be read: {error.strerror or error}; check its path") from error
    cells = _cells(text_of(content, where), where)
    header, cells, target = _header(cells, rows.names)
    if (target < 0).all():
        raise DataError(
            f"{where} lists none of the {count(len(rows), 'picture')}: it has {str(cells[0, 0])!r}, the data have "
            f"{rows.name(0)!r}; the first column must hold file names, the second labels"
        )
    lines = np.flatnonzero(target >= 0)
    keep, first, own = np.unique(target[lines], return_index=True, return_inverse=True)
    label, group = _pick(header, (*LABEL_NAMES, "y"), 1), (options.group or "").lower()
    given, place = cells[lines, label], lines[first]
    for i in np.flatnonzero(given != given[first][own])[:1].tolist():
        name, one = rows.name(int(keep[own[i]])), given[first][own[i]]
        raise DataError(f"{where} lists {name!r} twice, as {str(one)!r} and as {str(given[i])!r}; keep one line for each picture")
    lost, missing = len(rows) - len(keep), int((target < 0).sum())
    rows = rows.take(keep)
    if group in header:
        rows = grouped(rows, cells[place, header.index(group)], str(options.group), "picture")
    is_group = group in header and label == header.index(group)
    codes, classes, note = (None, (), "") if is_group else classify(cells[place, label])
    return replace(rows, codes=codes, classes=classes).noted(
        note,
        unlabelled(codes, "picture", where),
        f"{count(lost, 'picture')} not listed in {where}: left out" if lost else "",
        f"lines of {where} that name no picture there: {missing:,}" if missing else "",
    )


def _cells(text: str, where: str) -> Strings:
    """[L, D] cells of all lines that are not empty."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    table = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter_of(first) or ",") if row]
    if not table or len(table[0]) < 2 or len({len(row) for row in table}) > 1:
        raise DataError(f"the labels file {where} must have two columns, file and label, in every line")
    return np.char.strip(np.array(table))


def _header(cells: Strings, names: tuple[str, ...]) -> tuple[list[str], Strings, Ints]:
    """(lower-case column names, cells of the lines below, [L] the picture that each of them names).  The first line is a header if it
    has a known column name, or names no picture where others do."""
    words = [c.lower() for c in cells[0].tolist()]
    known = any(w in FILE_NAMES + LABEL_NAMES for w in words)
    target = _targets(names, cells[:, _pick(words, FILE_NAMES, 0) if known else 0].tolist())
    if len(cells) > 1 and (known or (target[0] < 0 and (target >= 0).any())):
        return words, cells[1:], target[1:]
    return [f"column{i + 1}" for i in range(cells.shape[1])], cells, target


def _pick(header: list[str], candidates: tuple[str, ...], otherwise: int) -> int:
    return next((header.index(c) for c in candidates if c in header), otherwise)


def _targets(names: tuple[str, ...], files: list[str]) -> Ints:
    """[L] for each line the picture that it names: by its path, else (where no line names one) by file name or stem if that is
    unique; -1 where there is none."""
    paths = [PurePosixPath(f.replace("\\", "/")) for f in files]
    known = {n: i for i, n in enumerate(names)}
    target = np.array([known.get(p.as_posix(), -1) for p in paths], dtype=np.int64)
    for short in (lambda p: p.name, lambda p: p.stem):
        if (target >= 0).any():
            break
        own = [short(PurePosixPath(n)) for n in names]
        times = Counter(own)
        known = {n: i for i, n in enumerate(own) if times[n] == 1}
        target = np.array([known.get(short(p), -1) for p in paths], dtype=np.int64)
    return target
