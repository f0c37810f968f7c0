"""Fidelity and utility within groups of people: a mean over everybody hides those who are few."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rivalry import stats
from rivalry.data.columns import dates
from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.fit import Column
from rivalry.errors import DataError
from rivalry.evaluate.study.sides import LEAST, Sides, about, rounded
from rivalry.evaluate.study.useful import told
from rivalry.evaluate.tabular import jackknifed
from rivalry.stats.worth import worths

MOST = 12
"""Levels of a category that are told apart; further ones are one group."""
BANDS = 4
FEWEST = 4
"""Synthetic rows that a group needs to be measured."""


class Group(NamedTuple):
    name: str
    train: Tensor
    held: Tensor
    fake: Tensor


def groups(sides: Sides, by: str, predicted: Mapping[str, stats.Predictions]) -> dict[str, Any]:
    """Of each group of the column `by`: counts to the nearest ten, shape and trend error with the floor that training rows
    reach, and the utility of each target that was predicted.

    Groups of fewer than LEAST held-out or training rows are counted as suppressed, neither named nor measured.
    """
    place = sides.place(by)
    found = cut(sides, place)
    small = [g.name for g in found if min(int(g.held.sum()), int(g.train.sum())) < LEAST]
    kept = [g for g in found if g.name not in small]
    return {
        "by": by,
        "least": LEAST,
        "groups": [_measured(sides, place, g, predicted) for g in kept],
        "suppressed": len(small),
    }


def cut(sides: Sides, place: int) -> list[Group]:
    """Levels of a category, those most frequent in the samples first; bands of a number, between rounded quartiles of the
    samples (neither tells of training rows); missing cells last."""
    columns = [side[:, place] for side in (sides.train, sides.held, sides.fake)]
    levels = sides.levels(place)
    if levels:
        made = columns[2]
        times = made[~made.isnan()].long().bincount(minlength=len(levels))
        order = times.argsort(descending=True, stable=True)
        found = [Group(levels[i], *(c == i for c in columns)) for i in order[:MOST].tolist()]
        if len(levels) > MOST:
            rest = order[MOST:].double()
            found.append(Group("all other values", *(torch.isin(c, rest) for c in columns)))
    else:
        found = _bands(sides, place, columns)
    found.append(Group("missing", *(c.isnan() for c in columns)))
    return [g for g in found if bool(g.train.any()) or bool(g.held.any())]


def _bands(sides: Sides, place: int, columns: list[Tensor]) -> list[Group]:
    code = sides.columns[place].code
    assert isinstance(code, NumberCode)
    known = columns[2][~columns[2].isnan()]
    if not len(known):
        return []
    cuts = np.quantile(known.numpy(), np.arange(1, BANDS) / BANDS)
    edges = sorted({float(code.rounded(torch.tensor(c))) for c in cuts})
    ends = [-np.inf, *edges, np.inf]
    words = dict(zip(edges, _words(sides.columns[place], edges), strict=True))
    found = []
    for low, high in pairwise(ends):
        name = f"{words[low]} to {words[high]}" if low in words and high in words else ""
        name = name or (f"below {words[high]}" if high in words else f"{words[low]} or more" if low in words else "all")
        found.append(Group(name, *((c >= low) & (c < high) for c in columns)))
    return found


def _words(column: Column, values: list[float]) -> list[str]:
    if column.type == "date":
        return [str(word) for word in dates.write(np.array(values), column.form if dates.is_clock(column.form) else "%Y-%m-%d").to_pylist()]
    return [f"{value:g}" for value in values]


def _measured(sides: Sides, place: int, group: Group, predicted: Mapping[str, stats.Predictions]) -> dict[str, Any]:
    others = sides.without(place)
    what = [sides.kinds[i] for i in others]
    train, held = sides.train[group.train][:, others], sides.held[group.held][:, others]
    fake = sides.fake[group.fake][:, others]
    made: dict[str, Any] = {
        "name": group.name,
        "training rows": about(len(train)),
        "held-out rows": about(len(held)),
        "synthetic rows": len(fake),
        "share": {
            "real": rounded((about(len(train)) or 0) / max(1, len(group.train)), 3),
            "synthetic": rounded(float(group.fake.double().mean()), 3),
        },
    }
    if len(fake) >= FEWEST:
        for name, error in (("shape", stats.shape_error), ("trend", stats.trend_error)):
            found = jackknifed(error(held, fake, what), fake, lambda x, error=error: error(held, x, what))  # type: ignore[misc]
            floor = error(held, train[: max(len(fake), LEAST)], what)
            values = {"value": found.value, "low": found.low, "high": found.high, "floor": floor}
            made[name] = {k: rounded(v) for k, v in values.items()}
    made["utility"] = {target: _worth(group, one) for target, one in predicted.items()}
    return made


def _worth(group: Group, found: stats.Predictions) -> dict[str, Any]:
    """Learners were trained on everybody, and are asked about this group."""
    mine = group.held.numpy()[found.rows]
    if int(mine.sum()) < LEAST:
        return {"why not": f"fewer than {LEAST} held-out rows with a target"}
    try:
        return told(worths(found, mine))
    except DataError:
        return {"why not": "cannot be graded among these rows"}
