"""What a page is made of.  Texts may hold **bold** and `code`, nothing else; everything is escaped where it is written."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Heading:
    """level: 1 for the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Items:
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """rows of cells under a head; notes below say how to read it.  title: may be empty."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG with the words that stand for it."""

    png: bytes = field(repr=False)
    alt: str
    caption: str


@dataclass(frozen=True)
class Listing:
    """Text to be shown letter by letter."""

    text: str


Block = Heading | Text | Items | Table | Picture | Listing
