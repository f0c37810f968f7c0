"""Numbers as people write them: with units, currency, percent signs, thousands apart and decimal commas; and back.

A form is an example, '$1,234.5', '1.234,5 kg', '1234.5 %': what stands around the digits, what parts thousands, and the point.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rivalry.data.columns.cells import MOSTLY, Cells, Words, plain
from rivalry.errors import DataError

MONEY = r"(?:US\$|[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|BRL) ?)"
UNIT = (
    r"(?: ?[%‰€$£¥₹]|°[CF]|(?:kg|g|mg|µg|ug|ng|lbs?|oz|km|m|cm|mm|in|ft|ml|mL|dl|dL|l|L|h|min|s|ms|mmHg|bpm|kPa|kcal|cal|IU|U)"
    r"| [A-Za-z°µ%][A-Za-z0-9°µ%/²³^.]{0,11})"
)
LOOSE = re.compile(rf"^-?(?P<before>{MONEY} ?)?-?(?P<digits>\d[\d.,'  \u202f]*?)(?P<after>{UNIT})?$")
APART = (",", ".", " ", " ", "\u202f", "'")
LOOKED = 2000
EXAMPLE = re.compile(r"^(?P<before>\D*)1(?P<apart>[.,'  \u202f]?)234(?P<point>[.,])5(?P<after>.*)$")


@dataclass(frozen=True)
class Form:
    """before, after: what stands around the digits; apart: between thousands, '' for nothing; point: '.' or ','."""

    before: str = ""
    after: str = ""
    apart: str = ""
    point: str = "."

    @classmethod
    def read(cls, text: str, place: str) -> Form:
        """Of an example such as '$1,234.5'; DataError for what is none."""
        found = EXAMPLE.match(text)
        if found is None or found["apart"] == found["point"]:
            raise DataError(f"{place} has the format {text!r}; write how 1234.5 would look, such as '$1,234.5' or '1234,5 kg'")
        return cls(found["before"], found["after"], found["apart"], found["point"])

    def text(self) -> str:
        return f"{self.before}1{self.apart}234{self.point}5{self.after}"

    @property
    def pattern(self) -> str:
        """Of cells that are of this form (RE2)."""
        apart, point = re.escape(self.apart), re.escape(self.point)
        whole = rf"([1-9]\d{{0,2}}({apart}\d{{3}})+|\d+)" if self.apart else r"\d+"
        return rf"^-?{re.escape(self.before)}-?{whole}({point}\d+)?{re.escape(self.after)}$"

    def matches(self, words: Any) -> npt.NDArray[np.bool_]:
        """[K]: which of the words are of this form, and lose no leading zeros as numbers."""
        import pyarrow.compute as compute

        built = compute.match_substring_regex(words, self.pattern)
        padded = compute.match_substring_regex(words, rf"^-?{re.escape(self.before)}-?0\d")
        flags: npt.NDArray[np.bool_] = compute.and_(built, compute.invert(padded)).fill_null(False).to_numpy(zero_copy_only=False)
        return flags

    def plain(self, words: Any) -> Any:
        """Words of this form as plain numbers; others stay."""
        import pyarrow.compute as compute

        bare = compute.replace_substring_regex(words, rf"^(-?){re.escape(self.before)}(-?)", r"\1\2")
        bare = compute.replace_substring_regex(bare, rf"{re.escape(self.after)}$", "") if self.after else bare
        bare = compute.replace_substring(bare, self.apart, "") if self.apart else bare
        bare = compute.replace_substring(bare, self.point, ".") if self.point != "." else bare
        return compute.if_else(self.matches(words), bare, words)

    def spelled(self, words: Any) -> Any:
        """Plain numbers (Arrow strings, null where missing) in this form."""
        import pyarrow as arrow

        return arrow.array([None if w is None else self._spelled(w) for w in words.to_pylist()], arrow.string())

    def _spelled(self, word: str) -> str:
        if "e" in word:  # people write no powers of ten among units
            word = np.format_float_positional(float(word), trim="-")
        sign, digits = ("-", word[1:]) if word.startswith("-") else ("", word)
        whole, point, rest = digits.partition(".")
        if self.apart:
            head = len(whole) % 3
            parts = [whole[:head]] if head else []
            whole = self.apart.join([*parts, *(whole[i : i + 3] for i in range(head, len(whole), 3))])
        return f"{sign}{self.before}{whole}{self.point if point else ''}{rest}{self.after}"


def find(cells: Words) -> tuple[Form | None, bool]:
    """(the form of more than nine in ten cells, None for plain numbers and for what is none; whether a comma could be a decimal one
    as well as one between thousands)."""
    words, counts = cells.words, cells.counts()
    there = counts.sum()
    if not there or (counts * plain(words)).sum() > MOSTLY * there:
        return None, False
    looked = [m for w in words.slice(0, LOOKED).to_pylist() if (m := LOOSE.match(str(w))) is not None]
    if len(looked) <= MOSTLY * min(len(words), LOOKED):
        return None, False
    around = Counter((m["before"] or "", m["after"] or "") for m in looked)
    before, after = around.most_common(1)[0][0]
    found: list[tuple[float, Form]] = []
    digits = "".join(m["digits"] for m in looked)
    for apart in ("", *(a for a in APART if a in digits)):
        for point in (".", ","):
            if apart != point and (point in digits or point == "."):
                form = Form(before, after, apart, point)
                found.append((float((counts * form.matches(words)).sum() / there), form))
    best = max(share for share, _ in found)
    if best <= MOSTLY:
        return None, False
    winners = [form for share, form in found if share == best]
    parted = [form for form in winners if form.apart]
    return (parted or winners)[0], bool(parted) and Form(before, after, "", ",") in winners


def plain_cells(cells: Cells, form: str) -> Cells:
    """The column with plain numbers in place of those of the form ('' for none)."""
    if not form or not isinstance(cells, Words):
        return cells
    encoded = Form.read(form, "the column").plain(cells.words).dictionary_encode()
    place = np.append(encoded.indices.to_numpy(zero_copy_only=False), -1).astype(np.int32)
    return replace(cells, codes=place[cells.codes], words=encoded.dictionary)
