"""JSON lines (.jsonl): an object a line, as the columns of a table.  pyarrow is imported when one is met."""

from __future__ import annotations

import io
from pathlib import Path

from rivalry.data.csv_blocks import check_names
from rivalry.data.idx import unzip
from rivalry.data.options import ReadOptions
from rivalry.data.parquet import ROWS, gathered
from rivalry.data.sources import Columns
from rivalry.data.tables import finish
from rivalry.errors import DataError


def read(content: bytes, where: str, options: ReadOptions) -> Columns:
    """The columns of words and numbers; those that hold lists or objects are left out.

    Raises DataError for what is no JSON, for objects without such a column, and for empty files.
    """
    import pyarrow as arrow
    from pyarrow import json

    raw = unzip(content, where)
    if not raw.strip():
        raise DataError(f"{where} is empty; name a file with an object in each line")
    try:
        table = json.read_json(io.BytesIO(raw))
    except (arrow.ArrowInvalid, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise DataError(f"{where} is no file of JSON lines ({reason}); each line must hold one object of like keys") from error
    plain = [n for n, kind in zip(table.column_names, table.schema.types, strict=True) if not arrow.types.is_nested(kind)]
    table = table.select(plain)
    header = tuple(table.column_names)
    check_names(header, where)
    if not header or not len(table):
        raise DataError(f"{where} holds no words and no numbers in its objects; name a file with a text in each line")
    return finish(Path(where).name.split(".")[0], where, header, gathered(table.to_batches(ROWS), len(header), where), options)
