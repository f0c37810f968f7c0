"""Columns of visits, fitted so that no single patient shows: by their rows, but rare and extreme by patients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Floats, Index, Numbers, Words, numeric, spelled
from rivalry.data.columns.declared import OTHER
from rivalry.data.columns.fit import RARE, SMALL, Column
from rivalry.data.columns.schema import Field
from rivalry.data.record_tables import Records

GROUP = 5
GAP, FIRST, VISIT = "(gap)", "(first time)", "(visit)"
"""Names of what a record has beside the columns of the tables."""


@dataclass(frozen=True)
class Fitted:
    """columns and raw values of those that are learned, in order."""

    columns: tuple[Column, ...]
    raw: tuple[Tensor, ...]
    notes: tuple[str, ...]


def visit_column(field: Field, cells: Cells, owner: Index, train: Index, seed: int) -> fit.Fitted:
    """A column of V visits; train: numbers of the patients that it may be fitted to.

    What fewer than five patients have is rare, however many visits they have it at: levels become 'other', spikes
    ordinary, and numbers beyond the mean of the five patients that reach furthest are cut for the fit.
    """
    mine = np.flatnonzero(np.isin(owner, train))
    if field.type in ("category", "boolean"):
        kept, rare, share = _without_rare(field, spelled(cells), owner, mine)
        found = fit.fit(field, kept, mine, seed)
        note = fit.merged_note(field, rare, f"{RARE} patients", share, False)
        return replace(found, notes=(*found.notes, note)) if rare else found
    if field.type not in ("number", "date"):
        return fit.fit(field, cells, mine, seed)
    values = fit.seconds(cells, field.format or "") if field.type == "date" else numeric(cells).values
    there = mine[np.isfinite(values[mine])]
    common = tuple(s for s in field.spikes or () if len(np.unique(owner[there][values[there] == s])) >= GROUP)
    low, high = reach(values[there], owner[there])
    ordinary = values[:, None] == np.array(common or [np.nan])
    cut = np.where(ordinary.any(1), values, values.clip(low, high))
    dtype = "timestamp[s]" if field.type == "date" else cells.dtype
    made = fit.fit(replace(field, spikes=common), Numbers(cut, cells.blank, dtype), mine, seed)
    raw = torch.from_numpy(np.where(np.isfinite(values), values, np.nan))
    return replace(made, column=replace(made.column, dtype=cells.dtype), raw=raw)


def reach(values: Floats, owner: Index) -> tuple[float, float]:
    """(low, high): means over the five patients whose least (largest) value is the least (largest) of all."""
    if not len(values):
        return -np.inf, np.inf
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    least = np.sort(np.minimum.reduceat(values[order], starts))[:GROUP].mean()
    most = np.sort(np.maximum.reduceat(values[order], starts))[-GROUP:].mean()
    return float(least), float(most)


def _without_rare(field: Field, cells: Words, owner: Index, mine: Index) -> tuple[Words, int, float]:
    """(cells whose rare levels are one, how many those were, which share of the visits had them)."""
    if field.type != "category" or field.declared.levels is not None or (field.by_rows and len(cells) < SMALL):
        return cells, 0, 0.0
    there = mine[cells.codes[mine] >= 0]
    pairs = np.unique(np.stack([cells.codes[there], owner[there]], 1), axis=0)
    rare = (np.bincount(pairs[:, 0], minlength=len(cells.words)) < RARE) & (cells.counts() > 0)
    if not rare.any():
        return cells, 0, 0.0
    import pyarrow as arrow

    words = [str(w) for w in cells.words.to_pylist()]
    place = words.index(OTHER) if OTHER in words else len(words)
    number = np.append(np.where(rare, place, np.arange(len(words))), -1).astype(np.int32)
    words = words if OTHER in words else [*words, OTHER]
    share = float(rare[cells.codes[there]].mean()) if len(there) else 0.0
    return replace(cells, codes=number[cells.codes], words=arrow.array(words, arrow.string())), int(rare.sum()), share


def gap_field(found: Records) -> tuple[Field, Floats]:
    """(what the gaps between visits are, [V] their sizes, 0 for first visits): multiples of the time's step, above 0
    unless two visits share a time."""
    later = found.position > 0
    gaps = np.where(later, np.diff(found.times, prepend=0.0), 0.0)
    step = found.when.step or 0.0
    gaps = np.rint(gaps / step) * step if step else gaps
    own = gaps[later]
    growing = len(own) > 0 and own.min() > 0
    low = step or (10.0 ** np.floor(np.log10(np.sort(own)[:GROUP].mean())) if growing else 0.0)
    return Field(GAP, "number", step=step, low=float(low) if growing else 0.0), gaps
