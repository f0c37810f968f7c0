"""Cells of a column as they are read, block by block, before anybody knows what they mean.

A column is either words (codes into distinct words) or numbers, so that a table of millions of rows stays small.
Arrow arrays are typed `Any`: pyarrow is imported when a table is met, and brings no types.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rivalry.errors import DataError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Index = npt.NDArray[np.int64]
MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
PLAIN = r"^-?(\d{1,15}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
PADDED = r"^-?0\d"
MOSTLY = 0.9
LONG = 4096
EXACT = 2**53


@dataclass(frozen=True)
class Words:
    """codes [N] into words (an Arrow array of K distinct, trimmed strings), -1 where the cell is missing.

    blank: how most missing cells are spelled; dtype: the Arrow type of the file, '' for text.
    """

    codes: Codes = field(repr=False)
    words: Any = field(repr=False)
    blank: str = ""
    dtype: str = ""

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        return self.codes < 0

    def take(self, index: Index) -> Words:
        return replace(self, codes=self.codes[index])

    def counts(self) -> Index:
        """[K] rows of each word."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.words)).astype(np.int64)


@dataclass(frozen=True)
class Numbers:
    """values [N], NaN where the cell is missing; times are seconds since 1970 UTC (those of a day, since midnight), and
    `dtype` says so."""

    values: Floats = field(repr=False)
    blank: str = ""
    dtype: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        return np.isnan(self.values)

    @property
    def is_time(self) -> bool:
        return self.dtype.startswith(("timestamp", "date", "time"))

    def take(self, index: Index) -> Numbers:
        return replace(self, values=self.values[index])


Cells = Words | Numbers


def from_text(column: Any) -> Cells:
    """A block of a column of strings.  Long blocks of mostly different numbers are kept as numbers."""
    import pyarrow.compute as compute

    encoded = column.dictionary_encode()
    spelled = compute.utf8_trim_whitespace(encoded.dictionary)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    gone = _flags(compute.is_in(compute.utf8_lower(spelled), value_set=_array(MISSING)))
    blank = _most(codes, spelled, gone)
    if len(codes) >= LONG and len(spelled) > len(codes) // 2 and (gone | plain(spelled)).all():
        return Numbers(_spread(_parsed(spelled, ~gone), codes), blank)
    distinct = spelled.filter(_array(~gone)).dictionary_encode()
    place = np.full(len(spelled) + 1, -1, dtype=np.int32)
    place[:-1][~gone] = distinct.indices.to_numpy(zero_copy_only=False)
    return Words(place[codes], distinct.dictionary, blank)


def from_arrow(column: Any, where: str) -> Cells:
    """A block of a typed column of a Parquet file or a DataFrame.  Raises DataError for nested and binary cells."""
    import pyarrow as arrow

    kinds, kind = arrow.types, column.type
    if kinds.is_dictionary(kind):
        return from_arrow(column.cast(kind.value_type), where)
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_null(kind) or kinds.is_string_view(kind):
        return replace(from_text(column.cast(arrow.string())), dtype="string")
    if kinds.is_boolean(kind):
        return replace(from_text(column.cast(arrow.string())), dtype="bool")
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        seconds = column.cast(arrow.timestamp("us"), safe=False).cast(arrow.int64()).cast(arrow.float64(), safe=False)
        return Numbers(seconds.to_numpy(zero_copy_only=False) / 1e6, "", str(kind))
    if kinds.is_time(kind):
        ticks = column.cast(arrow.time64("us"), safe=False).cast(arrow.int64()).cast(arrow.float64(), safe=False)
        return Numbers(ticks.to_numpy(zero_copy_only=False) / 1e6, "", str(kind))
    if kinds.is_decimal(kind):
        return _decimals(column, kind)
    if kinds.is_integer(kind) and not _fits(column):
        return replace(from_text(column.cast(arrow.string())), dtype=str(kind))
    if kinds.is_integer(kind) or kinds.is_floating(kind):
        return Numbers(column.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False), "", str(kind))
    raise DataError(f"{where} holds cells of the type {kind}, which is none of tables; name other columns=...")


def _decimals(column: Any, kind: Any) -> Cells:
    """Decimals as the floats that are nearest to them, by way of their digits; as words where those have more than floats hold."""
    import pyarrow as arrow
    import pyarrow.compute as compute

    words = column.cast(arrow.string())
    values = words.cast(arrow.float64())
    most = compute.max(compute.abs(values)).as_py() or 0.0
    if most * 10.0 ** max(kind.scale, 0) > EXACT:
        return replace(from_text(words), dtype=str(kind))
    return Numbers(values.to_numpy(zero_copy_only=False), "", str(kind))


def _fits(column: Any) -> bool:
    """Can 64-bit floats hold these integers?"""
    import pyarrow.compute as compute

    ends = compute.min_max(column).as_py()
    return ends["min"] is None or max(abs(ends["min"]), abs(ends["max"])) <= EXACT


def join(parts: Sequence[Cells]) -> Cells:
    """Blocks of one column, one after the other; numbers and words in different blocks are brought to one kind."""
    first = parts[0]
    if len(parts) == 1:
        return first
    blank = next((p.blank for p in parts if p.blank), "")
    words = [p for p in parts if isinstance(p, Words)]
    numbers = [p for p in parts if isinstance(p, Numbers)]
    if numbers and words:
        read = [numeric(p) for p in words]
        there = sum(int((~p.missing).sum()) for p in parts)
        kept = sum(int((~p.missing).sum()) for p in (*numbers, *read))
        if kept >= MOSTLY * there:
            parts = [numeric(p) for p in parts]
    if all(isinstance(p, Numbers) for p in parts):
        return Numbers(np.concatenate([numeric(p).values for p in parts]), blank, first.dtype)
    return _join_words([spelled(p) for p in parts], blank, first.dtype)


def _join_words(parts: Sequence[Words], blank: str, dtype: str) -> Words:
    import pyarrow as arrow

    together = arrow.concat_arrays([p.words for p in parts]).dictionary_encode()
    place = np.append(together.indices.to_numpy(zero_copy_only=False), -1).astype(np.int32)
    starts = np.cumsum([0, *(len(p.words) for p in parts)])
    codes = [np.where(p.codes < 0, -1, place[p.codes + s]) for p, s in zip(parts, starts[:-1].tolist(), strict=True)]
    return Words(np.concatenate(codes).astype(np.int32), together.dictionary, blank, dtype)


def plain(words: Any) -> npt.NDArray[np.bool_]:
    """[K]: is the word a number of at most 15 digits before its point?"""
    import pyarrow.compute as compute

    return _flags(compute.match_substring_regex(words, PLAIN))


def name_order(words: Sequence[str]) -> list[int]:
    """Places of the words in the order in which levels are kept: numbers by their value, then others by their text.  It hangs
    on the words alone: an order by how many rows have them would tell of the rows.

    >>> name_order(["ward 2", "10", "9", "Ward 1"])
    [2, 1, 3, 0]
    """
    numbers = re.compile(PLAIN)

    def place(i: int) -> tuple[bool, float, str]:
        number = numbers.match(words[i]) is not None
        return (not number, float(words[i]) if number else 0.0, words[i])

    return sorted(range(len(words)), key=place)


def padded(words: Any) -> npt.NDArray[np.bool_]:
    """[K]: does it begin with zeros that a number would lose?"""
    import pyarrow.compute as compute

    return _flags(compute.match_substring_regex(words, PADDED))


def numeric(cells: Cells) -> Numbers:
    """The cells as numbers; words that are none become missing."""
    if isinstance(cells, Numbers):
        return cells
    return Numbers(_spread(_parsed(cells.words, plain(cells.words)), cells.codes), cells.blank, cells.dtype)


def spelled(cells: Cells) -> Words:
    """The cells as words; whole numbers without a point."""
    if isinstance(cells, Words):
        return cells
    import pyarrow as arrow

    there = ~np.isnan(cells.values)
    distinct, inverse = np.unique(cells.values[there], return_inverse=True)
    codes = np.full(len(cells), -1, dtype=np.int32)
    codes[there] = inverse
    whole = np.equal(distinct, np.round(distinct)) & (np.abs(distinct) < EXACT)
    text = np.where(whole, np.where(whole, distinct, 0).astype(np.int64).astype(str), distinct.astype(str))
    return Words(codes, arrow.array(text.tolist(), arrow.string()), cells.blank, cells.dtype)


def _parsed(words: Any, which: npt.NDArray[np.bool_]) -> Floats:
    """[K] the words as floats, NaN where `which` is false."""
    import pyarrow as arrow

    values = np.full(len(words), np.nan)
    values[which] = words.filter(_array(which)).cast(arrow.float64()).to_numpy(zero_copy_only=False)
    return values


def _spread(values: Floats, codes: Codes) -> Floats:
    """values[codes], NaN for code -1."""
    spread: Floats = np.append(values, np.nan)[codes]
    return spread


def _most(codes: Codes, spelled: Any, gone: npt.NDArray[np.bool_]) -> str:
    """The commonest spelling of a missing cell."""
    if not gone.any():
        return ""
    counts = np.bincount(codes[codes >= 0], minlength=len(gone)) * gone
    return str(spelled[int(counts.argmax())].as_py())


def _flags(array: Any) -> npt.NDArray[np.bool_]:
    flags: npt.NDArray[np.bool_] = array.fill_null(False).to_numpy(zero_copy_only=False)
    return flags


def _array(values: object) -> Any:
    import pyarrow as arrow

    return arrow.array(values)
