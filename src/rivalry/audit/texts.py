"""Where lines of text are compared: by their words, or by a network that was trained on other text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.data.dialogue import DialogueModality
from rivalry.data.text import TextModality
from rivalry.data.text_tokens import words_of
from rivalry.evaluate.text_space import Embedding
from rivalry.extractors.sentences import BUCKETS, counts, weighed
from rivalry.streams import generator

CPU = torch.device("cpu")
WIDTH = 512
"""Of the random projection: cosines are kept to about 1 / sqrt(WIDTH)."""


def folded(lines: Sequence[str]) -> list[list[str]]:
    return [words_of(line.casefold()) for line in lines]


@dataclass(frozen=True, eq=False)
class WordSpace:
    """Rows of tokens [N, T] -> [N, WIDTH], length 1: words and pairs of neighbours in any case, weighed by how rare they are,
    in random directions.  Rare is what few lines of the pool have: members and non-members alike."""

    texts: Callable[[Tensor], list[str]]
    weights: Tensor
    directions: Tensor
    name: str = "words"

    @classmethod
    def of(cls, modality: TextModality | DialogueModality, pool: Tensor) -> WordSpace:
        """From rows of tokens [P, T]."""
        found = counts(folded(modality.texts(pool)))
        there = torch.bincount(found.indices()[1], minlength=BUCKETS).float()
        directions = torch.randn(BUCKETS, WIDTH, generator=generator(CPU, 0, "words"))
        return cls(modality.texts, torch.log((2 + len(pool)) / (1 + there)), directions)

    def plain(self, x: Tensor) -> Tensor:
        return F.normalize(weighed(counts(folded(self.texts(x))), self.weights) @ self.directions, dim=1)

    def forms(self, x: Tensor) -> list[Tensor]:
        return [self.plain(x)]


@dataclass(frozen=True, eq=False)
class SentenceSpace:
    """Rows of tokens -> features of sentences by a network trained on other text, of length 1."""

    texts: Callable[[Tensor], list[str]]
    embedding: Embedding

    @property
    def name(self) -> str:
        return self.embedding.name

    def plain(self, x: Tensor) -> Tensor:
        return F.normalize(self.embedding([words_of(line) for line in self.texts(x)]), dim=1)

    def forms(self, x: Tensor) -> list[Tensor]:
        return [self.plain(x)]
