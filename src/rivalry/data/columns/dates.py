"""Dates and times in words: which format they have, and back.

A format is written as for strftime, with two additions: '%3f' are so many digits of a fraction, and '%-d' (also of months and hours) has no
leading zero.  One without a day is a time of day, in seconds since midnight; one that ends like '+02:00' is written at that offset,
whatever the offsets of the cells that were read: all seconds are UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from rivalry.data.columns.cells import MOSTLY, Floats, Index, Words

DAY = 86_400.0
WINDOW = "1969 to 2068"
"""What two digits of a year stand for (POSIX)."""
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y",
         "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d%b%Y")  # fmt: skip
_SHORT = ("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d", "%d-%b-%y", "%d %b %y", "%d%b%y")
_TIMES = ("", "T%H:%M:%S", " %H:%M:%S", "T%H:%M", " %H:%M", "T%H:%M:%SZ")
_HALVES = (" %I:%M %p", " %I:%M:%S %p")
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
LIKE = r"^(\d{1,4}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{1,4}|[A-Za-z]{3,9} \d{1,2}, \d{4}|\d{1,2}[A-Za-z]{3}\d{2,4})([ T]\d|$)"
LIKE_CLOCK = r"^\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?( [AaPp][Mm])?$"
SHAPE = {
    "%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{1,2}", "%d": r"\d{1,2}", "%b": "[A-Za-z]{3}", "%B": "[A-Za-z]{3,9}", "%H": r"\d{1,2}",
    "%I": r"\d{1,2}", "%M": r"\d{2}", "%S": r"\d{2}", "%p": "[AaPp][Mm]", ".": r"\.",
}  # fmt: skip
FORMATS = tuple(day + time for day in _DAYS for time in _TIMES)
OFFSET = r"[+-]\d{2}(?::?\d{2})?"
FRACTION = re.compile(r"\.%(\d)f")
TOKEN = re.compile(r"%-?[A-Za-z]|%\df|[^%]+")
TAILS = rf"^(?P<base>.*?)(?P<part>\.\d{{1,9}})?(?P<zone>{OFFSET}|Z)?$"
FINEST = 6
"""Digits of a fraction that are learned; further ones are written as zeros."""


@dataclass(frozen=True)
class _Form:
    """A format, taken apart: what strptime reads (without signs for padding), digits of a fraction, what ends it ('Z', '+02:00' or
    ''), and that offset in seconds."""

    plain: str
    digits: int = 0
    zone: str = ""
    offset: float = 0.0

    @classmethod
    def of(cls, form: str) -> _Form:
        found = FRACTION.search(form)
        digits = int(found[1]) if found else 0
        form = FRACTION.sub("", form).replace("%-", "%")
        zone = re.search(rf"(?:{OFFSET}|Z)$", form) if "%M" in form else None
        if zone is None:
            return cls(form, digits)
        return cls(form[: zone.start()], digits, zone[0], _seconds_of(zone[0]))

    @property
    def clock(self) -> bool:
        return not re.search("%[YymdbB]", self.plain)


def _seconds_of(zone: str) -> float:
    """Of '+02:00', '-0330', '+02' or 'Z'.

    >>> _seconds_of("-0330"), _seconds_of("+02")
    (-12600.0, 7200.0)
    """
    if zone in ("", "Z"):
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[3:].replace(":", "") or 0)
    return (-1.0 if zone[0] == "-" else 1.0) * (3600 * hours + 60 * minutes)


def is_clock(form: str) -> bool:
    """Is it a time of day, without a date?"""
    return _Form.of(form).clock


def short_years(form: str) -> bool:
    return "%y" in form


def looks_like(words: Any, pattern: str = LIKE) -> float:
    """The share of the words that are built like a date."""
    import pyarrow.compute as compute

    hits = compute.match_substring_regex(words, pattern).to_numpy(zero_copy_only=False)
    return float(hits.mean()) if len(hits) else 0.0


def parse(words: Any, form: str) -> Floats:
    """[K] seconds since 1970 UTC (of a time of day, since midnight), NaN for words that are no date of this format."""
    import pyarrow.compute as compute

    told = _Form.of(form)
    plain, more = told.plain, np.zeros(len(words))
    if told.digits or told.zone:
        tails = _Tails.of(words)
        fits = np.array([_style(z) == _style(told.zone) for z in tails.zones], dtype=bool)[tails.zone]
        more = tails.fraction - np.array([_seconds_of(z) for z in tails.zones])[tails.zone]
        words = compute.if_else(_array(fits), tails.base, None)
    if told.clock:
        words, plain = compute.binary_join_element_wise("1970-01-01", words, " "), f"%Y-%m-%d {plain}"
    return _whole(words, plain) + more


def _whole(words: Any, form: str) -> Floats:
    """[K] whole seconds of words in a format that strptime knows."""
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


@dataclass(frozen=True)
class _Tails:
    """Of K words: base, without what stands behind their seconds; the fractions of these, and the most digits of any; numbers of their
    offsets ('' for none).  A word without a colon has neither."""

    base: Any
    fraction: Floats
    digits: int
    zone: Index
    zones: tuple[str, ...]

    @classmethod
    def of(cls, words: Any) -> _Tails:
        import pyarrow as arrow
        import pyarrow.compute as compute

        timed = compute.match_substring(words, ":")
        found = compute.extract_regex(compute.if_else(timed, words, None), pattern=TAILS)
        base = compute.coalesce(compute.struct_field(found, "base").cast(arrow.string()), words)
        part, zone = (compute.coalesce(compute.struct_field(found, name).cast(arrow.string()), "") for name in ("part", "zone"))
        digits = max(0, int(compute.max(compute.utf8_length(part)).as_py() or 0) - 1)
        fraction = compute.if_else(compute.equal(part, ""), "0", part).cast(arrow.float64()).to_numpy(zero_copy_only=False)
        coded = zone.dictionary_encode()
        return cls(base, fraction, digits, coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), tuple(coded.dictionary.to_pylist()))


def _style(zone: str) -> str:
    return "" if not zone else "Z" if zone == "Z" else ":" if ":" in zone else str(len(zone))


@dataclass(frozen=True)
class Found:
    """form: '' for what is no date.  unclear: another with day and month the other way would do as well.  offsets: how many there are."""

    form: str = ""
    unclear: bool = False
    offsets: int = 0


def find(cells: Words, wide: bool = True) -> Found:
    """The format that reads more than nine in ten of the cells.

    wide: also times of day, years of two digits, halves of a day, fractions of a second and offsets, and whether zeros lead.
    01/02/2020 is taken for the 2nd of January only if no cell says otherwise.
    """
    if not len(cells.words):
        return Found()
    clock = wide and looks_like(cells.words, LIKE_CLOCK) > 0.5
    if not clock and looks_like(cells.words) <= 0.5:
        return Found()
    if not wide:
        return _best(cells, cells.words, FORMATS)
    tails, counts = _Tails.of(cells.words), cells.counts()
    often = dict(zip(tails.zones, np.bincount(tails.zone, weights=counts, minlength=len(tails.zones)).tolist(), strict=True))
    styles = {s: sum(n for z, n in often.items() if _style(z) == s) for s in {_style(z) for z in often}}
    style = max(sorted(styles), key=lambda s: styles[s])
    times = (*(t for t in _TIMES if not t.endswith("Z")), *_HALVES)
    forms = CLOCKS if clock else tuple(day + time for day in (*_DAYS, *_SHORT) for time in times)
    forms = tuple(f for f in forms if (not tails.digits or f.endswith("%S")) and (not style or "%M" in f))
    found = _best(cells, tails.base, forms)
    if not found.form:
        return found
    fraction = f".%{tails.digits}f" if tails.digits else ""
    zones = sorted(z for z in often if z and _style(z) == style)
    form = _unpadded(found.form, tails.base) + fraction + (max(zones, key=lambda z: often[z]) if zones else "")
    if counts[np.isfinite(parse(cells.words, form))].sum() <= MOSTLY * counts.sum():
        return Found()
    return Found(form, found.unclear, len(zones))


def _best(cells: Words, words: Any, forms: tuple[str, ...]) -> Found:
    counts = cells.counts()
    trial = words.slice(0, 1000)
    formats = [f for f in forms if np.isfinite(parse(trial, f)).mean() > 0.5]
    shares = {f: float(counts[np.isfinite(parse(words, f))].sum() / counts.sum()) for f in formats}
    best = max(shares.values(), default=0.0)
    if best <= MOSTLY:
        return Found()
    winners = [f for f in formats if shares[f] == best]
    slashed = [f for f in winners if f.startswith("%m/")]
    return Found((slashed or winners)[0], len(winners) > 1)


def _unpadded(form: str, words: Any) -> str:
    """The format with '%-d' where days, months or hours below ten have no leading zero in the words."""
    import pyarrow.compute as compute

    read = parse(words, form)
    kept, seconds = words.filter(_array(np.isfinite(read))), read[np.isfinite(read)]
    bare = (re.sub(f"%([{signs}])", r"%-\1", form) for signs in ("dm", "HI", "dmHI"))
    shares = {f: float(compute.mean(compute.equal(write(seconds, f), kept)).as_py() or 0) for f in dict.fromkeys((form, *bare))}
    return max(shares, key=lambda f: shares[f])


def step(form: str) -> float:
    """A day, a minute, a second or a decimal fraction of it: what the format can tell apart, in seconds."""
    digits = _Form.of(form).digits
    if digits:
        return float(f"1e-{min(digits, FINEST)}")
    return 1.0 if "%S" in form else 60.0 if "%M" in form else DAY


COARSER = (5.0, 10.0, 15.0, 30.0, 60.0, 300.0, 600.0, 900.0, 1800.0, *(3600.0 * h for h in (1, 2, 3, 4, 6, 8, 12)), DAY)
"""Steps that people keep times in, each in seconds."""
TELLING = 5
"""Different values that must be multiples of such a step before it is taken for more than chance."""


def kept_step(form: str, values: Floats) -> float:
    """The step that times [N] of a format are kept in: the format's own, or the coarsest of COARSER that all of them are multiples of.

    >>> kept_step("%H:%M", np.array([900.0, 0.0, 2700.0, 3600.0, 8100.0])), kept_step("%Y-%m-%d", np.arange(9) * 7 * DAY)
    (900.0, 86400.0)
    """
    own, times = step(form), np.unique(values[np.isfinite(values)])
    if len(times) < TELLING:
        return own
    longest = DAY / 2 if is_clock(form) else DAY
    return max((s for s in COARSER if own < s <= longest and bool((times % s == 0).all())), default=own)


def write(seconds: Floats, form: str) -> Any:
    """[N] seconds since 1970 UTC -> an Arrow array of strings, null for NaN."""
    import pyarrow.compute as compute

    told = _Form.of(form)
    seconds = seconds + told.offset
    if not told.digits and "%-" not in form:
        return compute.strftime(_moments(seconds), format=told.plain + told.zone)
    scale = 10 ** min(told.digits, FINEST)
    gone = np.isnan(seconds)
    ticks = np.where(gone, 0, np.rint(seconds * scale)).astype(np.int64)
    moments = _moments(np.where(gone, np.nan, np.floor_divide(ticks, scale)))
    parts = [_piece(token, moments, ticks % scale) for token in TOKEN.findall(form)]
    return compute.binary_join_element_wise(*parts, "")


def _piece(token: str, moments: Any, fraction: Any) -> Any:
    import pyarrow as arrow
    import pyarrow.compute as compute

    if not token.startswith("%"):
        return token
    if token.endswith("f"):
        digits = int(token[1])
        shown = np.char.ljust(np.char.zfill(fraction.astype(str), min(digits, FINEST)), digits, "0")
        return arrow.array(shown.tolist(), arrow.string())
    if not token.startswith("%-"):
        return compute.strftime(moments, format=token)
    return compute.replace_substring_regex(compute.strftime(moments, format=f"%{token[2]}"), r"^0(\d)", r"\1")


def _moments(seconds: Floats) -> Any:
    import pyarrow as arrow

    gone = np.isnan(seconds)
    return arrow.array(np.where(gone, 0, seconds).round().astype(np.int64), arrow.timestamp("s"), mask=gone)


def axis(seconds: Floats) -> list[str]:
    """Short words for the ticks [n] of an axis: times of day within the first day of 1970, else months."""
    clock = len(seconds) > 0 and seconds.min() >= 0 and seconds.max() <= DAY
    words: list[str] = write(np.minimum(seconds, DAY - 1) if clock else seconds, "%H:%M" if clock else "%Y-%m").to_pylist()
    return words


def _array(values: object) -> Any:
    import pyarrow as arrow

    return arrow.array(values)
