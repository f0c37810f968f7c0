"""When visits were: which column says so, what it holds, and the order that follows from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rivalry.data.columns import dates
from rivalry.data.columns.cells import Cells, Floats, Index, Numbers, numeric, plain, spelled
from rivalry.data.columns.detect import detect, tokens
from rivalry.data.columns.fit import seconds
from rivalry.data.columns.schema import Field
from rivalry.data.words import count, some
from rivalry.errors import DataError

TIMES = {"time", "date", "day", "days", "week", "weeks", "month", "months", "year", "years", "datetime", "timestamp"}


def time_like(name: str, cells: Cells, wide: bool = True) -> bool:
    """A date (with or without a time of day), or a number that is named like a time and is no level."""
    found = detect(name, cells, None, "", wide)
    if found.type == "date":
        return not dates.is_clock(found.format or "%Y")
    whole = isinstance(cells, Numbers) or bool(plain(cells.words).all())
    return whole and bool(tokens(name) & TIMES)


def find_time(candidates: Sequence[tuple[str, Cells]], file: str, wide: bool = True) -> str:
    """The only column that can say when a visit was.  Raises DataError for none and for several."""
    found = [n for n, c in candidates if time_like(n, c, wide)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(f"no column of {file} looks like the time of a visit; name it with --time")
    raise DataError(f"{count(len(found), 'column')} of {file} could be the time of a visit ({some(found, 6)}); name one with --time")


def times_of(name: str, cells: Cells, asked: Field | None, file: str, wide: bool = True) -> tuple[Floats, Field]:
    """[V] numbers or seconds, and what the column is.  Raises DataError for cells without a time."""
    numbers = isinstance(cells, Numbers) or bool(plain(cells.words).all())
    if asked is None and numbers and not (isinstance(cells, Numbers) and cells.is_time):
        asked = Field(name, "number")
    when = detect(name, cells, asked, file, wide)
    if when.type not in ("number", "date"):
        words = spelled(cells)
        example = words.words[0].as_py() if len(words.words) else ""
        raise DataError(f"the column {name!r} of {file} holds {example!r}, which is no time; name another with --time")
    if when.type == "date" and dates.is_clock(when.format or "%Y"):
        raise DataError(f"the column {name!r} of {file} holds times of day, which do not say on which day a visit was; name a date with --time")
    values = seconds(cells, when.format or "") if when.type == "date" else numeric(cells).values
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        words = spelled(cells)
        code = int(words.codes[bad[0]])
        what = "is missing" if code < 0 else f"is {words.words[code].as_py()!r}, no {when.type}"
        like = f" like {when.format!r}" if when.format and code >= 0 else ""
        raise DataError(
            f"{count(len(bad), 'visit')} of {file} have no time: that of row {bad[0] + 1:,} in {name!r} {what}{like}; mend or "
            "remove them"
        )
    return values, when


def ordered(owner: Index, times: Floats) -> Index:
    """The order by patient, then by time, then as it was."""
    return np.lexsort((times, owner)).astype(np.int64)
