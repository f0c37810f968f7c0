"""Tables for people: what a column holds, and pictures of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rivalry.data.columns import dates
from rivalry.data.columns.cells import Cells, Floats, numeric, spelled
from rivalry.data.columns.codes import LevelCode, NumberCode
from rivalry.data.columns.fit import RARE, Column, seconds
from rivalry.data.columns.people import Owners, had_by
from rivalry.data.columns.schema import Field
from rivalry.data.inspection import Column as Seen
from rivalry.data.words import count, some
from rivalry.files import atomic

MOST = 12
BARS, BINS = 12, 30
WIDTH, PANEL, TITLE, FLAT, SLANT = 3.0, 1.7, 0.3, 0.3, 0.6
"""Inches: of a panel with its title, and below it for numbers and for levels."""
SMALL, TICKS = 7, 8
INK, SHADE = "#c2410c", "#94a3b8"


def column(field: Field, cells: Cells) -> Seen:
    """What a column holds: moments of numbers, the span of dates, the most frequent levels."""
    missing = round(field.missing * len(cells))
    if field.type in ("number", "date"):
        values = numeric(cells).values if field.type == "number" else seconds(cells, field.format or "")
        values = values[np.isfinite(values)]
        ends = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        mean, spread = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
        reach = ""
        if field.type == "date" and len(values):
            reach = " to ".join(dates.write(np.array(ends), field.format or "%Y-%m-%d").to_pylist())
        kind = "time of day" if field.type == "date" and dates.is_clock(field.format or "%Y") else field.type
        return Seen(
            field.name, *ends, mean, spread, missing, kind, field.levels, step=field.step or 0.0, reach=reach
        )
    if field.type in ("identifier", "text"):
        return Seen(field.name, missing=missing, type=field.type, levels=field.levels)
    words = spelled(cells)
    times = words.counts()
    most = np.argsort(-times, kind="stable")[:5].tolist()
    shown = tuple((str(words.words[i].as_py()), int(times[i])) for i in most)
    return Seen(field.name, missing=missing, type=field.type, levels=field.levels, most=shown)


def rare(fields: Sequence[Field], cells: Sequence[Cells], owners: Owners | None = None) -> list[str]:
    """What training would say of levels that few rows (or their owners) have, and of cells that are none of the declared levels: for
    the screen."""
    said = list[str]()
    for field, column in zip(fields, cells, strict=True):
        if field.type not in ("category", "boolean"):
            continue
        words = spelled(column)
        times = words.counts()
        if field.declared.levels is not None:
            strange = [repr(w) for w, n in zip(words.words.to_pylist(), times.tolist(), strict=True) if n and w not in field.declared.levels]
            said += [f"cells of {field.name!r} that are none of the declared levels: {some(strange)}"] if strange else []
            continue
        had = times if owners is None else had_by(words.codes.astype(np.int64), len(times), owners.of)
        few = (times > 0) & (had < RARE)
        if field.type == "category" and few.any():
            share = times[few].sum() / max(times.sum(), 1)
            whom = "rows" if owners is None else owners.called
            said.append(
                f"{count(int(few.sum()), 'level')} of {field.name!r} with fewer than {RARE} {whom} ({100 * share:.3g} % of the rows) will not be told "
                "apart: a name that few people have points at them; declare public names in a schema, levels = [...]"
            )
    return said


def marginals(columns: Sequence[Column], made: Tensor, path: Path, real: Tensor | None) -> Path:
    """made [N, C] raw rows (and real [M, C]): a histogram or bars per column, at most twelve, as PNG."""
    from matplotlib.figure import Figure

    shown = list(range(min(len(columns), MOST)))
    wide = min(4, max(len(shown), 1))
    rows = [shown[i : i + wide] for i in range(0, len(shown), wide)] or [[]]
    # places are fixed, for looking for the best ones took half of the time that a picture takes; levels are written aslant, so need room
    rooms = [SLANT if any(isinstance(columns[i].code, LevelCode) for i in row) else FLAT for row in rows]
    height = sum(PANEL + room for room in rooms)
    figure, top = Figure(figsize=(WIDTH * wide, height)), height
    for row, room in zip(rows, rooms, strict=True):
        top -= PANEL + room
        for place, i in enumerate(row):
            left, bottom = (place + 0.08) / wide, (top + room) / height
            axes = figure.add_axes((left, bottom, 0.88 / wide, (PANEL - TITLE) / height))
            sides = [("samples", made[:, i].numpy(), INK)]
            if real is not None:
                sides.insert(0, ("data", real[:, i].numpy(), SHADE))
            (_bars if isinstance(columns[i].code, LevelCode) else _histogram)(axes, columns[i], sides)
            axes.set_title(columns[i].name, fontsize=9)
            axes.tick_params(labelsize=SMALL)
            axes.yaxis.set_visible(False)
            if not i:
                axes.legend(fontsize=SMALL)
    with atomic(path) as beside:
        figure.savefig(beside, dpi=100, format=path.suffix.lower().lstrip(".") or "png")
    return path


def _histogram(axes: Any, column: Column, sides: Sequence[tuple[str, Floats, str]]) -> None:
    """Shares of rows in bins between the 1st and the 99th percentile of all; what lies beyond is in the last bins."""
    there = [values[np.isfinite(values)] for _, values, _ in sides]
    edges = edges_of(np.concatenate(there), column)
    for (name, values, colour), finite in zip(sides, there, strict=True):
        heights = np.histogram(finite.clip(edges[0], edges[-1]), edges)[0] / max(len(values), 1)
        axes.stairs(heights, edges, fill=colour == SHADE, color=colour, label=name)
    if column.type == "date":
        ticks = edges[[0, len(edges) // 2, -1]]
        axes.set_xticks(ticks, dates.axis(ticks))
    else:
        axes.locator_params("x", nbins=TICKS)


def edges_of(values: Floats, column: Column) -> Floats:
    """Of about thirty bins, each as wide as a whole number of steps, so that none holds more steps than another."""
    assert isinstance(column.code, NumberCode)
    low, high = np.quantile(values, [0.01, 0.99]) if len(values) else (0.0, 1.0)
    step = column.code.step
    if not step:
        return np.linspace(low, high if high > low else low + 1, BINS + 1)
    width = max(np.ceil((high - low) / step / BINS), 1) * step
    bins = int(np.ceil((high - low + step) / width))
    edges: Floats = low - step / 2 + width * np.arange(bins + 1)
    return edges


def _bars(axes: Any, column: Column, sides: Sequence[tuple[str, Floats, str]]) -> None:
    """Shares of the levels that are most frequent in the first side, and of the rest and the missing together."""
    from matplotlib.collections import PolyCollection

    assert isinstance(column.code, LevelCode)
    first = sides[0][1]
    times = np.bincount(first[~np.isnan(first)].astype(np.int64), minlength=len(column.code.levels))
    shown = np.argsort(-times, kind="stable")[:BARS]
    place = np.append(np.full(len(times), len(shown)), len(shown))
    place[shown] = np.arange(len(shown))
    levels = [column.code.levels[i] for i in shown.tolist()]
    bars, width, tallest = np.arange(len(levels) + 1), 0.8 / len(sides), 0.0
    for i, (name, values, colour) in enumerate(sides):
        counts = np.bincount(place[np.where(np.isnan(values), -1, values).astype(np.int64)], minlength=len(bars))
        heights, left = counts / max(len(values), 1), bars - 0.4 + i * width
        corners = [left, left, left + width, left + width], [0 * heights, heights, heights, 0 * heights]
        shapes = list(np.stack([np.stack(c, 1) for c in corners], 2))
        axes.add_collection(PolyCollection(shapes, color=colour, label=name, linewidth=0))
        tallest = max(tallest, float(heights.max()))
    axes.set_xlim(-0.6, len(levels) + 0.6)
    axes.set_ylim(0, 1.05 * tallest or 1.0)
    axes.xaxis.set_visible(False)  # plain words are drawn in half of the time that ticks take
    for bar, word in enumerate([*(w[:10] for w in levels), "rest"]):
        below = axes.get_xaxis_transform()
        axes.text(bar, -0.05, word, transform=below, fontsize=SMALL, rotation=60, ha="right", va="center", rotation_mode="anchor")
