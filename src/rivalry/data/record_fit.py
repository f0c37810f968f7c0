"""Columns of visits, fitted so that no single patient shows: by their rows, but rare and extreme by patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Floats, Index
from rivalry.data.columns.fit import Column
from rivalry.data.columns.people import GROUP, Owners, fit_by
from rivalry.data.columns.schema import Field
from rivalry.data.record_tables import Records

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

    What fewer than five patients have is rare, however many visits they have it at (`fit_by`).
    """
    return fit_by(field, cells, Owners(owner, "patients"), np.flatnonzero(np.isin(owner, train)), seed, gaps=False)


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
