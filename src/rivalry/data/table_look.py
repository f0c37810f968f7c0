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
    width = min(4, max(len(shown), 1))
    figure = Figure(figsize=(3.0 * width, 2.3 * -(-len(shown) // width)), layout="constrained")
    for i in shown:
        axes = figure.add_subplot(-(-len(shown) // width), width, i + 1)
        sides = [("samples", made[:, i].numpy(), INK)]
        if real is not None:
            sides.insert(0, ("data", real[:, i].numpy(), SHADE))
        (_bars if isinstance(columns[i].code, LevelCode) else _histogram)(axes, columns[i], sides)
        axes.set_title(columns[i].name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_yticks([])
        if not i:
            axes.legend(fontsize=7)
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
    assert isinstance(column.code, LevelCode)
    first = sides[0][1]
    times = np.bincount(first[~np.isnan(first)].astype(np.int64), minlength=len(column.code.levels))
    shown = np.argsort(-times, kind="stable")[:BARS]
    place = np.append(np.full(len(times), len(shown)), len(shown))
    place[shown] = np.arange(len(shown))
    levels = [column.code.levels[i] for i in shown.tolist()]
    bars, width = np.arange(len(levels) + 1), 0.8 / len(sides)
    for i, (name, values, colour) in enumerate(sides):
        counts = np.bincount(place[np.where(np.isnan(values), -1, values).astype(np.int64)], minlength=len(bars))
        axes.bar(bars + (i - (len(sides) - 1) / 2) * width, counts / max(len(values), 1), width, color=colour, label=name)
    axes.set_xticks(bars, [*(w[:10] for w in levels), "rest"], rotation=60, ha="right")
