"""Rows of a table into files, as the table was: its columns, units, precision and types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rivalry.data.columns import dates
from rivalry.data.columns.cells import Floats
from rivalry.data.columns.codes import LevelCode, NumberCode, decimals_of
from rivalry.data.columns.figures import Form
from rivalry.data.columns.fit import Column
from rivalry.errors import DataError
from rivalry.files import atomic

WHOLE = 2.0**63
ROWS = 1 << 16
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def write(columns: Sequence[Column], raw: Tensor, out: Path, seed: int) -> Path:
    """raw [N, C] float64 of the learned columns, by the ending of `out`."""
    ending = out.suffix.lower()
    if ending not in (".csv", ".tsv", ".parquet"):
        raise DataError(f"a table cannot be written as {out.name}; name a file ending in .csv, .tsv or .parquet")
    made, learned = dict[str, Any](), 0
    for column in columns:
        values = raw[:, learned].numpy() if column.code is not None else np.zeros(len(raw))
        learned += column.code is not None
        if column.type != "text":
            made[column.name] = _typed(column, values, seed) if ending == ".parquet" else _text(column, values, seed)
    return save(made, out, {".tsv": "\t", ".csv": ","}.get(ending, ""))


def words(column: Column, values: Floats) -> Any:
    """[N] raw values of a learned column -> an Arrow array of strings, null where missing."""
    return _strings(column, values, 0)


def typed(column: Column, values: Floats) -> Any:
    """[N] raw values of a learned column -> an Arrow array of the type that the column had."""
    return _typed(column, values, 0)


def save(made: Mapping[str, Any], out: Path, comma: str, named: bool = True) -> Path:
    """Arrow arrays by name into a text table of strings, or into a Parquet file if there is no comma."""
    import pyarrow as arrow
    from pyarrow import parquet

    table = arrow.table(dict(made))
    with atomic(out) as beside:
        if not comma:
            parquet.write_table(table, beside)
            return out
        with beside.open("w", encoding="utf-8", newline="") as stream:
            if named:
                stream.write(comma.join(_quoted(_array(table.column_names), comma).to_pylist()) + "\n")
            for block in table.to_batches(ROWS):
                stream.write("\n".join(_lines(block.columns, comma).to_pylist()) + "\n")
    return out


def _lines(columns: Sequence[Any], comma: str) -> Any:
    """Columns of strings -> their rows as lines of text."""
    import pyarrow.compute as compute

    cells = [_quoted(c, comma) for c in columns]
    lines = compute.binary_join_element_wise(*cells, comma)
    return compute.if_else(compute.equal(lines, ""), '""', lines)  # an empty line would be no row


def _quoted(cells: Any, comma: str) -> Any:
    """Strings, in quotes where one holds the delimiter, a quote or a line break."""
    import pyarrow.compute as compute

    special = compute.match_substring_regex(cells, f'[{comma}"\n\r]')
    doubled = compute.replace_substring(cells, '"', '""')
    return compute.if_else(special, compute.binary_join_element_wise('"', doubled, '"', ""), cells)


def _array(words: Sequence[str]) -> Any:
    import pyarrow as arrow

    return arrow.array(words, arrow.string())


def _text(column: Column, values: Floats, seed: int) -> Any:
    """An Arrow array of strings; missing cells spelled as they were."""
    cells = _strings(column, values, seed)
    return cells.fill_null(column.blank)


def _strings(column: Column, values: Floats, seed: int) -> Any:
    import pyarrow as arrow

    code = column.code
    if isinstance(code, LevelCode):
        gone = np.isnan(values)
        index = arrow.array(np.where(gone, 0, values).astype(np.int64), mask=gone)
        return _array(code.levels).take(index)
    if isinstance(code, NumberCode):
        if column.type == "date":
            return dates.write(values, column.form)
        plain = _decimals(values, code)
        return Form.read(column.form, column.name).spelled(plain) if column.form else plain
    return arrow.array(_made(column, len(values), seed), arrow.string())


def _made(column: Column, n: int, seed: int) -> list[str | None]:
    """Cells of a column that is not learned."""
    if column.pattern is not None:
        return list(column.pattern.make(n, seed))
    return [column.value or None] * n


def _decimals(values: Floats, code: NumberCode) -> Any:
    """Numbers with as many digits as their step needs; with those of 32-bit floats if there is none."""
    import pyarrow as arrow

    gone = np.isnan(values)
    filled = np.where(gone, 0, values)
    if not code.step:
        return arrow.array(filled.astype(np.float32), mask=gone).cast(arrow.string())
    digits = decimals_of(code.step)
    if not digits and np.abs(filled).max(initial=0) < WHOLE:
        return arrow.array(np.rint(filled).astype(np.int64), mask=gone).cast(arrow.string())
    return arrow.array(np.char.mod(f"%.{digits}f", filled), arrow.string(), mask=gone)


def _typed(column: Column, values: Floats, seed: int) -> Any:
    """An Arrow array of the type that the column had, or of the one that fits its values."""
    import pyarrow as arrow

    gone, code = np.isnan(values), column.code
    if column.dtype == "string":
        return _strings(column, values, seed)
    if column.type == "date":
        timed = arrow.timestamp("us" if "f" in column.form else "s") if "%M" in column.form else arrow.date32()
        fitting = arrow.time64("us") if dates.is_clock(column.form) else timed
        kind = _kind(column.dtype) or fitting
        clock = arrow.types.is_time(kind)
        ticks = np.rint(np.where(gone, 0, values) * 1e6).astype(np.int64)
        return arrow.array(ticks, arrow.time64("us") if clock else arrow.timestamp("us"), mask=gone).cast(kind, safe=False)
    if isinstance(code, NumberCode):
        whole = bool(code.step) and not decimals_of(code.step)
        integer = column.dtype in INTEGERS or (whole and not column.dtype)
        numbers = np.rint(np.where(gone, 0, values)).astype(np.int64) if integer else values
        made = arrow.array(numbers, mask=gone)
        kind = _kind(column.dtype)
        if kind is not None and arrow.types.is_decimal(kind):
            return _decimals(values, replace(code, step=code.step or 10.0**-kind.scale)).cast(kind)
        return made if kind is None else made.cast(kind, safe=False)
    cells = _strings(column, values, seed)
    return _back(cells, column.dtype)


PARAMETERS = re.compile(r"^(?:(decimal\d+)\((\d+), (-?\d+)\)|timestamp\[(\w+), tz=(.+)\])$")


def _kind(dtype: str) -> Any:
    """The Arrow type of this name, None for '' and for what cannot be made from its name."""
    import pyarrow as arrow

    found = PARAMETERS.match(dtype)
    if found and found[1]:
        return getattr(arrow, found[1])(int(found[2]), int(found[3]))
    if found:
        return arrow.timestamp(found[4], tz=found[5])
    try:
        return arrow.type_for_alias(dtype)
    except ValueError:
        return None


def _back(cells: Any, dtype: str) -> Any:
    """Words as the type that their column had, if they all can be."""
    import pyarrow as arrow

    kind = _kind(dtype)
    if kind is None:
        return cells
    try:
        return cells.cast(arrow.float64()).cast(kind) if dtype in INTEGERS else cells.cast(kind)
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError):  # new identifiers may be too large for a narrow type
        return cells
