"""Small words for notes and errors."""

from __future__ import annotations

from collections.abc import Sequence

UNREAD = (".heic", ".heif", ".hif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".psd", ".svg")
"""Endings of pictures that people have and that are not read: telephones' and cameras' own formats, and drawings."""


def unread(names: Sequence[str], secret: bool = False) -> str:
    """What to say of pictures among the files that no reader is there for, '' if there are none.  secret: files may be called after people."""
    found = [n for n in names if n.lower().endswith(UNREAD)]
    if not found:
        return ""
    which = "" if secret else f" ({some(found)})"
    return f"{count(len(found), 'picture')} of a format that is not read{which}: left out; convert to JPEG, PNG or TIFF first"


def human_bytes(size: float) -> str:
    """1536 -> '1.5 KiB'."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few names and how many more there are: 'a, b, c and 4 more'."""
    text = ", ".join(names[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def count(n: int, what: str) -> str:
    """'1 picture', '2 pictures', '12,000 pictures', '0 copies'."""
    if n == 1:
        return f"1 {what}"
    return f"{n:,} {what[:-1]}ies" if what.endswith("y") else f"{n:,} {what}{'es' if what.endswith('s') else 's'}"
