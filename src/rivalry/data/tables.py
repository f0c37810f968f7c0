"""Tables of text: CSV, TSV and the like, as columns; and the CSV that labels pictures."""

from __future__ import annotations

import csv
import io
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from rivalry.data.idx import unzip
from rivalry.data.options import ReadOptions
from rivalry.data.rows import Ints, Rows, Strings, classify
from rivalry.data.sources import Array, Columns
from rivalry.data.words import count
from rivalry.errors import DataError

LABEL_NAMES = ("label", "labels", "class", "class_name", "target", "category", "species")
FILE_NAMES = (
    "file",
    "filename",
    "file_name",
    "path",
    "image",
    "image_path",
    "image_id",
    "img",
    "picture",
    "name",
    "id",
)
DELIMITERS = ",;\t|"


def text_of(content: bytes, where: str) -> str:
    """Decoded text, gzip undone; UTF-8 (with or without its mark) or else Latin-1.  Raises DataError on binary."""
    raw = unzip(content, where)
    if b"\0" in raw[:4096]:
        raise DataError(f"{where} is no text table but a binary file; name it by its true ending, or save it as CSV")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def delimiter_of(line: str) -> str | None:
    """The most frequent of , ; tab | in a line; None (white space) if there is none."""
    counts = Counter(c for c in line if c in DELIMITERS)
    return counts.most_common(1)[0][0] if counts else None


def begins_with_numbers(content: bytes, where: str) -> bool:
    """Is the first line that is not empty made of two or more numbers?"""
    if content[:2] == b"\x1f\x8b" or b"\0" in content:
        return False
    first = next((line for line in text_of(content, where).splitlines() if line.strip()), "")
    cells = first.replace(delimiter_of(first) or " ", " ").split()
    return len(cells) > 1 and all(map(_is_number, cells))


def read_table(content: bytes, where: str, options: ReadOptions) -> Columns:
    """A text table with or without a header line; columns that are numbers throughout become float64."""
    text = text_of(content, where)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"{where} is empty; name a table with at least one row")
    delimiter = delimiter_of(first)
    cells = next(csv.reader([first], delimiter=delimiter)) if delimiter else first.split()
    named = not any(_is_number(c) for c in cells)
    header = tuple(c.strip() or f"column{i + 1}" for i, c in enumerate(cells)) if named else _numbered(len(cells))
    body = _cells(text, where, delimiter, named)
    if body.ndim != 2 or not len(body):
        raise DataError(f"{where} has a header but no rows; name a table with rows")
    columns = tuple(_column(body[:, i]) for i in range(body.shape[1]))
    return finish(Path(where).name.split(".")[0], where, header, columns, options)


def _numbered(n: int) -> tuple[str, ...]:
    return ("x", "y") if n == 2 else tuple(f"x{i + 1}" for i in range(n))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cells(text: str, where: str, delimiter: str | None, named: bool) -> Array:
    """[N, D] float64 if all cells are numbers, else str.  Raises DataError on ragged rows."""
    skip = 1 if named else 0
    for kind in (np.float64, np.str_):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # "input contained no data"
                found: Array = np.loadtxt(
                    io.StringIO(text), kind, comments=None, delimiter=delimiter, skiprows=skip, ndmin=2, quotechar='"'
                )
                return found
        except ValueError as error:
            reason = str(error).splitlines()[0].rstrip(".")
    raise DataError(f"{where} is no regular table ({reason}); give every row the same number of cells")


def _column(cells: Array) -> Array:
    """Strings as float64 where all that are not empty are numbers (empty: NaN)."""
    if cells.dtype.kind == "f":
        return cells
    stripped = np.char.strip(cells.astype(str))
    try:
        return np.where(np.isin(stripped, ("", "NA", "?")), "nan", stripped).astype(np.float64)
    except ValueError:
        return stripped


def finish(
    name: str, where: str, header: tuple[str, ...], columns: tuple[Array, ...], options: ReadOptions
) -> Columns:
    """Takes the label and the group column out of the table.  Raises DataError for an unknown group column."""
    if len(set(header)) < len(header):
        twice = [n for n, times in Counter(header).items() if times > 1]
        raise DataError(f"{where} has more than one column named {twice[0]!r}; give each its own name")
    rows = Rows(len(columns[0]))
    label = next((h for h in header if h.lower() in LABEL_NAMES and h not in options.columns), None)
    taken = set[str]()
    if label is not None and len(header) > 2:
        codes, classes, _ = classify(columns[header.index(label)])
        if codes is not None:
            rows = replace(rows, codes=codes, classes=classes).noted(f"the column {label!r} gives the classes")
            taken.add(label)
    if options.group is not None and options.group in header:
        rows = replace(rows, groups=columns[header.index(options.group)].astype(str))
        taken.add(options.group)
    keep = [i for i, h in enumerate(header) if h not in taken - set(options.columns)]
    return Columns(name, where, rows, tuple(header[i] for i in keep), tuple(columns[i] for i in keep))


def apply_labels(rows: Rows, options: ReadOptions) -> Rows:
    """The classes (and groups) of pictures from the CSV file that the options name; pictures it does not list are
    left out.  Raises DataError if it cannot be read or lists none of the pictures."""
    if options.labels is None:
        return rows
    where = str(options.labels)
    if not rows.names:
        raise DataError(
            f"the labels file {where} goes by file names, and these rows have none; give labels with the rows"
        )
    try:
        content = options.labels.read_bytes()
    except OSError as error:
        raise DataError(
            f"the labels file {where} cannot be read: {error.strerror or error}; check its path"
        ) from error
    header, cells = _label_cells(text_of(content, where), where)
    files = cells[:, _pick(header, FILE_NAMES, 0)]
    place = _places(rows.names, files.tolist())
    if (place < 0).all():
        raise DataError(
            f"{where} lists none of the {count(len(rows), 'picture')}: it has {str(files[0])!r}, the data have "
            f"{rows.name(0)!r}; the first column must hold file names, the second labels"
        )
    keep = np.flatnonzero(place >= 0)
    lost, missing = len(rows) - len(keep), len(files) - len(np.unique(place[keep]))
    rows, place = rows.take(keep), place[keep]
    label, group = _pick(header, (*LABEL_NAMES, "y"), 1), (options.group or "").lower()
    if group in header:
        rows = replace(rows, groups=cells[place, header.index(group)])
    is_group = group in header and label == header.index(group)
    codes, classes, note = (None, (), "") if is_group else classify(cells[place, label])
    return replace(rows, codes=codes, classes=classes).noted(
        note,
        f"{count(lost, 'picture')} not listed in {where}: left out" if lost else "",
        f"lines of {where} that name no picture there: {missing:,}" if missing else "",
    )


def _label_cells(text: str, where: str) -> tuple[list[str], Strings]:
    """(lower-case column names, [N, D] cells); the first line is a header if it has a known column name."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    table = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter_of(first) or ",") if row]
    if not table or len(table[0]) < 2 or len({len(row) for row in table}) > 1:
        raise DataError(f"the labels file {where} must have two columns, file and label, in every line")
    cells = np.char.strip(np.array(table))
    names = [c.lower() for c in cells[0].tolist()]
    if any(n in FILE_NAMES + LABEL_NAMES for n in names) and len(cells) > 1:
        return names, cells[1:]
    return [f"column{i + 1}" for i in range(cells.shape[1])], cells


def _pick(header: list[str], candidates: tuple[str, ...], otherwise: int) -> int:
    return next((header.index(c) for c in candidates if c in header), otherwise)


def _places(names: tuple[str, ...], files: list[str]) -> Ints:
    """[N] for each picture the line that lists it: by its path, else by file name or stem if that is unique; -1
    where none does."""
    lines = {PurePosixPath(f.replace("\\", "/")).as_posix(): i for i, f in enumerate(files)}
    place = np.array([lines.get(n, -1) for n in names], dtype=np.int64)
    for short in (lambda p: p.name, lambda p: p.stem):
        if (place >= 0).any():
            break
        own = [short(PurePosixPath(n)) for n in names]
        unique = {n for n, times in Counter(own).items() if times == 1}
        short_lines = {short(PurePosixPath(f)): i for f, i in lines.items()}
        place = np.array([short_lines.get(n, -1) if n in unique else -1 for n in own], dtype=np.int64)
    return place
