"""What a column means, found from its cells; every decision can be corrected by a schema."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from rivalry.data.columns import dates, figures
from rivalry.data.columns.cells import MOSTLY, Cells, Floats, Numbers, Words, numeric, padded, plain, spelled
from rivalry.data.columns.figures import Form
from rivalry.data.columns.schema import Field
from rivalry.data.words import count, some
from rivalry.errors import DataError

FEW = 10
UNIQUE = 0.98
SOME = 20
SPIKE, FEWEST = 0.03, 5
BOOLEANS = ({"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"on", "off"}, {"0", "1"})
KEYS = {"id", "ids", "uuid", "guid", "key", "ssn", "mrn", "email", "mail", "rownames", "rowname", "unnamed"}
CODES = {"code", "codes", "zip", "zipcode", "postcode", "postal", "icd", "plz"}
UUID = r"^\{?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


def detect(name: str, cells: Cells, asked: Field | None, where: str, wide: bool = True) -> Field:
    """The column's field; `asked` (from a schema) goes before what the cells suggest.  wide: times of day, two-digit years, fractions of
    seconds and offsets too (`ReadOptions.reading` 3).

    Raises DataError where the cells cannot be what was asked.
    """
    levels = _distinct(cells)
    field = asked if asked is not None else _decide(name, cells, levels, wide)
    field = replace(field, name=name, levels=levels, missing=float(cells.missing.mean()))
    if field.type == "number":
        return _number(field, cells, asked is not None, where)
    if field.type == "date":
        return _date(field, cells, asked is not None, where, wide)
    return field


def looked(name: str, cells: Cells, asked: Field | None, where: str, wide: bool = True) -> tuple[Field, Cells]:
    """As `detect`, for numbers that are written with units, currency, thousands apart or decimal commas too: (the field, its cells as
    plain numbers)."""
    field, bare = measured(name, cells, asked, where, wide)
    return (field if field.type == "number" and field.format else _unless_key(field, cells, asked)), bare


def measured(name: str, cells: Cells, asked: Field | None, where: str, wide: bool = True) -> tuple[Field, Cells]:
    """As `looked`, without asking whether whole numbers that are all different are identifiers."""
    if not isinstance(cells, Words) or (asked is not None and asked.type != "number"):
        return detect(name, cells, asked, where, wide), cells
    form, unclear = (Form.read(asked.format, f"the column {name!r}"), False) if asked is not None and asked.format else figures.find(cells)
    if form is None:
        return detect(name, cells, asked, where, wide), cells
    bare = figures.plain_cells(cells, form.text())
    field = detect(name, bare, asked, where, wide)
    if field.type != "number":  # a few values are levels, and stay as they are spelled
        return detect(name, cells, asked, where, wide), cells
    note = f"the numbers of {name!r} are written like {form.text()!r}" + (": a comma parts thousands, not decimals" if unclear else "")
    return replace(field, format=form.text(), notes=(*field.notes, note)), bare


def _unless_key(field: Field, cells: Cells, asked: Field | None) -> Field:
    """An identifier where a column of whole numbers, all different, is named like a key or ascends from row to row."""
    there = int((~cells.missing).sum())
    if asked is not None or field.type not in ("number", "category") or field.step != 1 or there < FEW or field.levels < there:
        return field
    named, values = is_key(field.name), numeric(cells).values
    ascends = there >= SOME and there == len(cells) and bool((np.diff(values) > 0).all())
    if not (named or ascends):
        return field
    why = "is named like a key" if named else "ascends from row to row, all different"
    note = f"{field.name!r} {why}: made anew, never learned; a schema can say type = 'number'"
    return Field(field.name, "identifier", levels=field.levels, missing=field.missing, notes=(note,))


def _distinct(cells: Cells) -> int:
    return len(cells.words) if isinstance(cells, Words) else len(np.unique(cells.values[~cells.missing]))


def _decide(name: str, cells: Cells, levels: int, wide: bool) -> Field:
    there = int((~cells.missing).sum())
    if not there:
        return Field(name, "constant", notes=(f"the column {name!r} has no values: its cells stay empty",))
    if levels == 1 and there == len(cells):
        return Field(name, "constant")
    if isinstance(cells, Numbers) and cells.is_time:
        return Field(name, "date")
    numbers = _as_numbers(cells)
    if numbers is not None:
        return _numeric(name, cells, numbers, levels, there)
    words = spelled(cells)
    found = dates.find(words, wide)
    if found.form:
        return Field(name, "date", format=found.form, notes=_told(name, found))
    return _wordy(name, words, levels, there)


def _told(name: str, found: dates.Found) -> tuple[str, ...]:
    """What of a date's format one should know."""
    said = [f"the days and months of {name!r} can be read two ways: taken as {found.form}"] if found.unclear else []
    if dates.short_years(found.form):
        said.append(f"the years of {name!r} have two digits: read as {dates.WINDOW}; write four where that is wrong, as for dates of birth")
    if found.offsets > 1:
        said.append(f"the times of {name!r} have {found.offsets} offsets: the moments are kept, and all are written at the most frequent one, {found.form}")
    return tuple(said)


def _as_numbers(cells: Cells) -> Floats | None:
    """[N] if more than nine in ten of the cells that are there are numbers; codes with leading zeros are none."""
    if isinstance(cells, Numbers):
        return cells.values
    counts = cells.counts()
    if (counts * (plain(cells.words) & ~padded(cells.words))).sum() <= MOSTLY * counts.sum():
        return None
    return numeric(cells).values


def _numeric(name: str, cells: Cells, values: Floats, levels: int, there: int) -> Field:
    values = values[np.isfinite(values)]
    whole = bool(np.equal(values, np.round(values)).all())
    low, high = float(values.min()), float(values.max())
    if levels == 2 and (low, high) == (0, 1):
        return Field(name, "boolean")
    if is_key(name) and levels > max(50, there // 20) and whole:
        return _key(name, levels, there)
    if whole and there >= SOME and levels == there and high - low < 1.2 * there:
        return Field(name, "identifier", notes=(f"{name!r} numbers the rows: made anew, never learned",))
    if whole and (levels <= min(FEW, there // 5) or (tokens(name) & CODES and levels <= there // 2)) and levels > 1:
        note = f"the numbers of {name!r} are taken as {count(levels, 'category')}; a schema can say otherwise"
        return Field(name, "category", notes=(note,))
    return Field(name, "number")


def _wordy(name: str, cells: Words, levels: int, there: int) -> Field:
    lowered = {str(w).casefold() for w in cells.words.slice(0, 3).to_pylist()}
    if levels == 2 and lowered in BOOLEANS:
        return Field(name, "boolean")
    if there >= SOME and levels > UNIQUE * there and _coded(cells.words):
        return Field(name, "identifier", notes=(f"{name!r} names the rows: made anew, never learned",))
    if is_key(name) and levels > max(50, there // 20):
        return _key(name, levels, there)
    length = float(np.char.str_len(np.array(cells.words.slice(0, 5000).to_pylist(), dtype=np.str_)).mean())
    if there >= SOME and (levels > MOSTLY * there or (levels > there / 2 and length > 40)):
        note = f"the column {name!r} is free text: not learned, and left out of what is written (to learn it: --kind text --columns)"
        return Field(name, "text", notes=(note,))
    return Field(name, "category")


def _key(name: str, levels: int, there: int) -> Field:
    repeats = "" if levels == there else f" ({levels:,} values in {there:,} rows; the new ones are all different)"
    return Field(name, "identifier", notes=(f"{name!r} is named like a key: made anew, never learned{repeats}",))


def _coded(words: Any) -> bool:
    """Codes of one length without blanks but with digits, UUIDs, or e-mail addresses, nearly all of them."""
    import pyarrow.compute as compute

    def share(pattern: str) -> float:
        return float(compute.match_substring_regex(words, pattern).to_numpy(zero_copy_only=False).mean())

    lengths = compute.utf8_length(words).to_numpy(zero_copy_only=False)
    one_length = float((lengths == lengths[0]).mean())
    return share(UUID) > UNIQUE or share(EMAIL) > UNIQUE or (one_length > UNIQUE and share(r"^\S*\d\S*$") > UNIQUE)


def tokens(name: str) -> set[str]:
    """The words a name is made of: 'patientID' -> {'patient', 'id'}."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return {p.lower() for p in parts}


def is_key(name: str) -> bool:
    """Is a column of this name likely to name rows or people?  'RANDID' is, 'COVID' and 'paid' are not."""
    return bool(tokens(name) & KEYS) or (name.isupper() and name.endswith(("SUBJID", "RANDID", "PTID", "UID")))


def coarser(field: Field, cells: Cells, asked: Field | None) -> Field:
    """A date with the step that its times are kept in, such as a quarter of an hour, unless the schema says one."""
    if field.type != "date" or (asked is not None and asked.step is not None):
        return field
    form = field.format or ""
    values = cells.values[~cells.missing] if isinstance(cells, Numbers) else dates.parse(spelled(cells).words, form)
    step = dates.kept_step(form, values)
    if step == field.step:
        return field
    high = dates.DAY - step if dates.is_clock(form) and (asked is None or asked.high is None) else field.high
    note = f"the times of {field.name!r} are kept in steps of {_duration(step)}, and so they are written"
    return replace(field, step=step, high=high, notes=(*field.notes, note))


def _duration(seconds: float) -> str:
    """
    >>> _duration(900), _duration(3600), _duration(30), _duration(86400)
    ('15 minutes', '1 hour', '30 seconds', '1 day')
    """
    unit, word = next((u, w) for u, w in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")) if seconds >= u)
    return count(round(seconds / unit), word)


# -- numbers and dates ----------------------------------------------------------------------------------------------


def _number(field: Field, cells: Cells, asked: bool, where: str) -> Field:
    """The unit, the bounds and the spikes of a number, as far as the schema leaves them open."""
    values = numeric(cells).values
    stray = int((~np.isfinite(values) & ~cells.missing).sum())
    there = int((~cells.missing).sum())
    if asked and 2 * stray > there:
        words = spelled(cells).words
        first = words.filter(~plain(words))[0].as_py()
        raise DataError(
            f"the schema says that the column {field.name!r} of {where} holds numbers, but {stray:,} of its {there:,} "
            f"cells are none, such as {first!r}; say type = 'category'"
        )
    values = values[np.isfinite(values)]
    if stray:
        words = spelled(cells).words
        shown = some([repr(w) for w in words.filter(~plain(words)).slice(0, 3).to_pylist()])
        lost = f"{count(stray, 'cell')} of {field.name!r} that are no numbers count as missing"
        quotes = (*field.quotes, f"cells of {field.name!r} that are no numbers: {shown}")
        field = replace(
            field, notes=(*field.notes, lost), quotes=quotes, missing=field.missing + stray / max(len(cells), 1)
        )
    return _measured(field, values, step_of(values) if field.step is None else field.step, len(cells))


def _date(field: Field, cells: Cells, asked: bool, where: str, wide: bool) -> Field:
    """The same for a date.  Under a schema every cell must be one; else what is none counts as missing."""
    if isinstance(cells, Numbers) and cells.is_time:
        values = cells.values[~cells.missing]
        form = field.format or _stored(cells.dtype, values, wide)
    else:
        words = spelled(cells)
        form = field.format or dates.find(words, wide).form
        parsed = dates.parse(words.words, form) if form else np.full(len(words.words), np.nan)
        bad = np.flatnonzero(np.isnan(parsed))
        if len(bad) and asked:
            word = words.words[int(bad[0])].as_py()
            what = f"no date of the format {form!r}" if form else "no date of a known format"
            raise DataError(
                f"the column {field.name!r} of {where} holds {word!r}, which is {what}; "
                "mend the cell, give another format in the schema, or say type = 'category'"
            )
        values = parsed[np.isfinite(parsed)]
        values = np.repeat(values, words.counts()[np.isfinite(parsed)])
        field = _strays(field, words, bad)
    step = dates.step(form) if field.step is None else field.step
    field = replace(field, format=form)
    if form and dates.is_clock(form):  # a day has the same bounds whatever the rows are
        field = replace(field, low=0.0 if field.low is None else field.low, high=dates.DAY - step if field.high is None else field.high)
    return _measured(field, values, step, len(cells))


def _stored(dtype: str, values: Floats, wide: bool) -> str:
    """How times that a file holds as such are written: no finer than they are."""
    clock, zone = dtype.startswith("time") and not dtype.startswith("timestamp"), "+00:00" if wide and "tz=" in dtype else ""
    if not clock and np.equal(values % dates.DAY, 0).all():
        return "%Y-%m-%d"
    form = "%H:%M:%S" if clock else "%Y-%m-%d %H:%M:%S"
    whole = np.equal(values, np.round(values)).all()
    if clock and whole and np.equal(values % 60, 0).all():
        return "%H:%M"
    digits = next((d for d in (3, 6) if np.equal(values, np.round(values, d)).all()), dates.FINEST)
    return f"{form}{'' if whole or not wide else f'.%{digits}f'}{zone}"


def _strays(field: Field, words: Words, bad: Any) -> Field:
    if not len(bad):
        return field
    n = int(words.counts()[bad].sum())
    shown = some([repr(words.words[int(i)].as_py()) for i in bad[:3]])
    lost = f"{count(n, 'cell')} of {field.name!r} that are no dates count as missing"
    quotes = (*field.quotes, f"cells of {field.name!r} that are no dates: {shown}")
    return replace(field, notes=(*field.notes, lost), quotes=quotes, missing=field.missing + n / max(len(words), 1))


def _measured(field: Field, values: Floats, step: float, rows: int) -> Field:
    low, high = outwards(values)
    return replace(
        field,
        step=step,
        low=low if field.low is None else field.low,
        high=high if field.high is None else field.high,
        spikes=spikes_of(values, rows) if field.spikes is None else field.spikes,
    )


def step_of(values: Floats) -> float:
    """The largest unit of at most six decimals that all values are multiples of; 0 if there is none.

    >>> step_of(np.array([0.25, 1.5])), step_of(np.array([100.0, 250.0])), step_of(np.array([np.pi]))
    (0.25, 50.0, 0.0)
    """
    if not len(values) or np.abs(values).max() >= 2**53:
        return 0.0
    for decimals in range(7):
        if np.equal(values, np.round(values, decimals)).all():
            return float(int(np.gcd.reduce(np.rint(values * 10**decimals).astype(np.int64))) / 10**decimals)
    return 0.0


def outwards(values: Floats) -> tuple[float, float]:
    """Bounds of the values at round numbers, never below 0 if none is; an extreme that fewer than five rows have is no
    bound itself."""
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    unit = float(10.0 ** np.floor(np.log10((high - low) or abs(high) or 1.0)))
    bottom, top = float(np.floor(low / unit) * unit), float(np.ceil(high / unit) * unit)
    if bottom == low and low != 0 and (values == low).sum() < FEWEST:
        bottom -= unit
    if top == high and high != 0 and (values == high).sum() < FEWEST:
        top += unit
    bottom = max(bottom, 0.0) if low >= 0 else bottom
    return bottom, max(top, bottom + unit)


def spikes_of(values: Floats, rows: int) -> tuple[float, ...]:
    """Single values that more than 3 % of all rows have (and five at least), ascending."""
    found, times = np.unique(values, return_counts=True)
    often = found[(times > SPIKE * rows) & (times >= FEWEST)]
    return tuple(often.tolist())
