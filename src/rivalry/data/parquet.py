"""Parquet files: pictures as bytes (plain, or {'bytes', 'path'} as Hugging Face lays them out), or the columns of a
table; and DataFrames, which come the same way.

pyarrow is imported when one is met.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rivalry.data.columns.cells import Cells, from_arrow, join
from rivalry.data.containers import Content, Unreadable
from rivalry.data.csv_blocks import check_names
from rivalry.data.options import ReadOptions
from rivalry.data.rows import Rows, classify, grouped, official_split, unlabelled
from rivalry.data.sources import Array, Columns, Encoded
from rivalry.data.tables import LABEL_NAMES, finish, side_of, with_split
from rivalry.errors import DataError

LABELS = (*LABEL_NAMES, "fine_label", "y")
BATCH = 256
ROWS = 1 << 16


@runtime_checkable
class ArrowTable(Protocol):
    """What hands its columns over as an Arrow stream."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


@runtime_checkable
class Interchange(Protocol):
    """What hands its columns over by the DataFrame interchange protocol."""

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> object: ...


def read_parquet(files: Sequence[Path], where: str, options: ReadOptions) -> Encoded | Columns:
    """One Parquet file, or the shards of one table; shards named train... and test... are the official split.

    Raises DataError if they are damaged, differ in their columns, or hold neither pictures nor numbers.
    """
    from pyarrow import parquet

    try:
        shards = [parquet.ParquetFile(f) for f in files]
        schema = shards[0].schema_arrow
        if any(s.schema_arrow.names != schema.names for s in shards):
            raise DataError(f"the Parquet files of {where} differ in their columns; name one of them")
        image = _image_column(schema)
        if image is None:
            return _columns(shards, files, where, options)
        counts = [s.metadata.num_rows for s in shards]
        return _pictures(files, counts, where, schema, image, options)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"{where} cannot be read as Parquet ({reason}); download or write it again") from error


def _image_column(schema: Any) -> str | None:
    """The first column that is bytes, or a struct with bytes in it."""
    import pyarrow.types as kinds

    for field in schema:
        if kinds.is_binary(field.type) or kinds.is_large_binary(field.type):
            return str(field.name)
        if kinds.is_struct(field.type) and any(inner.name == "bytes" for inner in field.type):
            return str(field.name)
    return None


def _columns(shards: Sequence[Any], files: Sequence[Path], where: str, options: ReadOptions) -> Columns:
    """A table, a batch of rows at a time; files named train... and test... are the official split."""
    header = tuple(shards[0].schema_arrow.names)
    check_names(header, where)
    batches = (batch for shard in shards for batch in shard.iter_batches(ROWS))
    counts = [s.metadata.num_rows for s in shards]
    if not sum(counts):
        raise DataError(f"{where} has no rows; name a table with rows")
    table = finish(Path(where).stem, where, header, gathered(batches, len(header), where), options)
    return with_split(table, [side_of(f.name) for f in files], counts)


def gathered(batches: Iterable[Any], width: int, where: str) -> tuple[Cells, ...]:
    """The cells of each of the columns of Arrow record batches."""
    parts: list[list[Cells]] = [[] for _ in range(width)]
    for batch in batches:
        for part, column in zip(parts, batch.columns, strict=True):
            part.append(from_arrow(column, where))
    return tuple(join(p) for p in parts)


def read_frame(frame: ArrowTable | Interchange, options: ReadOptions) -> Columns:
    """A DataFrame of pandas, polars or another library, or an Arrow table, by the protocols that they all keep."""
    import pyarrow as arrow
    from pyarrow import interchange

    where = f"the {type(frame).__name__}"
    table = arrow.table(frame) if isinstance(frame, ArrowTable) else interchange.from_dataframe(frame)
    table = table.select([n for n in table.column_names if not n.startswith("__index_level_")])
    header = tuple(map(str, table.column_names))
    check_names(header, where)
    if not len(table) or not header:
        raise DataError(f"{where} has no rows; give a table with rows")
    return finish("table", where, header, gathered(table.to_batches(ROWS), len(header), where), options)


def _pictures(
    files: Sequence[Path], counts: Sequence[int], where: str, schema: Any, image: str, options: ReadOptions
) -> Encoded:
    """Pictures with their label column, group column and split; nothing of the pictures is read yet."""
    total = sum(counts)
    rows = Rows(total, tuple(f"{f.name}:{i}" for f, n in zip(files, counts, strict=True) for i in range(n)))
    label = next((n for n in schema.names if n.lower() in LABELS), None)
    if label is not None:
        codes, classes, note = classify(_whole_column(files, label), _class_names(schema, label))
        rows = replace(rows, codes=codes, classes=classes).noted(note, unlabelled(codes, "picture", repr(label)))
    if options.group is not None and options.group in schema.names:
        rows = grouped(rows, _whole_column(files, options.group).astype(str), options.group, "picture")
    sides = np.array([f.name.lower().split(".")[0].split("-")[0].split("_")[0] for f in files])
    held, keep, note = official_split(np.repeat(sides, counts))
    numbers = np.arange(total)
    if held is not None:
        rows = replace(rows, held=held).noted(note)
    if keep is not None:
        rows, numbers = rows.take(keep), numbers[keep]
    stats = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    identity = hashlib.sha256(repr(stats).encode()).hexdigest()

    def stream(wanted: Sequence[int]) -> Iterator[tuple[int, Content]]:
        yield from _stream(files, counts, image, numbers[np.asarray(wanted, dtype=np.int64)])

    return Encoded(Path(where).stem, where, rows, stream, identity, packed=True)


def _whole_column(files: Sequence[Path], name: str) -> Array:
    from pyarrow import parquet

    cells = [v for f in files for v in parquet.read_table(f, columns=[name]).column(name).to_pylist()]
    return np.array(["" if v is None else v for v in cells])


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """The names that Hugging Face keeps for integer labels, () if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _stream(files: Sequence[Path], counts: Sequence[int], image: str, rows: Array) -> Iterator[tuple[int, Content]]:
    """(position in `rows`, bytes) shard by shard, only the row groups that are needed."""
    order = np.argsort(rows, kind="stable")
    starts = np.cumsum([0, *counts])
    for shard, file in enumerate(files):
        mine = order[(rows[order] >= starts[shard]) & (rows[order] < starts[shard + 1])]
        if len(mine):
            yield from _stream_shard(file, image, mine, rows[mine] - starts[shard])


def _stream_shard(file: Path, image: str, places: Array, rows: Array) -> Iterator[tuple[int, Content]]:
    from pyarrow import parquet

    with parquet.ParquetFile(file) as shard:
        sizes = [shard.metadata.row_group(g).num_rows for g in range(shard.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.unique(np.searchsorted(ends, rows, side="right")).tolist()
        numbers = np.concatenate([np.arange(ends[g] - sizes[g], ends[g]) for g in groups])
        seen = 0
        for batch in shard.iter_batches(BATCH, row_groups=groups, columns=[image]):
            here = numbers[seen : seen + len(batch)]
            seen += len(batch)
            column = batch.column(0)
            for place, row in zip(*_hits(places, rows, here), strict=True):
                yield place, _bytes(column[row].as_py())


def _hits(places: Array, rows: Array, here: Array) -> tuple[list[int], list[int]]:
    """Of ascending `rows`, those in the ascending run `here`: their places, and their offsets in it."""
    inside = np.isin(rows, here)
    return places[inside].tolist(), np.searchsorted(here, rows[inside]).tolist()


def _bytes(cell: object) -> Content:
    value = cell.get("bytes") if isinstance(cell, dict) else cell
    return value if isinstance(value, bytes) else Unreadable("the cell is empty")
