"""Lines that repeat one another, or nearly do: they stay on one side of the split."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from rivalry.data.rows import Flags, Ints
from rivalry.data.split import components
from rivalry.data.text_tokens import marks, words_of

BANDS, ROWS = 12, 4
"""Of a MinHash signature (Broder 1997): lines that agree in all rows of a band are compared."""
ALIKE = 0.8
"""Estimated Jaccard similarity of the sets of word pairs from which lines are nearly the same."""
MOST = 500_000
"""Of more lines only those that differ in case, spaces and punctuation alone are found."""
FEWEST = 4
"""Words below which lines are not compared: they are too short to be near by anything but chance."""


@cache
def _others() -> re.Pattern[str]:
    """What is neither a letter, nor a digit, nor a mark on one."""
    return re.compile(f"(?:[^\\w{marks()}]|_)+")


@dataclass(frozen=True)
class Twins:
    """Of N lines: exact [N] and group [N] numbers; lines of one group are the same, or nearly."""

    exact: Ints
    group: Ints

    @property
    def copies(self) -> int:
        """Lines that repeat another one exactly."""
        return len(self.exact) - int(self.exact.max(initial=-1)) - 1

    @property
    def near(self) -> int:
        """Lines that nearly repeat another one, and are no exact copies."""
        return len(self.group) - int(self.group.max(initial=-1)) - 1 - self.copies


def plainly(line: str) -> str:
    """Without case, spaces and punctuation; lines of nothing else stay as they are."""
    return _others().sub("", line.casefold()) or line


def twins(lines: Sequence[str]) -> Twins:
    """Groups of lines that are the same up to case, spaces and punctuation, or share most of their pairs of neighbouring
    words."""
    exact = _numbered(lines)
    plain = _numbered([plainly(line) for line in lines])
    keys = [plain]
    if len(lines) <= MOST:
        keys += _bands(lines)
    return Twins(exact, components(*keys))


def _numbered(words: Sequence[str]) -> Ints:
    known: dict[str, int] = {}
    return np.fromiter((known.setdefault(w, len(known)) for w in words), np.int64, len(words))


def _bands(lines: Sequence[str]) -> list[Ints]:
    """For each band [N] numbers, equal for neighbours in the band's order whose signatures agree in ALIKE of all places."""
    signs, long = _signatures(lines)
    found = []
    for band in range(BANDS):
        rows = signs[:, band * ROWS : (band + 1) * ROWS]
        order = np.lexsort(rows.T[::-1])
        same = (rows[order][1:] == rows[order][:-1]).all(1)
        alike = (signs[order][1:] == signs[order][:-1]).mean(1) >= ALIKE
        joined = same & alike & long[order][1:] & long[order][:-1]
        number = np.empty(len(lines), dtype=np.int64)
        number[order] = np.cumsum(np.r_[0, ~joined])
        found.append(number)
    return found


def _signatures(lines: Sequence[str]) -> tuple[npt.NDArray[np.uint64], Flags]:
    """([N, BANDS * ROWS] MinHash values of the pairs of neighbouring words, which lines are long enough)."""
    known: dict[str, int] = {}
    words = [[known.setdefault(w, len(known)) for w in words_of(line.casefold())] for line in lines]
    lengths = np.fromiter((len(w) for w in words), np.int64, len(words))
    flat = np.fromiter((w for row in words for w in row), np.int64, int(lengths.sum()))
    hashed = np.fromiter((zlib.crc32(w.encode()) for w in known), np.uint64, len(known))[flat]
    long = lengths >= FEWEST
    last = np.cumsum(lengths) - 1
    pair = hashed * np.uint64(0x9E3779B97F4A7C15) + np.roll(hashed, -1)
    pair[last[lengths > 0]] = hashed[last[lengths > 0]]  # the last word pairs with nothing
    rng = np.random.default_rng(0)
    factor = rng.integers(1, 1 << 31, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    signs = np.zeros((len(lines), BANDS * ROWS), dtype=np.uint64)
    there = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[there]
    for i, f in enumerate(factor.tolist()):
        mixed = pair * np.uint64(f)
        mixed ^= mixed >> np.uint64(29)
        signs[there, i] = np.minimum.reduceat(mixed * np.uint64(0xBF58476D1CE4E5B9), starts) if len(starts) else 0
    return signs, long
