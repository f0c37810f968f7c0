"""Folders, zip and tar archives as the same thing: named files that can be read, never written to disk.

Members are named by relative POSIX paths.  Nothing outside is ever followed: absolute names, '..' and links in
archives are refused, links that lead out of a folder are left out.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from rivalry.errors import DataError

KEEP_BYTES = 512 << 20
MEMBER_BYTES = 1 << 30
BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError)
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}
JUNK_FOLDERS = {"__MACOSX", "__pycache__"}
JUNK_FILES = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Entry:
    """A file in a container: relative POSIX name, size in bytes, a number that changes when it is rewritten."""

    name: str
    size: int
    stamp: int = 0

    @property
    def ending(self) -> str:
        """The lower-case ending with its dot, '' if there is none."""
        return PurePosixPath(self.name).suffix.lower()


class Unreadable(str):
    """Stands in for a file's content: why it could not be read."""


Content = bytes | Unreadable


class Container(Protocol):
    """Files with names; `entries` are sorted by name."""

    @property
    def where(self) -> str: ...

    @property
    def entries(self) -> tuple[Entry, ...]: ...

    @property
    def left_out(self) -> tuple[str, ...]: ...

    def stream(self, wanted: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
        """(position in `wanted`, content) of each, in the order that is cheapest for the container."""


def read_one(container: Container, entry: Entry) -> bytes:
    """The content of one file; raises DataError if it cannot be read."""
    content = next(content for _, content in container.stream([entry]))
    if isinstance(content, Unreadable):
        raise DataError(f"{entry.name} in {container.where} cannot be read: {content}; copy or download it again")
    return content


def is_junk(name: str) -> bool:
    """Hidden files, and what operating systems leave lying about."""
    parts = PurePosixPath(name).parts
    hidden = any(p.startswith(".") or p in JUNK_FOLDERS for p in parts)
    return hidden or not parts or parts[-1].lower() in JUNK_FILES


@dataclass(frozen=True)
class Folder:
    """All files below a folder on disk."""

    path: Path
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return str(self.path)

    @classmethod
    def open(cls, path: Path) -> Folder:
        root, outside = path.resolve(), list[str]()
        try:
            entries = sorted(_walk(root, root, outside), key=lambda e: e.name)
        except OSError as error:
            raise DataError(
                f"the folder {path} cannot be read: {error.strerror or error}; check its rights"
            ) from error
        return cls(path, tuple(entries), tuple(sorted(outside)))

    def stream(self, wanted: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
        for i, entry in enumerate(wanted):
            try:
                yield i, _too_large(entry.size) or (self.path / entry.name).read_bytes()
            except OSError as error:
                yield i, Unreadable(error.strerror or str(error))


def _walk(folder: Path, root: Path, outside: list[str]) -> Iterator[Entry]:
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        path = Path(item.path)
        name = path.relative_to(root).as_posix()
        if is_junk(name):
            continue
        if item.is_symlink() and not path.resolve().is_relative_to(root):
            outside.append(name)
        elif item.is_dir(follow_symlinks=False):
            yield from _walk(path, root, outside)
        elif item.is_file():
            stat = item.stat()
            yield Entry(name, stat.st_size, stat.st_mtime_ns)


def _too_large(size: int) -> Unreadable | None:
    return Unreadable("it is larger than 1 GiB") if size > MEMBER_BYTES else None


def _safe_name(archive: Path, name: str) -> str:
    """The member's name as a relative path; raises DataError if it leads out of the archive."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    drive = bool(parts) and parts[0].endswith(":")
    if plain.startswith("/") or drive or ".." in parts:
        raise DataError(
            f"the archive {archive} has a member named {name!r}, which leads out of it; "
            "unpack it somewhere safe, look at it, and name that folder"
        )
    return PurePosixPath(plain).as_posix()


def _refuse_link(archive: Path, name: str) -> DataError:
    return DataError(
        f"the archive {archive} has a link named {name!r}, and links in archives are not followed; "
        "pack it again with the files themselves (tar --dereference)"
    )


def _unreadable(path: Path, error: BaseException) -> DataError:
    return DataError(
        f"the archive {path} cannot be read ({error or type(error).__name__}); download or pack it again"
    )


@dataclass(frozen=True)
class Zip:
    """The files in a zip archive."""

    path: Path
    entries: tuple[Entry, ...]
    members: dict[str, str]
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return str(self.path)

    @classmethod
    def open(cls, path: Path) -> Zip:
        entries, members = [], {}
        try:
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    name = _safe_name(path, info.filename)
                    if info.is_dir() or is_junk(name):
                        continue
                    if (info.external_attr >> 16) & 0o170000 == 0o120000:
                        raise _refuse_link(path, info.filename)
                    if info.flag_bits & 1:
                        raise DataError(f"the archive {path} is encrypted; unpack it and name the folder")
                    entries.append(Entry(name, info.file_size, info.CRC))
                    members[name] = info.filename
        except BROKEN as error:
            raise _unreadable(path, error) from error
        return cls(path, tuple(sorted(entries, key=lambda e: e.name)), members)

    def stream(self, wanted: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
        with zipfile.ZipFile(self.path) as archive:
            for i, entry in enumerate(wanted):
                try:
                    yield i, _too_large(entry.size) or archive.read(self.members[entry.name])
                except BROKEN as error:
                    yield i, Unreadable(str(error) or type(error).__name__)


@dataclass(frozen=True)
class Tar:
    """The files in a tar archive, compressed or not.

    Compressed archives have no random access: up to half a GiB of them is inflated into memory (`inflated`); larger
    ones are read again from the start, once for each `stream`.  spans: name -> (offset, size), None for the latter.
    """

    path: Path
    entries: tuple[Entry, ...]
    spans: dict[str, tuple[int, int]] | None = field(repr=False, default=None)
    inflated: bytes | None = field(repr=False, default=None)
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return str(self.path)

    @classmethod
    def open(cls, path: Path) -> Tar:
        entries, spans = dict[str, Entry](), dict[str, tuple[int, int]]()
        try:
            inflated, direct = _inflate(path)
            with _open_tar(path, inflated, direct) as archive:
                for member in archive:
                    name = _safe_name(path, member.name)
                    if member.isdir() or is_junk(name):
                        continue
                    if not member.isfile() or member.islnk() or member.issparse():
                        raise _refuse_link(path, member.name)
                    entries[name] = Entry(name, member.size, int(member.mtime))
                    spans[name] = (member.offset_data, member.size)
        except BROKEN as error:
            raise _unreadable(path, error) from error
        files = tuple(sorted(entries.values(), key=lambda e: e.name))
        return cls(path, files, spans if direct else None, inflated)

    def stream(self, wanted: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
        if self.spans is None:
            yield from self._sequential(wanted)
            return
        with self.path.open("rb") if self.inflated is None else io.BytesIO(self.inflated) as archive:
            for i, entry in enumerate(wanted):
                offset, size = self.spans[entry.name]
                archive.seek(offset)
                yield i, _too_large(size) or archive.read(size)

    def _sequential(self, wanted: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
        places = {entry.name: i for i, entry in enumerate(wanted)}
        with tarfile.open(self.path, "r|*") as archive:
            for member in archive:
                place = places.get(_safe_name(self.path, member.name))
                content = archive.extractfile(member) if place is not None and member.isfile() else None
                if place is not None and content is not None:
                    yield place, _too_large(member.size) or content.read()


def _inflate(path: Path) -> tuple[bytes | None, bool]:
    """(the archive inflated, does it have random access): (None, True) if it is not compressed, (None, False) if it
    is too large inflated."""
    with path.open("rb") as plain:
        head = plain.read(6)
    opener = next((o for magic, o in COMPRESSED.items() if head.startswith(magic)), None)
    if opener is None:
        return None, True
    with opener(path) as stream:
        content: bytes = stream.read(KEEP_BYTES + 1)
    return (content, True) if len(content) <= KEEP_BYTES else (None, False)


def _open_tar(path: Path, inflated: bytes | None, direct: bool) -> tarfile.TarFile:
    if inflated is not None:
        return tarfile.open(fileobj=io.BytesIO(inflated), mode="r:")
    return tarfile.open(path, "r:") if direct else tarfile.open(path, "r|*")


def is_archive(path: Path) -> bool:
    """By its name: a zip or tar archive."""
    name = path.name.lower()
    tars = (".tar", ".tgz", ".txz", ".tbz2", ".tar.gz", ".tar.xz", ".tar.bz2")
    return name.endswith((".zip", *tars))


def open_container(path: Path) -> Container:
    """The folder or archive; raises DataError where it cannot be read or is unsafe."""
    if path.is_dir():
        return Folder.open(path)
    return Zip.open(path) if path.name.lower().endswith(".zip") else Tar.open(path)
