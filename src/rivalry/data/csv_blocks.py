"""Text tables (CSV, TSV and the like, also gzipped), read block by block into compact cells."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rivalry.data.columns.cells import Cells, from_text, join
from rivalry.data.idx import unzip
from rivalry.errors import DataError

DELIMITERS = ",;\t|"
HEAD = 1 << 16
BLOCK = 1 << 23
T = TypeVar("T")
GZIP = b"\x1f\x8b"


def text_of(content: bytes, where: str) -> str:
    """Decoded text, gzip undone; UTF-8 (with or without its mark) or else Latin-1.  Raises DataError on binary."""
    raw = unzip(content, where)
    _check_text(raw[:4096], where)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _check_text(head: bytes, where: str) -> None:
    if b"\0" in head:
        raise DataError(f"{where} is no text table but a binary file; name it by its true ending, or save it as CSV")


def delimiter_of(line: str) -> str | None:
    """The most frequent of , ; tab | in a line, outside quotes; None (white space) if there is none."""
    counts = Counter(c for c in re.sub(r'"[^"]*"', "", line) if c in DELIMITERS)
    return counts.most_common(1)[0][0] if counts else None


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out: its column names, whether a line of it says them, the delimiter, lines to skip."""

    content: bytes | Path = field(repr=False)
    header: tuple[str, ...]
    named: bool
    delimiter: str
    skip: int


def read(content: bytes | Path, where: str) -> tuple[tuple[str, ...], tuple[Cells, ...]]:
    """(column names, cells of each column) of a text table with or without a header line.

    Raises DataError for tables that are binary, damaged, empty or ragged.
    """
    layout = lay_out(content, where)
    empty = from_text(_nothing())
    parts = _parsed(layout, where, from_text)
    return layout.header, tuple(join(p) if p else empty for p in parts)


def read_texts(content: bytes | Path, where: str) -> tuple[Layout, tuple[Any, ...]]:
    """(layout, Arrow arrays of strings: the cells of each column as they are, quotes undone).  Raises DataError as `read`."""
    import pyarrow as arrow

    layout = lay_out(content, where)
    parts = _parsed(layout, where, lambda column: column)
    return layout, tuple(arrow.concat_arrays(p) if p else _nothing() for p in parts)


def lay_out(content: bytes | Path, where: str) -> Layout:
    """From the first line.  Raises DataError for tables that are binary or empty."""
    first, skip = _first_line(content, where)
    delimiter = delimiter_of(first)
    if delimiter is None and len(first.split()) > 1 and not first.startswith('"'):
        content = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", unzip(_whole(content), where))
        content, delimiter = re.sub(rb"[ \t]+", b"\t", content), "\t"
        first = re.sub(r"\s+", "\t", first.strip())
    cells = next(csv.reader([first], delimiter=delimiter or ","))
    named = not any(is_number(c) for c in cells)
    header = tuple(c.strip() or f"column{i + 1}" for i, c in enumerate(cells)) if named else numbered(len(cells))
    check_names(header, where)
    return Layout(content, header, named, delimiter or ",", skip + named)


def _parsed(layout: Layout, where: str, kept: Callable[[Any], T]) -> list[list[T]]:
    """What is kept of each column's blocks."""
    for encoding in ("utf8", "latin1"):
        found = _blocks(layout, where, encoding, kept)
        if found is not None:
            return found
    raise DataError(f"{where} is no text in UTF-8 or Latin-1; save it as UTF-8")


def _nothing() -> Any:
    import pyarrow as arrow

    return arrow.array([], arrow.string())


def check_names(header: tuple[str, ...], where: str) -> None:
    """Raises DataError if two columns have one name."""
    if len(set(header)) < len(header):
        twice = [n for n, times in Counter(header).items() if times > 1]
        raise DataError(f"{where} has more than one column named {twice[0]!r}; give each its own name")


def numbered(n: int) -> tuple[str, ...]:
    return ("x", "y") if n == 2 else tuple(f"x{i + 1}" for i in range(n))


def _whole(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _first_line(content: bytes | Path, where: str) -> tuple[str, int]:
    """(the first line that is not empty, how many empty ones come before it)."""
    try:
        with _open(content) as stream:
            head = stream.read(HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is damaged or cannot be read ({error}); download it again") from error
    _check_text(head[:4096], where)
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    for i, line in enumerate(text.splitlines()):
        if line.strip():
            return line, i
    raise DataError(f"{where} is empty; name a table with at least one row")


def _open(content: bytes | Path) -> Any:
    """A stream of the text's bytes, gzip undone."""
    if isinstance(content, bytes):
        return io.BytesIO(gzip.decompress(content) if content[:2] == GZIP else content)
    with content.open("rb") as stream:
        zipped = stream.read(2) == GZIP
    return gzip.open(content) if zipped else content.open("rb")


def _blocks(layout: Layout, where: str, encoding: str, kept: Callable[[Any], T]) -> list[list[T]] | None:
    """What is kept of each column, block by block; None if the text has another encoding."""
    import pyarrow as arrow

    parts: list[list[T]] = [[] for _ in layout.header]
    try:
        for block in _read(layout.content, layout.header, layout.delimiter, layout.skip, encoding):
            for part, column in zip(parts, block.columns, strict=True):
                part.append(kept(column))
    except arrow.ArrowInvalid as error:
        if "UTF8" in str(error) and encoding == "utf8":
            return None
        if "Empty CSV" in str(error) or "no columns" in str(error).lower():
            return parts
        raise _ragged(layout.content, where, len(layout.header), layout.delimiter, str(error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is damaged or cannot be read ({error}); download it again") from error
    return parts


def _read(content: bytes | Path, header: tuple[str, ...], delimiter: str, skip: int, encoding: str) -> Iterator[Any]:
    import pyarrow as arrow
    from pyarrow import csv as arrow_csv

    reading = arrow_csv.ReadOptions(
        column_names=list(header), skip_rows=skip, block_size=BLOCK, encoding=encoding, use_threads=False
    )
    parsing = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    converting = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header, arrow.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
    )
    with _open(content) as stream:
        yield from arrow_csv.open_csv(stream, reading, parsing, converting)


def _ragged(content: bytes | Path, where: str, width: int, delimiter: str, reason: str) -> DataError:
    """What is wrong with the first line that has another number of cells."""
    with _open(content) as stream:
        lines = csv.reader(io.TextIOWrapper(stream, encoding="latin-1", newline=""), delimiter=delimiter)
        bad = next(((lines.line_num, len(cells)) for cells in lines if cells and len(cells) != width), None)
    if bad is None:
        said = reason.splitlines()[0].rstrip(".")
        return DataError(f"{where} is no regular table ({said}); give every row the same number of cells")
    return DataError(
        f"{where} has {bad[1]} cells in line {bad[0]}, but {width} in the first; give every row the same number of cells"
    )
