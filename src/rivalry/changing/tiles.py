"""A picture of any size through a network, tile by tile, in bands of rows: memory is bounded by a tile and a band.

A tile is a *core*, a *seam* around it over which it is blended with its neighbours, and the network's *context* around that,
which is computed and thrown away.  Where the context is as wide as what bears on a pixel, tiles agree within the seams, and
the result is that of the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.changing.changer import Changer
from rivalry.changing.model import Model
from rivalry.changing.source import Source, TensorSource
from rivalry.changing.ways import Channels, Ways, luma
from rivalry.streams import Draw

SEAM = 8
"""Source pixels on either side of a core's border over which neighbours are blended."""
TILE_BYTES, BAND_BYTES = 400 << 20, 64 << 20
"""What a tile in the network and the floating-point rows of a band may take."""
WORKING = 1.5
"""What is alive at once, in parts of what goes into the network's widest place and comes out of it; up to 2.2 was seen."""
LARGEST_SIDE, LEAST_HIGH, LEAST_WINDOW = 1024, 64, 192
"""Of cores and of windows, in source pixels: from there on larger ones are no faster, and smaller ones much slower."""
PATCH = 256
"""Rows that are read at a time where a picture is made smaller."""
STATISTICS_PIXELS = 1 << 20
"""What a network that looks at the whole picture is shown of it at most."""

Tick = Callable[[float], None]
Seen = Callable[[int, int, Tensor, Tensor], None]
"""Told of each tile: its first row and column in the result, the picture there before (enlarged), and after."""


@dataclass(frozen=True)
class Cut:
    """Along one axis, in source pixels: the core [first, last), and the window [start, stop) that the network is given."""

    first: int
    last: int
    start: int
    stop: int


def cuts(length: int, side: int, context: int, multiple: int) -> list[Cut]:
    """Cores of about equal size, `side` at most where that is a multiple of `multiple`, that together cover [0, length).
    Windows start at multiples of `multiple`, so that strides fall as in the whole picture."""
    pieces = max(1, math.ceil(length / side))
    core = math.ceil(max(2 * SEAM, length / pieces) / multiple) * multiple
    borders = [*range(0, max(1, length - 2 * SEAM + 1), core), length]
    around = context + SEAM
    return [
        Cut(a, b, max(0, a - around) // multiple * multiple, min(length, math.ceil((b + around) / multiple) * multiple))
        for a, b in pairwise(borders)
    ]


def ramp(cut: Cut, length: int, scale: int) -> tuple[int, Tensor]:
    """(first place of the result that the tile has a part in, its weights from there on): 1 in the core, falling to 0 over the
    seams; the weights of neighbours add up to 1."""
    left, right = SEAM * (cut.first > 0), SEAM * (cut.last < length)
    weights = torch.ones((cut.last + right - cut.first + left) * scale)
    rise = (torch.arange(2 * SEAM * scale) + 0.5) / (2 * SEAM * scale)
    if left:
        weights[: len(rise)] = rise
    if right:
        weights[-len(rise) :] = rise.flip(0)
    return (cut.first - left) * scale, weights


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut: rows and columns of tiles."""

    rows: Sequence[Cut]
    columns: Sequence[Cut]

    @classmethod
    def of(cls, source: Source, changer: Changer, side: int, memory: float, exact: bool = True) -> Tiling:
        """side: of the cores, 0 to go by memory; memory: bytes a source pixel takes in the network.  Going by memory, at most a
        quarter of a window's side is context, or an eighth for networks whose tiles are not exact anyway: deep ones could be told
        of far more than bears on a pixel in truth."""
        context = changer.context
        if not side:
            window = max(LEAST_WINDOW, int(math.sqrt(TILE_BYTES / (WORKING * memory))))
            context = min(context, window // (4 if exact else 8))
            side = min(window - 2 * (context + SEAM), LARGEST_SIDE)
        if side >= max(source.height, source.width):
            return cls(cuts(source.height, side, 0, 1), cuts(source.width, side, 0, 1))
        row_bytes = source.width * changer.scale**2 * 4 * max(changer.outputs, source.colours + source.alpha)
        high = min(side, max(LEAST_HIGH, BAND_BYTES // row_bytes - 2 * (context + SEAM)))
        return cls(cuts(source.height, high, context, changer.multiple), cuts(source.width, side, context, changer.multiple))


@dataclass(frozen=True)
class Whole:
    """All that changing one picture takes."""

    source: Source
    model: Model
    channels: Channels
    tiling: Tiling
    strength: float = 1.0
    mask: Source | None = None

    def bands(self, tick: Tick, seen: Seen | None = None) -> Iterator[Tensor]:
        """The result from top to bottom: [colours + alpha, rows, scale * width] in [0, 1]."""
        scale, width = self.model.changer.scale, self.source.width
        total, done = len(self.tiling.rows) * len(self.tiling.columns), 0
        colours, alpha = self.channels.makes
        carried = torch.zeros(colours + alpha, 0, width * scale)
        for row in self.tiling.rows:
            top, down = ramp(row, self.source.height, scale)
            band = torch.zeros(colours + alpha, len(down), width * scale)
            band[:, : carried.shape[1]] = carried
            picture = self.source.rows(row.start, row.stop)
            holes = None if self.mask is None else marked(self.mask, row.start, row.stop)
            for column in self.tiling.columns:
                before, after = self._tile(picture, holes, column)
                left, across = ramp(column, width, scale)
                ys = slice(top - row.start * scale, top - row.start * scale + len(down))
                xs = slice(left - column.start * scale, left - column.start * scale + len(across))
                band[:, :, left : left + len(across)] += after[:, ys, xs] * (down[:, None] * across)
                if seen is not None:
                    seen(top, left, before[:, ys, xs], after[:, ys, xs])
                done += 1
                tick(done / total)
            ready = len(down) if row.last == self.source.height else min(len(down), (row.last - SEAM) * scale - top)
            yield band[:, :ready]
            carried = band[:, ready:].clone()

    def _tile(self, picture: Tensor, holes: Tensor | None, column: Cut) -> tuple[Tensor, Tensor]:
        x = picture[None, :, :, column.start : column.stop]
        mask = None if holes is None else holes[None, :, :, column.start : column.stop]
        before = self.channels.before(x)
        after = self.channels.made(before, self.model(self.channels.given(x), mask), mask, self.strength)
        return before[0], after[0]


def marked(mask: Source, first: int, last: int) -> Tensor:
    """[1, last - first, width] of 0 and 1: where the mask is white, by its luma; what is transparent is not."""
    rows = mask.rows(first, last)
    light = luma(rows[None, : mask.colours])[0]
    return ((light * rows[mask.colours :] if mask.alpha else light) >= 0.5).float()


def prepared(source: Source, changer: Changer, ways: Ways, draw: int = 0, mask: Source | None = None) -> Whole:
    """What changing `source` takes; for networks that look at the whole picture its statistics are taken here."""
    memory, is_global = _traits(changer)
    drawn = Draw(ways.seed, ("apply", draw))
    drawn.seed_globally("modules")  # some networks draw by themselves (dropout that is always on)
    z = drawn.normal("latent", 1, changer.latent) if changer.latent else None
    model = Model(changer, z, changer.views if ways.self_ensemble else (0,), is_global=is_global)
    channels = Channels(changer, source.colours, source.alpha)
    at_once = min(STATISTICS_PIXELS, int(2 * TILE_BYTES / (WORKING * memory)))
    tiling = Tiling.of(source, changer, ways.tile or 0, memory, not is_global)
    if is_global and not ways.tile and source.height * source.width <= at_once:
        tiling = Tiling.of(source, changer, max(source.height, source.width), memory)
    whole = Whole(source, model, channels, tiling, ways.strength, mask)
    if is_global and len(tiling.rows) * len(tiling.columns) > 1:
        model.freeze(*_looked_at(whole, at_once))
    return whole


@lru_cache(maxsize=1)
def _traits(changer: Changer) -> tuple[float, bool]:
    """(bytes that a source pixel takes in the network, does it look at the whole picture?), found by trying."""
    model = Model(changer)
    return model.bytes_a_pixel(), model.looks_at_the_whole()


def _looked_at(whole: Whole, pixels: int) -> tuple[Tensor, Tensor | None]:
    """What statistics are taken from: the picture [1, ...] where it has so many pixels at most, else a smaller copy of it, by
    means over squares; a hole stays one where a part of it does.  (Pieces of the picture at its own scale were tried, and are
    worse: they miss too much of it; docs/lab/applying.md.)"""
    source, mask = whole.source, whole.mask
    factor = math.ceil(math.sqrt(source.height * source.width / pixels))
    small, holes = list[Tensor](), list[Tensor]()
    step = factor * max(1, PATCH // factor)
    for top in range(0, source.height, step):
        rows = source.rows(top, min(source.height, top + step))[None]
        small.append(F.avg_pool2d(rows, factor, ceil_mode=True))
        if mask is not None:
            marks = marked(mask, top, min(source.height, top + step))[None]
            holes.append(F.max_pool2d(marks, factor, ceil_mode=True))
    return whole.channels.given(torch.cat(small, 2)), torch.cat(holes, 2) if holes else None


def change(changer: Changer, x: Tensor, ways: Ways | None = None, mask: Tensor | None = None, draw: int = 0) -> Tensor:
    """x [c, h, w] in [0, 1], c of 1 (grey), 2 (grey and alpha), 3 or 4, mask [1, h, w] of 0 and 1 -> the changed picture
    [c', scale h, scale w] in [0, 1], in memory and in tiles like files."""
    ways = ways or Ways()
    holes = None if mask is None else TensorSource(mask)
    return torch.cat([*prepared(TensorSource(x), changer, ways, draw, holes).bands(lambda share: None)], 1)
