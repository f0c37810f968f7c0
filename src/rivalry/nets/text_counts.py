"""A discriminator of text that is told how often what it reads stands in other texts of the training set.

Where a language model errs is mostly in sequences of words that nobody writes, and who has only weights needs long to learn which
those are: a table knows after one look at the data.  A text that is itself in the table is left out of its own counts, so that real texts
and made ones are told of alike.  What few texts have is not kept: from a table of everything the texts themselves could be read back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.language import check_text
from rivalry.nets.text_judges import ThoughtfulJudge
from rivalry.parts import Net, Rows, Surveys, Wiring
from rivalry.types import PAD, Heads, Spec

PRIME = 2**31 - 1
HASHES = ((1_103_515_245, 12_345), (1_664_525, 1_013_904_223))
"""(a, b) of each hash: the number of an n-gram is (a times that of its first n - 1 words + its last word + b) modulo PRIME."""
AT_ONCE = 2048
MOST = 255
SMALL = 0.3
"""What logarithms of counts are multiplied by, so that they are about as large as other inputs of a network."""
EACH = 0.1
"""What a token by itself weighs in the score at first."""


class NGramCounts(nn.Module, Surveys):
    """(tokens [N, T], own [N]) -> [N, T, 2 orders - 1] of the n-grams that end at each token, n = 1 ... orders: log(1 + texts that have it), and
    for n > 1 the log of its share among texts that have its first n - 1 words.  own: 1 for a text that was counted, which is left out.

    A count-min sketch (Cormode & Muthukrishnan 2005): for each n two rows of 2^bits counters of a byte.  Counts below `fewest` are none and not kept, those from 255 on
    are 255; else they are never too low, and too high only where both rows have another n-gram in the same place.
    """

    seen: Tensor
    texts: Tensor

    def __init__(self, orders: int, bits: int, fewest: int = 1) -> None:
        super().__init__()
        self.orders, self.bits, self.fewest = orders, bits, fewest
        self.register_buffer("seen", torch.zeros(orders, len(HASHES), 1 << bits, dtype=torch.uint8))
        self.register_buffer("texts", torch.zeros(()))

    @property
    def width(self) -> int:
        return 2 * self.orders - 1

    def survey(self, rows: Rows, device: torch.device) -> None:
        """Counts the rows, in place of what was counted before."""
        found = torch.zeros(self.seen.shape, dtype=torch.int32, device=self.seen.device)
        for index in torch.arange(len(rows)).split(AT_ONCE):
            tokens = rows.batch(index, device).x
            for n, places in enumerate(self.places(tokens)):
                for h, place in enumerate(places):
                    once = place.masked_fill(tokens == PAD, -1).sort(1).values
                    new = (once >= 0) & (once != pad(once[:, :-1], (1, 0), value=-1))
                    found[n, h].index_add_(0, once[new], torch.ones_like(once[new], dtype=torch.int32))
        self.seen.copy_(torch.where(found < self.fewest, 0, found.clamp_max(MOST)))
        self.texts.fill_(float(len(rows)))

    def places(self, tokens: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """For n = 1 ... orders: in each row of counters, the place [N, T] of the n-gram that ends at each token."""
        numbers = [torch.zeros_like(tokens)] * len(HASHES)
        for _ in range(self.orders):
            # before the first token stands the same for all n-grams of an order, whatever it is
            before = [pad(number[:, :-1], (1, 0), value=0) for number in numbers]
            numbers = [(a * earlier + tokens + b) % PRIME for earlier, (a, b) in zip(before, HASHES, strict=True)]
            yield tuple(number & ((1 << self.bits) - 1) for number in numbers)

    def counts(self, tokens: Tensor, own: Tensor) -> Tensor:
        """[N, T, orders]: other texts that have the n-gram, 0 for padding."""
        found = [
            torch.stack([row[place] for row, place in zip(rows, places, strict=True)]).amin(0)
            for rows, places in zip(self.seen, self.places(tokens), strict=True)
        ]
        told = torch.stack(found, 2).float()
        left = torch.where(told < MOST, told - own[:, None, None], told)  # at the ceiling one less says only that a text is real
        return left.masked_fill((left < self.fewest) | (tokens == PAD)[..., None], 0.0)

    def forward(self, tokens: Tensor, own: Tensor) -> Tensor:
        counts = self.counts(tokens, own)
        before = pad(counts[:, :-1, :-1], (0, 0, 1, 0))
        before[:, 0] = (self.texts - own)[:, None].clamp_min(0)
        share = torch.log((counts[..., 1:] + 0.1) / (before + 1)) * (tokens != PAD)[..., None]
        return torch.cat([torch.log1p(counts), share], 2)


class CountingJudge(nn.Module):
    """(tokens [N, T], thoughts [N, T, H + 1] of a language model, own [N]) -> score [N]: a `ThoughtfulJudge` that reads counts, and how surprised the model was at
    each token, and a sum over tokens of what each is worth by itself.  What else the model thinks is left out: it costs ten times as much, and taught no
    more in as many steps."""

    def __init__(self, table: NGramCounts, width: int, drop: float) -> None:
        super().__init__()
        self.table = table
        self.judge = ThoughtfulJudge(table.width, width, drop)
        self.worth = nn.Sequential(nn.Linear(table.width + 1, 2 * width), nn.ReLU(), nn.Linear(2 * width, 1))

    def forward(self, tokens: Tensor, thoughts: Tensor | None = None, own: Tensor | None = None) -> Heads:
        if thoughts is None or own is None:
            raise RecipeError("the net 'text-counts' is told thoughts, and which texts it has counted; say game.thoughts=true and game.counts=true, with the game 'energy'")
        told = torch.cat([self.table(tokens, own), thoughts[..., -1:]], 2) * SMALL
        score: Tensor = self.judge(tokens, told)["score"]
        return {"score": score + EACH * (self.worth(told)[..., 0] * (tokens != PAD)).sum(1)}


@register("net", "text-counts")
@dataclass(frozen=True)
class TextCounts(Net):
    """`CountingJudge`: width of its states, dropout, n-grams of up to `orders` tokens, 2^bits counters in each row of its table.  fewest: other texts that must
    have an n-gram for it to be told; what fewer have is not kept.  With 1 training texts can be read back from the table, word for word."""

    width: int = 32
    dropout: float = 0.1
    orders: int = 5
    bits: int = 20
    fewest: int = 2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-counts", self.dropout)
        if not 2 <= self.orders <= 8 or not 8 <= self.bits <= 24 or not 1 <= self.fewest <= MOST:
            raise RecipeError(
                f"net 'text-counts' needs orders between 2 and 8, bits between 8 and 24, and fewest between 1 and {MOST}, not {self.orders}, {self.bits} and {self.fewest}"
            )
        return CountingJudge(NGramCounts(self.orders, self.bits, self.fewest), self.width, self.dropout)
