"""A sheet that shows what was changed: a row for each picture, with the place that changed most."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from rivalry.changing.source import FileSource
from rivalry.data.sources import Array
from rivalry.files import atomic

PANEL, GAP, LINE = 288, 8, 16
LOOK = 96
"""Side of the place that is shown, in pixels of the result."""
ROWS = 24
LOUDER = 4
PAPER, INK = 255, 40


@dataclass
class Closest:
    """The square of LOOK pixels where before and after differ most, among the tiles that were shown."""

    most: float = -1.0
    before: Tensor | None = None
    after: Tensor | None = None

    def seen(self, top: int, left: int, before: Tensor, after: Tensor) -> None:
        """before, after: [c, h, w] in [0, 1]."""
        h, w = min(LOOK, before.shape[1]), min(LOOK, before.shape[2])
        change = (after - before).abs().mean(0)[None, None]
        pooled = F.avg_pool2d(change, (h, w), (max(1, h // 2), max(1, w // 2)))[0, 0]
        score = float(pooled.max())
        if score > self.most:
            y, x = divmod(int(pooled.argmax()), pooled.shape[1])
            place = slice(y * max(1, h // 2), y * max(1, h // 2) + h), slice(x * max(1, w // 2), x * max(1, w // 2) + w)
            self.most, self.before, self.after = score, before[:, *place].clone(), after[:, *place].clone()


@dataclass
class Sheet:
    """Rows of panels: the picture, its place that changed most before and after, and the difference LOUDER times."""

    rows: list[tuple[str, list[Array]]] = field(default_factory=list)

    def add(self, name: str, source: FileSource, closest: Closest) -> None:
        if len(self.rows) < ROWS and closest.before is not None and closest.after is not None:
            loud = (0.5 + LOUDER * (closest.after - closest.before) / 2).clamp(0, 1)
            if source.alpha:
                loud[-1] = 1
            panels = [_small(source), *(_panel(x, source.alpha) for x in (closest.before, closest.after, loud))]
            self.rows.append((name, panels))

    def write(self, path: Path) -> None:
        heads = ("picture", "before", "after", f"difference x{LOUDER}")
        wide, high = PANEL + GAP, PANEL + GAP + LINE
        paper = Image.new("RGB", (GAP + len(heads) * wide, LINE + len(self.rows) * high + GAP), (PAPER,) * 3)
        pen = ImageDraw.Draw(paper)
        for i, head in enumerate(heads):
            pen.text((GAP + i * wide, 2), head, fill=(INK,) * 3)
        for j, (name, panels) in enumerate(self.rows):
            pen.text((GAP, LINE + j * high + 2), name[-100:].encode("latin-1", "replace").decode("latin-1"), fill=(INK,) * 3)
            for i, panel in enumerate(panels):
                paper.paste(Image.fromarray(panel), (GAP + i * wide, LINE + j * high + LINE))
        with atomic(path) as beside:
            paper.save(beside, "PNG")


def _small(source: FileSource) -> Array:
    """The whole picture in a panel; rows and columns are taken at even distances, then smoothed down."""
    factor = max(1, min(source.height, source.width) // (4 * PANEL))
    rows = [source.rows(y, y + 1)[:, :, ::factor] for y in range(0, source.height, factor)]
    return _panel(torch.cat(rows, 1), source.alpha)


def _panel(x: Tensor, alpha: bool) -> Array:
    """[c, h, w] in [0, 1] -> [PANEL, at most PANEL, 3] uint8, on white; small places are enlarged pixel by pixel."""
    colour = x[:-1] * x[-1:] + (1 - x[-1:]) if alpha else x
    values = np.rint(colour.clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(values))
    scale = PANEL / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS))
