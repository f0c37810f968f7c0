"""Rulers for patient records: visits by number and gap, and how a visit hangs on the one before; independent visits.

A table of visits is [V, C] float64, sorted by patient and time, as in `tabular`; owner [V]: whose visit it is, ascending.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rivalry.stats.tabular import checked, shape_errors, trend_errors
from rivalry.streams import generator

CPU = torch.device("cpu")


def visit_counts(owner: Tensor, patients: int) -> Tensor:
    """[patients] float64: visits of each, 0 for those without one."""
    return torch.bincount(owner, minlength=patients).double()


def successive(owner: Tensor) -> Tensor:
    """[P]: places of visits whose patient has another right after."""
    return (owner[1:] == owner[:-1]).nonzero()[:, 0]


def lag_errors(
    real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor], kinds: Sequence[str], bins: int = 10
) -> Tensor:
    """[C] in [0, 1]: how far the relation of each column to itself one visit later is off, over pairs of successive visits.

    real, fake: (table, owner).  number: half the difference of the lag-1 correlations; category: total variation of the tables
    of transitions, missing being a level (both as in `trend_errors`).  1 where one side has no two successive visits.
    """
    sides = []
    for table, owner in (real, fake):
        (table,) = checked(kinds, table)
        at = successive(owner)
        sides.append(torch.cat([table[at], table[at + 1]], 1))
    if not len(sides[0]) or not len(sides[1]):
        return torch.full((len(kinds),), float(len(sides[0]) != len(sides[1])), dtype=torch.float64)
    found = trend_errors(sides[0], sides[1], [*kinds, *kinds], bins)
    return found.diagonal(len(kinds)).clone()


def change_errors(real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor], kinds: Sequence[str]) -> Tensor:
    """[C] in [0, 1]: how far the distribution of changes from a visit to the next is off.

    number: sup over t of the difference of the shares of pairs whose change is known and at most t, so that a change that is
    known on one side only counts by how often it is; category: difference of the shares of visits with another level than the
    one before (missing is a level).
    """
    changes = list[Tensor]()
    for table, owner in (real, fake):
        (table,) = checked(kinds, table)
        at = successive(owner)
        step = table[at + 1] - table[at]
        holes = table.isnan()
        for i, kind in enumerate(kinds):
            if kind == "category":
                same = (table[at, i] == table[at + 1, i]) | (holes[at, i] & holes[at + 1, i])
                step[:, i] = (~same).double()
        changes.append(step)
    if not len(changes[0]) or not len(changes[1]):
        return torch.full((len(kinds),), float(len(changes[0]) != len(changes[1])), dtype=torch.float64)
    beyond = torch.cat(changes).nan_to_num(-torch.inf).amax(0).clamp_min(0.0) + 1.0  # where what is unknown is never reached
    filled = [torch.where(c.isnan(), beyond, c) for c in changes]
    return shape_errors(filled[0], filled[1], kinds)


def summaries(table: Tensor, owner: Tensor, patients: int, kinds: Sequence[str]) -> tuple[Tensor, list[str]]:
    """([patients, F], kinds): number of visits; of each number first, last, mean and share missing over the visits; of each
    category first and last.  NaN for patients without visits."""
    counts = visit_counts(owner, patients)
    first = counts.cumsum(0).long() - counts.long()
    last = (first + counts.long() - 1).clamp_min(0)
    none = counts == 0
    parts, found = [counts], ["number"]

    def put(values: Tensor, kind: str) -> None:
        parts.append(values.masked_fill(none, torch.nan))
        found.append(kind)

    for column, kind in zip(table.unbind(1), kinds, strict=True):
        put(column[first.clamp(max=len(column) - 1)], kind)
        put(column[last.clamp(max=len(column) - 1)], kind)
        if kind == "number":
            there = ~column.isnan()
            sums = torch.zeros(patients, dtype=torch.float64).index_add_(0, owner, column.nan_to_num(0.0))
            seen = torch.zeros(patients, dtype=torch.float64).index_add_(0, owner, there.double())
            put(torch.where(seen > 0, sums / seen.clamp_min(1), torch.nan), "number")
            put(1 - seen / counts.clamp_min(1), "number")
    return torch.stack(parts, 1), found


def independent_visits(
    static: Tensor, visits: Tensor, n: int, seed: int
) -> tuple[Tensor, Tensor]:
    """The baseline without any memory: (static [n, S], visits [n, L, W]) of real static [N, S] and visits [N, L, W].

    Static columns are drawn each on its own; the number of visits is that of a patient drawn at random; each visit is a row
    of a visit drawn at random, of any patient, but only first visits come first.  W's first column is NaN where there is no visit.
    """
    g = generator(CPU, seed, "independent visits")
    rows, places, _ = visits.shape
    own = torch.stack([c[torch.randint(rows, (n,), generator=g)] for c in static.unbind(1)], 1) if static.shape[1] else static[:0].expand(n, 0)
    there = ~visits[:, :, 0].isnan()
    lengths = there.sum(1)[torch.randint(rows, (n,), generator=g)]
    first = visits[:, 0][there[:, 0]]
    later = visits[:, 1:][there[:, 1:]]
    out = torch.full((n, places, visits.shape[2]), torch.nan, dtype=visits.dtype)
    out[:, 0] = first[torch.randint(max(len(first), 1), (n,), generator=g)]
    if len(later):
        out[:, 1:] = later[torch.randint(len(later), (n, places - 1), generator=g)]
    out[torch.arange(places)[None] >= lengths[:, None]] = torch.nan
    return own, out
