"""Folders, zip and tar archives as the same thing: named files that can be read, never written to disk.

Members are named by relative POSIX paths.  Nothing outside is ever followed: absolute names, '..' and links in
archives are refused, links that lead out of a folder are left out.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Protocol

from rivalry.errors import DataError

KEEP_BYTES = 512 << 20
MEMBER_BYTES = 1 << 30
BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, NotImplementedError)
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

    Files of archives up to half a GiB are kept in memory from the listing on: a compressed archive has no random
    access.  Larger ones are read again from the start, once for each `stream`.
    """

    path: Path
    entries: tuple[Entry, ...]
    kept: dict[str, Content] = field(repr=False, default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return str(self.path)

    @classmethod
    def open(cls, path: Path) -> Tar:
        entries, kept, size = dict[str, Entry](), dict[str, Content](), 0
        try:
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    name = _safe_name(path, member.name)
                    if member.isdir() or is_junk(name):
                        continue
                    if not member.isfile() or member.islnk():
                        raise _refuse_link(path, member.name)
                    entries[name] = Entry(name, member.size, int(member.mtime))
                    size += member.size
                    if size <= KEEP_BYTES:
                        kept[name] = _content(archive, member)
                    else:
                        kept.clear()
        except BROKEN as error:
            raise _unreadable(path, error) from error
        return cls(path, tuple(sorted(entries.values(), key=lambda e: e.name)), kept)

    def stream(self, wanted: Sequence[Entry]) -> Iterator[tuple[int, Content]]:
        if all(entry.name in self.kept for entry in wanted):
            yield from ((i, self.kept[entry.name]) for i, entry in enumerate(wanted))
            return
        places = {entry.name: i for i, entry in enumerate(wanted)}
        with tarfile.open(self.path, "r|*") as archive:
            for member in archive:
                place = places.get(_safe_name(self.path, member.name))
                if place is not None and member.isfile():
                    yield place, _content(archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Content:
    stream = archive.extractfile(member)
    return _too_large(member.size) or (stream.read() if stream else Unreadable("it is no plain file"))


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
