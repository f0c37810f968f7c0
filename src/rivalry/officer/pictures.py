"""Pictures of a study's views, as PNG bytes: what is in evaluation.json, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rivalry.data.columns import dates
from rivalry.officer.blocks import Picture

INK, SHADE = "#c2410c", "#94a3b8"
PAGE = 12
DPI = 110


def pictures(sections: Mapping[str, Any]) -> list[Picture]:
    """Marginals (twelve to a picture), associations; survival curves are drawn by `survival`."""
    if "views" not in sections:
        return []
    views = sections["views"]
    columns = views["columns"]
    found = [_marginals(columns[i : i + PAGE], i, views) for i in range(0, len(columns), PAGE)]
    if len(views["associations"]["columns"]) > 1:
        found.append(_associations(views["associations"]))
    return found


def _png(figure: Any) -> bytes:
    made = io.BytesIO()
    figure.savefig(made, dpi=DPI, format="png", metadata={"Software": None})
    return made.getvalue()


def _marginals(columns: Sequence[Mapping[str, Any]], start: int, views: Mapping[str, Any]) -> Picture:
    from matplotlib.figure import Figure

    width = min(3, len(columns))
    height = -(-len(columns) // width)
    figure = Figure(figsize=(3.2 * width, 2.3 * height), layout="constrained")
    for i, column in enumerate(columns):
        axes = figure.add_subplot(height, width, i + 1)
        (_bars if "levels" in column else _steps)(axes, column)
        axes.set_title(column["name"][:32], fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_yticks([])
        if i == 0:
            axes.legend(fontsize=7)
    real = (
        f"Grey: real training rows, rounded, without bars of fewer than {views['least']} people."
        if "real" in columns[0]
        else "Real rows are not drawn: training was under differential privacy, and this page has no part in its guarantee."
    )
    names = ", ".join(c["name"] for c in columns)
    return Picture(
        _png(figure),
        f"Distributions of the columns {names}",
        f"Columns {start + 1} to {start + len(columns)}. Orange: synthetic rows. {real}",
    )


def _sides(column: Mapping[str, Any]) -> list[tuple[str, np.ndarray[Any, np.dtype[np.float64]], str]]:
    sides = [("real", column["real"], SHADE)] if "real" in column else []
    sides.append(("synthetic", column["synthetic"], INK))
    return [(name, np.array([v or 0.0 for v in shares]), colour) for name, shares, colour in sides]


def _steps(axes: Any, column: Mapping[str, Any]) -> None:
    edges = np.array(column["edges"])
    for name, heights, colour in _sides(column):
        axes.stairs(heights, edges, fill=colour == SHADE, color=colour, label=name)
    if column["type"] == "date":
        ticks = edges[[0, len(edges) // 2, -1]]
        axes.set_xticks(ticks, dates.axis(ticks))


def _bars(axes: Any, column: Mapping[str, Any]) -> None:
    place, sides = np.arange(len(column["levels"])), _sides(column)
    width = 0.8 / len(sides)
    for i, (name, heights, colour) in enumerate(sides):
        axes.bar(place + (i - (len(sides) - 1) / 2) * width, heights, width, color=colour, label=name)
    axes.set_xticks(place, [word[:12] for word in column["levels"]], rotation=50, ha="right")


def _associations(found: Mapping[str, Any]) -> Picture:
    from matplotlib.figure import Figure

    names, made = found["columns"], np.array(found["synthetic"])
    panels = {"synthetic rows": made}
    if "real" in found:
        real = np.array(found["real"])
        panels = {"real rows": real, "synthetic rows": made, "synthetic - real": made - real}
    side = max(3.0, min(5.0, 0.22 * len(names) + 1.4))
    figure = Figure(figsize=(side * len(panels) + 0.8, side + 0.8), layout="constrained")
    for i, (title, values) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        shown = axes.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_title(title, fontsize=9)
        size = 7 if len(names) <= 20 else 5
        axes.set_xticks(range(len(names)), [n[:14] for n in names], rotation=90, fontsize=size)
        axes.set_yticks(range(len(names)), [n[:14] for n in names] if i == 0 else [""] * len(names), fontsize=size)
    figure.colorbar(shown, ax=figure.axes, shrink=0.7)
    return Picture(
        _png(figure),
        "How strongly pairs of columns hang together: real, synthetic, and the difference",
        "How strongly pairs of columns hang together: correlation of two numbers, Cramer's V of two categories, correlation "
        "ratio of one and the other. In the last picture white is right.",
    )


def survival(section: Mapping[str, Any]) -> Picture:
    """Kaplan-Meier curves with their 95 % bands."""
    from matplotlib.figure import Figure

    curves = section["curves"]
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes = figure.subplots()
    times = np.array(curves["times"])
    for name, colour in (("real", SHADE), ("synthetic", INK)):
        if name not in curves:
            continue
        value, low, high = (np.array(curves[name][k], dtype=float) for k in ("value", "low", "high"))
        told = np.isfinite(value)
        dark = "#475569" if name == "real" else colour
        axes.plot(times[told], value[told], color=dark, label=f"{name} rows", linewidth=1.4)
        axes.fill_between(times[told], low[told], high[told], color=dark, alpha=0.15, linewidth=0)
    axes.set(xlabel=section["time"], ylabel=f"share without {section['event']}", ylim=(0, 1.02), xlim=(0, times[-1]))
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    hidden = "" if "real" in curves else " The real curve is not drawn: training was under differential privacy."
    return Picture(
        _png(figure),
        f"Survival curves of {section['time']} and {section['event']}",
        f"Share of people without the event over time, with 95 % bands. The real curve is told only at times that have ten "
        f"events or more between them, and while ten people or more are followed.{hidden}",
    )
