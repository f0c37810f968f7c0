"""What pictures of a report show: shares of rows in bins and levels, and associations of columns; plain values.

Counts of fewer than LEAST real rows are told as none, shares are rounded, and bins come from the samples, so that no row,
no exact quantile and no extreme of the data can be read off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.data.table_look import edges_of
from rivalry.evaluate.study.sides import LEAST, Sides, about, rounded, share
from rivalry.stats.associations import associations

LEVELS = 12
WIDE = 40
"""Columns in the picture of associations at most."""
ROWS = 20_000


def views(sides: Sides) -> dict[str, Any]:
    """columns: a marginal each; associations: of the first WIDE columns."""
    return {
        "least": LEAST,
        "columns": [_column(c, sides.train[:, i], sides.fake[:, i]) for i, c in enumerate(sides.columns)],
        "associations": _associations(sides),
    }


def _column(column: Column, real: Tensor, fake: Tensor) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type}
    if isinstance(column.code, LevelCode):
        total = len(column.code.levels)
        counts = [_level_counts(side, total)[:-1] for side in (real, fake)]
        common = (counts[0] >= LEAST).nonzero().flatten()
        # The most frequent of the samples come first: the order of the real ones would say more than their rounded shares.
        shown = common[(-counts[1][common]).argsort(stable=True)][:LEVELS]
        levels = [column.code.levels[i] for i in shown.tolist()]
        sides = [torch.cat([n[shown], (n.sum() - n[shown].sum())[None]]) for n in counts]
        rest = bool(sides[0][-1]) or bool(sides[1][-1])
        made["levels"] = [*levels, "rest"] if rest else levels
        sides = sides if rest else [side[:-1] for side in sides]
    else:
        known = fake[~fake.isnan()].numpy()
        edges = edges_of(known, column)
        made["edges"] = [rounded(e, 6) for e in edges.tolist()]
        sides = [_bin_counts(side, edges) for side in (real, fake)]
    made["synthetic"] = [rounded(n / max(1, len(fake)), 3) for n in sides[1].tolist()]
    made["real"] = [bar(n, len(real)) for n in sides[0].tolist()]
    made["missing"] = {
        "real": share(float(real.isnan().sum()), len(real)),
        "synthetic": rounded(float(fake.isnan().double().mean()), 3),
    }
    return made


def _level_counts(values: Tensor, levels: int) -> Tensor:
    known = values[~values.isnan()].long().clamp_max(levels)
    return known.bincount(minlength=levels + 1)


def _bin_counts(values: Tensor, edges: np.ndarray[Any, np.dtype[np.float64]]) -> Tensor:
    known = values[~values.isnan()].numpy().clip(edges[0], edges[-1])
    return torch.from_numpy(np.histogram(known, edges)[0])


def bar(count: int, rows: int) -> float | None:
    """Share of `rows` real rows, the count to the nearest ten; None for fewer than LEAST."""
    told = about(count) if count else 0
    return None if told is None else round(told / max(1, rows), 3)


def _associations(sides: Sides) -> dict[str, Any]:
    """Of equally many rows of each side, since associations of few rows are larger."""
    n = min(len(sides.train), len(sides.fake), ROWS)
    made: dict[str, Any] = {"columns": list(sides.names[:WIDE])}
    for name, rows in (("real", sides.train), ("synthetic", sides.fake)):
        found = associations(rows[:n, :WIDE], sides.kinds[:WIDE])
        made[name] = [[rounded(v, 2) for v in row] for row in found.tolist()]
    return made
