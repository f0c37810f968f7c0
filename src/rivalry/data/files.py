"""Writing files so that a kill at any moment leaves the old one or the new one, never half of either."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from rivalry.errors import DataError


def write_atomic(path: Path, fill: Callable[[IO[bytes]], object]) -> Path:
    """Lets `fill` write to a file beside the path, then moves it into place.  Raises DataError if it cannot."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            fill(stream)
        os.replace(beside, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be written: {reason}; free some space or name another place") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def human_bytes(size: float) -> str:
    """1536 -> '1.5 KiB'."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def some(names: list[str] | tuple[str, ...], most: int = 3) -> str:
    """The first few names and how many more there are: 'a, b, c and 4 more'."""
    text = ", ".join(names[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def count(n: int, what: str, several: str = "") -> str:
    """'1 picture', '2 pictures', '12,000 pictures'."""
    return f"{n:,} {what if n == 1 else several or what + 's'}"
