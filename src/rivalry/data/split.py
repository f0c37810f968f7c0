"""Which rows are held back: stratified by class, seeded, and never parting what belongs together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rivalry.data.options import ReadOptions
from rivalry.data.rows import Flags, Ints, Rows
from rivalry.data.words import count
from rivalry.errors import DataError
from rivalry.streams import key

FEWEST = 8
EITHER = 4
"""Rows at least on either side, or no score has an interval."""
ENOUGH = 100
MOST = 20_000


@dataclass(frozen=True)
class Split:
    """Row numbers of both sides, ascending, and what there is to say about them."""

    train: Ints
    held: Ints
    notes: tuple[str, ...] = ()


def components(*keys: Ints) -> Ints:
    """[N] ints each -> [N] component numbers: rows that agree in any one key are in one component."""
    label = np.arange(len(keys[0]), dtype=np.int64)
    dense = [np.unique(k, return_inverse=True)[1].reshape(-1) for k in keys]
    while True:
        before = label
        for k in dense:
            least = np.full(int(k.max(initial=-1)) + 1, len(label), dtype=np.int64)
            np.minimum.at(least, k, label)
            label = least[k]
        if np.array_equal(before, label):
            return np.unique(label, return_inverse=True)[1].reshape(-1).astype(np.int64)


def share_held(n: int, holdout: float | None) -> float:
    """The share of n rows to hold back: what was asked for; else a tenth, but up to a fifth where that makes at
    least 100, and at most 20,000 rows."""
    if holdout is not None:
        return holdout
    return min(max(0.1 * n, min(0.2 * n, ENOUGH)), MOST) / max(n, 1)


def split(rows: Rows, same: Ints, options: ReadOptions, where: str) -> Split:
    """Parts rows into train and held.

    same: [N] equal numbers for rows of equal content, so that no exact copy is on both sides.  The official split
    is kept where there is one, less the held-out rows that have a copy (or a member of their group) in training.
    Raises DataError when there are too few rows, or all belong to one group.
    """
    if len(rows) < FEWEST:
        raise DataError(
            f"{where} has only {count(len(rows), 'row')} that can be used; at least {FEWEST} are needed (20 without --holdout .5) to train on "
            "some and hold some back, so that scores tell anything: add more"
        )
    together = [same] if rows.groups is None else [same, np.unique(rows.groups, return_inverse=True)[1].reshape(-1)]
    part = components(*together)
    if part.max() == 0:
        what = "copies of one another" if rows.groups is None else "in one group"
        raise DataError(f"all rows of {where} are {what}, so none can be held back; add others")
    if rows.held is not None:
        return _official(rows, part, where)
    held = _stratified(rows, part, share_held(len(rows), options.holdout), options.seed)
    return _checked(np.flatnonzero(~held), np.flatnonzero(held), _lonely(rows, held), where)


def foreseen(rows: Rows, same: Ints, options: ReadOptions, where: str) -> tuple[int, str]:
    """(how many rows `split` holds back, '') or (0, why it can hold none back)."""
    try:
        return len(split(rows, same, options, where).held), ""
    except DataError as error:
        return 0, str(error)


def _official(rows: Rows, part: Ints, where: str) -> Split:
    assert rows.held is not None
    leaked = rows.held & np.isin(part, part[~rows.held])
    held = rows.held & ~leaked
    notes = ["the official split is kept: its test side is held back"]
    if leaked.any():
        why = "a copy" if rows.groups is None else "a copy or their group"
        notes.append(f"held-out rows with {why} in training: {int(leaked.sum()):,}, left out")
    return _checked(np.flatnonzero(~rows.held), np.flatnonzero(held), notes, where)


def _checked(train: Ints, held: Ints, notes: list[str], where: str) -> Split:
    if not len(train) or not len(held):
        side = "training" if not len(train) else "held-out"
        raise DataError(f"no {side} rows are left of {where}; add data, or group it in more and smaller groups")
    return Split(train, held, (*notes, f"{len(train):,} rows to train on, {len(held):,} held back"))


def _stratified(rows: Rows, part: Ints, share: float, seed: int) -> Flags:
    """[N] true for held rows: of each class about `share`, in whole components, at least one where it has two."""
    size = np.bincount(part)
    kind = _kinds(rows, part, len(size))
    rng = np.random.default_rng(key(seed, "split"))
    order = np.lexsort((rng.permutation(len(size)), kind))  # by class, at random within it
    sizes, kinds = size[order], kind[order]
    first = np.flatnonzero(np.r_[True, kinds[1:] != kinds[:-1]])
    group = np.cumsum(np.r_[False, kinds[1:] != kinds[:-1]])
    before = np.cumsum(sizes) - sizes
    before = before - before[first][group]  # rows of the class that come earlier
    quota = share * np.add.reduceat(sizes, first)[group]
    chosen = before + sizes / 2 < quota
    _at_least_one(chosen, sizes, first, group)
    held = np.zeros(len(size), dtype=bool)
    held[order] = chosen
    return held[part]


def _kinds(rows: Rows, part: Ints, parts: int) -> Ints:
    """[parts] the class most rows of a component have; all the same if no class has two components."""
    if rows.codes is None:
        return np.zeros(parts, dtype=np.int64)
    width = len(rows.classes) + 1
    pair, times = np.unique(part * width + rows.codes + 1, return_counts=True)
    order = np.lexsort((times, pair // width))  # the most frequent class comes last, and is what stays
    kind = np.zeros(parts, dtype=np.int64)
    kind[(pair // width)[order]] = (pair % width)[order]
    whole = len(np.unique(kind)) == parts  # each class in one piece, such as people held out whole
    return np.zeros_like(kind) if whole else kind


def _at_least_one(chosen: Flags, sizes: Ints, first: Ints, group: Ints) -> None:
    """Mends `chosen` in place: a class of two or more components has at least one on either side."""
    many = np.diff(np.r_[first, len(sizes)]) > 1
    taken = np.add.reduceat(chosen.astype(np.int64), first)
    smallest = np.lexsort((sizes, group))[first]
    chosen[smallest[many & (taken == 0)]] = True
    full = many & (taken == np.diff(np.r_[first, len(sizes)]))
    chosen[first[full]] = False
    chosen[first[~many]] = False


def _lonely(rows: Rows, held: Flags) -> list[str]:
    """Notes on classes that have nothing on the held-out side."""
    if rows.codes is None:
        return []
    width = len(rows.classes)
    kept = np.bincount(rows.codes[held], minlength=width)
    whole = np.bincount(rows.codes, minlength=width)
    notes = []
    for i in np.flatnonzero(kept == 0).tolist():
        size = "a single row" if whole[i] == 1 else f"{whole[i]} rows in one group"
        notes.append(f"class {rows.classes[i]!r} has {size}, so none is held back: add rows or leave the class out")
    return notes
