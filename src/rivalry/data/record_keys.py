"""Which column names patients in several tables, and whose the rows of a table are that only names visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rivalry.data.columns.cells import Cells, spelled
from rivalry.data.columns.detect import is_key
from rivalry.data.sources import Columns
from rivalry.data.words import count, some
from rivalry.errors import DataError


def cells_of(table: Columns, name: str) -> Cells:
    return table.cells[table.names.index(name)]


def repeats(cells: Cells) -> bool:
    """Do two rows have the same?"""
    words = spelled(cells)
    return bool((words.counts() > 1).any())


def shared_keys(tables: Sequence[Columns]) -> list[str]:
    """Columns by which rows of all tables are somebody's, best first: those that all tables have (first the ones named like a key, and
    those that no row of some table repeats), then those that the other tables have by way of another column (codes of visits)."""
    common = [n for n in tables[0].names if all(n in t.names for t in tables)]

    def rank(name: str) -> tuple[bool, bool]:
        unique = any(not repeats(cells_of(t, name)) for t in tables if name in t.names)
        return (not unique, not is_key(name))

    return [*sorted(common, key=rank), *sorted(_by_way(tables), key=rank)]


def _by_way(tables: Sequence[Columns]) -> list[str]:
    every = list(dict.fromkeys(n for t in tables for n in t.names))
    some_have = [n for n in every if 1 < sum(n in t.names for t in tables) < len(tables)]
    return [n for n in some_have if all(n in t.names or _link(t, tables, n) is not None for t in tables)]


def _link(table: Columns, tables: Sequence[Columns], key: str) -> tuple[str, Columns] | None:
    """(a column of the table that names rows of another, which has the key; that other table)."""
    found = [
        (n, other)
        for other in tables
        if key in other.names
        for n in table.names
        if n in other.names and not cells_of(other, n).missing.any() and not repeats(cells_of(other, n))
    ]
    return min(found, key=lambda pair: not is_key(pair[0]), default=None)


def keyed(table: Columns, file: str, tables: Sequence[Columns], files: Sequence[str], key: str) -> Columns:
    """The table with a column that names patients: its own, or, by way of a column that it shares with another (visits), that one's.
    DataError for rows of no row there."""
    link = None if key in table.names else _link(table, tables, key)
    if link is None:
        return table
    name, other = link
    theirs, mine, keys = spelled(cells_of(other, name)), spelled(cells_of(table, name)), spelled(cells_of(other, key))
    row = np.full(len(theirs.words) + 1, -1, dtype=np.int64)
    row[theirs.codes] = np.arange(len(theirs.codes))
    row[-1] = -1
    import pyarrow.compute as compute

    known = compute.index_in(mine.words, value_set=theirs.words).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    place = row[np.append(known, -1)[mine.codes]]
    lost = np.flatnonzero(place < 0)
    if len(lost):
        where = files[next(i for i, t in enumerate(tables) if t is other)]
        raise DataError(
            f"{count(len(lost), 'row')} of {file} have a {name!r} that {where} does not list (the first is row {int(lost[0]) + 1:,}), so "
            "nobody knows whose they are; add it there or remove the rows"
        )
    codes = keys.codes[place]
    return replace(table, names=(*table.names, key), cells=(*table.cells, replace(keys, codes=codes)))


def key_of(tables: Sequence[Columns], files: Sequence[str], where: str) -> str:
    """The best of the shared keys; DataError where there is none."""
    if len(tables) == 1:
        raise DataError(f"{where} is one table, so nothing says whose row is whose; name the column of patients with --key")
    found = shared_keys(tables)
    if not found:
        raise DataError(f"the tables of {where} ({some(files)}) share no column that could name patients; add one to each")
    return found[0]
