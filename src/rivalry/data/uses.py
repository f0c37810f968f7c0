"""Which data each option is for; asked of others it is refused: an option that does nothing misleads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import get_args

from rivalry.data import styles
from rivalry.data.options import GENERATE, Kind, ReadOptions
from rivalry.data.sources import Arrays, Columns, Drawn, Encoded, Scans, Source, Tables
from rivalry.errors import DataError

Use = tuple[str, Callable[[str, Source], bool]]


def _kinds(what: str, *kinds: str) -> Use:
    return what, lambda kind, source: kind in kinds


def _sources(what: str, *types: type) -> Use:
    return what, lambda kind, source: isinstance(source, types)


_PICTURES = _kinds("pictures", "image")
_SCANS = _sources("medical images", Scans)
_COLUMNS = ("tables", lambda kind, source: kind == "dialogue" or isinstance(source, Columns | Tables) or (kind == "points" and isinstance(source, Arrays)))
_TEXT = _kinds("text", "text", "dialogue")
_OWN = ("data of your own", lambda kind, source: not isinstance(source, Drawn))
USES: dict[str, Use] = {
    "size": _PICTURES,
    "fit": _PICTURES,
    "channels": _PICTURES,
    "patch": _PICTURES,
    "labels": ("folders and archives of pictures", lambda kind, source: isinstance(source, Scans) or (isinstance(source, Encoded) and not source.packed)),
    "columns": _COLUMNS,
    "schema": _kinds("tables and patient records (--kind table)", "table", "records"),
    "key": _kinds("patient records", "records"),
    "time": _kinds("patient records", "records"),
    "window": _SCANS,
    "axis": _SCANS,
    "spacing": _SCANS,
    "labels_from": _SCANS,
    "tokenizer": _TEXT,
    "vocabulary": _TEXT,
    "tokens": _TEXT,
    "context": _kinds("dialogue", "dialogue"),
    "group": _OWN,
    "only": _OWN,
    "holdout": _OWN,
}
_DEFAULTS = {f.name: f.default for f in fields(ReadOptions)}
KINDS = ("image", *get_args(Kind))
SINCE = 6
"""The edition of reading that refuses; runs of earlier ones read their data as they always did."""


def check(options: ReadOptions, kind: str, source: Source) -> None:
    """DataError for an option that differs from its default and is not for this kind of data.  Kinds that others add say so themselves."""
    if kind not in KINDS:
        return
    if options.constraints and kind not in ("table", "records"):
        raise DataError(
            f"constraints are for tables and patient records, and {source.where} is read as {kind!r}; leave them out, or say kind 'table'"
        )
    if options.task not in (None, GENERATE, styles.TASK) and kind != "image":
        raise DataError(f"--task {options.task} changes pictures, and {source.where} is read as {kind!r}; leave --task out, or name pictures")
    if options.reading < SINCE:
        return
    for name, (what, used) in USES.items():
        if getattr(options, name) != _DEFAULTS[name] and not used(kind, source):
            raise DataError(f"--{name.replace('_', '-')} is for {what}, and {source.where} {_said(kind, source)}; leave it out")


def _said(kind: str, source: Source) -> str:
    if isinstance(source, Drawn):
        return "is drawn from a known density"
    if isinstance(source, Encoded) and source.packed:
        return "holds pictures in the rows of a table"
    return f"is {'an array ' * isinstance(source, Arrays)}read as {kind!r}"
