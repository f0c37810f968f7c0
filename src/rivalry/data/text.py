"""Text, a sentence a row: the modality 'text'."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rivalry.data import styles, text_look, text_tokens, text_write
from rivalry.data.base import Dataset, Plain
from rivalry.data.columns.cells import Cells, Numbers, plain
from rivalry.data.defences import refuse
from rivalry.data.inspection import Inspection
from rivalry.data.options import ReadOptions
from rivalry.data.rows import Ints, choose, group_by_name
from rivalry.data.sources import Columns, Source, Texts
from rivalry.data.split import FEWEST, split
from rivalry.data.text_files import clean
from rivalry.data.text_store import TokenRows
from rivalry.data.text_tokens import BytePairs, Coder
from rivalry.data.text_twins import Twins, twins
from rivalry.data.words import count, some
from rivalry.errors import DataError
from rivalry.types import EOS, PAD, UNKNOWN, Spec

MOST = 128
"""Tokens of a line where nothing else is said; of shorter lines as many as all but WHOLE have."""
WHOLE = 0.995


@dataclass(frozen=True)
class TextModality:
    """Sentences as rows of tokens [T] int64: those of the text, EOS, PAD.  Raw and encoded rows are the same.

    coder: the tokenizer.  Its merges or words come from training lines (from what at least five of them have), and are part
    of the state, so that a run folder can turn tokens into text.  length: T.
    """

    coder: Coder = field(default_factory=lambda: BytePairs(()), repr=False)
    length: int = 32
    kind: ClassVar[str] = "text"

    def sniff(self, source: Source) -> bool:
        return isinstance(source, Texts)

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Raises DataError for too few lines, for lines that are all the same, and for columns that hold no text."""
        refuse(options, "text", ("--dedupe",))
        texts = chosen(source, options)
        if len(texts.lines) < FEWEST:
            raise DataError(
                f"{texts.where} has only {count(len(texts.lines), 'line')} of text, and at least {FEWEST} are needed; put each "
                "sentence on a line of its own, or add more"
            )
        found = twins(texts.lines)
        if texts.styled:
            texts, found = styles.untangled(texts, found)
        texts, found, told = _distinct(texts, found, options.dedupe)
        if int(found.group.max(initial=0)) == 0:
            raise DataError(f"all lines of {texts.where} are the same, or nearly, so there is nothing to learn; give others")
        parts = split(texts.rows, found.group, options, texts.where)
        train = [texts.lines[i] for i in parts.train.tolist()]
        coder = text_tokens.learned(train, options.tokenizer, options.vocabulary, options.reading < 5)
        tokens = coder.encode(texts.lines)
        length, cut = _length(tokens, parts.train, options.tokens)
        modality = TextModality(coder, length)
        x = modality.rows(tokens)
        rows = texts.rows.compact()
        labels = None if rows.codes is None else torch.from_numpy(rows.codes)
        sides = [TokenRows(x[i], None if labels is None else labels[i]) for i in map(torch.from_numpy, (parts.train, parts.held))]
        spec = Spec("tokens", (length,), (0.0, coder.size - 1.0), rows.classes, coder.size)
        notes = (*rows.notes, *_notes(found, parts.notes, texts.rows.held is not None), f"{coder.size:,} tokens, {length} a line at most", *cut)
        return Dataset(
            texts.name, spec, modality, sides[0], sides[1], _fingerprint(texts, parts.held, options), notes=notes, defences=told,
            layout="styles" if texts.styled else "", task=styles.TASK if texts.styled else "",
        )  # fmt: skip

    def inspect(self, source: Source, options: ReadOptions) -> Inspection:
        return text_look.look(chosen(source, options))

    def rows(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Token numbers of each text -> [N, length] int64: cut, or ended and padded."""
        out = np.full((len(tokens), self.length), PAD, dtype=np.int64)
        for row, own in zip(out, tokens, strict=True):
            ended = [*own[: self.length], EOS][: self.length]
            row[: len(ended)] = ended
        return torch.from_numpy(out)

    def tokens(self, lines: Sequence[str]) -> Tensor:
        """Texts as rows [N, length]."""
        return self.rows(self.coder.encode([clean(line) for line in lines]))

    def prompt(self, text: str) -> tuple[int, ...]:
        """The tokens that a text begins with.  DataError where they leave no room for more, or a word of it has no token."""
        found = tuple(self.coder.encode([clean(text)])[0])
        if UNKNOWN in found:
            strange = some([repr(w) for w in dict.fromkeys(self.coder.unknown(clean(text)))], 5)
            raise DataError(f"the run knows whole words only, and not {strange}; leave them out, or train with --tokenizer bpe, which can spell any word")
        if len(found) >= self.length:
            raise DataError(f"the prompt has {len(found)} tokens, and a line {self.length} at most; give a shorter one")
        return found

    def texts(self, x: Tensor) -> list[str]:
        """[N, T] -> N lines, up to their ends."""
        rows = x.detach().cpu().long()
        ends = ((rows == EOS) | (rows == PAD)).int()
        lengths = torch.where(ends.any(1), ends.argmax(1), rows.shape[1]).tolist()
        return self.coder.decode(row[:n] for row, n in zip(rows.tolist(), lengths, strict=True))

    def encode(self, raw: Tensor) -> Tensor:
        """Tokens are what networks see."""
        return raw.long()

    def decode(self, x: Tensor) -> Tensor:
        """[N, T] int64; `texts` turns them into words."""
        return x.detach().long()

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """x [N, T] -> a .txt (a line each), .csv, .tsv, .parquet or .jsonl with the column 'text' (and 'label' where there are
        labels).  Raises DataError for other endings."""
        words = None if labels is None else [names[k] if k < len(names) else str(k) for k in labels.tolist()]
        return [text_write.write(self.texts(x), out, words)]

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """The lines, in a text file in place of a picture; beside each one of the reference, if there is one."""
        text_write.preview(self.texts(x), path.with_suffix(".txt"), None if reference is None else self.texts(reference))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, T] twice -> [N]: share of places whose tokens differ, of those that either has."""
        there = (a != PAD) | (b != PAD)
        return ((a != b) & there).sum(1).float() / there.sum(1).clamp_min(1)

    def augments(self) -> tuple[str, ...]:
        return ()

    def extractors(self) -> tuple[str, ...]:
        return ("local-text",)

    def state(self) -> dict[str, object]:
        return {**self.coder.state(), "length": self.length}

    def restored(self, state: Plain) -> TextModality:
        length = state.get("length")
        if not isinstance(length, int) or length < 2:
            raise DataError("the state of text must name the length of its rows, a whole number above 1")
        return TextModality(text_tokens.restored(state), length)


def chosen(source: Source, options: ReadOptions) -> Texts:
    """The lines to be read, of a text file or of one column of a table."""
    assert isinstance(source, Columns | Texts)
    styled = styles.asked(source, options)
    texts = source
    if isinstance(texts, Columns):
        texts = _column(styles.apart(texts) if styled else texts, options)
    if styled:
        texts = styles.styled(source, texts)
    rows = group_by_name(texts.rows, options.group)
    index = choose(rows, options)
    return replace(texts, rows=rows.take(index), lines=tuple(texts.lines[i] for i in index.tolist()))


def _column(table: Columns, options: ReadOptions) -> Texts:
    """The column of text that is named, or the only one there is.  DataError where it is none, or not one."""
    words = [n for n, c in zip(table.names, table.cells, strict=True) if _worded(c) and n not in table.aside]
    for name in options.columns:
        if name not in table.names:
            raise DataError(f"{table.where} has no column {name!r}; it has {some(table.names, 12)}")
    wanted = [n for n in words if n in (options.columns or words)]
    if len(wanted) != 1:
        what = "columns of words" if wanted else "no column of words" if not options.columns else "no words in that column"
        which = f": {some(words, 12)}" if words else ""
        raise DataError(f"{table.where} has {what}{which}; name the one that holds the text with --columns")
    if idle := [n for n in options.columns if n not in words]:
        raise DataError(f"{some(idle, 3)} of {table.where} holds no words, and a text is one column: say --columns {wanted[0]} alone")
    cells = table.cells[table.names.index(wanted[0])]
    assert not isinstance(cells, Numbers)
    spelled = [clean(w) for w in cells.words.to_pylist()]
    there = np.flatnonzero([c >= 0 and bool(spelled[c]) for c in cells.codes.tolist()])
    if not len(there):
        raise DataError(f"the column {wanted[0]!r} of {table.where} is empty; name another with --columns")
    rows = replace(table.rows, names=tuple(f"row {i + 1}" for i in range(len(table.rows)))).take(there)
    lost = len(cells) - len(there)
    rows = rows.noted(f"{count(lost, 'row')} without text left out" if lost else "")
    return Texts(table.name, table.where, rows, tuple(spelled[c] for c in cells.codes[there].tolist()))


def _worded(cells: Cells) -> bool:
    """Are they words, not all of them numbers?"""
    return not isinstance(cells, Numbers) and not bool(plain(cells.words).all())


def _distinct(texts: Texts, found: Twins, dedupe: bool) -> tuple[Texts, Twins, tuple[str, ...]]:
    """With --dedupe the first line of each group; of an official split training keeps its own."""
    if not dedupe:
        return texts, found, ()
    order = np.arange(len(texts.lines)) if texts.rows.held is None else np.argsort(texts.rows.held, kind="stable")
    keep = np.sort(order[np.unique(found.group[order], return_index=True)[1]])
    told = f"--dedupe: {count(found.copies, 'line')} that repeat another and {found.near:,} that nearly do were left out"
    taken = replace(texts, rows=texts.rows.take(keep), lines=tuple(texts.lines[i] for i in keep.tolist()))
    return taken, Twins(np.arange(len(keep)), np.arange(len(keep))), (told,)


def _length(tokens: Sequence[Sequence[int]], train: Ints, asked: int | None) -> tuple[int, tuple[str, ...]]:
    """(T, what was cut): room for nearly all training lines and their ends."""
    lengths = np.fromiter((len(t) + 1 for t in tokens), np.int64, len(tokens))
    length = asked or int(min(MOST, max(4, np.quantile(lengths[train], WHOLE))))
    longer = int((lengths > length).sum())
    note = f"lines longer than {length - 1} tokens: {longer:,}, cut (--tokens makes more room)"
    return length, (note,) if longer else ()


def _notes(found: Twins, of_split: tuple[str, ...], official: bool) -> list[str]:
    both = [f"{found.copies:,} repeat another" if found.copies else "", f"{found.near:,} nearly do" if found.near else ""]
    said = " and ".join(b for b in both if b)
    where = "" if official else ": they stay on one side of the split"
    return [*([f"of the lines {said}{where}"] if said else []), *of_split]


def _fingerprint(texts: Texts, held: Ints, options: ReadOptions) -> str:
    hashed = hashlib.sha256(f"{options.content()}{options.tokenizer, options.vocabulary, options.tokens}".encode())
    hashed.update("\n".join(texts.lines).encode())
    for values in (held, *([] if texts.rows.codes is None else [texts.rows.codes])):
        hashed.update(np.ascontiguousarray(values).tobytes())
    return hashed.hexdigest()
