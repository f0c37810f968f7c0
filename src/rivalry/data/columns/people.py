"""Columns in which one person may have several rows, fitted so that no single person shows: by their rows, but rare and extreme by people."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Floats, Index, Numbers, Words, numeric, plain, spelled
from rivalry.data.columns.declared import OTHER
from rivalry.data.columns.fit import RARE, SMALL
from rivalry.data.columns.schema import Field

GROUP = 5


@dataclass(frozen=True)
class Owners:
    """of [N]: whose each row is, as numbers from 0; called: what they are, for notes ('patients')."""

    of: Index
    called: str

    def take(self, index: Index) -> Owners:
        return replace(self, of=self.of[index])


def had_by(codes: Index, size: int, owners: Index | None = None) -> Index:
    """[size] how many rows have each of the codes [n] (-1: none), or how many different owners [n] of rows do.

    >>> had_by(np.array([0, 0, 1, -1]), 3).tolist(), had_by(np.array([0, 0, 1, -1]), 3, np.array([7, 7, 8, 9])).tolist()
    ([2, 1, 0], [1, 1, 0])
    """
    there = codes >= 0
    if owners is not None:
        codes = np.unique(np.stack([codes[there], owners[there]], 1), axis=0)[:, 0]
    else:
        codes = codes[there]
    return np.bincount(codes, minlength=size).astype(np.int64)


def fit_by(field: Field, cells: Cells, owners: Owners, mine: Index, seed: int, gaps: bool = True) -> fit.Fitted:
    """The column of all N rows, fitted to the rows `mine` [n].

    What fewer than five people have is rare, however many rows they have it in: levels become 'other' (`gaps`: missing, where all are
    numbers), spikes ordinary, and numbers beyond the mean of the five people that reach furthest are cut for the fit.
    """
    if field.declared.public:
        return fit.fit(field, cells, mine, seed)
    if field.type in ("category", "boolean"):
        kept, rare, share = _without_rare(field, spelled(cells), owners.of, mine, gaps)
        found = fit.fit(field, kept, mine, seed)
        note = fit.merged_note(field, rare, f"{RARE} {owners.called}", share, gaps and bool(plain(spelled(cells).words).all()))
        return replace(found, notes=(*found.notes, note)) if rare else found
    if field.type not in ("number", "date"):
        return fit.fit(field, cells, mine, seed)
    values = fit.seconds(cells, field.format or "") if field.type == "date" else numeric(cells).values
    there = mine[np.isfinite(values[mine])]
    common = tuple(s for s in field.spikes or () if len(np.unique(owners.of[there][values[there] == s])) >= GROUP)
    low, high = reach(values[there], owners.of[there])
    ordinary = values[:, None] == np.array(common or [np.nan])
    cut = np.where(ordinary.any(1), values, values.clip(low, high))
    dtype = "timestamp[s]" if field.type == "date" else cells.dtype
    made = fit.fit(replace(field, spikes=common), Numbers(cut, cells.blank, dtype), mine, seed)
    raw = torch.from_numpy(np.where(np.isfinite(values), values, np.nan))
    return replace(made, column=replace(made.column, dtype=cells.dtype), raw=raw)


def reach(values: Floats, owner: Index) -> tuple[float, float]:
    """(low, high): means over the five people whose least (largest) value is the least (largest) of all."""
    if not len(values):
        return -np.inf, np.inf
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    least = np.sort(np.minimum.reduceat(values[order], starts))[:GROUP].mean()
    most = np.sort(np.maximum.reduceat(values[order], starts))[-GROUP:].mean()
    return float(least), float(most)


def _without_rare(field: Field, cells: Words, owner: Index, mine: Index, gaps: bool) -> tuple[Words, int, float]:
    """(cells whose rare levels are one, how many those were, which share of the rows had them)."""
    if field.type != "category" or field.declared.levels is not None or (field.by_rows and len(cells) < SMALL):
        return cells, 0, 0.0
    there = mine[cells.codes[mine] >= 0]
    rare = (had_by(cells.codes[there].astype(np.int64), len(cells.words), owner[there]) < RARE) & (cells.counts() > 0)
    if not rare.any():
        return cells, 0, 0.0
    import pyarrow as arrow

    words = [str(w) for w in cells.words.to_pylist()]
    as_gap = gaps and bool(plain(cells.words).all())
    place = -1 if as_gap else words.index(OTHER) if OTHER in words else len(words)
    number = np.append(np.where(rare, place, np.arange(len(words))), -1).astype(np.int32)
    words = words if OTHER in words or as_gap else [*words, OTHER]
    share = float(rare[cells.codes[there]].mean()) if len(there) else 0.0
    return replace(cells, codes=number[cells.codes], words=arrow.array(words, arrow.string())), int(rare.sum()), share
