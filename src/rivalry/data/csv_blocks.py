"""Text tables (CSV, TSV and the like, also gzipped), read block by block into compact cells."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rivalry.data.columns.cells import Cells, from_text, join
from rivalry.data.idx import unzip
from rivalry.errors import DataError

DELIMITERS = ",;\t|"
HEAD = 1 << 16
BLOCK = 1 << 23
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


def read(content: bytes | Path, where: str) -> tuple[tuple[str, ...], tuple[Cells, ...]]:
    """(column names, cells of each column) of a text table with or without a header line.

    Raises DataError for tables that are binary, damaged, empty or ragged.
    """
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
    skip += named
    for encoding in ("utf8", "latin1"):
        found = _blocks(content, where, header, delimiter or ",", skip, encoding)
        if found is not None:
            return header, found
    raise DataError(f"{where} is no text in UTF-8 or Latin-1; save it as UTF-8")


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


def _blocks(
    content: bytes | Path, where: str, header: tuple[str, ...], delimiter: str, skip: int, encoding: str
) -> tuple[Cells, ...] | None:
    """The cells of each column; None if the text has another encoding."""
    import pyarrow as arrow

    parts: list[list[Cells]] = [[] for _ in header]
    try:
        for block in _read(content, header, delimiter, skip, encoding):
            for part, column in zip(parts, block.columns, strict=True):
                part.append(from_text(column))
    except arrow.ArrowInvalid as error:
        if "UTF8" in str(error) and encoding == "utf8":
            return None
        if "Empty CSV" in str(error) or "no columns" in str(error).lower():
            return tuple(from_text(arrow.array([], arrow.string())) for _ in header)
        raise _ragged(content, where, len(header), delimiter, str(error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is damaged or cannot be read ({error}); download it again") from error
    empty = from_text(arrow.array([], arrow.string()))
    return tuple(join(p) if p else empty for p in parts)


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
