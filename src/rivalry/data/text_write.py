"""Generated lines to files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from rivalry.errors import DataError
from rivalry.files import atomic, write_text


def write(lines: Sequence[str], out: Path, labels: Sequence[str] | None = None) -> Path:
    """By the ending of `out`: .txt (a line each), .csv, .tsv, .parquet, .jsonl."""
    ending = out.suffix.lower()
    named: dict[str, Sequence[str]] = {"text": lines} | ({} if labels is None else {"label": labels})
    if ending == ".txt":
        write_text(out, "".join(f"{line}\n" for line in lines))
    elif ending in (".csv", ".tsv"):
        with atomic(out) as beside, beside.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, delimiter="," if ending == ".csv" else "\t", lineterminator="\n")
            table.writerow(named)
            table.writerows(zip(*named.values(), strict=True))
    elif ending == ".jsonl":
        rows = (dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True))
        write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    elif ending == ".parquet":
        import pyarrow
        from pyarrow import parquet

        with atomic(out) as beside:
            parquet.write_table(pyarrow.table({k: list(v) for k, v in named.items()}), beside)
    else:
        raise DataError(f"text cannot be written as {out.name}; name a file ending in .txt, .csv, .tsv, .parquet or .jsonl")
    return out


def preview(lines: Sequence[str], path: Path, reference: Sequence[str] | None) -> None:
    """A line each, or, beside a reference, two and a blank one."""
    if reference is None:
        write_text(path, "".join(f"{line}\n" for line in lines))
        return
    pairs = zip_longest(lines, reference[: len(lines)], fillvalue="")
    write_text(path, "".join(f"generated: {a}\nreal:      {b}\n\n" for a, b in pairs))
