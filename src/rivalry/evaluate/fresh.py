"""AdverSuc (Li et al. 2017, arXiv:1701.06547): does a judge that is trained afresh tell a model's replies from people's?

The judge knows neither run nor tokenizer: it is trained on words, on conversations of one part of the held-out ones, and asked about
those of the other.  What goes together with what, it is told by latent semantic analysis of training conversations, which is the same for
every contender.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad, relu, softplus

from rivalry.data.text_tokens import words_of
from rivalry.errors import DataError

Ints = npt.NDArray[np.int64]
Space = Callable[[Sequence[Sequence[str]]], Tensor]
"""Words of n texts -> [n, TOPICS] float32, rows of length 1 (see `rivalry.extractors.sentences`)."""
TOPICS = 64
WORDS, GRAMS = 1 << 14, 1 << 17
"""Buckets that words, and runs of one to three words, are hashed into."""
HEARD, SAID = 48, 40
"""Last words of a context, first words of a reply that are read."""
LEAST = 32


@dataclass(frozen=True, eq=False)
class Exchange:
    """N replies after their contexts, as numbers of words: context [N, HEARD], reply [N, SAID], 0 for none; grams [N, G] of the reply;
    topics [N, TOPICS + 1]: of both, multiplied, and the cosine."""

    context: Tensor
    reply: Tensor
    grams: Tensor
    topics: Tensor

    @classmethod
    def of(cls, contexts: Sequence[str], replies: Sequence[str], space: Space | None = None) -> Exchange:
        heard = [words_of(text.lower())[-HEARD:] for text in contexts]
        words = [words_of(text.lower())[:SAID] for text in replies]
        topics = torch.zeros(len(words), TOPICS + 1)
        if space is not None:
            both = space(heard) * space(words)
            topics = torch.cat([TOPICS * both, 4 * both.sum(1, keepdim=True)], 1)
        context, reply = (_table([_hashed(w, WORDS) for w in side], width) for side, width in ((heard, HEARD), (words, SAID)))
        return cls(context, reply, _table([_runs(w) for w in words], 3 * SAID + 6), topics)

    def __len__(self) -> int:
        return len(self.reply)

    def take(self, index: Tensor) -> Exchange:
        return Exchange(self.context[index], self.reply[index], self.grams[index], self.topics[index])

    def joined(self, other: Exchange) -> Exchange:
        both = ((a, b) for a, b in zip(vars(self).values(), vars(other).values(), strict=True))
        return Exchange(*(torch.cat(pair) for pair in both))


def _hashed(words: Sequence[str], buckets: int) -> list[int]:
    """Numbers from 1."""
    return [1 + zlib.crc32(w.encode()) % (buckets - 1) for w in words]


def _runs(words: Sequence[str]) -> list[int]:
    """Runs of one to three words, ends marked; and how many words there are."""
    ended = ["<", *words, ">"]
    runs = [" ".join(ended[i : i + n]) for n in (1, 2, 3) for i in range(len(ended) - n + 1)]
    return _hashed([*runs, f"length {len(words)}"], GRAMS)


def _table(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    out = np.zeros((len(rows), width), dtype=np.int64)
    for row, own in zip(out, rows, strict=True):
        row[: len(own)] = own[:width]
    return torch.from_numpy(out)


class FreshJudge(nn.Module):
    """Exchange -> [N] log odds that the reply is a person's: runs of words, filters over the reply, each word of the reply beside what
    it finds in the context (attention), and what both are about."""

    def __init__(self, width: int = 48, drop: float = 0.3) -> None:
        super().__init__()
        self.drop, self.width = drop, width
        self.grams = nn.EmbeddingBag(GRAMS, 1, mode="sum", padding_idx=0)
        nn.init.zeros_(self.grams.weight)
        self.embed = nn.Embedding(WORDS, width, padding_idx=0)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.filters = nn.ModuleList(nn.Conv1d(width, width, n) for n in (2, 3))
        self.ask, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.compare = nn.Linear(4 * width, width)
        self.about = nn.Linear(TOPICS + 1, width)
        self.out = nn.Sequential(nn.Linear(5 * width, width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, 1))

    def forward(self, x: Exchange) -> Tensor:
        reply, context = (dropout(self.embed(t), self.drop, self.training) for t in (x.reply, x.context))
        there = (x.reply != 0)[..., None]
        found = [relu(f(pad(reply.transpose(1, 2), (0, 2)))).amax(2) for f in self.filters]
        seen = (self.ask(reply) @ self.key(context).transpose(1, 2)) / self.width**0.5
        heard = seen.masked_fill((x.context == 0)[:, None], -1e4).softmax(2) @ context
        beside = relu(self.compare(torch.cat([reply, heard, reply * heard, (reply - heard).abs()], 2))) * there
        pooled = [beside.amax(1), beside.sum(1) / there.sum(1).clamp_min(1)]
        logit: Tensor = self.out(torch.cat([*found, *pooled, relu(self.about(x.topics))], 1))[:, 0] + self.grams(x.grams)[:, 0]
        return logit


def trained(real: Exchange, made: Exchange, seed: int = 0, epochs: int = 8, batch: int = 128) -> FreshJudge:
    """A judge of these, in evaluation mode, as it stood where it was best on a tenth that it did not learn from.  The i-th of both are
    replies to the same context.  DataError below LEAST of either."""
    n = min(len(real), len(made))
    if n < LEAST:
        raise DataError(f"a judge of replies learns from at least {LEAST}, and there are {n}; hold more conversations back")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = FreshJudge()
        order = torch.randperm(n)
        kept, own = order[: max(8, n // 10)], order[max(8, n // 10) :]
        optimiser = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=1e-2)
        best, state = float("inf"), {k: v.clone() for k, v in judge.state_dict().items()}
        for _ in range(epochs):
            judge.train()
            for part in own[torch.randperm(len(own))].split(batch):
                optimiser.zero_grad()
                _loss(judge, real.take(part), made.take(part)).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            judge.eval()
            with torch.no_grad():
                loss = float(_loss(judge, real.take(kept), made.take(kept)))
            if loss < best:
                best, state = loss, {k: v.clone() for k, v in judge.state_dict().items()}
        judge.load_state_dict(state)
    return judge.eval().requires_grad_(False)


def _loss(judge: FreshJudge, real: Exchange, made: Exchange) -> Tensor:
    on = judge(real.joined(made))
    return (softplus(-on[: len(real)]).mean() + softplus(on[len(real) :]).mean()) / 2


@torch.no_grad()
def taken_for_human(judge: FreshJudge, asked: Exchange) -> npt.NDArray[np.float64]:
    """[N]: 1 where the judge takes a reply for a person's, 1/2 where it cannot say."""
    score = torch.cat([judge(asked.take(part)) for part in torch.arange(len(asked)).split(512)])
    found: npt.NDArray[np.float64] = ((score > 0).double() + 0.5 * (score == 0).double()).numpy()
    return found


@dataclass(frozen=True, eq=False)
class Verdict:
    """right [2 M]: 1 where the judge was right about a person's reply, then about a made one; talk [2 M]: the conversation of each."""

    right: npt.NDArray[np.float64]
    talk: Ints

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def examined(contexts: Sequence[str], human: Sequence[str], made: Sequence[str], talk: Ints, seed: int = 0, space: Space | None = None) -> Verdict:
    """Trains a judge on one half of the conversations and asks it about the other: human and made are replies to the same contexts."""
    learns = halves(talk)
    real, fake = Exchange.of(contexts, human, space), Exchange.of(contexts, made, space)
    part, rest = (torch.from_numpy(np.flatnonzero(side)) for side in (learns, ~learns))
    judge = trained(real.take(part), fake.take(part), seed)
    right = np.concatenate([taken_for_human(judge, real.take(rest)), 1 - taken_for_human(judge, fake.take(rest))])
    return Verdict(right, np.tile(talk[~learns], 2))


def halves(talk: Ints) -> npt.NDArray[np.bool_]:
    """[N] true for the conversations that a judge learns from: every other one."""
    number: Ints = np.unique(talk, return_inverse=True)[1].reshape(-1)
    return np.asarray(number % 2 == 0, dtype=np.bool_)


def controls(contexts: Sequence[str], human: Sequence[str], talk: Ints, seed: int = 0, space: Space | None = None) -> dict[str, float]:
    """The judge's own accuracy where the answer is known: 'same', people's replies on either side (the best is .5, it must not find
    what is not there), and 'misplaced', people's replies to something else (the best is 1, it must read the context)."""
    n = len(human)
    moved = displaced(talk)
    coin = np.random.default_rng(seed).random(n) < 0.5
    return {
        "same": _coin_accuracy(Exchange.of(contexts, human, space), talk, coin, seed),
        "misplaced": examined(contexts, human, [human[i] for i in moved.tolist()], talk, seed, space).accuracy,
    }


def _coin_accuracy(both: Exchange, talk: Ints, coin: npt.NDArray[np.bool_], seed: int) -> float:
    """People's replies, called a person's or made by the toss of a coin."""
    learns = halves(talk)
    a, b = (both.take(torch.from_numpy(np.flatnonzero(learns & side))) for side in (coin, ~coin))
    judge = trained(a, b, seed)
    real, fake = (taken_for_human(judge, both.take(torch.from_numpy(np.flatnonzero(~learns & side)))) for side in (coin, ~coin))
    return float((real.mean() + 1 - fake.mean()) / 2)


def displaced(talk: Ints) -> Ints:
    """[N] the row whose reply takes each one's place: of another conversation of the same half, each row once."""
    out = np.arange(len(talk))
    for side in (halves(talk), ~halves(talk)):
        own = np.flatnonzero(side)
        own = own[np.argsort(talk[own], kind="stable")]
        largest = int(np.unique(talk[own], return_counts=True)[1].max(initial=0))
        out[own] = np.roll(own, -largest) if len(own) >= 2 * largest else np.roll(own, -1)
    return out
