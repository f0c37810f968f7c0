"""Bags of codes: a table with a row for each code of a patient or visit, as a column of counts for each frequent code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns.cells import Cells, Index, Words, name_order, spelled
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.data.columns.roles import Roles
from rivalry.data.sources import Columns
from rivalry.data.words import count
from rivalry.errors import DataError

FEWEST = 5
SHARE = 0.01
MOST = 64


@dataclass(frozen=True)
class Bag:
    """file: its table.  column: of the codes.  codes: those that are learned.  visit: whether they belong to visits."""

    file: str
    column: str
    codes: tuple[str, ...]
    visit: bool

    def names(self) -> tuple[str, ...]:
        """The count columns, one for each code."""
        return tuple(f"{self.column}={c}" for c in self.codes)


def match(theirs: Words, keys: Words, known: Index) -> Index:
    """[M] the number of the patient of each row, -1 for those that are not among the known."""
    import pyarrow.compute as compute

    found = compute.index_in(theirs.words, value_set=keys.words).fill_null(-1).to_numpy(zero_copy_only=False)
    number = np.full(len(keys.words) + 1, -1, dtype=np.int64)
    number[known] = np.arange(len(known))
    place: Index = number[found.astype(np.int64)][theirs.codes]
    return place


def gathered(
    table: Columns, file: str, roles: Roles, patients: tuple[Words, Index], visits: tuple[Columns, Index], listed: str, by_rows: bool
) -> tuple[Bag, list[tuple[str, Cells]], list[str]]:
    """(bag, count columns, notes).  patients: (keys, known); visits: their table and the order of its rows.

    A code that fewer than five patients (or one in a hundred) have is left out, and so are all beyond the 64 most
    frequent; counts that fewer than five have are brought down to the largest that more have.  by_rows: the most
    frequent codes come first, not the first names.
    """
    own = [n for n in table.names if n not in (roles.key, roles.visit, roles.time)]
    if len(own) != 1:
        raise DataError(f"{file} must have one column of codes beside those that join it, and it has {', '.join(own) or 'none'}")
    person = match(spelled(table.cells[table.names.index(roles.key)]), *patients)
    join = roles.visit if roles.visit in table.names else roles.time if roles.time in table.names else ""
    unit = person if not join else _visit_rows(table, person, visits, roles, join, patients)
    if (unit < 0).any():
        what = "visits" if join else "patients"
        raise DataError(
            f"{count(int((unit < 0).sum()), 'row')} of {file} are of {what} that {listed if not join else 'the visits'} "
            f"{'does' if not join else 'do'} not list (the first is row {int(np.flatnonzero(unit < 0)[0]) + 1:,}); add them or "
            "remove the rows"
        )
    words = spelled(table.cells[table.names.index(own[0])])
    there = words.codes >= 0
    units = len(visits[1]) if join else len(patients[1])
    holders = np.unique(np.stack([words.codes[there], person[there]], 1), axis=0)
    often = np.bincount(holders[:, 0], minlength=len(words.words))
    least = max(FEWEST, int(np.ceil(SHARE * len(patients[1]))))
    ranked = [i for i in np.argsort(-often, kind="stable").tolist() if often[i] >= least][:MOST]
    names = [str(words.words[i].as_py()) for i in ranked]
    if not by_rows:  # their order is handed over
        order = name_order(names)
        ranked, names = [ranked[i] for i in order], [names[i] for i in order]
    bag = Bag(file, own[0], tuple(names), bool(join))
    columns = [
        (name, _counts(np.bincount(unit[there & (words.codes == i)], minlength=units)))
        for name, i in zip(bag.names(), ranked, strict=True)
    ]
    rare = int((often > 0).sum()) - len(ranked)
    notes = [f"{count(len(ranked), 'code')} of {own[0]!r} are learned, each of at least {least} patients; {rare:,} rarer ones are left out"]
    return bag, columns, notes


def _visit_rows(
    table: Columns, person: Index, visits: tuple[Columns, Index], roles: Roles, join: str, patients: tuple[Words, Index]
) -> Index:
    """[M] the place of each row's visit among the ordered visits, -1 where there is none."""
    import pyarrow.compute as compute

    whole, order = visits
    own = spelled(whole.cells[whole.names.index(join)])
    theirs = spelled(table.cells[table.names.index(join)])
    same = compute.index_in(theirs.words, value_set=own.words).fill_null(-1).to_numpy(zero_copy_only=False)
    code = np.append(same, -1)[theirs.codes]
    owner = match(spelled(whole.cells[whole.names.index(roles.key)]), *patients)
    width = len(own.words) + 1
    known = owner[order] * width + own.codes[order]
    sorter = np.argsort(known, kind="stable")
    wanted = person * width + code
    at = np.searchsorted(known[sorter], wanted).clip(max=len(known) - 1)
    place: Index = np.where((known[sorter][at] == wanted) & (code >= 0) & (person >= 0), sorter[at], -1)
    return place


def _counts(times: Index) -> Cells:
    """[U] counts as levels, cut at the largest that five units have."""
    import pyarrow as arrow

    top = np.sort(times)[-min(FEWEST, len(times))]
    cut = np.minimum(times, max(int(top), 1))
    return Words(cut.astype(np.int32), arrow.array([str(i) for i in range(int(cut.max(initial=0)) + 1)], arrow.string()))


def repeated(bag: Bag, columns: Sequence[Column], raw: Tensor) -> tuple[Tensor, Tensor]:
    """raw [U, K] of the bag's count columns -> (unit [M], code's number [M]) of the rows of its table, by unit."""
    counts = torch.zeros(raw.shape, dtype=torch.long)
    for i, column in enumerate(columns):
        if isinstance(column.code, LevelCode):
            times = torch.tensor([int(level) for level in column.code.levels])
            counts[:, i] = times[raw[:, i].nan_to_num(0.0).long()]
    unit, code = counts.nonzero(as_tuple=True)
    each = counts[unit, code]
    return unit.repeat_interleave(each), code.repeat_interleave(each)
