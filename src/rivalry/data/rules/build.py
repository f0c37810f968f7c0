"""From constraints and training rows to a plan: what is met by how rows are made, and what by drawing anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

import torch
from torch import Tensor

from rivalry.data.columns.cells import Index
from rivalry.data.columns.codes import GROUP, LevelCode, NumberCode, shares_of
from rivalry.data.columns.detect import outwards, spikes_of
from rivalry.data.columns.fit import Column, number_code
from rivalry.data.columns.people import Owners, reach
from rivalry.data.rules.grid import at_least, at_most, common_step, snapped
from rivalry.data.rules.kinds import MissingIf, Order, Range, Rule, Sum, Together
from rivalry.data.rules.plan import Plan
from rivalry.data.rules.steps import INFINITE, Gap, Joint, Own, Step, Total
from rivalry.errors import DataError

Bounds = dict[int, tuple[float, float]]
T = TypeVar("T")


@dataclass
class Layout:
    """Who makes which column: totals and gaps by their place, joint columns by each of their members; numbers of the
    rules that are left for drawing anew."""

    totals: dict[int, Sum] = field(default_factory=dict)
    parents: dict[int, list[Order]] = field(default_factory=dict)
    joint: dict[int, Together] = field(default_factory=dict)
    aside: list[int] = field(default_factory=list)

    def needs(self) -> dict[int, tuple[int, ...]]:
        """The columns that each made column is made of."""
        needs = {c: s.parts for c, s in self.totals.items()}
        return needs | {c: tuple(o.lower for o in orders) for c, orders in self.parents.items()}


def check(rules: Sequence[Rule], columns: Sequence[Column]) -> None:
    """Raises DataError for constraints that contradict one another, whatever the data."""
    orders = [r for r in rules if isinstance(r, Order)]
    graph: dict[int, set[int]] = {}
    for order in orders:
        graph.setdefault(order.upper, set()).add(order.lower)
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        names = [_learned(columns)[i].name for i in error.args[1]]
        texts = ", ".join(repr(o.text) for o in orders if {o.lower, o.upper} <= set(error.args[1]))
        what = "contradict one another" if any(o.strict for o in orders) else "leave nothing but equal values"
        raise DataError(f"the constraints {texts} {what}; drop one, or say {names[0]} = {names[1]}") from error
    totals = [r for r in rules if isinstance(r, Sum)]
    bounds = _propagated(_asked(rules, columns), orders, columns)
    for place, (low, high) in bounds.items():
        if low > high:
            texts = ", ".join(repr(r.text) for r in rules if isinstance(r, Order | Range))
            raise DataError(f"the constraints {texts} contradict one another: no value is left for {_learned(columns)[place].name!r}")
    for i, one in enumerate(totals):
        for other in totals[:i]:
            if one.total == other.total:
                raise DataError(f"{other.text!r} and {one.text!r} both make {_learned(columns)[one.total].name!r}; keep one of them")
    try:
        tuple(TopologicalSorter({s.total: s.parts for s in totals}).static_order())
    except CycleError as error:
        raise DataError(f"the sums {', '.join(repr(s.text) for s in totals)} make one another; drop one") from error


def tightened(rules: Sequence[Rule], columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns with the bounds and the steps that their constraints leave them."""
    learned = list(_learned(columns))
    bounds = _asked(rules, columns)
    orders = [r for r in rules if isinstance(r, Order)]
    for place in {p for o in orders for p in o.columns}:
        low, high = bounds.get(place, (-INFINITE, INFINITE))
        code = _number(learned[place])
        mine = (_least(code.low, code.step), _most(code.high, code.step))
        bounds[place] = (max(low, mine[0]), min(high, mine[1]))
    for place, (low, high) in _propagated(bounds, orders, columns).items():
        code = _number(learned[place])
        low, high = max(low, code.low), min(high, code.high)
        learned[place] = replace(learned[place], code=replace(code, low=low, high=max(low, high)))
    for rule in rules:
        if isinstance(rule, Sum):
            step = common_step(*(_number(learned[p]).step for p in rule.parts))
            learned[rule.total] = replace(learned[rule.total], code=replace(_number(learned[rule.total]), step=step))
    rest = iter(learned)
    return tuple(c if c.code is None else next(rest) for c in columns)


def build(rules: Sequence[Rule], columns: Sequence[Column], raw: Tensor, train: Index, seed: int, owners: Owners | None = None) -> Plan:
    """columns: all of the table, tightened; raw [N, C] of the learned ones; train: numbers of the rows to fit to; owners: of the rows,
    where what is extreme is to be told by people."""
    layout, learned = _layout(rules), _learned(columns)
    needs = layout.needs()
    order = [c for c in TopologicalSorter(needs).static_order() if c in needs]
    counted = {p for r in rules if isinstance(r, Order | Sum | Range) for p in r.columns}
    steps, made = list[Step](), list[Column | None]()
    for place, column in enumerate(learned):
        if place in layout.joint:
            rule = layout.joint[place]
            if rule.columns[0] == place:
                steps.append(Joint(rule))
                made.append(_joint_column(rule, learned, raw, train))
        elif place not in needs:
            code = _number(column) if place in counted else None
            steps.append(Own(place) if code is None else Own(place, code.low, code.high, code.step))
            made.append(column)
    for place in order:
        step: Gap | Total = _total(layout.totals[place], learned) if place in layout.totals else _gap(place, layout, learned)
        steps.append(step)
        made.append(_fitted(step, learned[place], raw, train, seed, owners))
    return Plan(tuple(rules), tuple(steps), tuple(made), len(learned), tuple(layout.aside))


def _layout(rules: Sequence[Rule]) -> Layout:
    """Sums first, for nothing else can meet them."""
    layout = Layout(totals={r.total: r for r in rules if isinstance(r, Sum)})
    masks = [r for r in rules if isinstance(r, MissingIf)]
    for number, rule in enumerate(rules):
        if isinstance(rule, Together) and not set(rule.columns) & set(layout.joint):
            layout.joint |= dict.fromkeys(rule.columns, rule)
            if any(m.column in rule.columns and not set(m.columns) <= set(rule.columns) for m in masks):
                layout.aside.append(number)  # a cell that is emptied afterwards may leave a combination that nobody has
        elif isinstance(rule, Order) and rule.upper not in layout.totals and not _circular(layout, rule):
            layout.parents.setdefault(rule.upper, []).append(rule)
        elif isinstance(rule, Together | Order) or (isinstance(rule, Range) and rule.column in layout.totals):
            layout.aside.append(number)
    return layout


def _circular(layout: Layout, rule: Order) -> bool:
    """Is the lower column made of the upper one already?"""
    needs, seen, open_ = layout.needs(), set[int](), [rule.lower]
    while open_:
        place = open_.pop()
        if place not in seen:
            seen.add(place)
            open_ += needs.get(place, ())
    return rule.upper in seen


def _total(rule: Sum, learned: Sequence[Column]) -> Total:
    code = _number(learned[rule.total])
    below = 2 * code.low - code.high - 1.0  # no value, and not next to the least one
    return Total(rule.total, rule.parts, code.step, float(at_most(torch.tensor([below], dtype=torch.float64), 1.0)))


def _gap(place: int, layout: Layout, learned: Sequence[Column]) -> Gap:
    orders, code = layout.parents[place], _number(learned[place])
    parents = tuple(o.lower for o in orders)
    first = _number(learned[parents[0]])
    anchor = float(snapped(torch.tensor([(first.low + first.high) / 2], dtype=torch.float64), first.step))
    unit = common_step(code.step, *(_number(learned[p]).step for p in parents))
    return Gap(place, parents, tuple(o.strict for o in orders), anchor, code.step, unit, code.low, code.high)


def _fitted(step: Gap | Total, column: Column, raw: Tensor, train: Index, seed: int, owners: Owners | None) -> Column | None:
    """The column that is learned in place of a made one; None for totals that follow without exception."""
    values = step.inward(raw)
    apart = values == step.follows if isinstance(step, Total) else torch.zeros_like(values, dtype=torch.bool)
    if owners is not None:
        mine = torch.zeros_like(apart)
        mine[torch.from_numpy(train)] = True
        mine &= ~apart & ~values.isnan()
        low, high = reach(values[mine].numpy(), owners.of[mine.numpy()])
        values = torch.where(apart, values, values.clamp(low, high))
    if isinstance(step, Total):
        rest = values[~apart & ~values.isnan()]
        if len(rest) < GROUP and not bool(values.isnan().any()):
            return None
        low, high = outwards(rest.numpy())
        code, _ = number_code(values, train, step.step, (low, high), (step.follows,), seed)
        return Column(column.name, "number", code)
    there = values[~values.isnan()].numpy()
    code, _ = number_code(values, train, step.unit, outwards(there), spikes_of(there, len(values)), seed)
    return Column(column.name, "number", code)


def _joint_column(rule: Together, learned: Sequence[Column], raw: Tensor, train: Index) -> Column:
    assert rule.known is not None
    levels = [code.levels if isinstance(code := learned[p].code, LevelCode) else () for p in rule.columns]
    words = tuple(
        " | ".join("missing" if v < 0 else names[v] for v, names in zip(row, levels, strict=True))
        for row in rule.known.nan_to_num(-1.0).long().tolist()
    )
    place = rule.place(raw[torch.from_numpy(train)])
    name = " | ".join(learned[p].name for p in rule.columns)
    return Column(name, "category", LevelCode(words, False, shares_of(place.clamp_min(0), len(words))))


def following(sums: Sequence[Sequence[T]], visits: Collection[T]) -> list[T | None]:
    """For each sum (its columns, the total last) the visit's column that is made to follow from the others: the total, or the only one.
    None where there is no such one, where a sum of visits alone or an earlier one names it, and for sums of visits alone."""
    used, found = {c for s in sums if all(c in visits for c in s) for c in s}, list[T | None]()
    for columns in sums:
        mine = [c for c in columns if c in visits]
        place = columns[-1] if columns[-1] in visits else mine[0] if len(mine) == 1 else None
        free = len(mine) < len(columns) and place not in used and columns.count(place) == 1
        found.append(place if free else None)
        used |= set(columns) if free else set()
    return found


# -- bounds ---------------------------------------------------------------------------------------------------------


def _asked(rules: Sequence[Rule], columns: Sequence[Column]) -> Bounds:
    """What ranges leave of each column they name, at numbers that it can be written with."""
    bounds: Bounds = {}
    for rule in rules:
        if isinstance(rule, Range):
            low, high = bounds.get(rule.column, (-INFINITE, INFINITE))
            step = _number(_learned(columns)[rule.column]).step
            low = max(low, _least(rule.low, step, rule.strict))
            bounds[rule.column] = (low, min(high, _most(rule.high, step, rule.strict)))
    return bounds


def _propagated(bounds: Mapping[int, tuple[float, float]], orders: Sequence[Order], columns: Sequence[Column]) -> Bounds:
    """Greater columns begin where lesser ones do, and lesser ones end where greater ones do."""
    found = dict(bounds)
    for _ in range(len(orders)):
        for order in orders:
            lower, upper = (found.get(p, (-INFINITE, INFINITE)) for p in order.columns)
            steps = [_number(_learned(columns)[p]).step for p in order.columns]
            found[order.lower] = (lower[0], min(lower[1], _most(upper[1], steps[0], order.strict)))
            found[order.upper] = (max(upper[0], _least(lower[0], steps[1], order.strict)), upper[1])
    return found


def _least(value: float, step: float, strict: bool = False) -> float:
    return value if value == -INFINITE else float(at_least(torch.tensor([value], dtype=torch.float64), step, strict))


def _most(value: float, step: float, strict: bool = False) -> float:
    return value if value == INFINITE else float(at_most(torch.tensor([value], dtype=torch.float64), step, strict))


def _learned(columns: Sequence[Column]) -> tuple[Column, ...]:
    return tuple(c for c in columns if c.code is not None)


def _number(column: Column) -> NumberCode:
    assert isinstance(column.code, NumberCode)
    return column.code
