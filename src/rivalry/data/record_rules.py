"""Constraints on patient records: on the patients' own columns, within a visit, and between a visit and its patient.

Patients' columns and visits have a plan each (`rules.plan`), as the rows of a table have.  What is between the two is met by emptying a
visit's cell where a condition asks for it, by making a visit's number follow from its sum, and else by drawing the patient anew.  That asks
something of every visit, so a patient of n visits is kept with the n-th power of a chance: what can be made so is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Numbers
from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.detect import detect
from rivalry.data.columns.fit import Column
from rivalry.data.columns.people import Owners
from rivalry.data.columns.schema import Field
from rivalry.data.record_fit import FIRST, GAP, first_time, gap_field, visit_column
from rivalry.data.record_tables import Records
from rivalry.data.rules import plan as plans
from rivalry.data.rules.admit import MOST, as_levels, counted, read
from rivalry.data.rules.build import build, check, following, tightened
from rivalry.data.rules.grid import common_step
from rivalry.data.rules.kinds import MissingIf, Order, Range, Rule, Sum, Together, all_hold
from rivalry.data.rules.plan import Plan
from rivalry.data.rules.propose import Proposal, propose
from rivalry.data.rules.steps import Follow, Mask, emptied
from rivalry.data.rules.text import rules as parsed
from rivalry.data.split import FEWEST, Split
from rivalry.data.words import count, some
from rivalry.errors import DataError


@dataclass(frozen=True)
class View:
    """Columns of a visit beside those of its patient and its time, in this order: what a constraint on records may name.

    changing: the gap and the columns of visits; own: of patients; time: as a number or date; keys: names of patients and visits, which
    are not learned."""

    changing: tuple[Column, ...]
    own: tuple[Column, ...]
    time: Column
    keys: tuple[Column, ...] = ()

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return (*self.changing, *self.own, self.time, *self.keys)

    @cached_property
    def visit(self) -> int:
        """How many columns of visits are learned."""
        return sum(c.code is not None for c in self.changing)

    @cached_property
    def when(self) -> int:
        """The place of the time among what is learned."""
        return self.visit + sum(c.code is not None for c in self.own)

    @cached_property
    def first(self) -> int | None:
        """The place of the first visit's time among the patient's learned columns."""
        names = [c.name for c in self.own if c.code is not None]
        return names.index(FIRST) if FIRST in names else None

    def rows(self, static: Tensor, visits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Static [N, S], visits [N, L, 1 + V] -> (the patient [R], the place [R], the rows [R, 1 + V + S + 1]) of visits there are."""
        who, place = (~visits[:, :, 0].isnan()).nonzero(as_tuple=True)
        start = torch.full((len(static),), self._constant, dtype=torch.float64) if self.first is None else static[:, self.first]
        times = start.nan_to_num(0.0)[who] + visits[:, :, 0].nan_to_num(0.0).cumsum(1)[who, place]
        return who, place, torch.cat([visits[who, place], static[who], times[:, None]], 1)

    @property
    def _constant(self) -> float:
        return next((float(c.value) for c in self.own if c.name == FIRST and c.code is None), 0.0)

    def parted(self, rules: Sequence[Rule]) -> Parted:
        """What is of patients and of visits alone, in places among theirs, and what is between.

        Visits ascend, so what is less than the time is less than that of the first visit, which is the patient's."""
        found = Parted()
        for rule in rules:
            places = rule.columns
            early = isinstance(rule, Order) and rule.upper == self.when and self.visit <= rule.lower
            early |= isinstance(rule, Range) and rule.column == self.when and rule.high == float("inf")
            if all(p < self.visit for p in places):
                found.visit.append(rule)
            elif all(self.visit <= p < self.when for p in places):
                found.own.append(moved(rule, lambda p: p - self.visit))
            elif early and self.first is not None:
                found.own.append(moved(rule, self._begun))
            else:
                found.between.append(rule)
        return found

    def _begun(self, place: int) -> int:
        """The place among the patient's columns, of the time that of the first visit."""
        return self.first if place == self.when and self.first is not None else place - self.visit


class Parted:
    """Rules of patients (own), of visits, and between them."""

    def __init__(self) -> None:
        self.own, self.visit, self.between = list[Rule](), list[Rule](), list[Rule]()


def moved(rule: Rule, place: Callable[[int], int]) -> Rule:
    """The rule with its columns at other places: place(old) -> new."""
    if isinstance(rule, Order):
        return replace(rule, lower=place(rule.lower), upper=place(rule.upper))
    if isinstance(rule, Range):
        return replace(rule, column=place(rule.column))
    if isinstance(rule, Sum):
        return replace(rule, parts=tuple(map(place, rule.parts)), total=place(rule.total))
    if isinstance(rule, Together):
        return replace(rule, columns=tuple(map(place, rule.columns)))
    return replace(rule, column=place(rule.column), conditions=tuple(replace(c, column=place(c.column)) for c in rule.conditions))


@dataclass(frozen=True)
class RecordRules:
    """texts: as people wrote them.  own, visit: plans of the patients' columns and of visits, None where nothing is asked of them.
    between: in places of `View.columns`."""

    texts: tuple[str, ...]
    own: Plan | None = None
    visit: Plan | None = None
    between: tuple[Rule, ...] = ()

    def empties(self, view: View) -> tuple[MissingIf, ...]:
        """Those between patient and visit that empty a visit's cell."""
        return tuple(r for r in self.between if isinstance(r, MissingIf) and r.column < view.visit)

    def follows(self, view: View) -> tuple[Follow, ...]:
        """What makes a visit's number follow from its sum with the patient's."""
        codes = [c.code for c in view.columns if c.code is not None]
        found = followed(() if self.visit is None else self.visit.rules, self.between, view)
        return tuple(Follow(r, p, code.step) for r, p in found if isinstance(code := codes[p], NumberCode))

    def made(self, static: Tensor, visits: Tensor, view: View) -> Tensor:
        """Visits [N, L, 1 + V] whose cells follow from patients' columns, and are empty where those ask for it."""
        rules, follows = self.empties(view), self.follows(view)
        if not (rules or follows):
            return visits
        who, place, rows = view.rows(static, visits)
        for follow in follows:
            follow.outward(rows)
        emptied((*map(Mask, rules), *(() if self.visit is None else self.visit.masks)), rows)
        visits = visits.clone()
        visits[who, place] = rows[:, : view.visit]
        return visits

    def rejected(self, view: View) -> tuple[str, ...]:
        """The constraints that only drawing a patient anew can meet."""
        parts = self._asked(view, made=False)
        return tuple(dict.fromkeys(r.text for r in (*parts.own, *parts.visit, *parts.between)))

    def _asked(self, view: View, made: bool) -> Parted:
        """All of them, or (without `made`) those that records do not meet by how they are made."""
        found, mended, follows = Parted(), () if made else self.empties(view), () if made else self.follows(view)
        for side, plan in ((found.own, self.own), (found.visit, self.visit)):
            side += [] if plan is None else plan.rules if made else plan.rejected
        if self.visit is not None:  # what is asked of cells that are emptied or made anew afterwards
            gone, anew = {r.column for r in mended}, {f.column for f in follows}
            late = [r for r in self.visit.rules if set(r.columns) & (gone if isinstance(r, Together) else anew)]
            found.visit += [r for r in late if isinstance(r, Together | Order | Range) and r not in found.visit]
        met = {r.text for r in mended} | {f.rule.text for f in follows}
        found.between = [r for r in self.between if r.text not in met]
        return found

    def hold(self, static: Tensor, visits: Tensor, view: View, made: bool = True) -> Tensor:
        """[N] bool: which patients meet all constraints (without `made`, those that are rejected by), at every visit."""
        who, _, rows = view.rows(static, visits)
        asked = self._asked(view, made)
        keep = all_hold(tuple(asked.own), static)
        keep[who[~(all_hold(tuple(asked.between), rows) & all_hold(tuple(asked.visit), rows[:, : view.visit]))]] = False
        return keep

    def state(self) -> dict[str, object]:
        known = {r.text: r.known for r in self.between if isinstance(r, Together) and r.known is not None}
        sides = {k: p.state() for k, p in (("own", self.own), ("visit", self.visit)) if p is not None}
        return {"texts": list(self.texts), **sides, "between": {k: v.nan_to_num(-1.0).long().tolist() for k, v in known.items()}}


def followed(visit: Sequence[Rule], between: Sequence[Rule], view: View) -> tuple[tuple[Sum, int], ...]:
    """The sums between patient and visit that are met by making a visit's column, and which."""
    sums = [r for r in (*visit, *between) if isinstance(r, Sum)]
    places = following([r.columns for r in sums], range(1, view.visit))
    return tuple((r, p) for r, p in zip(sums, places, strict=True) if p is not None)


def restored(state: Mapping[str, Any], view: View) -> RecordRules:
    """The inverse of `RecordRules.state`.  Raises DataError for what it never wrote."""
    try:
        texts, known = tuple(state["texts"]), state["between"]
        parts = view.parted(parsed(texts, view.columns))
        own = plans.restored(state["own"], view.own, parts.own) if "own" in state else None
        visit = plans.restored(state["visit"], view.changing, parts.visit) if "visit" in state else None
        return RecordRules(texts, own, visit, tuple(plans.with_known(r, known.get(r.text)) for r in parts.between))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the constraints of the records are not whole ({error!r}); restore the run's run.toml") from error


# -- constraints and the data ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitted:
    """The patients and visits that meet the constraints, and the columns fitted to them: static ones with the time of the first visit,
    the gap, those of visits; notes."""

    found: Records
    parts: Split
    static: tuple[fit.Fitted, ...]
    gap: fit.Fitted
    dynamic: tuple[fit.Fitted, ...]
    rules: RecordRules | None = None
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[tuple[Column, ...], Column, tuple[Column, ...]]:
        """(static, the gap, of visits)."""
        return tuple(f.column for f in self.static), replace(self.gap.column, name=GAP), tuple(f.column for f in self.dynamic)

    @property
    def own(self) -> Tensor:
        """[N, S]: raw values of the patients' learned columns."""
        kept = [f.raw for f in self.static if f.raw is not None]
        return torch.stack(kept, 1) if kept else torch.zeros(len(self.found.names), 0, dtype=torch.float64)

    @property
    def visits(self) -> Tensor:
        """[V, 1 + V']: the gap and the raw values of visits' learned columns, a row each."""
        return torch.stack([torch.from_numpy(gap_field(self.found)[1]), *(f.raw for f in self.dynamic if f.raw is not None)], 1)


def time_column(found: Records) -> Column:
    """The time as it is written; the bounds are the records' own."""
    code = NumberCode(found.when.step or 0.0, -np.inf, np.inf)
    return Column(found.roles.time, found.when.type, form=found.when.format or "", dtype=found.form[0], blank=found.form[1], code=code)


def fitted(found: Records, fields: Mapping[str, Field], parts: Split, seed: int) -> Fitted:
    """Columns fitted to the training patients.  DataError where nobody has a second visit."""
    train, owner, later = parts.train, found.owner, np.flatnonzero(found.position > 0)
    static = [fit.fit(fields[n], c, train, seed) for n, c in found.static]
    dynamic = [visit_column(fields[n], c, owner, train, seed) for n, c in found.dynamic]
    field, gaps = gap_field(found)
    if not len(later):
        raise DataError(f"no patient of {found.where} has a second visit; leave the table of visits out")
    gap = visit_column(detect(GAP, Numbers(gaps[later]), field, found.where), Numbers(gaps[later]), owner[later], train, seed)
    static.append(first_time(found, train, seed))
    notes = tuple(n for f in (*static, *dynamic, gap) for n in f.notes)
    return Fitted(found, parts, tuple(static), gap, tuple(dynamic), notes=notes)


def admitted(texts: tuple[str, ...], found: Records, fields: Mapping[str, Field], parts: Split, seed: int) -> Fitted:
    """Columns fitted to what meets the constraints: patients and visits that violate one are left out.

    Raises DataError for constraints that make no sense, contradict one another, or do not hold in most patients or visits."""
    fields = dict(zip(fields, as_levels(list(fields.values()), texts), strict=True))
    made, lost = fitted(found, fields, parts, seed), dict[str, list[int]]()
    while texts:
        static, gap, dynamic = made.columns
        keys = tuple(Column(n, "identifier") for n in (found.roles.key, found.roles.visit) if n)
        view = View((gap, *dynamic), static, time_column(made.found), keys)
        asked = read(texts, view.columns, again=bool(lost))
        apart = next((r.text for r in asked if 0 in r.columns), None)
        if apart is not None:
            raise DataError(f"{apart!r} names {GAP!r}, which is how far visits are apart and no column of the tables; name one of those")
        rules = view.parted(asked)
        check(rules.own, static)
        check(rules.visit, view.changing)
        rows, owner = _rows(made, view), Owners(made.found.owner, "patients")
        mine = torch.from_numpy(np.isin(made.found.owner, made.parts.train))
        whose = torch.from_numpy(made.found.owner)[mine]
        rules.own = [counted(r, made.own[torch.from_numpy(made.parts.train)], False, None) for r in rules.own]
        rules.visit = [counted(r, rows[mine][:, : view.visit], False, whose) for r in rules.visit]
        rules.between = [counted(r, rows[mine], False, whose) for r in rules.between]
        patients, visits = _violators(rules, made, view, rows, lost)
        if not (patients.any() or visits.any()):
            return _planned(made, texts, rules, view, rows, owner, seed, lost)
        left, parts = _without(made, patients, visits, texts)
        made = fitted(left, fields, parts, seed)
    return made


def _rows(made: Fitted, view: View) -> Tensor:
    """Every visit as constraints see it."""
    found = made.found
    return torch.cat([made.visits, made.own[torch.from_numpy(found.owner)], torch.from_numpy(found.times)[:, None]], 1)


Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


def _violators(rules: Parted, made: Fitted, view: View, rows: Tensor, lost: dict[str, list[int]]) -> tuple[Flags, Flags]:
    """(patients, visits of others) that violate a constraint; adds to the counts by constraint: [patients, visits].

    Raises DataError where most do."""
    found = made.found
    taking = np.zeros(len(found.names), dtype=bool)
    taking[np.concatenate([made.parts.train, made.parts.held])] = True
    theirs = taking[found.owner]
    patients, visits = np.zeros_like(taking), np.zeros_like(theirs)
    for rule in rules.own:
        bad = taking & ~rule.holds(made.own).numpy()
        _count(lost, rule.text, int(bad.sum()), 0, int(taking.sum()), f"patients of {found.where}")
        patients |= bad
    for rule, seen in ((r, s) for side, s in ((rules.visit, rows[:, : view.visit]), (rules.between, rows)) for r in side):
        bad = theirs & ~rule.holds(seen).numpy()
        _count(lost, rule.text, 0, int(bad.sum()), int(theirs.sum()), f"visits of {found.where}")
        visits |= bad
    return patients, visits & ~patients[found.owner]


def _count(lost: dict[str, list[int]], text: str, patients: int, visits: int, total: int, what: str) -> None:
    seen = lost.setdefault(text, [0, 0])
    seen[0], seen[1] = seen[0] + patients, seen[1] + visits
    if patients + visits > MOST * total:
        raise DataError(
            f"{text!r} does not hold in {patients + visits:,} of {total:,} {what}, more than half of them; turn it round, or leave it out"
        )


def _without(made: Fitted, patients: Flags, visits: Flags, texts: tuple[str, ...]) -> tuple[Records, Split]:
    """Without these visits, and on neither side these patients and those who are left without a visit."""
    found = made.found.but(np.flatnonzero(visits))
    gone = patients | ((np.diff(found.starts) == 0) & (np.diff(made.found.starts) > 0))
    parts = replace(made.parts, train=made.parts.train[~gone[made.parts.train]], held=made.parts.held[~gone[made.parts.held]])
    if len(parts.train) < FEWEST or not len(parts.held):
        raise DataError(f"too few patients of {found.where} meet all of the constraints; drop one of: {some(list(texts), 6)}")
    return found, parts


def _planned(
    made: Fitted, texts: tuple[str, ...], rules: Parted, view: View, rows: Tensor, owners: Owners, seed: int, lost: dict[str, list[int]]
) -> Fitted:
    """The fitted columns, within what constraints leave them, and the plans."""
    own, visit = None, None
    static, changing = view.own, _stepped(followed(rules.visit, rules.between, view), view)
    if rules.own:
        static = tightened(rules.own, static)
        own = build(rules.own, static, made.own, made.parts.train, seed)
    if rules.visit:
        changing = tightened(rules.visit, changing)
        train = np.flatnonzero(np.isin(made.found.owner, made.parts.train))
        visit = build(rules.visit, changing, rows[:, : view.visit], train, seed, owners)
    found = RecordRules(texts, own, visit, tuple(rules.between))
    notes = [
        f"constraint {t!r}: " + " and ".join(count(n, w) for n, w in zip(n, ("patient", "visit"), strict=True) if n) + " that violate it are left out"
        for t, n in lost.items()
        if any(n)
    ]
    again = found.rejected(view)
    made_so = [t for t in texts if t not in again]
    notes += [f"met by how records are made: {some(made_so, 12)}"] if made_so else []
    often = "" if all(r in {o.text for o in rules.own} for r in again) else ", which keeps short histories more often"
    notes += [f"met by drawing patients anew{often}: {some(list(again), 12)}"] if again else []
    return replace(
        made,
        static=tuple(replace(f, column=c) for f, c in zip(made.static, static, strict=True)),
        gap=replace(made.gap, column=changing[0]),
        dynamic=tuple(replace(f, column=c) for f, c in zip(made.dynamic, changing[1:], strict=True)),
        rules=found,
        notes=(*made.notes, *notes),
    )


def _stepped(sums: Sequence[tuple[Sum, int]], view: View) -> tuple[Column, ...]:
    """The gap and the columns of visits, those that follow from others with a step that holds what these add up to."""
    codes = [c.code for c in view.columns if c.code is not None]
    for rule, place in sums:
        code = codes[place]
        assert isinstance(code, NumberCode)
        codes[place] = replace(code, step=common_step(*(c.step for p in rule.columns if isinstance(c := codes[p], NumberCode))))
    rest = iter(codes)
    return tuple(c if c.code is None else replace(c, code=next(rest)) for c in view.changing)


def proposals(found: Records, fields: Mapping[str, Field], seed: int) -> tuple[Proposal, ...]:
    """What the data suggest of patients, and of visits beside their times and patients (of the latter what names more than patients' columns,
    and neither combinations nor sums that could only be met by drawing anew)."""

    def suggested(sides: Sequence[tuple[Field, Cells]]) -> tuple[Proposal, ...]:
        return propose([f for f, _ in sides], [c for _, c in sides], seed) if any(f.learned for f, _ in sides) else ()

    bags = {name for bag in found.bags for name in bag.names()}
    static, dynamic = ([(fields[n], c) for n, c in side if n not in bags] for side in (found.static, found.dynamic))
    time = replace(found.when, name=found.roles.time), Numbers(found.times, dtype="timestamp[s]" if found.when.type == "date" else "")
    own = suggested(static)
    both = suggested((*dynamic, time, *((f, c.take(found.owner)) for f, c in static)))
    names, visits = {f.name for f, _ in static}, {f.name for f, _ in dynamic}
    both = tuple(p for p in both if not names.issuperset(p.columns))
    sums = [p for p in both if p.kind is Sum]
    met = {s.text for s, c in zip(sums, following([s.columns for s in sums], visits), strict=True) if c is not None}
    return (*own, *(p for p in both if p.kind not in (Sum, Together) or visits.issuperset(p.columns) or p.text in met))
