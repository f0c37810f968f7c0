"""Measures of patient records: columns over patients and over visits, how visits follow one another, survival."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

from rivalry import stats
from rivalry.data.record_fit import GAP
from rivalry.evaluate.features import Features
from rivalry.evaluate.found import Found, Measure, Reading
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import CONFIDENCE
from rivalry.evaluate.tabular import GROUPS
from rivalry.stats import records as by_visit
from rivalry.stats import survival
from rivalry.types import Spec

RIDGE = 0.01
"""Of Cox's regression, for each patient."""


@dataclass(frozen=True)
class Layout:
    """names and kinds ('number', 'category') of the static columns and of a visit's, the gap first; visits: at most so many."""

    static: tuple[str, ...]
    static_kinds: tuple[str, ...]
    visit: tuple[str, ...]
    visit_kinds: tuple[str, ...]
    visits: int

    @classmethod
    def of(cls, spec: Spec) -> Layout:
        end = spec.static + spec.visit_width
        own = [b for b in spec.blocks if b.start < spec.static]
        visit = [b for b in spec.blocks if spec.static < b.start < end]  # without the choice that begins it

        if spec.columns:  # constraints have others learned in their place
            names, what = (tuple(part) for part in zip(*spec.columns, strict=True))
            at = names.index(GAP)
            return cls(names[:at], what[:at], names[at:], what[at:], spec.visits)
        numbers = {b.name for b in spec.blocks if b.kind == "number"}

        def kinds(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple("number" if n in numbers else "category" for n in names)

        static, changing = (tuple(dict.fromkeys(b.name for b in side)) for side in (own, visit))
        return cls(static, kinds(static), changing, kinds(changing), spec.visits)


    @property
    def raw_kinds(self) -> tuple[str, ...]:
        """Of a raw record's columns [S + L (1 + V)]."""
        return self.static_kinds + self.visits * self.visit_kinds


@dataclass(frozen=True)
class Patients:
    """Raw records, taken apart: static [N, S]; visits [V, W], gap first (NaN for first visits); owner [V]."""

    static: Tensor
    visits: Tensor
    owner: Tensor

    @classmethod
    def of(cls, raw: Tensor, layout: Layout) -> Patients:
        raw = raw.cpu().double()
        own = len(layout.static)
        visits = raw[:, own:].reshape(len(raw), layout.visits, len(layout.visit))
        owner, place = (~visits[:, :, 0].isnan()).nonzero(as_tuple=True)
        rows = visits[owner, place]
        rows[place == 0, 0] = torch.nan
        return cls(raw[:, :own], rows, owner)

    def __len__(self) -> int:
        return len(self.static)

    @property
    def long(self) -> Tensor:
        """[V, W + S]: visits with their patient's columns."""
        return torch.cat([self.visits, self.static[self.owner]], 1)

    @property
    def counts(self) -> Tensor:
        return by_visit.visit_counts(self.owner, len(self))

    def without(self, group: int, groups: int) -> Patients:
        """Without the patients of a group: number i is of group i mod groups."""
        keep = torch.arange(len(self)) % groups != group
        number = keep.cumsum(0) - 1
        mine = keep[self.owner]
        return Patients(self.static[keep], self.visits[mine], number[self.owner[mine]])


def _sides(fake: Features, reference: Reference) -> tuple[Patients, Patients, Layout]:
    """(real, fake, layout)."""
    assert reference.decode is not None
    assert fake.points is not None
    assert reference.held.points is not None
    layout = Layout.of(reference.spec)
    real = Patients.of(reference.decode(reference.held.points), layout)
    return real, Patients.of(reference.decode(fake.points), layout), layout


def _jackknifed(made: Patients, measure: Callable[[Patients], float]) -> Reading:
    """The measure with a delete-a-group interval over patients."""
    value, groups = measure(made), min(GROUPS, len(made) // 2)
    parts = torch.tensor([measure(made.without(g, groups)) for g in range(groups)], dtype=torch.float64)
    error = math.sqrt((groups - 1) / groups * float((parts - parts.mean()).square().sum()))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1) * error
    return Reading(value, max(0.0, value - half), value + half)


def shapes(real: Patients, made: Patients, layout: Layout) -> Tensor:
    """[S + W]: errors of the static columns over patients and of the visits' over visits."""
    own = stats.shape_errors(real.static, made.static, layout.static_kinds) if layout.static else torch.zeros(0)
    return torch.cat([own.double(), stats.shape_errors(real.visits, made.visits, layout.visit_kinds)])


def trends(real: Patients, made: Patients, layout: Layout) -> tuple[float, float]:
    """(mean error over the pairs of columns within visits and within patients, over pairs of a static and a visit's)."""
    w, s = len(layout.visit), len(layout.static)
    both = stats.trend_errors(real.long, made.long, [*layout.visit_kinds, *layout.static_kinds])
    crossed = both[:w, w:]
    within = [both[:w, :w][tuple(torch.triu_indices(w, w, 1))]]
    if s > 1:
        own = stats.trend_errors(real.static, made.static, layout.static_kinds)
        within.append(own[tuple(torch.triu_indices(s, s, 1))])
    inside = torch.cat(within)
    return float(inside.mean()) if len(inside) else 0.0, float(crossed.mean()) if s else 0.0


def columns(fake: Features, reference: Reference) -> Found:
    """Shape, trend and missing cells."""
    real, made, layout = _sides(fake, reference)
    errors = shapes(real, made, layout)
    missing = stats.missing_errors(real.visits[:, 1:], made.visits[:, 1:]) if len(layout.visit) > 1 else errors[:0]
    gone = float(missing.mean()) if len(missing) else 0.0
    readings = {
        "shape": _jackknifed(made, lambda m: float(shapes(real, m, layout).mean())),
        "trend": _jackknifed(made, lambda m: trends(real, m, layout)[0]),
        "crossed": _jackknifed(made, lambda m: trends(real, m, layout)[1]),
        "missingness": Reading(gone, gone, gone),
    }
    details = {"shape": dict(zip((*layout.static, *layout.visit), errors.tolist(), strict=True))}
    return Found(readings, {"columns": details})


def course(fake: Features, reference: Reference) -> Found:
    """How many visits, how far apart, and how one follows another."""
    real, made, layout = _sides(fake, reference)

    def lag(m: Patients) -> float:
        return float(by_visit.lag_errors((real.visits, real.owner), (m.visits, m.owner), layout.visit_kinds).mean())

    def change(m: Patients) -> float:
        return float(by_visit.change_errors((real.visits, real.owner), (m.visits, m.owner), layout.visit_kinds).mean())

    def number(m: Patients) -> float:
        return float(stats.shape_errors(real.counts[:, None], m.counts[:, None], ["number"]))

    def gap(m: Patients) -> float:
        return float(stats.shape_errors(real.visits[:, :1], m.visits[:, :1], ["number"]))

    measures = {"visits": number, "gaps": gap, "lag": lag, "change": change}
    return Found({name: _jackknifed(made, f) for name, f in measures.items()})


def told_apart(fake: Features, reference: Reference) -> Found:
    """AUC of boosted trees between summaries of samples and of held-out patients."""
    real, made, layout = _sides(fake, reference)
    sides = []
    for side in (real, made):
        rows, kinds = by_visit.summaries(side.visits, side.owner, len(side), layout.visit_kinds)
        sides.append(torch.cat([rows, side.static], 1))
    found = stats.classifier_two_sample(sides[0], sides[1], [*kinds, *layout.static_kinds], 0, confidence=CONFIDENCE)
    return Found({"c2st": Reading(found.value, found.low, found.high)})


def outcome(static: Tensor, layout: Layout, spec: Spec) -> tuple[Tensor, Tensor, Tensor]:
    """(time, event, known [N]) of the patients that have both: of those."""
    assert spec.survival is not None
    time, event = (static[:, layout.static.index(n)] for n in spec.survival[:2])
    known = ~(time.isnan() | event.isnan())
    return time[known].clamp_min(0.0), (event[known] == spec.survival.level).double(), known


def survived(fake: Features, reference: Reference) -> Found:
    """Distance of the Kaplan-Meier curves, and of the shares of patients that are censored."""
    real, made, layout = _sides(fake, reference)
    spec = reference.spec
    truth = outcome(real.static, layout, spec)[:2]

    horizon, known = float(truth[0].max()), survival.kaplan_meier(*truth)

    def curve(m: Patients) -> float:
        made = survival.kaplan_meier(*outcome(m.static, layout, spec)[:2])
        return survival.survival_gap(known, made, horizon).distance if horizon > 0 else 0.0

    def censored(m: Patients) -> float:
        return abs(float(truth[1].mean()) - float(outcome(m.static, layout, spec)[1].mean()))

    return Found({"km": _jackknifed(made, curve), "censoring": _jackknifed(made, censored)})


def prognosis(real: Patients, made: Patients, layout: Layout, spec: Spec) -> float:
    """Harrell's C on real patients of Cox's regression that was fitted to samples: from the columns that are known at the first
    visit, none of the outcome's.  .5 where the samples hold nothing to learn from."""
    assert spec.survival is not None
    (x, time, event), (y, later, happened) = (_known_at_first(side, layout, spec) for side in (made, real))
    if not bool(event.any()) or len(x) < 2:
        return 0.5
    kinds = [*_predictors(layout, spec).values(), *layout.visit_kinds[1:]]
    train, test = survival.design(x, y, kinds)
    risk = test @ survival.cox(train, time, event, RIDGE * len(train))
    return survival.concordance(later, happened, risk).value


def _predictors(layout: Layout, spec: Spec) -> dict[int, str]:
    """place -> kind of the static columns that may predict."""
    assert spec.survival is not None
    hidden = {spec.survival.time, spec.survival.event, *spec.survival.after}
    return {i: k for i, (n, k) in enumerate(zip(layout.static, layout.static_kinds, strict=True)) if n not in hidden}


def _known_at_first(side: Patients, layout: Layout, spec: Spec) -> tuple[Tensor, Tensor, Tensor]:
    time, event, known = outcome(side.static, layout, spec)
    first = torch.full((len(side), len(layout.visit)), torch.nan, dtype=torch.float64)
    begins = torch.cat([torch.ones(1, dtype=torch.bool), side.owner[1:] != side.owner[:-1]])[: len(side.owner)]
    first[side.owner[begins]] = side.visits[begins]
    x = torch.cat([side.static[:, list(_predictors(layout, spec))], first[:, 1:]], 1)
    return x[known], time, event


def predicted(fake: Features, reference: Reference) -> Found:
    """C-index: train on samples, test on held-out patients."""
    real, made, layout = _sides(fake, reference)
    value = prognosis(real, made, layout, reference.spec)
    groups = min(GROUPS, len(made) // 2)
    parts = torch.tensor([prognosis(real, made.without(g, groups), layout, reference.spec) for g in range(groups)])
    error = math.sqrt((groups - 1) / groups * float((parts - parts.mean()).square().sum()))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1) * error
    return Found({"cindex": Reading(value, max(0.0, value - half), min(1.0, value + half))})


COLUMNS = Measure(("shape", "trend", "crossed", "missingness"), columns)
COURSE = Measure(("visits", "gaps", "lag", "change"), course)
SURVIVAL = Measure(("km", "censoring"), survived)
PROGNOSIS = Measure(("cindex",), predicted)
TREES = Measure(("c2st",), told_apart)


def measures(spec: Spec) -> tuple[Measure, ...]:
    """What can be measured of records of this Spec."""
    outcomes = (SURVIVAL, PROGNOSIS) if spec.survival else ()
    return (COLUMNS, COURSE, *outcomes, *((TREES,) if find_spec("sklearn") else ()))
