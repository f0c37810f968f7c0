"""What a schema declares of a column, so that it need not be read off the rows: names of levels, bounds, shares, quantiles.

A column that is `public` takes nothing at all from the rows: a guarantee of differential privacy then covers it.  Where what
is declared was measured with noise (`rivalry data prepare`), the section [prepared] says what that cost.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Literal

import torch

from rivalry.data.columns.cells import Words
from rivalry.data.columns.codes import LevelCode, NumberCode
from rivalry.errors import DataError

Public = Literal["", "declared", "paid"]
OTHER = "other"
KNOTS = 65
"""Quantiles of a number of which only the bounds are declared."""
KEYS = ("public", "levels", "shares", "quantiles", "missing")


@dataclass(frozen=True)
class Declared:
    """levels: all names there are.  shares: of the options of a choice (a category's levels, or a number's 'ordinary', spikes;
    then 'missing', if cells may be).  quantiles: of ordinary numbers, at equal steps of rank from the least to the largest.
    gaps: may cells be missing?  public: nothing is read off the rows, as the user says ('declared') or because what stands here
    was paid for ('paid')."""

    levels: tuple[str, ...] | None = None
    shares: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    gaps: bool | None = None
    public: Public = ""

    def plain(self) -> dict[str, object]:
        out: dict[str, object] = {}
        if self.public:
            out["public"] = True if self.public == "declared" else "paid"
        if self.levels is not None:
            out["levels"] = list(self.levels)
        out |= {k: list(v) for k, v in (("shares", self.shares), ("quantiles", self.quantiles)) if v}
        return out if self.gaps is None else out | {"missing": self.gaps}


NOTHING = Declared()


@dataclass(frozen=True)
class Prepared:
    """What it cost to measure the columns of a schema that say public = "paid": a normal mechanism of this noise (its standard
    deviation over how far a row moves what is measured), besides the chance `names_delta` that a name or a single value shows
    which only one row has.  epsilon, delta: of all that by itself.  rows: how many were measured."""

    epsilon: float
    delta: float
    noise: float
    names_delta: float
    rows: int

    def plain(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def read(cls, section: object, where: str) -> Prepared:
        """DataError where the section is not as `rivalry data prepare` writes it."""
        names = [f.name for f in fields(cls)]
        if not isinstance(section, dict) or sorted(section) != sorted(names) or not all(_is_number(v) for v in section.values()):
            raise DataError(f"{where} has a section [prepared] that is not as rivalry data prepare writes it; prepare the data anew")
        epsilon, delta, noise, names_delta = (float(section[n]) for n in names[:-1])
        found = cls(epsilon, delta, noise, names_delta, int(section["rows"]))
        if not (found.noise > 0 and 0 < found.names_delta < found.delta < 1 and found.epsilon > 0):
            raise DataError(f"{where} has numbers in [prepared] that no preparation writes; prepare the data anew")
        return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def declared(section: Mapping[str, object], kind: str, place: str) -> Declared:
    """Of a section [columns.NAME] of a schema; DataError for what makes no sense.  A count of levels or a share of missing cells
    is only shown, and declares nothing."""
    public = section.get("public", False)
    if public not in (True, False, "paid"):
        raise DataError(f"{place} has public = {public!r}; say true if all that is declared is public, or leave it out")
    levels, missing = section.get("levels"), section.get("missing")
    if isinstance(levels, list):
        levels = [str(v) for v in levels]
        if not levels or len(set(levels)) < len(levels):
            raise DataError(f"{place} declares levels that are none, or one twice; name each once")
        if kind not in ("category", "boolean", "constant"):
            raise DataError(f"{place} declares levels, and its type is {kind}; say type = 'category'")
    shares, quantiles = (_floats(section, key, place) for key in ("shares", "quantiles"))
    found = Declared(
        tuple(levels) if isinstance(levels, list) else None,
        shares,
        quantiles,
        missing if isinstance(missing, bool) else None,
        "" if public is False else "paid" if public == "paid" else "declared",
    )
    if any(s < 0 for s in shares) or (shares and not math.isclose(sum(shares), 1, abs_tol=1e-3)):
        raise DataError(f"{place} has shares that do not add up to 1")
    if quantiles and (len(quantiles) < 3 or any(a > b for a, b in pairwise(quantiles)) or kind not in ("number", "date")):
        raise DataError(f"{place} has quantiles that are no ascending list of three numbers or more; mend them")
    if not found.public and (shares or quantiles or found.gaps is not None):
        raise DataError(f"{place} declares shares, quantiles or missing = true or false, which are for columns with public = true")
    return found


def check_public(place: str, kind: str, found: Declared, low: float | None, high: float | None, form: str | None) -> None:
    """DataError where a public column leaves open what would have to be read off the rows."""
    wanted = ""
    if kind in ("category", "boolean", "constant") and found.levels is None:
        wanted = "its levels, such as levels = ['a', 'b']"
    elif kind == "constant" and len(found.levels or ()) != 1:
        wanted = "one level, its value"
    elif kind in ("number", "date") and (low is None or high is None):
        wanted = "low and high"
    elif kind == "date" and not form:
        wanted = "its format, such as '%Y-%m-%d'"
    if wanted:
        raise DataError(f"{place} is public, so nothing is read off the rows, and it must declare {wanted}")


def _floats(section: Mapping[str, object], key: str, place: str) -> tuple[float, ...]:
    values = section.get(key, [])
    if not isinstance(values, list) or not all(_is_number(v) for v in values):
        raise DataError(f"{place} has {key} = {values!r}; give a list of numbers")
    return tuple(float(v) for v in values)


def bound(value: object) -> float | None:
    """A number, a date as seconds since 1970 UTC, or a time of day as seconds since midnight; None for what is none of them."""
    if isinstance(value, datetime.time):
        return value.hour * 3600.0 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, datetime.date):  # datetimes are dates too
        moment = value if isinstance(value, datetime.datetime) else datetime.datetime(value.year, value.month, value.day)
        return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def number(found: Declared, step: float, low: float, high: float, spikes: tuple[float, ...], name: str) -> NumberCode:
    """The code of a public number: quantiles as declared, or those of equal chances between the bounds."""
    values = found.quantiles or tuple(torch.linspace(low, high, KNOTS, dtype=torch.float64).tolist())
    ranks = torch.linspace(0, 1, len(values), dtype=torch.float64)
    end = 1 / (8 * (len(values) - 1))
    deviates = torch.special.ndtri(ranks.clamp(end, 1 - end))
    gaps = found.gaps is not False
    code = NumberCode(step, low, high, spikes, gaps, values, tuple(deviates.tolist()), found.shares, alone=True)
    _check_shares(found, code.options, name)
    return code


def numbered(found: Declared, cells: Words, name: str) -> tuple[torch.Tensor, int]:
    """([N] numbers of the cells' levels, NaN where missing; how many cells are of no declared level): such are 'other', if that
    is declared, else missing."""
    assert found.levels is not None
    place = {level: i for i, level in enumerate(found.levels)}
    rest = float(place.get(OTHER, math.nan))
    known = [place.get(str(w), -1) for w in cells.words.to_pylist()]
    number = torch.tensor([rest if k < 0 else float(k) for k in known] + [math.nan], dtype=torch.float64)
    raw = number[torch.from_numpy(cells.codes.astype("int64"))]
    strange = cells.counts()[[i for i, k in enumerate(known) if k < 0]]
    if found.gaps is False and bool(raw.isnan().any()):
        n = int(raw.isnan().sum())
        raise DataError(f"the schema says that no cell of {name!r} is missing, and {n:,} are, or are of no declared level")
    return raw, int(strange.sum())


def levels(found: Declared, name: str) -> LevelCode:
    """The code of a public category."""
    assert found.levels is not None
    code = LevelCode(found.levels, found.gaps is not False, found.shares)
    _check_shares(found, code.options, name)
    return code


def _check_shares(found: Declared, options: int, name: str) -> None:
    if found.shares and len(found.shares) != options:
        raise DataError(
            f"the schema gives {len(found.shares)} shares for {name!r}, which has {options} options: its levels (or 'ordinary' and its "
            "spikes), and 'missing' unless missing = false"
        )

