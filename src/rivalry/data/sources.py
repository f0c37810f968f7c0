"""What a user's data turn out to be once they are opened, before any kind of data has claimed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rivalry.data.columns.cells import Cells, Numbers, numeric, plain, spelled
from rivalry.data.containers import Content
from rivalry.data.rows import Rows
from rivalry.data.truths import Truth

Array = npt.NDArray[Any]
Stream = Callable[[Sequence[int]], Iterator[tuple[int, Content]]]


@dataclass(frozen=True)
class Encoded:
    """N pictures as the bytes of their files.

    stream: asked for row numbers, yields (position in what was asked, bytes) in the cheapest order.
    identity: changes when any of the files does, without reading them.
    left_out: files that were not taken as pictures.  packed: they are rows of a file, and have no names of their own.
    """

    name: str
    where: str
    rows: Rows
    stream: Stream
    identity: str
    left_out: tuple[str, ...] = ()
    packed: bool = False


@dataclass(frozen=True)
class Scans:
    """F files of medical images (DICOM, NIfTI) as their bytes; how many slices they hold is known once they are read.

    rows: of the files.  stream, identity, left_out: as in Encoded.  largest: bytes of the largest file.
    """

    name: str
    where: str
    rows: Rows
    stream: Stream
    identity: str
    largest: int = 0
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrays:
    """N rows as one array [N, ...]; the official split, if any, is in `rows.held`."""

    name: str
    where: str
    rows: Rows
    x: Array = field(repr=False)


@dataclass(frozen=True)
class Columns:
    """A table: N rows of named cells.

    rows: classes (of the label column) and groups, if there are any; aside: the names of those columns.  asked: the
    columns that the options name, () for all.
    """

    name: str
    where: str
    rows: Rows
    names: tuple[str, ...]
    cells: tuple[Cells, ...] = field(repr=False)
    aside: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """Without the columns that give classes and groups."""
        return tuple(n for n in self.names if n not in self.aside)

    @property
    def columns(self) -> tuple[Array, ...]:
        """The header's columns: [N] float64 if all cells are numbers (missing: NaN), else its distinct words."""
        kept = [c for n, c in zip(self.names, self.cells, strict=True) if n not in self.aside]
        return tuple(numeric(c).values if _is_numeric(c) else np.array(spelled(c).words.to_pylist()) for c in kept)

    @property
    def is_points(self) -> bool:
        """Are they (or those asked for) two or three columns of numbers without missing cells?"""
        wanted = self.asked or self.names
        chosen = [c for n, c in zip(self.names, self.cells, strict=True) if n in wanted]
        return 2 <= len(chosen) <= 3 and all(_is_numeric(c) and not c.missing.any() for c in chosen)

    @property
    def is_whole(self) -> bool:
        """Are all cells of its columns (or of those asked for) whole numbers?"""
        wanted = self.asked or self.names
        chosen = [numeric(c).values for n, c in zip(self.names, self.cells, strict=True) if n in wanted]
        return all(bool(np.equal(v, np.round(v)).all()) for v in chosen)


def _is_numeric(cells: Cells) -> bool:
    return not cells.is_time if isinstance(cells, Numbers) else bool(plain(cells.words).all())


@dataclass(frozen=True)
class Tables:
    """Several tables that share a key: patients, their visits, codes.  files: the name of each, as it was read."""

    name: str
    where: str
    files: tuple[str, ...]
    tables: tuple[Columns, ...]


@dataclass(frozen=True)
class Texts:
    """Lines of plain text.  rows: names say file and line; the official split, if file names give one.  broken: (place,
    reason) of lines that cannot be used.  styled: the classes of the rows are styles that texts are to be rewritten in."""

    name: str
    where: str
    rows: Rows
    lines: tuple[str, ...] = field(repr=False)
    broken: tuple[tuple[str, str], ...] = ()
    styled: bool = False


Talk = tuple[tuple[int, str], ...]
"""A conversation: (number of the speaker, what they say) of each turn."""


@dataclass(frozen=True)
class Talks:
    """Conversations of two turns or more.  rows: of conversations, their names say file and line; the official split, if file
    names give one.  broken: (place, reason) of those that cannot be used."""

    name: str
    where: str
    rows: Rows
    talks: tuple[Talk, ...] = field(repr=False)
    broken: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Drawn:
    """Points that are drawn from a density that is known."""

    name: str
    truth: Truth

    @property
    def where(self) -> str:
        return self.name


@dataclass(frozen=True)
class Other:
    """Files that no built-in reader knows; `holds` says what they are, for whoever may."""

    name: str
    where: str
    holds: str


Source = Encoded | Scans | Arrays | Columns | Tables | Texts | Talks | Drawn | Other
