"""Identifiers: never learned, made anew in the pattern of the old ones, and never equal to one of them.

What is kept is the pattern only: which characters stand at which place, and a beginning that no old one has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rivalry.data.columns.cells import Cells, Numbers, Words
from rivalry.streams import key

DIGITS, LOWER = "0123456789", "abcdefghijklmnopqrstuvwxyz"
ALPHABETS = (DIGITS, DIGITS + "abcdef", DIGITS + "ABCDEF", LOWER, LOWER.upper(), LOWER + LOWER.upper(),
             DIGITS + LOWER, DIGITS + LOWER.upper(), DIGITS + LOWER.upper() + LOWER)  # fmt: skip
MAIL = ("@example.org", "@example.net", "@example.com", "@mail.invalid")
COUNTED = 6
REACH = 2**31


@dataclass(frozen=True)
class Pattern:
    """How new identifiers are spelled.

    first: number of the first one, where they are whole numbers in sequence, else 0.  places: the characters each
    place may have; mark: what the first places that vary say in new ones (no old one begins so).  stem, tail: words
    around a running number, where the old ones have no common length.
    """

    first: int = 0
    places: tuple[str, ...] = ()
    mark: str = ""
    stem: str = ""
    tail: str = ""

    def make(self, n: int, seed: int) -> list[str]:
        """n different identifiers."""
        if self.first:
            return np.arange(self.first, self.first + n).astype(str).tolist()
        if not self.places:
            return [f"{self.stem}{i:0{COUNTED}d}{self.tail}" for i in range(1, n + 1)]
        return _spell(self.places, self.mark, n, seed)


def learn(name: str, cells: Cells) -> Pattern:
    """The pattern of the cells that are there."""
    if isinstance(cells, Numbers) or _all_whole(cells):
        values = cells.values[~cells.missing] if isinstance(cells, Numbers) else _whole(cells)
        digits = len(str(int(np.abs(values).max(initial=0))))
        return Pattern(first=10**digits + 1)
    text = np.array(cells.words.to_pylist(), dtype=np.str_)
    lengths = np.char.str_len(text)
    if len(np.unique(lengths)) == 1 and _ascii(text):
        return _placed(text.astype(np.bytes_), int(lengths[0]))
    return _counted(name, text)


def _all_whole(cells: Words) -> bool:
    """Whole numbers without leading zeros, short enough to be counted on."""
    import pyarrow.compute as compute

    return bool(compute.match_substring_regex(cells.words, r"^(0|[1-9]\d{0,14})$").to_numpy(zero_copy_only=False).all())


def _whole(cells: Words) -> Any:
    return cells.words.cast("int64").to_numpy(zero_copy_only=False)


def _ascii(text: npt.NDArray[np.str_]) -> bool:
    return bool((text.view(np.uint32) < 128).all())


def _placed(text: npt.NDArray[np.bytes_], length: int) -> Pattern:
    """Of words [K] of one length: the alphabet of every place, and the first beginning that none of them has."""
    grid = text.view(np.uint8).reshape(len(text), length)
    seen = ["".join(map(chr, np.unique(grid[:, i]))) for i in range(length)]
    places = tuple(s if len(s) == 1 or not s.isalnum() else _alphabet(s) for s in seen)
    code, size, before = np.zeros(len(grid), dtype=np.int64), 1, list[str]()
    for i, place in enumerate(places):
        if len(place) == 1:
            continue
        number = np.zeros(256, dtype=np.int64)
        number[np.frombuffer(place.encode(), dtype=np.uint8)] = np.arange(len(place))
        code, size = code * len(place) + number[grid[:, i]], size * len(place)
        before.append(place)
        used = np.unique(code)
        if len(used) < size:
            free = np.flatnonzero(used != np.arange(len(used)))
            return Pattern(places=places, mark=_digits(int(free[0]) if len(free) else len(used), before))
    return Pattern(places=(*places, DIGITS))  # every code is taken: one character more


def _alphabet(seen: str) -> str:
    return next((a for a in ALPHABETS if set(seen) <= set(a)), seen)


def _digits(number: int, places: list[str]) -> str:
    """The number, written with the characters of each place."""
    out = ""
    for place in reversed(places):
        number, digit = divmod(number, len(place))
        out = place[digit] + out
    return out


def _spell(places: tuple[str, ...], mark: str, n: int, seed: int) -> list[str]:
    """n different words: the mark, then characters drawn at random, and a running number, shuffled, at the end."""
    varying = [i for i, p in enumerate(places) if len(p) > 1]
    free, size, counted = varying[len(mark) :], 1, list[int]()
    while size < n:
        if free:
            counted.append(free.pop())
        else:  # the pattern has too few words: longer ones
            counted.append(len(places))
            places = (*places, DIGITS)
        size *= len(places[counted[-1]])
    rng = np.random.default_rng(key(seed, "identifiers"))
    factor, shift = int(rng.integers(1, REACH)), int(rng.integers(size))
    while np.gcd(factor, size) != 1:
        factor += 1
    number = (np.arange(n, dtype=np.int64) * factor + shift) % size
    letters = [np.full(n, ord(p[0]), dtype=np.uint32) for p in places]
    for i, letter in zip(varying, mark, strict=False):
        letters[i][:] = ord(letter)
    for i in free:
        letters[i] = _letters(places[i])[rng.integers(len(places[i]), size=n)]
    for i in counted:
        number, digit = np.divmod(number, len(places[i]))
        letters[i] = _letters(places[i])[digit]
    words: list[str] = np.stack(letters, 1).view(f"<U{len(places)}")[:, 0].tolist()
    return words


def _letters(place: str) -> npt.NDArray[np.uint32]:
    return np.array([ord(c) for c in place], dtype=np.uint32)


def _counted(name: str, text: npt.NDArray[np.str_]) -> Pattern:
    """A running number between a stem and a tail that no old one has."""
    if np.char.count(text, "@").mean() > 0.5:
        tail = next((m for m in MAIL if not np.char.endswith(text, m).any()), f"@{key(name)}.invalid")
        return Pattern(stem="person", tail=tail)
    stem = f"{name}-"
    while np.char.startswith(text, stem).any():
        stem = f"new-{stem}"
    return Pattern(stem=stem)
