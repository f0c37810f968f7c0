"""Constraints meet the data: rows that violate them are left out, and columns are fitted to the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells
from rivalry.data.columns.fit import Column
from rivalry.data.columns.people import Owners, fit_by
from rivalry.data.columns.schema import Field
from rivalry.data.rules.build import build, check, tightened
from rivalry.data.rules.kinds import Rule, Together
from rivalry.data.rules.plan import Plan
from rivalry.data.rules.text import combined
from rivalry.data.rules.text import rules as parsed
from rivalry.data.split import FEWEST, Split
from rivalry.data.words import count, some
from rivalry.errors import DataError, UnknownName

MOST = 0.5
"""Share of the rows that may violate a constraint."""
LEVELS = 100


@dataclass(frozen=True)
class Admitted:
    """Columns of the table, their raw values [N, C] (of the learned ones), the split of the rows that are left, the plan
    (None without constraints), and what there is to say."""

    columns: tuple[Column, ...]
    raw: Tensor
    parts: Split
    plan: Plan | None = None
    notes: tuple[str, ...] = ()


def as_levels(fields: Sequence[Field], texts: Sequence[str]) -> list[Field]:
    """Numbers that are to be combined with other columns are taken as categories; DataError for those of many values."""
    names = {n for text in texts for n in combined(text)}
    many = next((f for f in fields if f.name in names and f.type == "number" and f.levels > LEVELS), None)
    if many is not None:
        raise DataError(
            f"{many.name!r} has {many.levels:,} different numbers, too many to be combined as levels (up to {LEVELS}); say type = "
            "'category' in a schema if they are codes"
        )
    note = "the numbers of {!r} are taken as categories, for a constraint combines them"
    return [
        replace(f, type="category", notes=(*f.notes, note.format(f.name))) if f.name in names and f.type == "number" else f
        for f in fields
    ]


def admit(
    texts: Sequence[str], fields: Sequence[Field], cells: Sequence[Cells], parts: Split, seed: int, where: str, owners: Owners | None = None
) -> Admitted:
    """Fits the columns to the training rows that meet all constraints; owners: of the rows, where a person may have several.

    Raises DataError for constraints that make no sense, contradict one another, or do not hold in most rows.
    """
    lost: dict[str, int] = {}
    total = len(parts.train) + len(parts.held)
    while True:
        fitted = [
            fit.fit(f, c, parts.train, seed) if owners is None else fit_by(f, c, owners, parts.train, seed)
            for f, c in zip(fields, cells, strict=True)
        ]
        columns, raw = tuple(f.column for f in fitted), torch.stack([f.raw for f in fitted if f.raw is not None], 1)
        notes = tuple(n for f in fitted for n in f.notes)
        if not texts:
            return Admitted(columns, raw, parts, None, notes)
        rules = read(texts, columns, again=bool(lost))
        check(rules, columns)
        own = None if owners is None else torch.from_numpy(owners.of[parts.train])
        rules = tuple(counted(r, raw[torch.from_numpy(parts.train)], fields[0].by_rows, own) for r in rules)
        bad = _violators(rules, raw, parts, lost)
        if not bad.any():
            break
        _check_lost(lost, rules, total, where)
        parts = replace(parts, train=parts.train[~bad[parts.train]], held=parts.held[~bad[parts.held]])
        if len(parts.train) < FEWEST or not len(parts.held):
            raise DataError(f"too few rows of {where} meet all of the constraints; drop one of: {some(list(texts), 6)}")
    columns = tightened(rules, columns)
    plan = build(rules, columns, raw, parts.train, seed)
    return Admitted(columns, raw, parts, plan, (*notes, *_notes(lost, rules, plan, parts)))


def read(texts: Sequence[str], columns: Sequence[Column], again: bool) -> tuple[Rule, ...]:
    """What the texts ask of columns, `again`: of those fitted to what met them before.  DataError where that lacks a level they name."""
    try:
        return parsed(texts, columns)
    except UnknownName as error:
        if not again:
            raise
        raise DataError(
            f"too little with the {error.kind} {error.name!r} meets the constraints, of which one names it; drop one of: {some(list(texts), 6)}"
        ) from error


def counted(rule: Rule, train: Tensor, by_rows: bool, owners: Tensor | None) -> Rule:
    """The rule, of combinations with those that training rows [N, C] (of owners [N]) have often enough; DataError where none has."""
    if not isinstance(rule, Together):
        return rule
    known = rule.counted(train, by_rows, owners)
    if not len(known):
        raise DataError(f"{rule.text!r}: no combination has {rule.least} training rows; say a smaller k, or name other columns")
    return replace(rule, known=known)


def _violators(rules: Sequence[Rule], raw: Tensor, parts: Split, lost: dict[str, int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """[N] true for rows of either side that violate a constraint; adds to the counts by constraint."""
    mine = torch.zeros(len(raw), dtype=torch.bool)
    mine[torch.from_numpy(np.concatenate([parts.train, parts.held]))] = True
    bad = torch.zeros_like(mine)
    for text in dict.fromkeys(r.text for r in rules):
        mistaken = torch.zeros_like(mine)
        for rule in rules:
            if rule.text == text:
                mistaken |= mine & ~rule.holds(raw)
        lost[text] = lost.get(text, 0) + int(mistaken.sum())
        bad |= mistaken
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = bad.numpy()
    return found


def _check_lost(lost: dict[str, int], rules: Sequence[Rule], total: int, where: str) -> None:
    for rule in rules:
        n = lost[rule.text]
        if n > MOST * total and isinstance(rule, Together):
            raise DataError(
                f"{rule.text!r}: {n:,} of {total:,} rows of {where} have a combination that fewer than {rule.least} training rows "
                "have; say a smaller k, or name fewer columns"
            )
        if n > MOST * total:
            raise DataError(
                f"{rule.text!r} does not hold in {n:,} of {total:,} rows of {where}, more than half of them; turn it round, or "
                "leave it out"
            )


def _notes(lost: dict[str, int], rules: Sequence[Rule], plan: Plan, parts: Split) -> list[str]:
    """Rows that were left out, and how each constraint is met."""
    rare = {r.text: r.least for r in rules if isinstance(r, Together)}
    notes = list[str]()
    for text, n in lost.items():
        if n:
            why = f"have a combination of fewer than {rare[text]} training rows" if text in rare else "violate it"
            notes.append(f"constraint {text!r}: {count(n, 'row')} that {why} are left out")
    again = list(dict.fromkeys(r.text for r in plan.rejected))
    made = [t for t in dict.fromkeys(r.text for r in rules) if t not in again]
    notes += [f"met by how rows are made: {some(made, 12)}"] if made else []
    notes += [f"met by drawing rows anew: {some(again, 12)}"] if again else []
    if any(lost.values()):
        notes.append(f"left with the constraints: {len(parts.train):,} rows to train on, {len(parts.held):,} held back")
    return notes
