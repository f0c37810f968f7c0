"""The runs of words that lines of text share, and how likely a language model finds them: attacks, and what is shown."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rivalry.audit.attacking import MODEL, REFERENCE, SAMPLES, Scorer, Scores
from rivalry.audit.sides import Sides
from rivalry.data.base import Dataset, Store
from rivalry.data.dialogue import DialogueModality
from rivalry.data.text import TextModality
from rivalry.data.text_tokens import words_of
from rivalry.evaluate.text import FEWEST, NEARLY
from rivalry.evaluate.text_space import numbered
from rivalry.files import atomic
from rivalry.stats import ngrams
from rivalry.stats.ngram_lm import NGramModel
from rivalry.stats.ngrams import Sentences
from rivalry.types import PAD

POOL = 10_000
"""Samples, and lines of either side, that runs of words are looked for in."""
SHOWN = 12


@dataclass(frozen=True)
class Spans:
    """Longest runs of words, on average over samples, that stand in one training line, or in one of as many held-out lines;
    longest: of all.  near: shares of samples of which most is one run of a training, or of a held-out line."""

    train: float
    held: float
    longest: int
    longest_held: int
    near: float
    near_held: float


@dataclass(frozen=True, eq=False)
class Lines:
    """The words of an audit's lines, numbered together, in any case: samples, members, others and the known reference."""

    samples: Sentences
    members: Sentences
    others: Sentences
    known: Sentences
    words: int

    @classmethod
    def of(cls, modality: TextModality | DialogueModality, dataset: Dataset, sides: Sides, samples: Tensor) -> Lines:
        numbers: dict[str, int] = {}

        def read(tokens: Tensor) -> Sentences:
            return numbered([line.casefold() for line in modality.texts(tokens)], numbers)

        held, train = dataset.held, dataset.train
        found = read(samples), read(train.raw(sides.members)), read(held.raw(sides.others)), read(held.raw(sides.known))
        return cls(*found, len(numbers))


def by_spans(lines: Lines) -> Scores:
    """The longest run of a candidate's words that stands in one sample."""
    made = lines.samples.take(np.arange(min(len(lines.samples), POOL)))
    spans = (torch.from_numpy(ngrams.shared_spans(side, made)).double() for side in (lines.members, lines.others))
    return Scores("shared spans", SAMPLES, *spans)


def by_likelihood(lines: Lines, dataset: Dataset, sides: Sides, scorer: Scorer | None) -> list[Scores]:
    """What the model's own likelihood of a candidate says, as it is, and over that of a model of the reference (Carlini et al.
    2021, section 5: a line that everyone would write is no secret); none where the model has no likelihood."""
    if scorer is None:
        return []
    apart = sides.apart
    ways = (dataset.train, sides.members, lines.members), (dataset.held, sides.others, lines.others)
    said = [scorer(store, index) for store, index, _ in ways]
    over = [
        over_reference(mine[:apart], (store.raw(index[:apart])[:, dataset.spec.context :] != PAD).sum(1), words.take(np.arange(apart)), lines)
        for mine, (store, index, words) in zip(said, ways, strict=True)
    ]
    return [Scores("likelihood", MODEL, *said), Scores("likelihood over a reference", f"{MODEL}; {REFERENCE}", *over)]


def over_reference(said: Tensor, tokens: Tensor, words: Sentences, lines: Lines) -> Tensor:
    """[N] float64: (log p [N] for each of so many tokens [N]) for each word and the end, less the reference's."""
    places = torch.from_numpy(words.lengths).double() + 1
    return said.double() * tokens / places - likelihood_by_words(words, lines.known, lines.words)


def likelihood_by_words(side: Sentences, known: Sentences, words: int) -> Tensor:
    """[N] float64: log p for each word and the end, by a model of counts of the known lines; words: of all, numbered below."""
    sums, places = NGramModel(known, words).surprise(side)
    return torch.from_numpy(-sums / places)


def spans(modality: TextModality | DialogueModality, dataset: Dataset, sides: Sides, samples: Tensor, folder: Path | None) -> Spans:
    """Of samples [N, T] against equal numbers of training and held-out lines.  folder: where the longest runs are written, for
    whoever may see the data."""
    train, held = sides.distinct
    n = min(len(train), len(held), POOL)
    numbers: dict[str, int] = {}

    def read(store: Store, index: Tensor) -> tuple[list[str], Sentences]:
        shown = modality.texts(store.raw(index))
        return shown, numbered([line.casefold() for line in shown], numbers)

    written = modality.texts(samples[:POOL])
    made = numbered([line.casefold() for line in written], numbers)
    shown, known = read(dataset.train, train[:n])
    new = read(dataset.held, held[:n])[1]
    runs, fresh = (ngrams.shared_spans(made, side) for side in (known, new))
    near = [float(((r >= NEARLY * made.lengths) & (r >= FEWEST)).mean()) for r in (runs, fresh)]
    if folder is not None:
        _show([(written[i], int(runs[i])) for i in np.argsort(-runs, kind="stable")[:SHOWN].tolist()], shown, folder)
    return Spans(float(runs.mean()), float(fresh.mean()), int(runs.max()), int(fresh.max()), *near)


def _show(samples: Sequence[tuple[str, int]], train: Sequence[str], folder: Path) -> None:
    """audit-spans.csv: samples, the training line that shares most of each in one run, and the run."""
    known = [words_of(line.casefold()) for line in train]
    rows = []
    for sample, n in samples:
        own, plain = words_of(sample), words_of(sample.casefold())
        at = {tuple(plain[i : i + n]): i for i in range(len(plain) - n + 1)} if n else {}
        found = next(((k, at[run]) for k, words in enumerate(known) for run in _runs(words, n) if run in at), None)
        if found is not None:
            rows.append((str(n), sample, train[found[0]], " ".join(own[found[1] : found[1] + n])))
    with atomic(folder / "audit-spans.csv") as beside, beside.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["words", "sample", "training line", "shared"])
        writer.writerows(rows)


def _runs(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
