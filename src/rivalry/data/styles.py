"""Texts in several styles without partners: a file for each style, or a table with a column of texts and one of styles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from rivalry.data import text_files
from rivalry.data.columns.cells import Cells, Numbers
from rivalry.data.containers import Content
from rivalry.data.options import ReadOptions
from rivalry.data.rows import TEST, TRAIN, VALID, Flags, Rows, classify
from rivalry.data.sources import Columns, Source, Texts
from rivalry.data.text_twins import Twins, plainly
from rivalry.data.words import count, some
from rivalry.errors import DataError, UnknownName

TASK = "style"
"""As `--task` says it."""
MOST = 20
"""Styles at most."""
FEWEST = 20
"""Lines of a style at least."""
COLUMNS = ("style", "label", "class", "sentiment", "tone", "register", "category", "target")
"""Names of a column that gives the styles, the likeliest first."""
PARTS = {**dict.fromkeys(TRAIN, "train"), **dict.fromkeys(VALID, "dev"), **dict.fromkeys(TEST, "test")}


@dataclass(frozen=True)
class Layout:
    """Of files, in order: the style of each, and its part, 'train', 'dev' or 'test'."""

    styles: tuple[str, ...]
    parts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.styles)))


def layout(names: Sequence[str], options: ReadOptions) -> Layout | None:
    """What the names of text files say: 'formal.txt', 'formal.dev.txt', 'train/formal.txt', 'formal/train.txt'.  None where they are
    parts of one text: names that differ in numbers only ('part-1.txt'), or an option that says what else they are.

    Raises DataError where styles were asked for and the names give none."""
    split = [_split(name) for name in names]
    found = Layout(tuple(style for style, _ in split), tuple(part for _, part in split))
    if options.task == TASK:
        _check(found, names)
        return found
    plain = {re.sub(r"[\d._\- ]+", "", style) for style in found.names}
    alike = len(plain) < len(found.names) or "" in plain
    if options.task is not None or options.kind is not None or alike or not 2 <= len(found.names) <= MOST:
        return None
    trained = {style for style, part in split if part == "train"}
    return found if trained == set(found.names) else None


def _split(name: str) -> tuple[str, str]:
    """(style, part) of a file's name; a file that names no part is for training."""
    path = PurePosixPath(name.lower().removesuffix(".gz").removesuffix(".txt"))
    words = [w for part in path.parts for w in re.split(r"[.\s]+|(?<=[a-z])[_-]+(?=[a-z])", part) if w]
    parts = [PARTS[w] for w in words if w in PARTS]
    rest = [w for w in words if w not in PARTS]
    return "-".join(dict.fromkeys(rest)), parts[0] if parts else "train"


def _check(found: Layout, names: Sequence[str]) -> None:
    if not 2 <= len(found.names) <= MOST or "" in found.names:
        raise DataError(
            f"--task style takes a text file for each of 2 to {MOST} styles, named by the style (formal.txt, casual.txt; parts as "
            f"formal.dev.txt), and there are {some([PurePosixPath(n).name for n in names])}; rename them"
        )
    for style in found.names:
        if (style, "train") not in set(zip(found.styles, found.parts, strict=True)):
            raise DataError(f"the style {style!r} has no file to train on; add {style}.txt or {style}.train.txt")


def read(files: Sequence[tuple[str, Content]], found: Layout, name: str, where: str) -> Texts:
    """The lines of all files with their styles.  Held back are those of dev files, or of test files where there are none of dev; else
    test files are left aside, and what they hold leaves training all the same."""
    each = [replace(text_files.read([file], name, f"{where}/{file[0]}"), where=where) for file in files]
    lines = [line for part in each for line in part.lines]
    names = [f"{file}:{n}" for (file, _), part in zip(files, each, strict=True) for n in part.rows.names]
    sizes = [len(part.lines) for part in each]
    parts = np.repeat(np.array(found.parts), sizes)
    codes = np.repeat(np.array([found.names.index(s) for s in found.styles], dtype=np.int64), sizes)
    rows = Rows(len(lines), tuple(names), codes, found.names).noted(*_said(found, codes))
    for part in each:
        rows = rows.noted(*part.rows.notes)
    aside = parts == "test" if "dev" in found.parts else np.zeros(len(lines), dtype=bool)
    if aside.any():
        test = {plainly(line) for line, out in zip(lines, aside.tolist(), strict=True) if out}
        leaked = ~aside & np.array([plainly(line) in test for line in lines])
        rows = rows.noted(
            f"the test files are left aside: {count(int(aside.sum()), 'line')}",
            f"{count(int(leaked.sum()), 'line')} that the test files have too: left out" if leaked.any() else "",
        )
        aside = aside | leaked
    if set(found.parts) != {"train"}:
        rows = replace(rows, held=parts != "train")
    kept = np.flatnonzero(~aside)
    return Texts(name, where, rows.take(kept), tuple(lines[i] for i in kept.tolist()), tuple(b for p in each for b in p.broken), True)


def _said(found: Layout, codes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> tuple[str, ...]:
    counts = np.bincount(codes, minlength=len(found.names)).tolist()
    each = ", ".join(f"{style} ({n:,})" for style, n in zip(found.names, counts, strict=True))
    return (f"a file for each style, to be rewritten in one another: {each}; --kind text reads them as one text",)


def asked(source: Source, options: ReadOptions) -> bool:
    """Are styles what is wanted of the data, or what they are?  A table is taken so unasked if it has just a column 'text' and a column
    'style'."""
    if options.task == TASK:
        if not isinstance(source, Columns | Texts):
            raise DataError(f"{source.where} holds no text, and --task style rewrites texts; name a folder of text files or a table")
        return True
    if isinstance(source, Texts):
        return source.styled
    return isinstance(source, Columns) and options.kind is None and {n.lower() for n in source.names} == {"text", "style"}


def apart(table: Columns) -> Columns:
    """The table with its column of styles set apart from those of texts.  DataError where there is none."""
    return replace(table, aside=(*table.aside, _column(table)))


def styled(source: Columns | Texts, texts: Texts) -> Texts:
    """The texts with their styles; of a table they come from its column of styles.  DataError where there is none."""
    if texts.styled or isinstance(source, Texts):
        if not texts.styled:
            raise DataError(f"{texts.where} is one text; --task style takes a folder with a text file for each style, or a table")
        return _enough(texts)
    column = _column(source)
    cells = source.cells[source.names.index(column)]
    numbers = np.array([int(n.removeprefix("row ")) - 1 for n in texts.rows.names], dtype=np.int64)
    codes, classes, _ = classify(_values(cells))
    if codes is None or not 2 <= len(classes) <= MOST:
        raise DataError(f"the column {column!r} of {source.where} names no styles: there must be 2 to {MOST} of them; give another file")
    rows = replace(texts.rows, codes=codes[numbers], classes=classes)
    kept = np.flatnonzero(codes[numbers] >= 0)
    rows = rows.take(kept).noted(f"the column {column!r} gives the styles: {some(classes, 5)}")
    return _enough(replace(texts, rows=rows, lines=tuple(texts.lines[i] for i in kept.tolist()), styled=True))


def _enough(texts: Texts) -> Texts:
    counts = Counter(() if texts.rows.codes is None else texts.rows.codes.tolist())
    for number, style in enumerate(texts.rows.classes):
        if counts[number] < FEWEST:
            raise DataError(
                f"the style {style!r} of {texts.where} has {count(counts[number], 'line')}, and at least {FEWEST} are needed; add more, or "
                "read all files as one text with --kind text"
            )
    return texts


def _column(table: Columns) -> str:
    by_name = {n.lower(): n for n in table.names}
    found = next((by_name[n] for n in COLUMNS if n in by_name), None)
    if found is None:
        near = UnknownName("column of styles", "style", table.names)
        raise DataError(f"{near}; call the column that gives the styles 'style'")
    return found


def _values(cells: Cells) -> object:
    if isinstance(cells, Numbers):
        return cells.values
    return np.array([*cells.words.to_pylist(), ""], dtype=np.str_)[cells.codes]


def untangled(texts: Texts, found: Twins) -> tuple[Texts, Twins]:
    """Without lines that two styles have, and without training lines that held-out lines repeat, or nearly do; it is said how many.

    Lines are the same up to case, spaces and punctuation."""
    rows = texts.rows
    assert rows.codes is not None
    plain = np.unique(np.array([plainly(line) for line in texts.lines]), return_inverse=True)[1].reshape(-1)
    both = _in_both(plain, rows.codes)
    rows = rows.noted(f"{count(int(both.sum()), 'line')} that two styles have: left out" if both.any() else "")
    gone = both
    if rows.held is not None:
        leaked = ~rows.held & ~both & np.isin(found.group, found.group[rows.held & ~both])
        rows = rows.noted(f"{count(int(leaked.sum()), 'training line')} that held-out lines repeat, or nearly do: left out" if leaked.any() else "")
        gone = gone | leaked
    kept = np.flatnonzero(~gone)
    taken = replace(texts, rows=rows.take(kept), lines=tuple(texts.lines[i] for i in kept.tolist()))
    exact, group = (np.unique(v[kept], return_inverse=True)[1].reshape(-1).astype(np.int64) for v in (found.exact, found.group))
    return _enough(taken), Twins(exact, group)


def _in_both(plain: np.ndarray[tuple[int, ...], np.dtype[np.int64]], codes: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Flags:
    """[N] true for lines whose plain form stands in two styles."""
    low = np.full(int(plain.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    high = np.full(len(low), -1)
    np.minimum.at(low, plain, codes)
    np.maximum.at(high, plain, codes)
    differ: Flags = low != high
    return differ[plain]
