"""What is known of rows besides their content: names, classes, groups, and the official split."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from rivalry.data.options import ReadOptions
from rivalry.data.words import count, some
from rivalry.errors import DataError, UnknownName
from rivalry.streams import key

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.str_]
TRAIN = {"train", "training", "trn"}
TEST = {"test", "testing", "tst", "t10k"}
VALID = {"val", "valid", "validation", "dev"}


@dataclass(frozen=True)
class Rows:
    """Of N rows: names ('' for those that have none); codes [N] int64 into `classes`, -1 where the class is not
    known; groups [N]; held [N], the official split, true for the held-out side; a side None is not known at all."""

    total: int
    names: tuple[str, ...] = ()
    codes: Ints | None = None
    classes: tuple[str, ...] = ()
    groups: Strings | None = None
    held: Flags | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.total

    def name(self, i: int) -> str:
        return readable(self.names[i]) if self.names else f"row {i}"

    def noted(self, *notes: str) -> Rows:
        return replace(self, notes=self.notes + tuple(n for n in notes if n))

    def take(self, index: Ints) -> Rows:
        """These rows only; classes stay as they are."""
        return replace(
            self,
            total=len(index),
            names=tuple(self.names[i] for i in index.tolist()) if self.names else (),
            codes=None if self.codes is None else self.codes[index],
            groups=None if self.groups is None else self.groups[index],
            held=None if self.held is None else self.held[index],
        )

    def compact(self) -> Rows:
        """Without classes that no row has; without classes at all if fewer than two are left."""
        if self.codes is None:
            return self
        used = np.unique(self.codes[self.codes >= 0])
        if len(used) < 2:
            return replace(self, codes=None, classes=())
        renumber = np.full(len(self.classes) + 1, -1, dtype=np.int64)
        renumber[used] = np.arange(len(used))
        return replace(self, codes=renumber[self.codes], classes=tuple(self.classes[i] for i in used.tolist()))


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """A sort key that puts 's2' before 's10'."""
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", text.casefold()) if p)


def classify(values: object, known: Sequence[str] = ()) -> tuple[Ints | None, tuple[str, ...], str]:
    """Labels of any usual form -> (codes [N] or None, class names, note).

    values: [N] integers, whole floats, strings or bytes; [N, 1] of them; or one-hot [N, K].  Empty strings and NaN
    are unknown (-1).  known: names for the integers 0, 1, ...  Measurements, and classes too many to be
    classes, are left out with a note.
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and ((array == 0) | (array == 1)).all() and (array.sum(1) == 1).all():
        array = array.argmax(1)
    if array.ndim != 1:
        return None, (), f"labels of shape {array.shape} are no classes: left out"
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        if not np.equal(array[~missing], np.round(array[~missing])).all():
            return None, (), "the labels are measurements, not classes: left out"
        text = np.where(missing, "", np.nan_to_num(array).astype(np.int64).astype(str))
    else:
        text = np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array.astype(str)
    return _code(text, tuple(known))


def _code(text: Strings, known: tuple[str, ...]) -> tuple[Ints | None, tuple[str, ...], str]:
    found, inverse = np.unique(text, return_inverse=True)
    order = sorted((i for i in range(len(found)) if found[i]), key=lambda i: natural(str(found[i])))
    if len(order) > max(2, len(text) // 2):
        return None, (), f"{count(len(order), 'label')} for {count(len(text), 'row')} are no classes: left out"
    place = np.full(len(found), -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    names = tuple(str(found[i]) for i in order)
    if known and all(n.isdigit() and int(n) < len(known) for n in names):
        names = tuple(known[int(n)] for n in names)
    return place[inverse], names, ""


def unlabelled(codes: Ints | None, what: str, where: str) -> str:
    """A note on the rows that `choose` leaves out for want of a class, '' if there are none."""
    lost = 0 if codes is None else int((codes < 0).sum())
    return f"{count(lost, what)} with no label in {where}: left out" if lost else ""


def grouped(rows: Rows, groups: Strings, name: str, what: str) -> Rows:
    """Rows with the groups [N] of the column `name`.  Those with an empty cell stay together, as nothing says that they are not of one."""
    empty = int((groups == "").sum())
    note = f"{count(empty, what)} with no {name!r} are kept on one side, as one group: fill it in, or leave them out"
    return replace(rows, groups=groups).noted(note if empty > 1 else "")


def readable(name: str) -> str:
    """A file's name as text: what is no UTF-8 is taken for Latin-1, as old archives have it.

    >>> readable("caf\udce9")
    'café'
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("latin-1")
    return name


def from_folders(names: Sequence[str]) -> Rows:
    """Rows of files: sub-folders are classes, `train` and `test` folders above them the official split."""
    folders = _strip([PurePosixPath(n).parts[:-1] for n in names])
    held, folders, keep, note = _official(folders)
    rows = Rows(len(names), tuple(names), held=held)
    if keep is not None:
        rows, folders = rows.take(keep), [folders[i] for i in keep.tolist()]
    rows = rows.noted(note)
    firsts = [readable(f[0]) if f else "" for f in _strip(folders)]
    if all(firsts):
        codes, classes, unused = classify(np.array(firsts))
        return replace(rows, codes=codes, classes=classes).noted(unused)
    if any(firsts):
        return rows.noted("some files lie in sub-folders and some beside them, so the folders are no classes")
    return rows


def _strip(folders: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the leading folders that all have in common."""
    first, last = min(folders, default=()), max(folders, default=())
    shared = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return [f[shared:] for f in folders]


def _official(
    folders: list[tuple[str, ...]],
) -> tuple[Flags | None, list[tuple[str, ...]], Ints | None, str]:
    """(held, folders without the split's name, rows to keep, note) of `train/...`, `test/...`, `val/...`."""
    sides = np.array([f[0].lower() if f else "" for f in folders])
    held, keep, note = official_split(sides)
    if held is None:
        return None, folders, None, ""
    return held, [f[1:] for f in folders], keep, note


def official_split(sides: Strings) -> tuple[Flags | None, Ints | None, str]:
    """[N] names of splits -> (held [N], rows to keep or None for all, note); None unless all are known splits
    and there is training data beside something to hold out."""
    found = set(np.unique(sides).tolist())
    train, test, valid = found & TRAIN, found & TEST, found & VALID
    if not train or not (test or valid) or found - TRAIN - TEST - VALID:
        return None, None, ""
    held = np.isin(sides, sorted(test or valid))
    if test and valid:
        aside = np.isin(sides, sorted(valid))
        note = f"{count(int(aside.sum()), 'row')} of the split {some(sorted(valid))!r} are left aside"
        return held, np.flatnonzero(~aside), note
    return held, None, ""


def choose(rows: Rows, options: ReadOptions) -> Ints:
    """The numbers of the rows to read, ascending: of the classes asked for, with a class, within the limit."""
    wanted = np.ones(len(rows), dtype=bool)
    if options.only:
        if rows.codes is None:
            raise DataError(f"only={','.join(options.only)} asks for classes, but the data have none")
        for name in options.only:
            if name not in rows.classes:
                raise DataError(str(UnknownName("class", name, rows.classes)))
        wanted &= np.isin(rows.codes, [rows.classes.index(n) for n in options.only])
    if rows.codes is not None:
        wanted &= rows.codes >= 0
    chosen = np.flatnonzero(wanted)
    if options.limit is None:
        return chosen
    rng = np.random.default_rng(key(options.seed, "limit"))
    sides = [chosen] if rows.held is None else [chosen[~rows.held[chosen]], chosen[rows.held[chosen]]]
    parts = [rng.permutation(side)[: options.limit] for side in sides]
    return np.sort(np.concatenate(parts))


def group_by_name(rows: Rows, group: str | None) -> Rows:
    """Groups from file names: "folder", or a regular expression with one group.  Keeps groups already known."""
    if group is None or rows.groups is not None:
        return rows
    if not rows.names:
        raise DataError(f"group {group!r} goes by file names or columns, and these rows have neither")
    if group == "folder":
        return replace(rows, groups=np.array([str(PurePosixPath(n).parent) for n in rows.names]))
    if "(" not in group:
        raise DataError(
            f"group {group!r} is no column of the data; name a column, 'folder', "
            r"or a regular expression with one group such as '(patient\d+)'"
        )
    hits = [re.search(group, n) for n in rows.names]
    if not any(hits):
        raise DataError(
            f"group {group!r} matches no file name, for example not {rows.names[0]!r}; mend the expression"
        )
    missing = sum(h is None for h in hits)
    note = f"{count(missing, 'file name')} did not match group {group!r}: each is a group of its own"
    found = [h.group(1) or n if h else f"\0{n}" for h, n in zip(hits, rows.names, strict=True)]
    return replace(rows, groups=np.array(found)).noted(note if missing else "")


def balance(rows: Rows) -> dict[str, int]:
    """Rows per class, in the classes' order."""
    if rows.codes is None:
        return {}
    counts = np.bincount(rows.codes[rows.codes >= 0], minlength=len(rows.classes))
    return dict(zip(rows.classes, counts.tolist(), strict=True))


def endings(names: Sequence[str]) -> str:
    """'12 .txt, 3 .csv': what a folder holds instead of what was looked for."""
    counts = Counter(PurePosixPath(n).suffix.lower() or "without ending" for n in names)
    return ", ".join(f"{n} {ending}" for ending, n in counts.most_common(5))
