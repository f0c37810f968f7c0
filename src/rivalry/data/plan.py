"""What all pictures of a set are made into: height, width, channels, depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Look, Plan
from rivalry.data.words import count

SIDES = (16, 32, 64, 128, 256)
LARGEST = 256
ENLARGE = 1.25
"""A side is chosen at most so much larger than the median picture's shorter side."""


def choose_plan(looks: Sequence[Look], options: ReadOptions) -> tuple[Plan, list[str]]:
    """The plan for pictures that look like this (at least one of them whole), and what was decided, in sentences.

    looks: all the set's headers, or a fair sample of them.
    """
    whole = [found for found in looks if not found.reason]
    height, width, notes = _size(whole, options)
    channels, why = _channels(whole, options)
    bits = max(found.bits for found in whole)
    mixed = bits == 16 and any(found.bits == 8 for found in whole)
    depth = "pictures of 8 and 16 bits are mixed: all are kept at 16" if mixed else ""
    return Plan(height, width, channels, bits, options.fit), [n for n in (*notes, why, depth) if n]


def _size(looks: Sequence[Look], options: ReadOptions) -> tuple[int, int, list[str]]:
    sizes = Counter((found.height, found.width) for found in looks)
    if options.height_width is not None:
        return *options.height_width, []
    height, width = proposed_size(sizes)
    if len(sizes) == 1 and (height, width) in sizes:
        return height, width, []
    smallest, largest = min(sizes, key=_area), max(sizes, key=_area)
    spread = "" if len(sizes) == 1 else f"{smallest[0]}x{smallest[1]} to "
    return (
        height,
        width,
        [
            f"pictures of {spread}{largest[0]}x{largest[1]} (height x width) are brought to {height}x{width}: {options.fit}"
        ],
    )


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def proposed_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """(height, width) for pictures of such sizes: their own if it is one and at most 256, else a power of two for
    the shorter side, no more than a quarter above the median, and the longer side in the median's proportion."""
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        return (height, width) if max(height, width) <= LARGEST else _shrunk(height, width)
    every = np.array([size for size, times in sizes.items() for _ in range(times)], dtype=np.float64)
    aspect = float(np.exp(np.median(np.log(every[:, 1] / every[:, 0]))))
    alike = np.mean(np.abs(np.log(every[:, 1] / every[:, 0]) - np.log(aspect)) < 0.1)
    if alike < 0.75 or max(aspect, 1 / aspect) < 1.2:
        aspect = 1.0
    shorter = float(np.median(every.min(1)))
    stretch = max(aspect, 1 / aspect)
    fitting = [s for s in SIDES if s <= shorter * ENLARGE and s * stretch <= LARGEST * 1.01]
    short = fitting[-1] if fitting else SIDES[0]
    unit = short // 4
    long = max(short, round(short * stretch / unit) * unit)
    return (short, long) if aspect >= 1 else (long, short)


def _shrunk(height: int, width: int) -> tuple[int, int]:
    """The longer side at 256, the shorter in proportion, a multiple of 8."""
    scale = LARGEST / max(height, width)
    short = max(8, round(min(height, width) * scale / 8) * 8)
    return (LARGEST, short) if height >= width else (short, LARGEST)


def _channels(looks: Sequence[Look], options: ReadOptions) -> tuple[int, str]:
    if options.channels is not None:
        return options.channels, ""
    kinds = Counter(found.channels for found in looks)
    total = len(looks)
    if kinds[4] * 2 >= total:
        return 4, "transparency is used: alpha is kept as a fourth channel"
    seen = f"{count(kinds[4], 'picture')} of {total:,} looked at use transparency: laid on white" if kinds[4] else ""
    colour = kinds[3] + kinds[4]
    if not colour:
        return 1, seen
    mixed = f"grey and colour pictures are mixed ({kinds[1]:,} and {colour:,} of those looked at): all become colour"
    return 3, "; ".join(n for n in (seen, mixed if kinds[1] else "") if n)
