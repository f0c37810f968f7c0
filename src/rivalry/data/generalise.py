"""k-anonymity: levels that few rows have are merged, and combinations of columns made coarser until none is rare.

A combination of quasi-identifiers (what an outsider may know of a person: sex, age, postcode) that fewer than k training
rows have points at people.  Datafly's way (Sweeney 2002): the column with the most classes is made coarser until rows
of rare combinations are few, and those are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rivalry.data.columns import dates, fit
from rivalry.data.columns.cells import Cells, Floats, Index, Numbers, Words, numeric, plain, spelled
from rivalry.data.columns.declared import NOTHING, OTHER
from rivalry.data.columns.people import had_by
from rivalry.data.columns.schema import Field
from rivalry.data.split import Split
from rivalry.data.words import count, some
from rivalry.errors import DataError

SUPPRESSED = 0.05
"""Up to this share of the training rows may be left out; before that, columns are made coarser."""
FINEST = 64
"""Classes a number begins with at most."""


def values_of(field: Field, cells: Cells) -> Floats:
    """[N] the numbers of a number or date column, NaN where there is none."""
    values = fit.seconds(cells, field.format or "") if field.type == "date" else numeric(cells).values
    return np.where(np.isfinite(values), values, np.nan)


def with_values(field: Field, cells: Cells, values: Floats) -> Cells:
    """The column with these numbers [N] in place of its own, of its kind and type."""
    if field.type == "date" and not (isinstance(cells, Numbers) and cells.is_time):
        written = dates.write(values, field.format or "").dictionary_encode()
        codes = written.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return Words(codes, written.dictionary, cells.blank, cells.dtype)
    return Numbers(values, cells.blank, cells.dtype)


@dataclass(frozen=True)
class Merged:
    """A column whose rare levels are one: how many levels of training rows went into it, and cells of all rows."""

    words: Words
    levels: int
    rows: int


def merged(cells: Words, train: Index, k: int, owners: Index | None = None) -> Merged:
    """Levels that fewer than k of the rows `train` (or, of their `owners` [N]) have become 'other' (missing, where all levels are numbers); if that
    has fewer than k rows itself, the rarest level besides goes into it too.  Levels that no training row has as well."""
    words = [str(w) for w in cells.words.to_pylist()]
    mine, own = cells.codes[train].astype(np.int64), None if owners is None else owners[train]
    times = had_by(mine, len(words), own)
    gap = bool(plain(cells.words).all())
    place = words.index(OTHER) if OTHER in words and not gap else len(words)
    rare = times < k
    if place < len(words):
        rare[place] = False
    there = cells.counts() > 0
    if not (rare & there).any():
        return Merged(cells, 0, 0)

    def sink() -> int:
        """How many have the merged level (or a missing cell, which it becomes)."""
        joined = np.append(rare, gap)  # code -1, missing, is the last
        if place < len(words):
            joined[place] = True
        return int(had_by(np.where(joined[mine], 0, -1), 1, own)[0])

    for level in np.argsort(times, kind="stable").tolist():
        if sink() >= k:
            break
        if not rare[level] and level != place and there[level]:
            rare[level] = True
    moved = int(np.isin(cells.codes, np.flatnonzero(rare)).sum())
    to = np.arange(len(words) + 1)
    to[:-1][rare] = -1 if gap else place
    to[-1] = -1
    codes = to[cells.codes].astype(np.int32)
    return Merged(_compact(codes, [*words, OTHER], cells), int((rare & (times > 0)).sum()), moved)


def _compact(codes: npt.NDArray[np.int32], words: Sequence[str], like: Words) -> Words:
    """Without words that no cell has, so that nothing can tell of them."""
    import pyarrow as arrow

    used, inverse = np.unique(codes[codes >= 0], return_inverse=True)
    out = np.full(len(codes), -1, dtype=np.int32)
    out[codes >= 0] = inverse.reshape(-1)
    return Words(out, arrow.array([words[i] for i in used.tolist()], arrow.string()), like.blank, like.dtype)


# -- combinations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quasi:
    """cells: the changed columns by name; kept: numbers of the rows that are left; parts: the split of those; told: what
    was done."""

    cells: dict[str, Cells]
    kept: Index
    parts: Split
    told: str


@dataclass
class _Coarse:
    """A column in classes: codes [N], -1 where missing; steps: how often it was made coarser."""

    described: Field
    cells: Cells
    train: Index
    codes: Index
    steps: int = 0
    words: list[str] = field(default_factory=list)
    classes: int = 0

    @property
    def is_number(self) -> bool:
        return self.described.type in ("number", "date")

    def coarser(self) -> None:
        """One step: half as many classes of a number; the last digit of a code, or the rarer half of levels, gone."""
        self.steps += 1
        if self.is_number:
            self._bins(min(FINEST, self.classes) // 2)
            return
        coded = [w for w in self.words if w != OTHER]
        if len(coded) > 1 and len({len(w) for w in coded}) == 1 and len(coded[0]) > 2 and _codes(coded):
            cut = len(coded[0].rstrip("*")) - 1
            self._renamed([w if w == OTHER else w[:cut] + "*" * (len(w) - cut) for w in self.words])
            return
        mine = self.codes[self.train]
        times = np.bincount(mine[mine >= 0], minlength=len(self.words))
        rare = set(np.argsort(times, kind="stable")[: max(1, (len(self.words) + 1) // 2)].tolist())
        self._renamed([OTHER if i in rare else w for i, w in enumerate(self.words)])

    def _bins(self, n: int) -> None:
        values = values_of(self.described, self.cells)
        mine = values[self.train]
        edges = np.unique(np.nanquantile(mine, np.arange(1, max(n, 1)) / max(n, 1))) if n > 1 else np.zeros(0)
        found = np.searchsorted(edges, np.nan_to_num(values), side="right")
        self.codes = np.where(np.isnan(values), -1, found).astype(np.int64)
        self.classes = int(self.codes.max(initial=-1)) + 1

    def _renamed(self, words: list[str]) -> None:
        names, inverse = np.unique(np.array(words, dtype=np.str_), return_inverse=True)
        self.codes = np.append(inverse.reshape(-1), -1)[self.codes]
        self.words = [str(w) for w in names.tolist()]
        self.classes = len(self.words)

    def made(self) -> Cells:
        """The column with each class's name, or the mean of its training rows at the column's step."""
        if not self.steps:
            return self.cells
        if not self.is_number:
            return _compact(self.codes.astype(np.int32), self.words, spelled(self.cells))
        values, mine = values_of(self.described, self.cells), self.codes[self.train]
        there = mine >= 0
        sums = np.bincount(mine[there], weights=values[self.train][there], minlength=self.classes)
        means = sums / np.bincount(mine[there], minlength=self.classes).clip(1)
        step = self.described.step or 0.0
        middle = np.round(means / step) * step if step else np.array([float(f"{m:.3g}") for m in means.tolist()])
        return with_values(self.described, self.cells, np.append(middle, np.nan)[self.codes])


def _codes(words: Sequence[str]) -> bool:
    """Are they digits, the last of which may be gone already?  At least two digits are left."""
    left = [w.rstrip("*") for w in words]
    return all(w.isdigit() for w in left) and len(left[0]) > 1


def quasi_anonymous(
    fields: Sequence[Field], cells: Sequence[Cells], parts: Split, k: int, quasi: Sequence[str], where: str, owners: Index | None = None
) -> Quasi:
    """Every combination of the columns `quasi` is had by k training rows at least (or, of their `owners` [N]).  Rows whose combination is rarer, after
    columns were made coarser, are left out, on both sides.  DataError for columns that are not learned."""
    by_name = {f.name: (f, c) for f, c in zip(fields, cells, strict=True)}
    for name in quasi:
        if name not in by_name:
            raise DataError(f"--quasi names a column {name!r} that {where} does not have; it has {some(list(by_name), 12)}")
        if not by_name[name][0].learned:
            raise DataError(f"the column {name!r} ({by_name[name][0].type}) is not learned, so --quasi need not name it")
        if by_name[name][0].declared != NOTHING:
            raise DataError(
                f"the schema declares what {name!r} may hold, so --quasi cannot make it coarser; take the column out of one of them"
            )
    coarse = [_begun(*by_name[name], parts.train) for name in quasi]
    while True:
        rare = _rare(coarse, parts.train, k, owners)
        if rare[parts.train].sum() <= SUPPRESSED * len(parts.train):
            break
        widest = max(coarse, key=lambda c: c.classes)
        if widest.classes <= 1:
            break
        widest.coarser()
    kept = np.setdiff1d(np.sort(np.concatenate([parts.train, parts.held])), np.flatnonzero(rare))
    new = [np.searchsorted(kept, side[~rare[side]]) for side in (parts.train, parts.held)]
    if not len(new[0]) or not len(new[1]):
        raise DataError(f"no rows of {where} are left at --k-anonymous {k}: too few share their {some(list(quasi))}; lower k")
    changed = [f"{c.described.name} to {count(c.classes, 'class')}" for c in coarse if c.steps]
    lost = int(rare[parts.train].sum()), int(rare[parts.held].sum())
    told = (
        f"--quasi {','.join(quasi)}: every combination is had by at least {k} {'training rows' if owners is None else 'groups of training rows'}; "
        + (f"made coarser: {some(changed, 8)}; " if changed else "nothing was made coarser; ")
        + f"{count(lost[0], 'training row')} and {lost[1]:,} held-out ones of rarer combinations were left out"
    )
    return Quasi({c.described.name: c.made() for c in coarse}, kept, replace(parts, train=new[0], held=new[1]), told)


def _begun(described: Field, cells: Cells, train: Index) -> _Coarse:
    """Every value is a class of its own, or its level."""
    if described.type in ("category", "boolean"):
        words = spelled(cells)
        names = [str(w) for w in words.words.to_pylist()]
        return _Coarse(described, cells, train, words.codes.astype(np.int64), 0, names, len(names))
    begun = _Coarse(described, cells, train, np.zeros(0, dtype=np.int64))
    values = values_of(described, cells)
    found, inverse = np.unique(values[~np.isnan(values)], return_inverse=True)
    begun.codes = np.full(len(values), -1, dtype=np.int64)
    begun.codes[~np.isnan(values)] = inverse.reshape(-1)
    begun.classes = len(found)
    return begun


def _rare(coarse: Sequence[_Coarse], train: Index, k: int, owners: Index | None) -> npt.NDArray[np.bool_]:
    """[N]: is the row's combination had by fewer than k training rows (or their owners)?"""
    rows = np.stack([c.codes for c in coarse], 1)
    group = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    times = had_by(group[train].astype(np.int64), int(group.max(initial=0)) + 1, None if owners is None else owners[train])
    flags: npt.NDArray[np.bool_] = (times < k)[group]
    return flags
