"""What text is measured in: sentences as features, and as words numbered once for all sets that are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from rivalry.data.base import Dataset
from rivalry.data.text import TextModality
from rivalry.data.text_tokens import words_of
from rivalry.errors import WeightsError
from rivalry.evaluate.features import Features
from rivalry.extractors.minilm import MiniLM
from rivalry.extractors.sentences import LocalSentences
from rivalry.stats.ngram_lm import NGramModel
from rivalry.stats.ngrams import Sentences

MOST = 100_000
"""Training lines that the language model is fitted to and copies are looked for in."""


class Embedding(Protocol):
    """Words of sentences -> features [n, F] float32."""

    @property
    def name(self) -> str: ...
    @property
    def sha(self) -> str: ...

    def __call__(self, sentences: Sequence[Sequence[str]]) -> Tensor: ...


@dataclass(eq=False)
class TextSpace:
    """A FeatureSpace of rows of tokens.  texts: rows to lines.  train: words of training lines; words they have are numbered
    first, below `known`, others as they are met."""

    embedding: Embedding
    texts: Callable[[Tensor], list[str]]
    train: Sentences
    numbers: dict[str, int] = field(repr=False)
    known: int
    resize: str = "none"
    _words: WeakKeyDictionary[Features, Sentences] = field(default_factory=WeakKeyDictionary, repr=False)

    @property
    def name(self) -> str:
        return self.embedding.name

    @property
    def sha(self) -> str:
        return self.embedding.sha

    def __call__(self, x: Tensor) -> Tensor:
        return self.embedding([words_of(line) for line in self.texts(x)]).to(x.device)

    def words(self, rows: Features) -> Sentences:
        """The words of rows whose tokens are kept beside their features."""
        if rows not in self._words:
            assert rows.points is not None
            self._words[rows] = numbered(self.texts(rows.points), self.numbers)
        return self._words[rows]

    def limited(self, sentences: Sentences) -> Sentences:
        """Words that training lines lack as one and the same unknown word, number `known`."""
        return Sentences(np.minimum(sentences.words, self.known), sentences.lengths)

    def beside(self, learned: Sentences, *others: Sentences) -> tuple[int, Sentences, tuple[Sentences, ...]]:
        """(words, what a model is to be made of, what it is to be asked about): numbers below `words`.  Words that both training lines and
        `learned` lack are the last number, which the model has never met: it has to find them as strange as it can, however many unknown words it learned from.
        """
        own = np.unique(learned.words[learned.words >= self.known])
        words = self.known + len(own) + 1

        def told(sentences: Sentences) -> Sentences:
            place = np.searchsorted(own, sentences.words)
            there = np.append(own, -1)[place] == sentences.words
            return Sentences(np.where(sentences.words < self.known, sentences.words, np.where(there, self.known + place, words - 1)), sentences.lengths)

        return words, told(learned), tuple(map(told, others))

    @cached_property
    def model(self) -> NGramModel:
        """Of training lines: what the LM score goes by."""
        return NGramModel(self.train, self.known + 1)


def numbered(lines: Sequence[str], numbers: dict[str, int]) -> Sentences:
    """Lines as words, new ones numbered on."""
    return Sentences.of([[numbers.setdefault(w, len(numbers)) for w in words_of(line)] for line in lines])


def text_space(dataset: Dataset, modality: TextModality, weights: Path | str | None) -> TextSpace:
    """weights: 'minilm' for MiniLM-L6 (see `rivalry.extractors.minilm`), None or 'local' for one fitted to the training lines."""
    index = torch.linspace(0, len(dataset.train) - 1, min(MOST, len(dataset.train))).long()
    lines = modality.texts(dataset.train.raw(index))
    numbers: dict[str, int] = {}
    train = numbered(lines, numbers)
    if weights is None or str(weights) == "local":
        embedding: Embedding = LocalSentences.fit([words_of(line) for line in lines])
    elif str(weights) == "minilm":
        embedding = MiniLM.installed()
    else:
        raise WeightsError(f"text is measured in its own space or, with --weights minilm, in that of MiniLM-L6; leave {weights} out")
    return TextSpace(embedding, modality.texts, train, numbers, len(numbers))
