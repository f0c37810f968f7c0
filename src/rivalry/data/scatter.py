"""Points as pictures: scatter plots of two columns, drawn without a display."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rivalry.files import atomic

MOST = 5000
INK, SHADE = "#c2410c", "#94a3b8"


def _thinned(points: Tensor) -> Tensor:
    """At most MOST of the points, evenly spread over their order."""
    return points[torch.linspace(0, len(points) - 1, min(MOST, len(points))).long()] if len(points) else points


def save(points: Tensor, path: Path, names: tuple[str, ...], reference: Tensor | None = None) -> Path:
    """points [N, D] (and a reference [M, D] to their right, on the same axes) in their first two columns, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [("samples", _thinned(points), INK)]
    if reference is not None:
        panels.append(("data", _thinned(reference), SHADE))
    figure = Figure(figsize=(4.2 * len(panels), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    frame = panels[-1][1][:, :2].float()
    frame = frame[frame.isfinite().all(1)]
    low, high = (frame.amin(0), frame.amax(0)) if len(frame) else (torch.zeros(2), torch.ones(2))
    margin = 0.15 * (high - low).clamp_min(1e-6)
    for i, (title, shown, colour) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        axes.scatter(shown[:, 0].numpy(), shown[:, 1].numpy(), s=3, alpha=0.5, color=colour, linewidths=0)
        axes.set_xlim(float(low[0] - margin[0]), float(high[0] + margin[0]))
        axes.set_ylim(float(low[1] - margin[1]), float(high[1] + margin[1]))
        axes.set_title(title)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
    with atomic(path) as beside:
        figure.savefig(beside, dpi=100, format=path.suffix.lower().lstrip(".") or "png")
    return path
