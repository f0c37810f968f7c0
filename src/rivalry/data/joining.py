"""A folder of tables that share a key: opened together, where they are not parts of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rivalry.data import csv_blocks, parquet, tables
from rivalry.data.columns.schema import Schema
from rivalry.data.options import ReadOptions
from rivalry.data.record_keys import shared_keys
from rivalry.data.record_tables import roles_of
from rivalry.data.sources import Columns, Tables
from rivalry.errors import DataError

ENDINGS = (".csv", ".tsv", ".parquet")


def tables_of(folder: Path, name: str, files: Sequence[str], options: ReadOptions) -> Tables | None:
    """The tables among a folder's files, if there are several and they are no shards or sides of one table.

    None where a single table, equal columns or the names train and test say otherwise, or where nothing joins them and no
    key was named.
    """
    named = sorted(f for f in files if f.lower().removesuffix(".gz").endswith(ENDINGS))
    if len(named) < 2 or options.kind in ("points", "table"):
        return None
    if any(tables.side_of(Path(f).name) for f in named) or _shards([folder / f for f in named]):
        return None
    plain = replace(options, group=None, columns=())
    try:
        read = tuple(_read(folder / f, plain) for f in named)
    except DataError:
        if options.key is not None or options.kind == "records":
            raise
        return None
    if len({t.names for t in read}) == 1:
        return None
    schema = Schema() if options.schema is None else Schema.read(options.schema.expanduser())
    if not roles_of(options, schema).key and not shared_keys(read):
        return None
    return Tables(name, str(folder), tuple(named), read)


def _shards(files: Sequence[Path]) -> bool:
    """Are they Parquet files of the same columns (or pictures)?  Asked of their headers: shards may be large."""
    if any(f.suffix.lower() != ".parquet" for f in files):
        return False
    from pyarrow import ArrowInvalid
    from pyarrow import parquet as arrow

    try:
        return len({tuple(arrow.read_schema(f).names) for f in files}) == 1
    except (OSError, ArrowInvalid):
        return True  # whoever reads them says what is wrong


def _read(path: Path, options: ReadOptions) -> Columns:
    if path.name.lower().endswith(".parquet"):
        found = parquet.read_parquet([path], str(path), options)
        if not isinstance(found, Columns):
            raise DataError(f"{path} holds pictures, not a table; move it elsewhere")
        return found
    header, cells = csv_blocks.read(path, str(path))
    return tables.finish(path.name.split(".")[0], str(path), header, cells, options)
