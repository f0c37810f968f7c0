"""From whatever the user names to a Source: names, folders, archives, files, arrays, torch data sets."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from rivalry.data import (
    arrays,
    builtin,
    idx,
    joining,
    json_lines,
    label_files,
    parquet,
    styles,
    tables,
    talks,
    text_files,
)
from rivalry.data.containers import Container, Content, Entry, Folder, is_archive, open_container, read_one
from rivalry.data.medical.parts import begins_like_dicom, named_like_scan, without_ending
from rivalry.data.options import ReadOptions
from rivalry.data.parquet import ArrowTable, Interchange
from rivalry.data.rows import Rows, endings, from_folders, group_by_name, readable
from rivalry.data.sources import Arrays, Columns, Encoded, Other, Scans, Source
from rivalry.data.words import count, some, unread
from rivalry.errors import DataError

Named = str | Path
Given = Named | npt.NDArray[Any] | Tensor | TorchDataset[object] | tuple[object, object] | ArrowTable | Interchange
_PICTURES = (
    ("png", "apng", "jpg", "jpeg", "jpe", "jfif", "bmp", "dib", "gif", "webp", "tif", "tiff"),
    ("pgm", "ppm", "pbm", "pnm", "tga", "jp2", "j2k", "avif", "pcx"),
)
PICTURES = frozenset(f".{ending}" for line in _PICTURES for ending in line)
TABLES = (".csv", ".tsv")
TEXTS = (".txt", ".dat")
LINES = (".jsonl", ".ndjson")
PICKLES = frozenset((".pkl", ".pickle", ".pt", ".pth", ".joblib", ".p"))


def open_source(given: Given, options: ReadOptions) -> Source:
    """Looks at what was given just as far as is needed to say what it is.

    Raises DataError for what is missing, damaged, unsafe or of no known kind.
    """
    if isinstance(given, str | Path):
        return _open_named(given, options)
    if isinstance(given, np.ndarray | Tensor):
        return arrays.from_array(given)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], np.ndarray | Tensor):
        return arrays.from_array(given[0], given[1])
    if isinstance(given, TorchDataset):
        return arrays.from_torch(given, options.limit)
    if isinstance(given, ArrowTable | Interchange):
        return parquet.read_frame(given, options)
    raise DataError(
        f"data cannot be a {type(given).__name__}; give a name, a path, an array or tensor, "
        "a pair of rows and labels, a DataFrame, or a torch data set"
    )


def _open_named(given: Named, options: ReadOptions) -> Source:
    if isinstance(given, str) and given in builtin.names():
        return builtin.read_named(given)
    if not str(given).strip():
        raise DataError("the data have no name; name a folder, an archive or a file")
    if str(given) != (said := readable(str(given))):  # a run could not write it down
        raise DataError(f"the path {said!r} is not in UTF-8; rename it")
    path = Path(given).expanduser()
    if not path.exists():
        raise DataError(_missing(str(given), path))
    if path.is_dir() or is_archive(path):
        return _open_container(path, options)
    return _open_file(path, options)


def _missing(given: str, path: Path) -> str:
    folder = path.parent
    try:
        siblings = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    except OSError:
        siblings = []
    near = difflib.get_close_matches(path.name, [*builtin.names(), *siblings], n=1, cutoff=0.6)
    if near:
        place = near[0] if near[0] in builtin.names() or str(folder) == "." else str(folder / near[0])
        return f"there are no data {given!r}; did you mean {place!r}?"
    known = ", ".join(builtin.names())
    return f"there are no data {given!r}; name a folder, an archive, a file, or one of: {known}"


def _open_file(path: Path, options: ReadOptions) -> Source:
    ending = PurePosixPath(path.name.lower().removesuffix(".gz")).suffix
    where, name = str(path), path.name.split(".")[0]
    if named_like_scan(path.name) or begins_like_dicom(_bytes(path, 132)):
        stat = path.stat()
        entry = Entry(path.name, stat.st_size, stat.st_mtime_ns)
        return _scans(Folder(path.parent, (entry,)), [entry], name, options)
    if ending == ".npz":
        return arrays.read_npz(path, where)
    if ending == ".npy":
        return arrays.read_npy(path, where)
    if ending == ".parquet":
        return parquet.read_parquet([path], where, options)
    if idx.IMAGES.match(path.name):
        return idx.gather(
            name, str(path.parent), [path.name, *_partners(path)], lambda n: (path.parent / n).read_bytes()
        )
    if ending in TABLES or (ending in TEXTS and tables.begins_with_numbers(_bytes(path, 4096), where)):
        return tables.read_table(path, where, options)
    if ending in LINES or ending in TEXTS:
        raw = _bytes(path)
        if _told(raw, where, options, ending in LINES):
            return talks.read([(path.name, raw)], name, where)
        if ending in LINES:
            return json_lines.read(raw, where, options)
    if ending in PICTURES:
        raise DataError(f"{where} is a single picture; name the folder or archive that holds all of them")
    if ending in PICKLES:
        raise DataError(f"{where} is a pickle, and reading those can run code; save the data as .npz instead")
    if ending == ".txt" or options.kind == "text":
        return text_files.read([(path.name, _bytes(path))], name, where)
    if _bytes(path, 4)[:2] == b"\0\0" or "idx" in path.name:
        x = idx.parse(_bytes(path), where)
        return idx.joined(name, where, [arrays.numeric(x, where)], [None])
    return Other(name, where, f"a file ending in {ending or 'nothing'}")


def _told(raw: Content, where: str, options: ReadOptions, json: bool) -> bool:
    """Whether plain text, or JSON lines, are to be read as conversations; what is asked for comes before what they look like."""
    if options.kind == "dialogue":
        return True
    if json:  # lines that hold nothing but turns are nothing else, whatever was asked for
        return talks.told_in_json(raw, where, alone=options.kind is not None)
    return options.kind is None and isinstance(raw, bytes) and talks.told_in_text(idx.unzip(raw, where))


def _bytes(path: Path, most: int = -1) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; check its rights") from error


def _partners(path: Path) -> list[str]:
    """The labels of an idx file of pictures, and for `train` the test set beside it."""
    names = [p.name for p in path.parent.iterdir()]
    hit = idx.IMAGES.match(path.name)
    others = idx.image_files(names) if hit and hit["side"] == "train" else {}
    wanted = [path.name, *(n for side, n in others.items() if side != "train")]
    return [n for n in (*wanted[1:], *(idx.labels_file(w, names) for w in wanted)) if n]


def _open_container(path: Path, options: ReadOptions) -> Source:
    container = open_container(path)
    name = path.resolve().name.split(".")[0] or "data"
    names = [e.name for e in container.entries]
    if not names:
        outside = f" ({count(len(container.left_out), 'link')} out of it not followed)" if container.left_out else ""
        raise DataError(f"{path} is empty{outside}; put pictures into it or name another")
    pictures = [e for e in container.entries if e.ending in PICTURES]
    scans = _scan_files(container, len(pictures))
    if scans:
        return _scans(container, scans, name, options)
    if pictures:
        return _pictures(container, pictures, name, options)
    if idx.image_files(names):
        entries = {e.name: e for e in container.entries}
        return idx.gather(name, str(path), names, lambda n: read_one(container, entries[n]))
    return _open_inner(container, path, name, options)


def _open_inner(container: Container, path: Path, name: str, options: ReadOptions) -> Source:
    """A folder or archive without pictures: the data file in it, if there is one (or shards of one)."""
    if path.is_dir() and (joined := joining.tables_of(path, name, [e.name for e in container.entries], options)) is not None:
        return joined
    shards = [e for e in container.entries if e.ending == ".parquet"]
    if shards and path.is_dir():
        return parquet.read_parquet([path / e.name for e in shards], str(path), options)
    if shards:
        raise DataError(f"the archive {path} holds Parquet files; unpack it and name the folder")
    data = [
        e for e in container.entries if e.name.lower().removesuffix(".gz").endswith((".npz", ".npy", ".csv", ".tsv"))
    ]
    if len(data) == 1:
        return _inner(container, data[0], options)
    text = [(path / e.name if path.is_dir() else read_one(container, e), e.name) for e in data if _is_table(e)]
    if len(text) == len(data) > 1 and (split := tables.read_split(text, name, str(path), options)) is not None:
        return split
    if data:
        raise DataError(f"{path} holds several data files ({some([e.name for e in data])}); name one of them")
    told = [(e.name, read_one(container, e)) for e in container.entries if e.name.lower().removesuffix(".gz").endswith(LINES)]
    if told and all(_told(content, file, options, json=True) for file, content in told):
        return talks.read(told, name, str(path))
    lines = [e for e in container.entries if e.name.lower().removesuffix(".gz").endswith(".txt")]
    if lines and options.kind == "dialogue":
        return talks.read([(e.name, read_one(container, e)) for e in lines], name, str(path))
    if lines:
        files = [(e.name, read_one(container, e)) for e in lines]
        found = styles.layout([e.name for e in lines], options)
        return text_files.read(files, name, str(path)) if found is None else styles.read(files, found, name, str(path))
    return Other(name, str(path), endings([e.name for e in container.entries]))


def _is_table(entry: Entry) -> bool:
    return entry.name.lower().removesuffix(".gz").endswith(TABLES)


def _inner(container: Container, entry: Entry, options: ReadOptions) -> Arrays | Columns:
    content, where = read_one(container, entry), f"{container.where}/{entry.name}"
    if entry.ending == ".npz":
        return arrays.read_npz(content, where)
    if entry.ending == ".npy":
        return arrays.read_npy(content, where)
    return tables.read_table(content, where, options)


def _pictures(container: Container, entries: Sequence[Entry], name: str, options: ReadOptions) -> Encoded:
    rows, kept, identity, others = _listed(container, entries, options)

    def stream(wanted: Sequence[int]) -> Iterator[tuple[int, Content]]:
        return container.stream([kept[i] for i in wanted])

    return replace(Encoded(name, container.where, group_by_name(rows, options.group), stream, identity), left_out=others)


def _scans(container: Container, entries: Sequence[Entry], name: str, options: ReadOptions) -> Scans:
    rows, kept, identity, others = _listed(container, entries, options, secret=True)

    def stream(wanted: Sequence[int]) -> Iterator[tuple[int, Content]]:
        return container.stream([kept[i] for i in wanted])

    largest = max((e.size for e in kept), default=0)
    return Scans(name, container.where, rows, stream, identity, largest, others)


def _scan_files(container: Container, pictures: int) -> list[Entry]:
    """DICOM and NIfTI files, if they are most of what there is to see; DICOM files may have no ending."""
    nameless = [e for e in container.entries if without_ending(e.name)]
    named = {e.name for e in container.entries if named_like_scan(e.name)}
    if len(named) + len(nameless) <= pictures:
        return []
    found = named | {nameless[i].name for i, head in _beginnings(container, nameless) if begins_like_dicom(head)}
    return [e for e in container.entries if e.name in found] if len(found) > pictures else []


def _beginnings(container: Container, entries: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
    """(position, at least the first 132 bytes) of each file; files in folders are not read further."""
    if not isinstance(container, Folder):
        yield from container.stream(entries)
        return
    for i, entry in enumerate(entries):
        yield i, _bytes(container.path / entry.name, 132)


def _listed(
    container: Container, entries: Sequence[Entry], options: ReadOptions, secret: bool = False
) -> tuple[Rows, list[Entry], str, tuple[str, ...]]:
    """(rows with their classes, the entry of each, what changes when a file does, the names of other files).  secret: notes name none."""
    rows = label_files.apply_labels(from_folders([e.name for e in entries]), options)
    by_name = {e.name: e for e in entries}
    kept = [by_name[n] for n in rows.names]
    if container.left_out:
        n = len(container.left_out)
        rows = rows.noted(
            f"{count(n, 'link')} out of {container.where} {'is' if n == 1 else 'are'} not followed: copy what they lead to into it"
        )
    identity = hashlib.sha256(repr([(e.name, e.size, e.stamp) for e in kept]).encode()).hexdigest()
    others = tuple(e.name for e in container.entries if e.name not in by_name)
    return rows.noted(unread(others, secret)), kept, identity, others
