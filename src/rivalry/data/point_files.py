"""Points to files: CSV, TSV, Parquet, npy, npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from rivalry.data.sources import Array
from rivalry.errors import DataError
from rivalry.files import atomic


def write(points: Array, out: Path, columns: tuple[str, ...], labels: Tensor | None, names: tuple[str, ...]) -> Path:
    """points [N, D] with D column names, and classes [N] if there are any, by the ending of `out`."""
    ending = out.suffix.lower()
    codes = None if labels is None else labels.numpy()
    words = None if codes is None else np.array([names[k] if k < len(names) else str(k) for k in codes.tolist()])
    if ending in (".csv", ".tsv"):
        _write_text(points, out, columns, words, "," if ending == ".csv" else "\t")
    elif ending == ".npy":
        with atomic(out) as beside:
            np.save(beside, points)
    elif ending == ".npz":
        arrays = (
            {"x": points}
            if codes is None
            else {"x": points, "y": codes, "class_names": np.array(names, dtype=np.str_)}
        )
        with atomic(out) as beside:
            np.savez_compressed(beside, allow_pickle=False, **arrays)
    elif ending == ".parquet":
        _write_parquet(points, out, columns, words)
    else:
        raise DataError(
            f"points cannot be written as {out.name}; name a file ending in .csv, .tsv, .parquet, .npy, .npz or .png"
        )
    return out


def _write_text(points: Array, out: Path, columns: tuple[str, ...], words: Array | None, comma: str) -> None:
    header, cells = list(columns), np.char.mod("%.9g", points)
    if words is not None:
        header, cells = [*header, "label"], np.column_stack([cells, [_quoted(w, comma) for w in words.tolist()]])
    with atomic(out) as beside:
        titles = comma.join(_quoted(h, comma) for h in header)
        np.savetxt(beside, cells, fmt="%s", delimiter=comma, header=titles, comments="", encoding="utf-8")


def _quoted(text: str, comma: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in (comma, '"', "\n")) else text


def _write_parquet(points: Array, out: Path, columns: tuple[str, ...], words: Array | None) -> None:
    import pyarrow
    from pyarrow import parquet

    data = {name: points[:, i] for i, name in enumerate(columns)}
    if words is not None:
        data["label"] = words
    with atomic(out) as beside:
        parquet.write_table(pyarrow.table(data), beside)
