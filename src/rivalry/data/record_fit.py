"""Columns of visits, fitted so that no single patient shows: by their rows, but rare and extreme by patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Floats, Index, Numbers
from rivalry.data.columns.codes import LevelCode, NumberCode
from rivalry.data.columns.detect import detect
from rivalry.data.columns.fit import Column
from rivalry.data.columns.people import GROUP, Owners, fit_by
from rivalry.data.columns.schema import Field
from rivalry.data.record_tables import Records
from rivalry.errors import DataError
from rivalry.types import Outcome

GAP, FIRST, VISIT = "(gap)", "(first time)", "(visit)"
"""Names of what a record has beside the columns of the tables."""
EVENTS = {"1", "yes", "y", "true", "t", "dead", "death", "died", "event"}
"""How columns say that the event happened."""


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


def first_time(found: Records, train: Index, seed: int) -> fit.Fitted:
    """When the first visit was, as a column of patients."""
    times = np.full(len(found.names), np.nan)
    first = found.position == 0
    times[found.owner[first]] = found.times[first]
    spread = times[np.isfinite(times)]
    if len(spread) and (spread == spread[0]).all() and len(spread) == len(times):
        return fit.Fitted(Column(FIRST, "constant", value=repr(float(spread[0]))), None)
    field = Field(FIRST, "number", step=found.when.step or 0.0)
    made = fit.fit(detect(FIRST, Numbers(times), field, found.where), Numbers(times), train, seed)
    return replace(made, column=replace(made.column, name=FIRST))


def shares(found: Records, train: Index, longest: int) -> tuple[float, ...]:
    """Of training patients that have so many visits or more, as if half a patient more had each and none."""
    visits = np.diff(found.starts)[train]
    have = (visits[:, None] > np.arange(longest)).sum(0) + 0.5
    return tuple((have / (len(visits) + 1)).tolist())


def survival(found: Records, static: Sequence[Column]) -> Outcome | None:
    """Where the outcome is.  Raises DataError where nothing says which level is the event, or the time is no number."""
    r = found.roles
    if not r.event:
        return None
    codes = {c.name: c.code for c in static}
    event, time = codes.get(r.event_column), codes.get(r.survival)
    if not isinstance(time, NumberCode):
        raise DataError(f"the survival column {r.survival!r} of {found.where} must hold numbers; name the time until the event")
    if not isinstance(event, LevelCode):
        raise DataError(f"the event column {r.event_column!r} of {found.where} must have levels, such as 0 and 1")
    said = r.event.partition("=")[2].strip()
    hits = [i for i, level in enumerate(event.levels) if (level == said if said else level.casefold() in EVENTS)]
    if len(hits) != 1 or (not said and len(event.levels) != 2):
        shown = ", ".join(event.levels[:6])
        raise DataError(f"nothing says which of {shown} is the event; write event = '{r.event_column}=LEVEL' in the schema")
    return Outcome(r.survival, r.event_column, hits[0], r.after)


def outcome(stored: object) -> Outcome | None:
    """What a state says of the outcome; TypeError where it is none."""
    if stored is None:
        return None
    if not isinstance(stored, list | tuple) or len(stored) != 4:
        raise TypeError("survival is no outcome")
    time, event, level, after = stored
    return Outcome(str(time), str(event), int(level), tuple(map(str, after)))
