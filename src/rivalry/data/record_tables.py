"""From tables to patients: which column does what, whose visits are whose, in the order of their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from rivalry.data.columns.cells import Cells, Floats, Index, Words, spelled
from rivalry.data.columns.roles import Roles
from rivalry.data.columns.schema import Field, Schema
from rivalry.data.options import ReadOptions
from rivalry.data.record_codes import Bag, gathered, match
from rivalry.data.record_keys import cells_of, key_of, keyed, repeats
from rivalry.data.record_times import find_time, ordered, time_like, times_of
from rivalry.data.sources import Columns, Tables
from rivalry.data.words import count, some
from rivalry.errors import DataError

MOST = 64
"""Visits of a patient beyond so many are left out."""


@dataclass(frozen=True)
class Layout:
    """A file as it is written again: its columns in order.  kind: 'visits' (a row each; of a single long table too),
    'patients', or 'codes'."""

    file: str
    kind: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Records:
    """Patients and their visits, sorted by patient and time.

    names: of the N patients.  owner [V]: whose visit it is, ascending; times [V].  static, dynamic: (name, cells) of N
    and of V rows.  bags: columns of code counts among them.  visit: the cells of the column that names visits.
    """

    name: str
    where: str
    roles: Roles
    keys: Words
    names: Index
    owner: Index
    times: Floats
    when: Field
    form: tuple[str, str]
    static: tuple[tuple[str, Cells], ...] = field(repr=False)
    dynamic: tuple[tuple[str, Cells], ...] = field(repr=False)
    layouts: tuple[Layout, ...] = ()
    bags: tuple[Bag, ...] = ()
    visit: Cells | None = field(default=None, repr=False)
    held: npt.NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()

    @property
    def starts(self) -> Index:
        """[N + 1]: where each patient's visits begin among the V."""
        return np.searchsorted(self.owner, np.arange(len(self.names) + 1)).astype(np.int64)

    @property
    def position(self) -> Index:
        """[V]: 0 for a patient's first visit, 1 for the second ..."""
        return np.arange(len(self.owner)) - self.starts[self.owner]

    def take(self, patients: Index) -> Records:
        """These patients only, with those of their visits that come before visit MOST."""
        number = np.full(len(self.names), -1, dtype=np.int64)
        number[patients] = np.arange(len(patients))
        kept = np.flatnonzero(number[self.owner] >= 0)
        order = kept[np.argsort(number[self.owner[kept]], kind="stable")]
        return replace(
            self,
            names=self.names[patients],
            owner=number[self.owner[order]],
            times=self.times[order],
            static=tuple((n, c.take(patients)) for n, c in self.static),
            dynamic=tuple((n, c.take(order)) for n, c in self.dynamic),
            visit=None if self.visit is None else self.visit.take(order),
            held=None if self.held is None else self.held[patients],
        )

    def first(self, most: int) -> Records:
        """The first visits of every patient, at most so many."""
        return self.but(np.flatnonzero(self.position >= most))

    def but(self, visits: Index) -> Records:
        """Without these visits, by their numbers among the V."""
        kept = np.delete(np.arange(len(self.owner)), visits)
        return replace(
            self,
            owner=self.owner[kept],
            times=self.times[kept],
            dynamic=tuple((n, c.take(kept)) for n, c in self.dynamic),
            visit=None if self.visit is None else self.visit.take(kept),
        )


def roles_of(options: ReadOptions, schema: Schema) -> Roles:
    """What the options and the schema say; options go first."""
    roles = schema.records or Roles()
    return replace(roles, key=options.key or roles.key, time=options.time or roles.time)


def assemble(source: Columns | Tables, options: ReadOptions, schema: Schema) -> Records:
    """Raises DataError for keys and times that are missing, do not fit, or do not parse."""
    roles = roles_of(options, schema)
    tables = source.tables if isinstance(source, Tables) else (source,)
    files = source.files if isinstance(source, Tables) else (source.name,)
    tables = tuple(_picked(t, options.columns) for t in tables)
    roles = replace(roles, key=roles.key or key_of(tables, files, source.where))
    _check_roles(roles, tables, source.where)
    written = tuple(t.names for t in tables)
    tables = tuple(keyed(t, f, tables, files, roles.key) for t, f in zip(tables, files, strict=True))
    for table, file in zip(tables, files, strict=True):
        _check_key(table, file, roles.key)
    if len(tables) == 1:
        return _long(tables[0], files[0], roles, schema, options.reading > 2)
    return _joined(source.name, source.where, tables, files, written, roles, schema, options.reading)


def _picked(table: Columns, wanted: Sequence[str]) -> Columns:
    if not wanted:
        return table
    kept = [(n, c) for n, c in zip(table.names, table.cells, strict=True) if n in wanted]
    return replace(table, names=tuple(n for n, _ in kept), cells=tuple(c for _, c in kept))


def _check_roles(roles: Roles, tables: Sequence[Columns], where: str) -> None:
    every = {n for t in tables for n in t.names}
    for name in roles.named:
        if name not in every:
            import difflib

            near = difflib.get_close_matches(name, every, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {some(sorted(every), 12)}"
            raise DataError(f"{where} has no column {name!r}; {hint}")


def _check_key(table: Columns, file: str, key: str) -> None:
    if key not in table.names:
        raise DataError(
            f"{file} has no column {key!r}, which joins the other tables; add it there, name another with --key, or move "
            "the file elsewhere"
        )
    missing = np.flatnonzero(cells_of(table, key).missing)
    if len(missing):
        raise DataError(
            f"{count(len(missing), 'row')} of {file} have no {key!r} (the first is row {missing[0] + 1:,}), so nobody knows "
            "whose they are; fill it in or remove them"
        )


# -- one long table --------------------------------------------------------------------------------------------------


def _long(table: Columns, file: str, roles: Roles, schema: Schema, wide: bool) -> Records:
    keys = spelled(cells_of(table, roles.key))
    owner = np.unique(keys.codes, return_inverse=True)[1].reshape(-1).astype(np.int64)
    patients = int(owner.max()) + 1
    if patients == len(owner):
        raise DataError(
            f"no patient of {file} has a second row in {roles.key!r}, so there are no visits; leave --key out and it is a table"
        )
    others = [(n, c) for n, c in zip(table.names, table.cells, strict=True) if n != roles.key]
    by_patient = np.argsort(owner, kind="stable")
    fixed = {n: _fixed(c, owner, by_patient) for n, c in others}
    static = {n for n, _ in others if (fixed[n] or n in roles.static) and n not in (*roles.dynamic, roles.time)}
    if not roles.time:
        roles = replace(roles, time=find_time([(n, c) for n, c in others if n not in static], file, wide))
    times, when = times_of(roles.time, cells_of(table, roles.time), schema.get(roles.time), file, wide)
    for n in roles.static:
        if not fixed[n]:
            raise DataError(f"the column {n!r} of {file} changes within patients, so it is not static; take it out of the schema")
    _check_survival(roles, static, file)
    order = ordered(owner, times)
    first = order[np.flatnonzero(np.diff(owner[order], prepend=-1))]
    held = None
    if table.rows.held is not None:
        held = np.ones(patients, dtype=bool)
        held[owner[~table.rows.held]] = False
    cells = cells_of(table, roles.time)
    return Records(
        table.name,
        table.where,
        roles,
        keys,
        keys.codes[first].astype(np.int64),
        owner[order],
        times[order],
        when,
        (cells.dtype, cells.blank),
        tuple((n, c.take(first)) for n, c in others if n in static),
        tuple((n, c.take(order)) for n, c in others if n not in static and n != roles.time),
        (Layout(file, "visits", table.names),),
        held=held,
        notes=table.rows.notes if held is not None else (),
    )


def _fixed(cells: Cells, owner: Index, order: Index) -> bool:
    """Does no patient have two values?"""
    code = cells.codes if isinstance(cells, Words) else np.unique(cells.values, return_inverse=True)[1].reshape(-1)
    same = owner[order][1:] == owner[order][:-1]
    return bool((code[order][1:][same] == code[order][:-1][same]).all())


def _check_survival(roles: Roles, static: set[str], where: str) -> None:
    for name in (roles.survival, roles.event_column, *roles.after):
        if name and name not in static:
            raise DataError(f"the survival column {name!r} of {where} must be one value for each patient, and it changes")


# -- several tables --------------------------------------------------------------------------------------------------


def _joined(
    name: str, where: str, tables: Sequence[Columns], files: Sequence[str], written: Sequence[tuple[str, ...]], roles: Roles,
    schema: Schema, reading: int,
) -> Records:  # fmt: skip
    wide = reading > 2
    kinds = _kinds(tables, files, roles, wide)
    seen = _duplicates([n for t, k in zip(tables, kinds, strict=True) if k != "codes" for n in t.names], roles)
    if seen:
        raise DataError(f"the column {seen!r} is in two tables of {where}; rename it in one of them")
    main = kinds.index("visits")
    visits, file = tables[main], files[main]
    people = [(t, f) for t, f, k in zip(tables, files, kinds, strict=True) if k == "patients"]
    keys, known, static = _people(people, roles.key)
    owner = _places(spelled(cells_of(visits, roles.key)), keys, known, file, people, roles.key)
    others = [(n, c) for n, c in zip(visits.names, visits.cells, strict=True) if n != roles.key]
    if not roles.time:
        roles = replace(roles, time=find_time(others, file, wide))
    times, when = times_of(roles.time, cells_of(visits, roles.time), schema.get(roles.time), file, wide)
    lists = [(t, f) for t, f, k in zip(tables, files, kinds, strict=True) if k == "codes"]
    roles = replace(roles, visit=roles.visit or _visit_key(visits, lists, roles))
    if roles.visit and roles.visit in visits.names and repeats(cells_of(visits, roles.visit)):
        raise DataError(f"{file} has two visits of the same {roles.visit!r}; make them unique, or name another column")
    _check_survival(roles, {n for n, _ in static}, where)
    order = ordered(owner, times)
    dynamic = [(n, c.take(order)) for n, c in others if n not in (roles.time, roles.visit)]
    bags, notes = list[Bag](), list[str]()
    for table, listed in lists:
        bag, columns, said = gathered(table, listed, roles, (keys, known), (visits, order), people[0][1], reading < 2)
        (static if not bag.visit else dynamic).extend(columns)
        bags.append(bag)
        notes += said
    cells = cells_of(visits, roles.time)
    alone = len(known) - len(np.unique(owner))
    if alone:
        notes.append(f"{count(alone, 'patient')} have no visit: they are learned as such")
    return Records(
        name, where, roles, keys, known, owner[order], times[order], when, (cells.dtype, cells.blank),
        tuple(static), tuple(dynamic),
        tuple(Layout(f, k, names) for names, f, k in zip(written, files, kinds, strict=True)), tuple(bags),
        visit=cells_of(visits, roles.visit).take(order) if roles.visit in visits.names else None,
        notes=tuple(notes),
    )  # fmt: skip


def _kinds(tables: Sequence[Columns], files: Sequence[str], roles: Roles, wide: bool) -> list[str]:
    """'patients' for tables that have a row for each, 'codes' for those with one column beside what joins them, else
    'visits', of which there must be one."""
    every = [n for t in tables for n in t.names]
    shared = {n for n in every if every.count(n) > 1}
    kinds = []
    for table, file in zip(tables, files, strict=True):
        own = [n for n in table.names if n not in shared]
        timed = any(n == roles.time or time_like(n, c, wide) for n, c in zip(table.names, table.cells, strict=True))
        if not repeats(cells_of(table, roles.key)):
            kinds.append("patients")
        elif (own and set(own) <= set(roles.codes)) or (len(own) == 1 and not time_like(own[0], cells_of(table, own[0]), wide)):
            kinds.append("codes")
        elif not timed:
            words = spelled(cells_of(table, roles.key))
            name = words.words[int(words.counts().argmax())].as_py()
            raise DataError(
                f"{file} has several rows of the same {roles.key!r}, such as {name!r}, and no column that looks like a time: remove "
                "the duplicate keys, or name the time of a visit with --time"
            )
        else:
            kinds.append("visits")
    found = [f for f, k in zip(files, kinds, strict=True) if k == "visits"]
    if len(found) != 1:
        have = f"{some(found)} have" if found else "none of the tables has"
        raise DataError(f"{have} several rows of a patient with times, and one table of visits is needed; join them, or take one out")
    if "patients" not in kinds:
        raise DataError(
            f"every table repeats {roles.key!r}, so none lists the patients ({some(files)}); add one with a row for each, or, if "
            "it should be one, remove its duplicate keys"
        )
    return kinds


def _duplicates(names: Sequence[str], roles: Roles) -> str:
    joins = {roles.key, roles.visit, roles.time}
    return next((n for i, n in enumerate(names) if n in names[:i] and n not in joins), "")


def _visit_key(visits: Columns, lists: Sequence[tuple[Columns, str]], roles: Roles) -> str:
    """The column that tables of codes share with the visits, besides key and time, if it names them."""
    shared = [n for t, _ in lists for n in t.names if n in visits.names and n not in (roles.key, roles.time)]
    return shared[0] if shared else ""


def _people(
    tables: Sequence[tuple[Columns, str]], key: str
) -> tuple[Words, Index, list[tuple[str, Cells]]]:
    """(keys, the code of each patient, static columns) of tables with a row for each; all must list the same."""
    first, file = tables[0]
    keys = spelled(cells_of(first, key))
    known = keys.codes.astype(np.int64)
    static = [(n, c) for n, c in zip(first.names, first.cells, strict=True) if n != key]
    for table, other in tables[1:]:
        place = match(spelled(cells_of(table, key)), keys, known)
        if (place < 0).any() or len(place) != len(known):
            raise DataError(f"{other} and {file} do not list the same patients in {key!r}; bring them together")
        back = np.argsort(place)
        static += [(n, c.take(back)) for n, c in zip(table.names, table.cells, strict=True) if n != key]
    return keys, known, static


def _places(
    theirs: Words, keys: Words, known: Index, file: str, people: Sequence[tuple[Columns, str]], key: str
) -> Index:
    place = match(theirs, keys, known)
    lost = np.flatnonzero(place < 0)
    if len(lost):
        name = theirs.words[int(theirs.codes[lost[0]])].as_py()
        raise DataError(
            f"{count(len(lost), 'row')} of {file} are of patients that {people[0][1]} does not list, such as {key} {name!r}; add "
            "the patients or remove the rows"
        )
    return place
