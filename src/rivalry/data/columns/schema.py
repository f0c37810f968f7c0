"""What the columns of a table mean, as a value and as a small TOML file that people correct."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import tomli_w

from rivalry.data.columns import dates
from rivalry.data.columns import declared as declaring
from rivalry.data.columns.declared import NOTHING, Declared, Prepared
from rivalry.data.columns.figures import Form
from rivalry.data.columns.roles import Roles
from rivalry.errors import DataError

Type = Literal["number", "category", "boolean", "date", "identifier", "text", "constant"]
TYPES: tuple[Type, ...] = get_args(Type)
LEARNED = ("number", "date", "category", "boolean")
CHANGEABLE = ("type", "step", "format", "low", "high", "spikes", "public", "shares", "quantiles")
SHOWN = ("levels", "missing")  # unless they declare something
SECTIONS = ("columns", "constraints", "records", "prepared")
HEAD = """\
# What the columns of the table mean.  Change what is wrong and hand the file back with --schema FILE.
# type: number, category, boolean, date (learned); identifier (made anew), constant (repeated), text (left out).
# numbers and dates: step (values are its multiples, 0: any; in seconds for dates), low and high (nothing beyond is
# written), spikes (single values that many rows have).  dates: format, as in strftime; of numbers how 1234.5 is
# written, such as '$1,234.5' or '1234,5 kg'.  levels and missing (a share)
# are shown only.  Columns may be left out: they are looked at anew.
# levels = ["a", "b"] declares the names there are, so that rare ones are kept; public = true takes nothing of the column from the
# rows (names of levels, or low and high, must be declared): docs/privacy.md.
# constraints: a list such as ["discharge >= admission", "fees + tax = total", "combinations(city, zip)",
# "pregnancies missing if sex=M"]; docs/tables.md tells what can be said.
"""


@dataclass(frozen=True)
class Field:
    """A column's meaning; None: to be decided from the data.

    step, low, high, spikes: of numbers and dates, in their units (dates: seconds since 1970 UTC).  format: of dates, and of numbers that are not plain.
    levels: distinct values; missing: share of the rows.  notes: what was decided, in sentences.  quotes: sentences that show
    cells; they are for the screen, and recorded nowhere.  by_rows: levels are numbered by their rows, as runs of reading 1 have
    them (`ReadOptions.reading`).  declared: what the schema says that else the rows would.
    """

    name: str
    type: Type
    step: float | None = None
    format: str | None = None
    low: float | None = None
    high: float | None = None
    spikes: tuple[float, ...] | None = None
    levels: int = 0
    missing: float = 0.0
    notes: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    by_rows: bool = False
    declared: Declared = NOTHING

    @property
    def learned(self) -> bool:
        return self.type in LEARNED


@dataclass(frozen=True)
class Schema:
    """The fields of a table, in its order, and its constraints (those that are proposed are written as a comment); of patient
    records, what their columns are for; what it cost to measure those that are 'paid'."""

    fields: tuple[Field, ...] = ()
    constraints: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    records: Roles | None = None
    prepared: Prepared | None = None

    def get(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name == name), None)

    def to_toml(self) -> str:
        columns = {f.name: _plain(f) for f in self.fields}
        head: dict[str, object] = {"constraints": list(self.constraints)} if self.constraints else {}
        head |= {} if self.records is None else {"records": self.records.plain()}
        head |= {} if self.prepared is None else {"prepared": self.prepared.plain()}
        proposed = tomli_w.dumps({"constraints": list(self.proposed)}) if self.proposed else ""
        comment = "".join(f"# {line}\n" for line in proposed.splitlines())
        if comment:
            comment = "# The data suggest these; take the signs before them away to have them:\n" + comment
        return HEAD + comment + "\n" + tomli_w.dumps(head | {"columns": columns})

    @classmethod
    def from_toml(cls, text: str, where: str = "the schema") -> Schema:
        """The inverse, of what may be changed: levels and missing are not read.  Raises DataError for what is no
        TOML, for unknown keys and types, and for values of the wrong kind."""
        try:
            plain = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise DataError(f"{where} is no TOML ({error}); mend that line") from error
        for k in plain:
            if k not in SECTIONS:
                raise DataError(f"{where} has the key {k!r}; {_nearest(k, SECTIONS)}")
        columns = plain.get("columns", {})
        if not isinstance(columns, dict) or not all(isinstance(v, dict) for v in columns.values()):
            raise DataError(f"{where} must hold a section [columns.NAME] for each column")
        rules = plain.get("constraints", [])
        if not isinstance(rules, list) or not all(isinstance(r, str) for r in rules):
            raise DataError(f"{where} has constraints = {rules!r}; give a list of strings, such as [\"discharge >= admission\"]")
        roles = Roles.read(plain["records"], where) if "records" in plain else None
        prepared = Prepared.read(plain["prepared"], where) if "prepared" in plain else None
        found = tuple(_field(name, section, where) for name, section in columns.items())
        paid = next((f.name for f in found if f.declared.public == "paid"), None)
        if (paid is None) != (prepared is None):
            raise DataError(
                f"{where} must hold [prepared] and columns with public = 'paid' together, as rivalry data prepare writes them; "
                "prepare the data anew"
            )
        return cls(found, tuple(rules), records=roles, prepared=prepared)

    @classmethod
    def read(cls, path: Path) -> Schema:
        """From a file.  Raises DataError if it cannot be read."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the schema {path} cannot be read ({error}); check its path") from error
        return cls.from_toml(text, f"the schema {path}")

    def check_columns(self, header: tuple[str, ...], where: str) -> None:
        """Raises DataError for a column of the schema that the table does not have."""
        for field in self.fields:
            if field.name not in header:
                hint = _nearest(field.name, header)
                raise DataError(f"the schema names a column {field.name!r} that {where} does not have; {hint}")


def _plain(field: Field) -> dict[str, object]:
    """The keys of a field that say something for its type."""
    out: dict[str, object] = {"type": field.type}
    if field.type in ("number", "date"):
        spikes = None if field.spikes is None else list(field.spikes)
        keys = {"step": field.step, "low": field.low, "high": field.high, "spikes": spikes}
        out |= {k: v for k, v in keys.items() if v is not None}
    if field.type in ("number", "date") and field.format:
        out["format"] = field.format
    return out | {"levels": field.levels, "missing": round(field.missing, 6)} | field.declared.plain()


def _field(name: str, section: Mapping[str, object], where: str) -> Field:
    place = f"{where}, column {name!r}"
    for k in section:
        if k not in CHANGEABLE + SHOWN:
            raise DataError(f"{place} has the key {k!r}; {_nearest(k, CHANGEABLE)}")
    kind = next((t for t in TYPES if t == section.get("type")), None)
    if kind is None:
        told = section.get("type", "nothing")
        raise DataError(f"{place} has the type {told!r}; {_nearest(str(told), TYPES)}")
    step, low, high = (_number(section, k, place) for k in ("step", "low", "high"))
    if step is not None and step < 0:
        raise DataError(f"{place} has the step {step:g}; give 0 or more")
    if low is not None and high is not None and low >= high:
        raise DataError(f"{place} has low {low:g} and high {high:g}; low must be less")
    form = section.get("format")
    if kind == "number" and isinstance(form, str):
        Form.read(form, place)
    elif form is not None and (not isinstance(form, str) or "%" not in form):
        raise DataError(f"{place} has the format {form!r}; write it as in strftime, such as '%Y-%m-%d'")
    found, spikes = declaring.declared(section, kind, place), _numbers(section, place)
    if found.public:
        declaring.check_public(place, kind, found, low, high, form)
        step, spikes = step if step is not None else (dates.step(form) if form else 0.0), spikes or ()
    return Field(name, kind, step, form, low, high, spikes, declared=found)


def _number(section: Mapping[str, object], key: str, place: str) -> float | None:
    value = section.get(key)
    if value is None:
        return None
    found = declaring.bound(value)
    if found is None:
        raise DataError(f"{place} has {key} = {value!r}; give a number, or a date without quotes")
    return found


def _numbers(section: Mapping[str, object], place: str) -> tuple[float, ...] | None:
    values = section.get("spikes")
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
        raise DataError(f"{place} has spikes = {values!r}; give a list of numbers")
    return tuple(sorted({float(v) for v in values}))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:20])}"
