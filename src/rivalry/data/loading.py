"""`load` and `inspect`: open a source, find the kind of data that claims it, let it read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rivalry.data import builtin, styles, uses
from rivalry.data.base import Dataset, Modality, Plain
from rivalry.data.columns.cells import Cells
from rivalry.data.columns.schema import Field, Schema
from rivalry.data.dialogue import DialogueModality
from rivalry.data.image import ImageModality
from rivalry.data.inspection import Inspection
from rivalry.data.opening import Given, open_source
from rivalry.data.options import ReadOptions
from rivalry.data.points import PointsModality
from rivalry.data.records import RecordModality
from rivalry.data.sources import Arrays, Columns, Other, Source, Tables, Talks, Texts
from rivalry.data.table import TableModality
from rivalry.data.text import TextModality
from rivalry.data.words import UNREAD
from rivalry.errors import DataError, UnknownName

_MODALITIES: dict[str, Modality] = {}
DEFAULTS = ReadOptions()


def register_modality(modality: Modality) -> None:
    """Enters a kind of data; sources are offered to kinds in the order they were entered."""
    _MODALITIES[modality.kind] = modality


register_modality(ImageModality())
register_modality(DialogueModality())
register_modality(PointsModality())
register_modality(TableModality())
register_modality(RecordModality())
register_modality(TextModality())


def restore(kind: str, state: Plain) -> Modality:
    """The modality of that kind as `state()` wrote it down.  Raises UnknownName or DataError."""
    if kind not in _MODALITIES:
        raise UnknownName("kind of data", kind, _MODALITIES)
    return _MODALITIES[kind].restored(state)


def claimant(source: Source, options: ReadOptions = DEFAULTS) -> Modality:
    """The kind of data that the source is, or is to be taken as; raises DataError if it is none that is known, or has no use for
    one of the options."""
    found = _claimant(source, options)
    uses.check(options, found.kind, source)
    return found


def _claimant(source: Source, options: ReadOptions) -> Modality:
    if styles.asked(source, options):
        return _MODALITIES["text"]
    if options.key is not None and options.kind in (None, "records"):
        return _MODALITIES["records"]
    if options.kind is not None:
        if isinstance(source, Tables) and options.kind == "records":
            return _MODALITIES["records"]
        if options.kind == "text" and isinstance(source, Texts):
            return _MODALITIES["text"]
        if options.kind == "dialogue" and isinstance(source, Talks):
            return _MODALITIES["dialogue"]
        if not isinstance(source, Columns) and not (isinstance(source, Arrays) and source.x.ndim == 2):
            what = {"text": "table and no text", "dialogue": "table and no conversation"}.get(options.kind, "table")
            raise DataError(f"{source.where} is no {what}, so it cannot be read as {options.kind!r}; leave kind out")
        return _MODALITIES[options.kind]
    if options.reading > 1 and isinstance(source, Columns) and source.is_points and source.is_whole:
        return _MODALITIES["table"]  # ages and counts are no coordinates
    for modality in _MODALITIES.values():
        if modality.sniff(source):
            return modality
    holds = source.holds if isinstance(source, Other) else "numbers of a shape nobody knows"
    strange = any(word.strip(",") in UNREAD for word in holds.split())
    holds += " (a format that is not read: convert to JPEG, PNG or TIFF first)" if strange else ""
    raise DataError(
        f"{source.where} holds {holds}, and nothing that can be trained on; name pictures (a folder, zip, tar, npz, "
        "idx or Parquet file), a table (CSV, TSV, Parquet) or text (.txt, a line each)"
    )


def load(source: Given, *, options: ReadOptions = DEFAULTS) -> Dataset:
    """Data ready for training, from a name, a folder, an archive, a file, arrays or a torch data set.

    Raises DataError (or MissingExtra) in one sentence when it cannot be read or used.
    """
    opened = open_source(source, options)
    return replace(claimant(opened, options).read(opened, options), source=address(source))


def inspect(source: Given, *, options: ReadOptions = DEFAULTS) -> Inspection:
    """What the data are: counts, sizes, classes, broken rows, copies, and what `load` would make of them."""
    opened = open_source(source, options)
    return claimant(opened, options).inspect(opened, options)


def schema(source: Given, *, options: ReadOptions = DEFAULTS) -> Schema:
    """What the columns of a table are taken for: to be written as TOML, corrected, and handed back by
    ReadOptions(schema=...).  Raises DataError for what is no table."""
    opened = open_source(source, options)
    table = claimant(opened, options)
    return table.schema(opened, options) if isinstance(table, RecordModality) else _table(opened).schema(opened, options)


def columns(source: Given, *, options: ReadOptions = DEFAULTS) -> tuple[list[Field], tuple[Cells, ...], int, tuple[str, ...]]:
    """See `TableModality.looked`.  Raises DataError for what is no single table."""
    opened = open_source(source, options)
    if isinstance(claimant(opened, options), RecordModality):
        raise DataError(f"{opened.where} holds patient records, of which a row's part in all visits would have to be paid for; name one table")
    return _table(opened).looked(opened, options)


def _table(opened: Source) -> TableModality:
    table = _MODALITIES["table"]
    if not isinstance(table, TableModality) or not table.sniff(opened):
        raise DataError(f"{opened.where} is no table, and only tables have a schema; name a CSV, TSV or Parquet file")
    return table


def address(source: Given) -> str:
    """What `load` would read again, from any folder; '' for data that came from Python."""
    if not isinstance(source, str | Path):
        return ""
    return (
        source if isinstance(source, str) and source in builtin.names() else str(Path(source).expanduser().resolve())
    )
