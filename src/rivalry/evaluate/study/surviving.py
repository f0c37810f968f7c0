"""Times until an event: curves, censoring, and what a Cox model learns from synthetic rows; as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns.codes import NumberCode
from rivalry.errors import DataError, RecipeError
from rivalry.evaluate.study.sides import LEAST, Sides, plain, rounded, share
from rivalry.evaluate.tabular import jackknifed
from rivalry.stats.survival import chance_gap, concordance, cox, kaplan_meier, still_seen, survival_gap
from rivalry.stats.tabular_models import linear_columns

HAPPENED = ("1", "yes", "y", "true", "t", "dead", "died", "death", "deceased", "event")
POINTS = 41
FAR = 1.2815515655446004
"""The standard normal deviate of .9: curves are compared up to about the time that nine tenths of the rows have left."""
RIDGE = 1.0


class Pair(NamedTuple):
    """The columns of a time and its event; happened: the value of the event column that says so."""

    time: int
    event: int
    happened: float

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(time, event 0 or 1, which rows [N] have both)."""
        time, event = rows[:, self.time], rows[:, self.event]
        known = ~(time.isnan() | event.isnan()) & (time >= 0)
        return time[known], (event[known] == self.happened).double(), known


def parse(sides: Sides, text: str) -> Pair:
    """'time,event' or 'time,event=VALUE'.  RecipeError, UnknownName or DataError for what cannot be meant."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(parts):
        raise RecipeError(f"--survival takes TIME,EVENT or TIME,EVENT=VALUE, two columns, not {text!r}")
    name, _, said = parts[1].partition("=")
    time, event = sides.place(parts[0]), sides.place(name.strip())
    if sides.levels(time):
        raise DataError(f"the time {parts[0]!r} is a category; a schema can make it a number")
    levels = sides.levels(event)
    if not levels:
        return Pair(time, event, _number(said, name))
    if said and said.strip() not in levels:
        raise DataError(f"{name!r} is never {said.strip()!r}; it is {', '.join(levels[:8])}")
    words = [said.strip()] if said else [word for word in levels if word.strip().lower() in HAPPENED]
    if len(words) != 1:
        raise DataError(f"which value of {name!r} says that the event happened? give --survival {parts[0]},{name}=VALUE")
    return Pair(time, event, float(levels.index(words[0])))


def _number(said: str, name: str) -> float:
    try:
        return float(said) if said else 1.0
    except ValueError as error:
        raise DataError(f"{name!r} holds numbers, and {said!r} is none") from error


def horizon(sides: Sides, pair: Pair) -> float:
    """To two digits, from the smoothed quantiles that the run keeps: no order statistic of the data."""
    code = sides.columns[pair.time].code
    assert isinstance(code, NumberCode)
    values, deviates = (code.knots, code.deviates) if code.knots else (code.spikes, range(len(code.spikes)))
    end = float(np.interp(FAR, list(deviates), list(values))) if values else 0.0
    if not end > 0:
        raise DataError(f"no time of {sides.names[pair.time]!r} is above 0, so there is no curve")
    digits = 1 - math.floor(math.log10(end))
    return round(end, digits)


def surviving(sides: Sides, pair: Pair, apart: Sequence[int]) -> dict[str, Any]:
    """Curves, their gap, censoring, and concordance.  apart: columns of other times and events, which predict nothing
    here."""
    rows = {"train": sides.train, "held": sides.held, "fake": sides.fake}
    known = {name: pair.of(side) for name, side in rows.items()}
    if len(known["held"][0]) < LEAST or not len(known["fake"][0]):
        raise DataError(f"fewer than {LEAST} held-out rows have a time and an event, or no synthetic row has")
    end = horizon(sides, pair)
    curves = {name: kaplan_meier(t, e) for name, (t, e, _) in known.items()}
    both = torch.stack(known["fake"][:2], 1)
    gap, floor = (survival_gap(curves["held"], curves[name], end) for name in ("fake", "train"))
    whole, chance = survival_gap(curves["train"], curves["fake"], end), chance_gap(curves["train"], curves["fake"], end)

    def distance(x: Tensor) -> float:
        return survival_gap(curves["held"], kaplan_meier(x[:, 0], x[:, 1]), end).distance

    read = jackknifed(gap.distance, both, distance)
    return {
        "time": sides.names[pair.time],
        "event": sides.names[pair.event],
        "happened": _word(sides, pair),
        "horizon": end,
        "distance": {k: rounded(v) for k, v in
                     (("value", read.value), ("low", read.low), ("high", read.high), ("floor", floor.distance))},
        "optimism": {"value": rounded(gap.optimism), "floor": rounded(floor.optimism)},
        "training": {"distance": rounded(whole.distance), "optimism": rounded(whole.optimism), "chance": rounded(chance)},
        "events": {"real": share(float(known["train"][1].sum()), len(known["train"][1])), "synthetic": rounded(float(known["fake"][1].mean()), 3)},
        "concordance": _concordance(sides, pair, apart),
        "curves": _curves(known, end),
    }  # fmt: skip


def _word(sides: Sides, pair: Pair) -> str:
    """How the event column says that it happened."""
    levels = sides.levels(pair.event)
    return levels[int(pair.happened)] if levels else f"{pair.happened:g}"


def _curves(known: dict[str, tuple[Tensor, Tensor, Tensor]], end: float) -> dict[str, Any]:
    """S(t) at even times, with bands, to three digits."""
    grid = torch.linspace(0, end, POINTS, dtype=torch.float64)
    found: dict[str, Any] = {"times": [rounded(t, 6) for t in grid.tolist()]}
    for name, side in (("real", "train"), ("synthetic", "fake")):
        time, event, _ = known[side]
        curve = kaplan_meier(time, event)
        told = _told(time, event, grid) if name == "real" else [True] * POINTS
        lines = zip(("value", "low", "high"), (curve.at(grid), *curve.band(grid)), strict=True)
        found[name] = {
            key: [rounded(v, 3) if ok else None for v, ok in zip(values.tolist(), told, strict=True)]
            for key, values in lines
        }
    return found


def _told(time: Tensor, event: Tensor, grid: Tensor) -> list[bool]:
    """At which times the real curve is told: LEAST people are at risk, and LEAST events lie between two of them, so that no
    step shows when one person's event was."""
    at_risk = still_seen(time, grid).tolist()
    so_far = torch.searchsorted(time[event > 0].sort().values, grid, right=True).tolist()
    told, last = [], 0
    for place, (left, events) in enumerate(zip(at_risk, so_far, strict=True)):
        ok = left >= LEAST and (events - last >= LEAST or (place == 0 and not events))
        last = events if ok else last
        told.append(ok)
    return told


def _concordance(sides: Sides, pair: Pair, apart: Sequence[int]) -> dict[str, Any] | None:
    """Harrell's C on held-out rows of Cox models learnt from real rows, from synthetic ones, and from both."""
    others = sides.without(pair.time, pair.event, *apart)
    if not others:
        return None
    what = [sides.kinds[i] for i in others]
    time, event, known = pair.of(sides.held)
    exam = sides.held[known][:, others]
    found: dict[str, Any] = {}
    arms = {"real rows": [sides.train], "synthetic rows": [sides.fake], "both": [sides.train, sides.fake]}
    for name, parts in arms.items():
        rows = torch.cat(parts)
        when, happened, there = pair.of(rows)
        own = rows[there][:, others]
        x = torch.from_numpy(linear_columns(what, own, exam))
        try:
            beta = cox(x[: len(own)], when, happened, RIDGE)
            found[name] = plain(concordance(time, event, x[len(own) :] @ beta))
        except DataError:  # no events, or no pair of held-out rows to compare
            found[name] = None
    return found
