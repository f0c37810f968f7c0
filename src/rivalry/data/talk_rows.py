"""Conversations as rows of tokens: each turn but the first, after as much of what came before it as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from rivalry.data.rows import Ints
from rivalry.data.sources import Talk
from rivalry.data.text_tokens import Coder
from rivalry.types import BOS, EOS, PAD, Batch

BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class Streams:
    """Conversations one after the other, each turn a marker, its tokens, EOS: words [P], speaker [P].  Of T turns: begin [T] where
    each one's marker stands, length [T] of its tokens, talk [T] the conversation, first [T] where that begins."""

    words: Ints
    speaker: Ints
    begin: Ints
    length: Ints
    talk: Ints
    first: Ints

    @classmethod
    def of(cls, talks: Sequence[Talk], coder: Coder) -> Streams:
        lines = coder.encode([text for talk in talks for _, text in talk])
        length = np.fromiter(map(len, lines), np.int64, len(lines))
        begin: Ints = np.cumsum(length + 2) - (length + 2)
        words = np.full(int((length + 2).sum()), EOS, dtype=np.int64)
        words[begin] = BOS
        inside = np.ones(len(words), dtype=bool)
        inside[begin] = inside[begin + length + 1] = False
        words[inside] = np.fromiter((w for line in lines for w in line), np.int64, int(length.sum()))
        who = np.fromiter((s for talk in talks for s, _ in talk), np.int64, len(lines))
        talk = np.repeat(np.arange(len(talks)), [len(t) for t in talks])
        first = begin[np.searchsorted(talk, talk)]
        return cls(words, np.repeat(who, length + 2), begin, length, talk, first)

    @property
    def replies(self) -> Ints:
        """The turns that have something before them."""
        return np.flatnonzero(self.begin > self.first)

    def contexts(self, turns: Ints, places: int, other: int) -> Tensor:
        """[n, places] what stands before each of these turns, cut from the left, as `Spec.context` has it.

        other: the marker of a turn by anybody but who replies, which is the turn's own speaker.
        """
        out = np.full((len(turns), places), PAD, dtype=np.int64)
        out[:, -1] = BOS
        place = self.begin[turns][:, None] + np.arange(1 - places, 0)
        there = place >= self.first[turns][:, None]
        place = np.where(there, place, 0)
        found = self.words[place]
        replier = self.speaker[self.begin[turns]]
        found = np.where((found == BOS) & (self.speaker[place] != replier[:, None]), other, found)
        out[:, :-1] = np.where(there, found, PAD)
        return torch.from_numpy(out)

    def said(self, turns: Ints, places: int) -> Tensor:
        """[n, places] the turns themselves: their tokens, EOS where there is room for it, PAD."""
        place = np.arange(places)[None]
        index = np.minimum(self.begin[turns][:, None] + 1 + place, len(self.words) - 1)
        return torch.from_numpy(np.where(place <= self.length[turns][:, None], self.words[index], PAD))

    def rows(self, turns: Ints, context: int, reply: int, other: int) -> Tensor:
        """[n, context + reply] int32."""
        parts = [turns[i : i + BLOCK] for i in range(0, len(turns), BLOCK)]
        made = [torch.cat([self.contexts(p, context, other), self.said(p, reply)], 1).int() for p in parts]
        return torch.cat(made) if made else torch.zeros(0, context + reply, dtype=torch.int32)


@final
class ReplyRows:
    """One side of the split: rows [N, T] (kept in 32 bits) and the conversation of each, talk [N]."""

    labels: Tensor | None = None

    def __init__(self, tokens: Tensor, talk: Tensor) -> None:
        self._tokens, self.talk = tokens.int(), talk

    def __len__(self) -> int:
        return len(self._tokens)

    def beside(self, other: ReplyRows) -> ReplyRows:
        """These rows, then those of other conversations."""
        return ReplyRows(torch.cat([self._tokens, other._tokens]), torch.cat([self.talk, other.talk + int(self.talk.max()) + 1]))

    def raw(self, index: Tensor) -> Tensor:
        return self._tokens[index.to(self._tokens.device)].long()

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        """x [n, T] int64; extra 'talk' [n]: the conversation of each row, by number."""
        talk = self.talk[index.to(self.talk.device)].to(device, non_blocking=True)
        return Batch(self.raw(index).to(device, non_blocking=True), None, index.to(device, non_blocking=True), {"talk": talk})

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the rows are here."""

    def to(self, device: torch.device) -> ReplyRows:
        return self if device.type == self._tokens.device.type else ReplyRows(self._tokens.to(device), self.talk.to(device))
