"""What rewritten texts are measured by: a classifier of styles and language models, fitted to training lines and to nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rivalry.data.base import Dataset
from rivalry.data.text import TextModality
from rivalry.data.text_tokens import words_of
from rivalry.errors import RecipeError
from rivalry.extractors.style_classifier import StyleClassifier
from rivalry.stats.ngram_lm import NGramModel
from rivalry.stats.ngrams import Floats, Ints, Sentences
from rivalry.stats.translation import Tokenizer, bleu, chrf, geometric_mean, tokenizer_for

MOST = 100_000
"""Training lines of a style that its language model is fitted to."""
JOINT = ("style", "kept")
"""The measures whose geometric mean is `transfer`."""


@dataclass(eq=False)
class StyleRuler:
    """classifier, models: of each style, whose words have `numbers` below `known`.  accuracy: the classifier's own on held-out lines, in
    percent; perplexity: of held-out lines under the model of their own style; tokenizer: of BLEU, by what the lines are written in."""

    classifier: StyleClassifier
    models: tuple[NGramModel, ...] = field(repr=False)
    numbers: dict[str, int] = field(repr=False)
    accuracy: float
    perplexity: float
    tokenizer: Tokenizer = "13a"

    @property
    def known(self) -> int:
        return len(self.numbers)

    @classmethod
    def fit(cls, lines: Sequence[str], styles: Tensor, held: Sequence[str], held_styles: Tensor, kinds: int, seed: int = 0) -> StyleRuler:
        """lines, styles [N]: to learn from; held: to say how good the classifier is."""
        words = [words_of(line) for line in lines]
        classifier = StyleClassifier.fit(words, styles.tolist(), kinds, seed)
        numbers: dict[str, int] = {}
        coded = [[numbers.setdefault(w, len(numbers)) for w in line] for line in words]
        own = [torch.nonzero(styles == k)[:MOST, 0].tolist() for k in range(kinds)]
        models = tuple(NGramModel(Sentences.of([coded[i] for i in mine]), len(numbers) + 1) for mine in own)
        found = cls(classifier, models, numbers, 0.0, 0.0, tokenizer_for(held))
        found.accuracy = 100 * float(found.hits(held, held_styles).mean())
        sums, counts = found.surprise(held, held_styles)
        found.perplexity = math.exp(float(sums.sum() / counts.sum()))
        return found

    def hits(self, lines: Sequence[str], wanted: Tensor) -> Tensor:
        """[N] 1 where the classifier takes a line for the style wanted of it."""
        return self.classifier.hits([words_of(line) for line in lines], wanted)

    def bleu(self, lines: Sequence[str], *references: Sequence[str]) -> float:
        """BLEU in percent, by sacrebleu."""
        return bleu(lines, *references, tokenizer=self.tokenizer)

    def surprise(self, lines: Sequence[str], wanted: Tensor) -> tuple[Floats, Ints]:
        """(-log p of each line in nats under the model of the style wanted of it, how many words that is, the end counted)."""
        sentences = Sentences.of([[self.numbers.get(w, self.known) for w in words_of(line)] for line in lines])
        each = [model.surprise(sentences) for model in self.models]
        return np.stack([sums for sums, _ in each])[wanted.numpy(), np.arange(len(lines))], each[0][1]

    def measured(
        self, lines: Sequence[str], source: Sequence[str], wanted: Tensor, references: Sequence[Sequence[str]] = ()
    ) -> dict[str, float]:
        """'style', the share of lines taken for the style wanted; 'kept', BLEU with what was put in; 'kept-chrf'; 'style-perplexity'; 'transfer',
        the geometric mean of the first two; with references also 'bleu', 'chrf', and 'overall', of style, kept and bleu.  In percent,
        but for perplexity."""
        sums, counts = self.surprise(lines, wanted)
        found = {
            "style": 100 * float(self.hits(lines, wanted).mean()),
            "kept": self.bleu(lines, source),
            "kept-chrf": chrf(lines, source),
            "style-perplexity": math.exp(float(sums.sum() / counts.sum())),
        }
        found["transfer"] = geometric_mean(*(found[m] for m in JOINT))
        if references:
            found |= {"bleu": self.bleu(lines, *references), "chrf": chrf(lines, *references)}
            found["overall"] = geometric_mean(found["style"], found["kept"], found["bleu"])
        return found


def lines_of(dataset: Dataset, side: str) -> tuple[list[str], Tensor]:
    """(all lines of a side, their styles [N]).  RecipeError where the data are no texts in styles."""
    store = dataset.train if side == "train" else dataset.held
    if not isinstance(dataset.modality, TextModality) or store.labels is None:
        raise RecipeError(f"{dataset.name} holds no texts in several styles")
    return dataset.modality.texts(store.raw(torch.arange(len(store)))), store.labels


def ruler_of(dataset: Dataset, seed: int = 0) -> StyleRuler:
    """The ruler of a dataset."""
    return StyleRuler.fit(*lines_of(dataset, "train"), *lines_of(dataset, "held"), dataset.spec.classes, seed)
