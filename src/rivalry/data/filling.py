"""Tables whose missing cells are filled: read as they are, written with every other cell as it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivalry.data import csv_blocks, table_files
from rivalry.data.columns.cells import Cells, from_arrow, from_text, numeric, spelled
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.figures import plain_cells
from rivalry.data.columns.fit import Column, seconds
from rivalry.data.words import some
from rivalry.errors import DataError, UnknownName

TEXTS = (".csv", ".tsv")


@dataclass(frozen=True)
class Sheet:
    """A table as it stands in its file.

    names, columns (Arrow arrays): all of them.  raw [N, C]: the learned columns' values, NaN where a cell is missing, of an
    unknown level or no number, and in columns that the file lacks; gaps [N, C]: the missing cells.  comma, named: of text
    tables, '' for Parquet.  strange: cells that are there and say nothing to the model, by column.
    """

    where: str
    names: tuple[str, ...]
    columns: tuple[Any, ...] = field(repr=False)
    raw: Tensor
    gaps: Tensor
    comma: str = ""
    named: bool = True
    strange: tuple[tuple[str, int], ...] = ()
    absent: tuple[str, ...] = ()


def read(path: Path, learned: tuple[Column, ...]) -> Sheet:
    """Raises DataError for files that are no tables or share no column with `learned`."""
    if not path.is_file():
        raise DataError(f"there is no table {path}; name a CSV, TSV or Parquet file")
    where = str(path)
    if path.suffix.lower() == ".parquet":
        names, columns = _parquet(path)
        cells = {n: from_arrow(c, where) for n, c in zip(names, columns, strict=True) if any(x.name == n for x in learned)}
        return _sheet(where, names, columns, cells, learned)
    layout, columns = csv_blocks.read_texts(path, where)
    cells = {n: from_text(c) for n, c in zip(layout.header, columns, strict=True)}
    return _sheet(where, layout.header, columns, cells, learned, layout.delimiter, layout.named)


def _parquet(path: Path) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["?"])[0].rstrip(".")
        raise DataError(f"{path} cannot be read as Parquet ({reason}); write it again") from error
    csv_blocks.check_names(tuple(table.column_names), str(path))
    return tuple(table.column_names), tuple(c.combine_chunks() for c in table.columns)


def _sheet(
    where: str, names: tuple[str, ...], columns: tuple[Any, ...], cells: dict[str, Cells], learned: tuple[Column, ...],
    comma: str = "", named: bool = True,
) -> Sheet:  # fmt: skip
    rows = len(columns[0]) if columns else 0
    if not rows:
        raise DataError(f"{where} has no rows; name a table with rows")
    known = [c.name for c in learned]
    if not set(known) & set(names):
        raise DataError(f"{where} has none of the run's columns ({some(known, 8)}); {UnknownName('column', known[0], names)}")
    raw, gaps = torch.full((rows, len(learned)), torch.nan, dtype=torch.float64), torch.zeros(rows, len(learned), dtype=torch.bool)
    strange = list[tuple[str, int]]()
    for i, column in enumerate(learned):
        if column.name in cells:
            mine = plain_cells(cells[column.name], column.form if column.type == "number" else "")
            raw[:, i] = torch.from_numpy(values_of(column, mine))
            gaps[:, i] = torch.from_numpy(mine.missing)
            odd = int((raw[:, i].isnan() & ~gaps[:, i]).sum())
            strange += [(column.name, odd)] if odd else []
    absent = tuple(n for n in known if n not in names)
    return Sheet(where, names, columns, raw, gaps, comma, named, tuple(strange), absent)


def values_of(column: Column, cells: Cells) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """[N] as raw rows hold them, NaN where a cell is missing or says nothing to the column."""
    if isinstance(column.code, LevelCode):
        words = spelled(cells)
        place = {level: float(i) for i, level in enumerate(column.code.levels)}
        table = np.array([*(place.get(str(w), np.nan) for w in words.words.to_pylist()), np.nan])
        return np.asarray(table[words.codes], dtype=np.float64)
    values = seconds(cells, column.form) if column.type == "date" else numeric(cells).values
    return np.where(np.isfinite(values), values, np.nan)


def write(sheet: Sheet, learned: tuple[Column, ...], raw: Tensor, gaps: Tensor, out: Path) -> Path:
    """The sheet with the cells `gaps` [N, C] said by `raw` [N, C]; all others as they were, in their order.

    Raises DataError for an ending of another kind than the file's own.
    """
    check_ending(sheet.comma, out)
    import pyarrow.compute as compute

    made = dict(zip(sheet.names, sheet.columns, strict=True))
    for i, column in enumerate(learned):
        mine = gaps[:, i].numpy()
        if not mine.any():
            continue
        old = made[column.name]
        if sheet.comma:
            new = table_files.words(column, raw[:, i].numpy())
            made[column.name] = compute.if_else(mine, new, old)
        else:
            plain = compute.dictionary_decode(old) if _numbered_words(old) else old
            new = table_files.typed(column, raw[:, i].numpy()).cast(plain.type, safe=False)
            made[column.name] = compute.if_else(mine, new, plain).cast(old.type)
    return table_files.save(made, out, sheet.comma, sheet.named)


def _numbered_words(array: Any) -> bool:
    """Is it an array of numbers of words?"""
    import pyarrow as arrow

    return bool(arrow.types.is_dictionary(array.type))


def check_apart(source: Path, target: Path) -> None:
    """Raises DataError where the target is the source, a file or a folder, by whatever name."""
    if target.resolve() == source.resolve():
        raise DataError(f"{target} would be written over what it is read from; name another {'folder' if source.is_dir() else 'file'} with -o")


def numbered(out: Path, draws: int) -> list[Path]:
    """OUT, or where there are several draws OUT-1 and so on."""
    return [out] if draws == 1 else [out.with_name(f"{out.stem}-{i + 1}{out.suffix}") for i in range(draws)]


def check_ending(comma: str, out: Path) -> None:
    """Raises DataError unless text goes to text and Parquet to Parquet."""
    fitting = TEXTS if comma else (".parquet",)
    if out.suffix.lower() not in fitting:
        raise DataError(f"the filled table cannot be written as {out.name}; name a file ending in {' or '.join(fitting)}")
