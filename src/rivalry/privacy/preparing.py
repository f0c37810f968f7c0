"""Columns measured under differential privacy, so that a schema says all that else would be read off the rows.

Everything measured is a histogram in which a row is in one cell (a cell for 'missing' included), released with normal noise.  R
such histograms, of mu / sqrt(R) each, are together one normal mechanism of mu, whichever of them hang on earlier ones (Dong, Roth &
Su 2022, corollary 3.3).  Cells that exist only because a row is there (names of levels, single values) show only where their noisy
count is beyond 1 + sigma ndtri(1 - d): one that a single row has shows with chance d at most, and the d of all such histograms add
up to `names_delta` (Korolova et al. 2009; Wilkins et al. 2024 with normal noise).

Neighbours differ by one row, there in one and missing in the other; the number of rows, types and formats are taken for public.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from rivalry.data.columns import dates
from rivalry.data.columns.cells import Cells, Floats, name_order, numeric, spelled
from rivalry.data.columns.declared import OTHER, Declared, Prepared
from rivalry.data.columns.detect import SPIKE
from rivalry.data.columns.fit import seconds
from rivalry.data.columns.schema import Field, Schema
from rivalry.errors import DataError
from rivalry.privacy.accounting import DELTA_POWER, check_delta, noise_for
from rivalry.privacy.secure import normal

NAMES = 0.1
"""Of delta: for names and single values."""
OCTAVES = (-20, 50)
"""Sizes of numbers that are told apart at first, as powers of two."""
YEARS = (1900, 2101)
DECIMALS = 6
BINS, QUANTILES = 64, 33
HISTOGRAMS = {"category": 1, "boolean": 1, "date": 3, "number": 4}
"""For each type: names; coarse size, single values and ranks; and the decimals that numbers have."""
SURE = 0.01
"""The chance that noise alone makes any empty cell of a histogram look full."""


@dataclass(frozen=True)
class Measure:
    """sigma: of the noise in every cell.  names: the chance d that a cell shows which one row alone has."""

    sigma: float
    names: float

    @property
    def threshold(self) -> float:
        """Of cells that exist only because of rows."""
        return 1 + self.sigma * _upper(self.names)

    def counted(self, cells: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> Floats:
        """Noisy counts [size] of cells [n] that exist whatever the rows are."""
        exact = np.bincount(cells, minlength=size).astype(np.float64)
        noisy: Floats = exact + self.sigma * normal(size).numpy()
        return noisy

    def shown(self, exact: Floats) -> Floats:
        """Noisy counts of cells that exist because of rows; 0 where they do not show."""
        noisy = exact + self.sigma * normal(len(exact)).numpy()
        return np.where((noisy >= self.threshold) & (exact > 0), noisy, 0.0)

    def full(self, noisy: Floats) -> Floats:
        """Places of cells that hold more than noise alone would make of them."""
        return np.flatnonzero(noisy > self.sigma * _upper(SURE / len(noisy))).astype(np.float64)


def _upper(chance: float) -> float:
    """What a standard normal exceeds with this chance."""
    return -float(torch.special.ndtri(torch.tensor(chance, dtype=torch.float64)))


def prepare(
    fields: Sequence[Field], cells: Sequence[Cells], rows: int, epsilon: float, delta: float = 0.0, constraints: tuple[str, ...] = ()
) -> Schema:
    """A schema of these columns in which all that are learned, and not declared public already, are measured; delta 0 is N^-1.1.

    DataError where there is nothing to measure, or where columns were measured before, which cannot be unsaid; RecipeError where epsilon or delta make no sense.
    """
    if not 0 < epsilon < math.inf or not 0 <= delta < 1:
        raise DataError(f"a preparation spends an epsilon above 0, such as .5, and a delta below one over the rows, not {epsilon:g}, {delta:g}")
    delta = check_delta(delta or rows**DELTA_POWER, rows)
    paid = next((f.name for f in fields if f.declared.public == "paid"), None)
    if paid is not None:
        raise DataError(
            f"the schema says that {paid!r} was paid for already, and a new one would forget that; prepare from a schema that only declares "
            "(public = true), or without one: both are spent then"
        )
    wanted = [f for f in fields if f.learned and not f.declared.public]
    if not wanted:
        raise DataError("no column is left to be measured: none is learned, or all are declared public; train with the schema as it is")
    histograms = sum(HISTOGRAMS[f.type] for f in wanted)
    sparse = sum(1 for f in wanted if not (f.type in ("category", "boolean") and f.declared.levels is not None))
    names = NAMES * delta
    noise = noise_for(epsilon, delta - names)
    measure = Measure(noise * math.sqrt(histograms), names / max(1, sparse))
    made = [
        _measured(f, c, measure, rows) if f.learned and not f.declared.public else _unread(f)
        for f, c in zip(fields, cells, strict=True)
    ]
    return Schema(tuple(made), constraints, prepared=Prepared(epsilon, delta, noise, names, rows))


def _unread(field: Field) -> Field:
    """A column that is not learned, so that nothing of it is read: identifiers are numbered; a constant's value stays unknown."""
    if field.declared.public or field.type == "text":
        return replace(field, levels=0, missing=0.0)
    if field.type == "constant":
        return Field(field.name, "constant", declared=Declared(levels=("",), public="declared"))
    return Field(field.name, field.type, declared=Declared(public="declared"))


def _measured(field: Field, cells: Cells, measure: Measure, rows: int) -> Field:
    if field.type in ("category", "boolean"):
        return _levels(field, cells, measure, rows)
    return _number(field, cells, measure, rows)


def _levels(field: Field, cells: Cells, measure: Measure, rows: int) -> Field:
    """Names that show, 'other' for the rest, and shares."""
    words = spelled(cells)
    names = [str(w) for w in words.words.to_pylist()]
    exact = words.counts().astype(np.float64)
    missing = float(words.missing.sum() + measure.sigma * normal(1).item())
    if field.declared.levels is not None:
        place = {name: i for i, name in enumerate(names)}
        known = [n for n in field.declared.levels if n != OTHER]
        counts = np.array([exact[place[n]] if n in place else 0.0 for n in known]) + measure.sigma * normal(len(known)).numpy()
    else:
        noisy = measure.shown(exact)
        order = [i for i in name_order(names) if noisy[i] > 0 and names[i] != OTHER]
        known, counts = [names[i] for i in order], noisy[order]
    rest = rows - counts.sum() - missing
    shares = _shares([*counts.tolist(), rest, missing])
    return Field(field.name, field.type, declared=Declared((*known, OTHER), shares, gaps=True, public="paid"))


def _number(field: Field, cells: Cells, measure: Measure, rows: int) -> Field:
    date = field.type == "date"
    form = field.format or ""
    values = seconds(cells, form) if date else numeric(cells).values
    there = np.isfinite(values)
    inner = values[there]
    step = dates.step(form) if date else _step(inner, measure, rows)
    edges = _years() if date else _sizes()
    coarse = measure.counted(_cell(inner, edges), len(edges) + 1)
    low, high = (0.0, dates.DAY - step) if date and dates.is_clock(form) else _hull(coarse, edges, measure)
    if step:
        low, high = math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step
        inner = np.rint(inner / step) * step
    inner = inner.clip(low, high)
    spikes, often = _spikes(inner, measure, rows)
    ordinary = inner[~np.isin(inner, spikes)]
    # One histogram more: the ranks of ordinary values, and how many cells are missing.
    fine = np.linspace(low, high, BINS + 1)
    at = np.concatenate([np.searchsorted(fine, ordinary, side="right").clip(1, BINS) - 1, np.full(int((~there).sum()), BINS)])
    noisy = measure.counted(at.astype(np.int64), BINS + 1)
    quantiles = _quantiles(noisy[:BINS], fine)
    usual = max(0.0, float(noisy[:BINS].sum()))
    declared = Declared(None, _shares([usual, *often.tolist(), float(noisy[BINS])]), quantiles, True, "paid")
    return Field(field.name, field.type, step, form or None, low, high, tuple(spikes.tolist()), declared=declared)


def _cell(values: Floats, edges: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def _sizes() -> Floats:
    """Edges of cells: powers of two on both sides of 0."""
    powers = 2.0 ** np.arange(OCTAVES[0], OCTAVES[1] + 1)
    return np.concatenate([-powers[::-1], powers])


def _years() -> Floats:
    return np.array([np.datetime64(f"{y}-01-01", "s").astype(np.int64) for y in range(*YEARS)], dtype=np.float64)


def _hull(noisy: Floats, edges: Floats, measure: Measure) -> tuple[float, float]:
    """From the first cell that is not empty to the last; of none that is sure, the fullest."""
    full = measure.full(noisy)
    ends = (full.min(), full.max()) if len(full) else (float(noisy.argmax()),) * 2
    first, last = int(ends[0]), int(ends[1])
    low, high = edges[max(first - 1, 0)], edges[min(last, len(edges) - 1)]
    # The cell around 0 is where the smallest powers of either sign meet.
    smallest = 2.0 ** OCTAVES[0]
    low = 0.0 if abs(low) <= smallest else float(low)
    high = 0.0 if abs(high) <= smallest and high < 0 else float(high)
    return low, high if high > low else low + 1.0


def _step(values: Floats, measure: Measure, rows: int) -> float:
    """The unit of the fewest decimals that nearly all rows get by with; 0 where six are too few."""
    if not len(values):
        fewest = np.zeros(0, dtype=np.int64)
    else:
        rounded = np.stack([np.equal(values, np.round(values, d)) for d in range(DECIMALS + 1)])
        fewest = np.where(rounded.any(0), rounded.argmax(0), DECIMALS + 1).astype(np.int64)
    noisy = measure.counted(fewest, DECIMALS + 2)
    beyond = noisy[::-1].cumsum()[::-1]
    allowed = max(0.01 * rows, 3 * measure.sigma * math.sqrt(DECIMALS + 2))
    found = next((d for d in range(DECIMALS + 1) if beyond[d + 1] <= allowed), None)
    return 0.0 if found is None else float(f"1e-{found}")


def _spikes(values: Floats, measure: Measure, rows: int) -> tuple[Floats, Floats]:
    """(single values that many rows have, ascending; their noisy counts)."""
    found, times = np.unique(values, return_counts=True)
    noisy = measure.shown(times.astype(np.float64))
    often = noisy > max(SPIKE * rows, measure.threshold)
    return found[often], noisy[often]


def _quantiles(noisy: Floats, edges: Floats) -> tuple[float, ...]:
    """[QUANTILES] values at equal steps of rank, linear within cells."""
    counts = noisy.clip(0)
    if counts.sum() <= 0:
        counts = np.ones(len(noisy))
    # Noise that is cut at 0 adds rows to empty cells: as much is taken away from all of them as sets the total right.
    total = max(float(noisy.sum()), float(counts.max()))
    low, high = 0.0, float(counts.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(noisy - middle, 0, None).sum() > total else (low, middle)
    kept = np.clip(noisy - high, 0, None)
    counts = kept if kept.sum() > 0 else counts
    reached = np.concatenate([[0.0], counts.cumsum()]) / counts.sum()
    ranks = np.linspace(0, 1, QUANTILES)
    at = np.searchsorted(reached, ranks, side="left").clip(1, len(counts))
    width = (reached[at] - reached[at - 1]).clip(1e-300)
    part = ((ranks - reached[at - 1]) / width).clip(0, 1)
    values = edges[at - 1] + part * (edges[at] - edges[at - 1])
    return tuple(float(f"{v:.9g}") for v in np.maximum.accumulate(values).tolist())


def _shares(counts: Sequence[float]) -> tuple[float, ...]:
    """Of noisy counts, none of them 0."""
    known = np.clip(np.array(counts), 0.5, None)
    return tuple(float(s) for s in (known / known.sum()).tolist())
