"""What a user's data turn out to be once they are opened, before any kind of data has claimed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

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
    left_out: files that were not taken as pictures.
    """

    name: str
    where: str
    rows: Rows
    stream: Stream
    identity: str
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
    """A table: N rows of D named columns, each [N] of float64, or of str where it is not numeric."""

    name: str
    where: str
    rows: Rows
    header: tuple[str, ...]
    columns: tuple[Array, ...] = field(repr=False)


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


Source = Encoded | Arrays | Columns | Drawn | Other
