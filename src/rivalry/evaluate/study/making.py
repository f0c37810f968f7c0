"""A study of one run's table: what was asked, section by section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from rivalry import stats
from rivalry.data.base import Dataset
from rivalry.data.table import TableModality
from rivalry.evaluate.features import Features
from rivalry.evaluate.judge import Judge
from rivalry.evaluate.scores import Scores, measure_all
from rivalry.evaluate.study.clinic import clinic
from rivalry.evaluate.study.groups import groups
from rivalry.evaluate.study.sides import Sides
from rivalry.evaluate.study.surviving import Pair, parse, surviving
from rivalry.evaluate.study.useful import predicted, utility
from rivalry.evaluate.study.views import views


@dataclass(frozen=True)
class Ask:
    """What is to be measured: targets to be predicted, columns to group by, 'time,event' pairs; full: all that needs no
    column named (clinical measures, views).  shown: whether statistics of real rows may stand beside those of synthetic ones;
    they may not where training was under differential privacy, as they have no part in its guarantee (scores remain)."""

    targets: Sequence[str] = ()
    by: Sequence[str] = ()
    survival: Sequence[str] = ()
    full: bool = False
    shown: bool = True


def study(dataset: Dataset, fake: Tensor, ask: Ask, seed: int) -> dict[str, Any]:
    """Sections by name ('utility: income', 'groups: sex', 'survival: time, death', 'clinical', 'views') of fake rows [M, C]
    in their own units.  DataError, UnknownName or RecipeError for columns that cannot be meant, before anything is
    measured; no row is in what is returned."""
    sides = Sides.of(dataset, fake)
    for name in (*ask.targets, *ask.by):
        sides.place(name)
    pairs = [parse(sides, text) for text in ask.survival]
    found: dict[str, Any] = {}
    answers = {target: predicted(sides, target, seed) for target in ask.targets}
    found |= {f"utility: {target}": utility(target, one) for target, one in answers.items()}
    found |= {f"groups: {by}": groups(sides, by, {t: a for t, a in answers.items() if t != by}) for by in ask.by}
    found |= _survivals(sides, pairs)
    if ask.full:
        found |= {"clinical": clinic(sides), "views": views(sides)}
    return found if ask.shown else without_real(found)


def _survivals(sides: Sides, pairs: Sequence[Pair]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        apart = sorted({p for other in pairs for p in (other.time, other.event)} - {pair.time, pair.event})
        name = f"survival: {sides.names[pair.time]}, {sides.names[pair.event]}"
        found[name] = surviving(sides, pair, apart)
    return found


def without_real(value: Any) -> Any:
    """The same without what stands under 'real' beside 'synthetic', and without counts of real rows."""
    if isinstance(value, dict):
        paired = "synthetic" in value
        kept = {k: without_real(v) for k, v in value.items() if not (paired and k == "real")}
        return kept | {k: None for k in ("training rows", "held-out rows") if k in value}
    return [without_real(v) for v in value] if isinstance(value, list) else value


def fidelity(dataset: Dataset, judge: Judge, scores: Scores, seed: int) -> dict[str, Any]:
    """The scores, and what independent columns get: training columns permuted one by one, the baseline that knows each
    column and no relation."""
    if not isinstance(dataset.modality, TableModality):  # visits whose cells are drawn one by one are no visits
        return {"scores": scores.as_dict()["scores"], "baseline": {}, "columns": scores.details.get("columns", {})}
    n = next(iter(scores.values())).ruler.samples
    rows = dataset.train.raw(torch.arange(len(dataset.train)))
    x = dataset.modality.encode(stats.independent_marginals(rows, n, seed))
    baseline = measure_all(Features(x, points=x), judge.full)
    return {
        "scores": scores.as_dict()["scores"],
        "baseline": {name: score.value for name, score in baseline.items()},
        "columns": scores.details.get("columns", {}),
    }


def stamped(section: dict[str, Any], step: int, which: str, samples: int, seed: int) -> dict[str, Any]:
    """The section with its date and what was measured."""
    made = {"date": datetime.now(UTC).date().isoformat(), "step": step, "checkpoint": which, "samples": samples, "seed": seed}
    return {"made": made, **section}
