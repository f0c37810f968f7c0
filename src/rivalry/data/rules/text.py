"""Constraints as people write them, and what they mean for the columns of a table.

    discharge >= admission            0 <= age <= 120            diastolic < systolic < 300
    fees + tax = total                combinations(city, zip)    combinations(city, zip, k=20)
    pregnancies missing if sex=M      (conditions as for --where)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.fit import RARE, Column
from rivalry.data.conditions import parse as conditions
from rivalry.data.conditions import value_of
from rivalry.data.rules.kinds import MissingIf, Order, Range, Rule, Sum, Together
from rivalry.errors import DataError, UnknownName

PROPOSED = "proposed"
"""In place of a constraint: those that the data suggest."""
FORMS = (
    "discharge >= admission, 0 <= age <= 120, fees + tax = total, combinations(city, zip), or pregnancies missing if sex=M"
)
SIGNS = r"<=|>=|==|=|<|>"
COMBINATIONS = re.compile(r"^combinations?\s*\((?P<inside>.*)\)$", re.IGNORECASE)
LEAST = re.compile(r"^k\s*=\s*(\d+)$")
MISSING_IF = re.compile(r"^(?P<column>.+?)\s+(?:is\s+)?missing\s+if\s+(?P<conditions>.+)$", re.IGNORECASE)


def rules(texts: Sequence[str], columns: Sequence[Column]) -> tuple[Rule, ...]:
    """What the texts ask of the columns of a table.

    Raises DataError for what is no constraint, UnknownName for columns and levels that are not there.
    """
    return tuple(rule for text in dict.fromkeys(texts) for rule in _rules(text.strip(), columns))


def combined(text: str) -> tuple[str, ...]:
    """The columns that a constraint on combinations names, () for others."""
    found = COMBINATIONS.match(text.strip())
    return tuple(n for n in _named(found["inside"]) if not LEAST.match(n)) if found else ()


def _rules(text: str, columns: Sequence[Column]) -> list[Rule]:
    if found := COMBINATIONS.match(text):
        return [_together(text, found["inside"], columns)]
    if found := MISSING_IF.match(text):
        place = _place(_plain(found["column"]), columns)
        return [MissingIf(text, place, conditions(found["conditions"], columns))]
    operands, signs = _cut(text, SIGNS)
    signs = ["=" if s == "==" else s for s in signs]
    if not signs or not all(operands) or ("=" in signs and len(signs) > 1):
        raise DataError(f"{text!r} is no constraint; write for example {FORMS}")
    if signs == ["="]:
        return [_sum(text, operands[0], operands[1], columns)]
    neighbours = [_compared(text, a, s, b, columns) for (a, b), s in zip(pairwise(operands), signs, strict=True)]
    return [*neighbours, *_implied(text, operands, signs, columns)]


def _implied(text: str, operands: Sequence[str], signs: Sequence[str], columns: Sequence[Column]) -> Iterator[Rule]:
    """Of a chain a <= b < c, what it says of a and c where b is missing."""
    if len({s[0] for s in signs}) > 1:
        return
    for i, j in combinations(range(len(operands)), 2):
        if j > i + 1 and _known(operands[i], columns) and _known(operands[j], columns):
            sign = min(signs[i:j], key=len)  # strict if one of them is
            yield _compared(text, operands[i], sign, operands[j], columns)


def _cut(text: str, signs: str) -> tuple[list[str], list[str]]:
    """(what stands between the signs, the signs); those in quotes do not count."""
    masked = re.sub(r"'[^']*'|\"[^\"]*\"", lambda m: "\0" * len(m[0]), text)
    found = list(re.finditer(signs, masked))
    starts = [0, *(m.end() for m in found)]
    ends = [*(m.start() for m in found), len(text)]
    return [text[a:b].strip() for a, b in zip(starts, ends, strict=True)], [m[0] for m in found]


def _named(text: str) -> list[str]:
    return [_plain(w) for w in _cut(text, ",")[0]]


def _plain(word: str) -> str:
    word = word.strip()
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _known(word: str, columns: Sequence[Column]) -> bool:
    return any(c.name == _plain(word) for c in columns)


def _place(name: str, columns: Sequence[Column]) -> int:
    """The column's place among those that are learned."""
    learned = [c.name for c in columns if c.code is not None]
    if name in learned:
        return learned.index(name)
    other = next((c for c in columns if c.name == name), None)
    if other is not None:
        raise DataError(f"the column {name!r} ({other.type}) is not learned, so it can stand in no constraint")
    raise UnknownName("column", name, [c.name for c in columns])


def _at(place: int, columns: Sequence[Column]) -> Column:
    return [c for c in columns if c.code is not None][place]


def _measured(text: str, word: str, columns: Sequence[Column]) -> int:
    """The place of a column of numbers or dates."""
    place = _place(_plain(word), columns)
    column = _at(place, columns)
    if not isinstance(column.code, NumberCode):
        raise DataError(f"{text!r} asks for an order or a sum, and {column.name!r} is a {column.type}; name numbers or dates")
    return place


def _compared(text: str, left: str, sign: str, right: str, columns: Sequence[Column]) -> Rule:
    """One comparison, of two columns or of a column with a value."""
    if sign in (">", ">="):
        left, right = right, left
    strict = sign in ("<", ">")
    if _known(left, columns) and _known(right, columns):
        low, high = (_measured(text, w, columns) for w in (left, right))
        types = [_at(p, columns).type for p in (low, high)]
        if low == high:
            raise DataError(f"{text!r} compares a column with itself; name two")
        if types[0] != types[1]:
            raise DataError(f"{text!r} compares a {types[0]} with a {types[1]}; correct the types with --schema")
        return Order(text, low, high, strict)
    word, column = (left, right) if _known(right, columns) else (right, left)
    place = _measured(text, column, columns)  # raises if neither is a column
    value = _value(word, _at(place, columns), columns)
    if word is left:
        return Range(text, place, low=value, strict=strict)
    return Range(text, place, high=value, strict=strict)


def _value(word: str, column: Column, columns: Sequence[Column]) -> float:
    names = [c.name for c in columns]
    try:
        value = value_of(_plain(word), column)
    except DataError:
        if difflib.get_close_matches(_plain(word), names, n=1, cutoff=0.5):
            raise UnknownName("column", _plain(word), names) from None
        raise
    if value != value:
        raise DataError(f"{column.name!r} cannot be compared with 'missing'; write: {column.name} missing if ...")
    return value


def _sum(text: str, left: str, right: str, columns: Sequence[Column]) -> Sum:
    sides = [_cut(side, r"\+")[0] for side in (left, right)]
    if len(sides[0]) > 1 and len(sides[1]) > 1:
        raise DataError(f"{text!r} has sums on both sides; write one total, as in fees + tax = total")
    parts, total = (sides[0], sides[1][0]) if len(sides[1]) == 1 else (sides[1], sides[0][0])
    places = [_measured(text, w, columns) for w in (*parts, total)]
    if len(set(places)) < len(places):
        raise DataError(f"{text!r} names a column twice; name each once")
    dated = {_at(p, columns).type == "date" for p in places}
    if len(dated) > 1 or (True in dated and len(parts) > 1):
        raise DataError(f"{text!r} adds dates up; only numbers can be added")
    return Sum(text, tuple(places[:-1]), places[-1])


def _together(text: str, inside: str, columns: Sequence[Column]) -> Together:
    words = _named(inside)
    least = [LEAST.match(w) for w in words]
    names = [w for w, k in zip(words, least, strict=True) if k is None]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise DataError(f"{text!r} must name two columns or more, each once, as in combinations(city, zip)")
    asked = [int(k[1]) for k in least if k is not None]
    if asked and asked[0] < 1:
        raise DataError(f"{text!r} has k = {asked[0]}; give 1 or more")
    places = tuple(_place(n, columns) for n in names)
    for place in places:
        column = _at(place, columns)
        if isinstance(column.code, NumberCode):
            raise DataError(f"{text!r} combines levels, and {column.name!r} is a {column.type}; say type = 'category' in a schema")
    return Together(text, places, asked[0] if asked else RARE)
