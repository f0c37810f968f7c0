"""Dialogue, a reply after what was said before it: the modality 'dialogue'."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rivalry.data import dialogue_look, talks, text_tokens, text_write
from rivalry.data.base import Dataset, Plain
from rivalry.data.defences import refuse
from rivalry.data.inspection import Inspection
from rivalry.data.options import ReadOptions
from rivalry.data.rows import Ints, choose
from rivalry.data.sources import Columns, Source, Talk, Talks, Texts
from rivalry.data.split import FEWEST, split
from rivalry.data.talk_rows import ReplyRows, Streams
from rivalry.data.text_files import clean
from rivalry.data.text_tokens import BytePairs, Coder
from rivalry.data.text_twins import twins
from rivalry.data.words import count
from rivalry.errors import DataError
from rivalry.types import BOS, EOS, PAD, Spec

CONTEXT, REPLY = 48, 32
"""Tokens of what is replied to, and of a reply, where nothing else is said."""


@dataclass(frozen=True)
class DialogueModality:
    """Replies as rows of tokens [context + reply] int64, as `Spec.context` has it.  Raw and encoded rows are the same.

    coder: the tokenizer, learned from turns of training conversations only.  Its tokens are followed by one more, the marker
    `other` of a turn by anybody but who replies.
    """

    coder: Coder = field(default_factory=lambda: BytePairs(()), repr=False)
    context: int = CONTEXT
    reply: int = REPLY
    kind: ClassVar[str] = "dialogue"

    @property
    def other(self) -> int:
        return self.coder.size

    def sniff(self, source: Source) -> bool:
        """Conversations, and tables whose columns are called as those of conversations are."""
        if isinstance(source, Columns):
            return all(talks.role(source.names, words) for words in (talks.IDS, talks.TEXT))
        return isinstance(source, Talks)

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Splits by conversation; near copies of one stay on its side.  Raises DataError for too few conversations, and for
        tables without the columns that are needed."""
        refuse(options, "dialogue", ())
        told = chosen(source, options)
        if len(told.talks) < FEWEST:
            raise DataError(
                f"{told.where} has only {count(len(told.talks), 'conversation')}, and at least {FEWEST} are needed to learn from "
                "some and hold some back; add more"
            )
        found = twins([" ".join(text for _, text in talk) for talk in told.talks])
        parts = split(told.rows, found.group, options, told.where)
        if len(parts.held) < 2:
            raise DataError(f"{told.where} holds back {count(len(parts.held), 'conversation')}, and scores need two at least; hold more back")
        train = [text for i in parts.train.tolist() for _, text in told.talks[i]]
        coder = text_tokens.learned(train, options.tokenizer, options.vocabulary, options.reading < 5)
        modality = DialogueModality(coder, options.context or CONTEXT, options.tokens or REPLY)
        sides = [modality.rows([told.talks[i] for i in part.tolist()]) for part in (parts.train, parts.held)]
        spec = modality.spec()
        notes = (*told.rows.notes, *_copies(found.copies, found.near), *_renamed(parts.notes), modality.described(sides[0]))
        return Dataset(told.name, spec, modality, sides[0], sides[1], _fingerprint(told, parts.held, options), notes=notes)

    def inspect(self, source: Source, options: ReadOptions) -> Inspection:
        return dialogue_look.look(chosen(source, options))

    def spec(self) -> Spec:
        length = self.context + self.reply
        return Spec("tokens", (length,), (0.0, float(self.other)), (), self.other + 1, context=self.context)

    def rows(self, told: Sequence[Talk]) -> ReplyRows:
        """Every turn that has something before it."""
        streams = Streams.of(told, self.coder)
        turns = streams.replies
        return ReplyRows(streams.rows(turns, self.context, self.reply, self.other), torch.from_numpy(streams.talk[turns]))

    def contexts(self, histories: Sequence[Sequence[str]]) -> Tensor:
        """What was said, the latest last, speakers in turns (who says nothing lets the other go on) -> [N, context], to be replied to by whoever did not speak last.
        DataError for a history without a word."""
        told = [talks.joined((str(i % 2), text) for i, text in enumerate(history)) for history in histories]
        empty = next((i for i, talk in enumerate(told) if not talk), None)
        if empty is not None:
            raise DataError(f"context {empty + 1} says nothing, so there is nothing to reply to; leave it out or give it words")
        ended = [(*talk, (1 - talk[-1][0], "")) for talk in told]
        streams = Streams.of(ended, self.coder)
        last = np.cumsum([len(talk) for talk in ended]) - 1
        return streams.contexts(last, self.context, self.other)

    def texts(self, x: Tensor) -> list[str]:
        """The replies of rows [N, context + reply], or of replies alone [N, reply or fewer], each as one clean line."""
        rows = x.detach().cpu().long()
        rows = rows[:, self.context :] if rows.shape[1] == self.context + self.reply else rows
        ends = ((rows == EOS) | (rows == PAD)).int()
        lengths = torch.where(ends.any(1), ends.argmax(1), rows.shape[1]).tolist()
        return [clean(text) for text in self.coder.decode(row[:n] for row, n in zip(rows.tolist(), lengths, strict=True))]

    def turns(self, x: Tensor) -> list[list[tuple[bool, str]]]:
        """[N, context or more] -> the turns of each context: (whether it is by who replies, its text); the first may be cut."""
        return [self._turns(row) for row in x[:, : self.context].detach().cpu().long().tolist()]

    def _turns(self, row: list[int]) -> list[tuple[bool, str]]:
        marks = [i for i, token in enumerate(row) if token in (BOS, self.other)]
        begins = [i for i, token in enumerate(row) if token != PAD][:1]
        found = list[tuple[bool, list[int]]]()
        if begins and begins[0] not in marks:  # cut within a turn; the next marker's owner did not say it
            found.append((row[marks[0]] != BOS, row[begins[0] : marks[0]]))
        found += [(row[a] == BOS, row[a + 1 : b]) for a, b in zip(marks, [*marks[1:], len(row)], strict=True)]
        said = self.coder.decode([t for t in tokens if t not in (EOS, PAD)] for _, tokens in found)
        return [(mine, text) for (mine, _), text in zip(found, said, strict=True) if text]

    def encode(self, raw: Tensor) -> Tensor:
        """Tokens are what networks see."""
        return raw.long()

    def decode(self, x: Tensor) -> Tensor:
        return x.detach().long()

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """The replies, as lines of text are written."""
        return [text_write.write(self.texts(x), out)]

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """Replies, a line each; what they reply to is of the user's data and is not shown."""
        text_write.preview(self.texts(x), path.with_suffix(".txt"), None)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, T] twice -> [N]: share of places of the reply whose tokens differ, of those that either has."""
        a, b = a[:, self.context :], b[:, self.context :]
        there = (a != PAD) | (b != PAD)
        return ((a != b) & there).sum(1).float() / there.sum(1).clamp_min(1)

    def augments(self) -> tuple[str, ...]:
        return ()

    def extractors(self) -> tuple[str, ...]:
        return ()

    def state(self) -> dict[str, object]:
        return {**self.coder.state(), "context": self.context, "reply": self.reply}

    def restored(self, state: Plain) -> DialogueModality:
        context, reply = state.get("context"), state.get("reply")
        if not isinstance(context, int) or not isinstance(reply, int) or min(context, reply) < 2:
            raise DataError("the state of dialogue must name the tokens of a context and of a reply, whole numbers above 1")
        return DialogueModality(text_tokens.restored(state), context, reply)

    def described(self, rows: ReplyRows) -> str:
        """A note on how much fits."""
        some = rows.raw(torch.linspace(0, len(rows) - 1, min(len(rows), 20_000)).long())
        whole = some[:, self.context :]
        cut = float(((whole[:, -1] != PAD) & (whole[:, -1] != EOS)).float().mean())
        full = float((some[:, 0] != PAD).float().mean())
        return (
            f"{len(rows):,} replies to learn from; {self.coder.size:,} tokens; replies of up to {self.reply} ({cut:.1%} are cut), contexts of up "
            f"to {self.context} ({full:.0%} had more before)"
        )


def chosen(source: Source, options: ReadOptions) -> Talks:
    """The conversations to be read."""
    if isinstance(source, Columns):
        source = talks.from_columns(source, options.columns)
    elif options.columns:
        raise DataError(f"{source.where} is no table and has no columns; leave --columns out")
    if isinstance(source, Texts):
        raise DataError(f"{source.where} holds lines and no conversations; see docs/dialogue.md for what is read")
    assert isinstance(source, Talks)
    index = choose(source.rows, options)
    return replace(source, rows=source.rows.take(index), talks=tuple(source.talks[i] for i in index.tolist()))


def _copies(exact: int, near: int) -> list[str]:
    if not exact + near:
        return []
    return [f"{count(exact, 'conversation')} that repeat another, {near:,} that nearly do: each stays on the other's side of the split"]


def _renamed(notes: Sequence[str]) -> list[str]:
    """What is split are conversations."""
    return [n.replace(" rows ", " conversations ") for n in notes]


def _fingerprint(told: Talks, held: Ints, options: ReadOptions) -> str:
    """Of the conversations, who is held out, and what of the options bears on rows."""
    found = hashlib.sha256(repr((options.content(), options.tokenizer, options.vocabulary, options.tokens, options.context)).encode())
    for talk in told.talks:
        found.update(repr(talk).encode())
    found.update(held.tobytes())
    return found.hexdigest()
