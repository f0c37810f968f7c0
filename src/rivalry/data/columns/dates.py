"""Dates and times in words: which format they have, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from rivalry.data.columns.cells import Floats, Words

DAY = 86_400.0
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y",
         "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d%b%Y")  # fmt: skip
_TIMES = ("", "T%H:%M:%S", " %H:%M:%S", "T%H:%M", " %H:%M", "T%H:%M:%SZ")
LIKE = r"^(\d{1,4}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{1,4}|[A-Za-z]{3,9} \d{1,2}, \d{4}|\d{1,2}[A-Za-z]{3}\d{4})([ T]\d|$)"
SHAPE = {
    "%Y": r"\d{4}", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}", "%H": r"\d{1,2}",
    "%M": r"\d{2}", "%S": r"\d{2}", ".": r"\.",
}  # fmt: skip
FORMATS = tuple(day + time for day in _DAYS for time in _TIMES)


def looks_like(words: Any) -> float:
    """The share of the words that are built like a date."""
    import pyarrow.compute as compute

    hits = compute.match_substring_regex(words, LIKE).to_numpy(zero_copy_only=False)
    return float(hits.mean()) if len(hits) else 0.0


def parse(words: Any, form: str) -> Floats:
    """[K] seconds since 1970 UTC, NaN for words that are no date of this format."""
    import pyarrow.compute as compute

    pattern = form
    for sign, shape in ((".", SHAPE["."]), *((k, v) for k, v in SHAPE.items() if k != ".")):
        pattern = pattern.replace(sign, shape)
    built = compute.match_substring_regex(words, f"^{pattern}$")  # strptime alone takes '14' for the year 0014
    times = compute.strptime(words, format=form, unit="s", error_is_null=True)
    built = compute.and_(compute.and_(built, times.is_valid()), _same(words, compute.strftime(times, format=form)))
    there = built.fill_null(False).to_numpy(zero_copy_only=False)
    seconds = times.fill_null(0).cast("int64").to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(there, seconds, np.nan)


def _same(words: Any, again: Any) -> Any:
    """[K]: are they the same up to leading zeros and capitals?  strptime takes the 30th of February for the 1st of March."""
    import pyarrow.compute as compute

    plain = [compute.replace_substring_regex(compute.utf8_lower(w), r"(^|[^0-9])0+([0-9])", r"\1\2") for w in (words, again)]
    return compute.equal(*plain)


def find(cells: Words) -> tuple[str, bool]:
    """(the format that reads most of the cells, whether another with day and month the other way would do as well).

    '' if none reads more than nine in ten.  01/02/2020 is taken for the 2nd of January only if no cell says otherwise.
    """
    if not len(cells.words) or looks_like(cells.words) <= 0.5:
        return "", False
    counts = cells.counts()
    trial = cells.words.slice(0, 1000)
    formats = [f for f in FORMATS if np.isfinite(parse(trial, f)).mean() > 0.5]
    shares = {f: float(counts[np.isfinite(parse(cells.words, f))].sum() / counts.sum()) for f in formats}
    best = max(shares.values(), default=0.0)
    if best <= 0.9:
        return "", False
    winners = [f for f in formats if shares[f] == best]
    slashed = [f for f in winners if f.startswith("%m/")]
    return (slashed or winners)[0], len(winners) > 1


def step(form: str) -> float:
    """A day, a minute or a second: what the format can tell apart, in seconds."""
    return 1.0 if "%S" in form else 60.0 if "%M" in form else DAY


def write(seconds: Floats, form: str) -> Any:
    """[N] seconds since 1970 UTC -> an Arrow array of strings, null for NaN."""
    import pyarrow as arrow
    import pyarrow.compute as compute

    gone = np.isnan(seconds)
    whole = np.where(gone, 0, seconds).round().astype(np.int64)
    return compute.strftime(arrow.array(whole, arrow.timestamp("s"), mask=gone), format=form)
