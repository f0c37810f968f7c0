"""Measures of text, on words whatever the tokenizer: likelihood, n-grams, how lines vary, what they share with training."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from rivalry import stats
from rivalry.evaluate.features import Features
from rivalry.evaluate.found import Found, Measure, Reading
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import CONFIDENCE
from rivalry.evaluate.text_space import TextSpace
from rivalry.stats import frontier as area
from rivalry.stats import ngrams
from rivalry.stats.ngram_lm import NGramModel
from rivalry.stats.ngrams import Floats, Ints, Sentences

GROUPS = 10
"""Shares of the jackknives."""
NEARLY = 0.8
"""A sample is a near copy if so much of it, and FEWEST words or more, is one run of a training text."""
FEWEST = 5
ROWS_A_CELL, CELLS = 20, 200
"""Of the frontier: one cell for so many rows of either side, and at most so many cells."""


def _space(reference: Reference) -> TextSpace:
    assert isinstance(reference.extractor, TextSpace)
    return reference.extractor


def _sides(fake: Features, reference: Reference) -> tuple[TextSpace, Sentences, Sentences]:
    """(space, words of samples, of held-out rows)."""
    space = _space(reference)
    return space, space.words(fake), space.words(reference.held)


def mean_reading(values: Floats, floor: float | None = None) -> Reading:
    """The mean over sentences with Student's interval."""
    n = len(values)
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, n - 1) * float(values.std(ddof=1)) / math.sqrt(n)
    value = float(values.mean())
    return Reading(value, value - half, value + half, floor)


def ratio_reading(sums: Floats, counts: Ints | Floats, floor: float | None = None) -> Reading:
    """Sum over sum, such as nats a token; sentences are what scatters (delta method)."""
    n, value = len(sums), float(sums.sum() / counts.sum())
    error = float(np.std(sums - value * counts, ddof=1)) / (float(counts.mean()) * math.sqrt(n))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, n - 1) * error
    return Reading(value, value - half, value + half, floor)


def jackknifed(n: int, value: float, without: Callable[[Ints], float], floor: float | None = None) -> Reading:
    """The value with a delete-a-group interval; without: the measure of these sentences only."""
    groups = min(GROUPS, n // 2)
    group = np.arange(n) % groups
    parts = np.array([without(np.flatnonzero(group != g)) for g in range(groups)])
    error = math.sqrt((groups - 1) / groups * float(np.square(parts - parts.mean()).sum()))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1) * error
    return Reading(value, value - half, value + half, floor)


def likelihood(fake: Features, reference: Reference) -> Found:
    """Nats a token of held-out rows under the model; nothing where whoever drew the samples does not know."""
    if fake.surprise is None:
        return Found({})
    assert reference.held.points is not None
    tokens = reference.held.points.to(fake.surprise.device) != 0
    sums, counts = ((v.double().sum(1).cpu().numpy()) for v in (fake.surprise, tokens))
    return Found({"nll": ratio_reading(sums, counts)}, {"perplexity": math.exp(float(sums.sum() / counts.sum()))})


def language(fake: Features, reference: Reference) -> Found:
    """The LM score; its floor is what held-out rows have."""
    space, made, held = _sides(fake, reference)
    real, words = space.model.surprise(space.limited(held))
    floor = float(real.sum() / words.sum())
    return Found({"lm": ratio_reading(*space.model.surprise(space.limited(made)), floor)})


def by_strangers(fake: Features, reference: Reference) -> Found:
    """Likewise by a model of held-out rows, which nothing was trained on; its floor is what as many training rows have."""
    space, made, held = _sides(fake, reference)
    known = np.linspace(0, len(space.train) - 1, min(len(held), len(space.train))).astype(np.int64)
    kinds, learned, (own, trained) = space.beside(held, made, space.train.take(known))
    model = NGramModel(learned, kinds)
    real, words = model.surprise(trained)
    return Found({"lm-held": ratio_reading(*model.surprise(own), float(real.sum() / words.sum()))})


def reverse(fake: Features, reference: Reference) -> Found:
    """A model of the samples, on held-out rows."""
    space, made, held = _sides(fake, reference)
    kinds, own, (other,) = space.beside(made, held)

    def score(index: Ints) -> float:
        sums, words = NGramModel(own.take(index), kinds).surprise(other)
        return float(sums.sum() / words.sum())

    return Found({"reverse": jackknifed(len(own), score(np.arange(len(own))), score)})


def matched(fake: Features, reference: Reference) -> Found:
    """BLEU-2 ... 5 against all held-out rows of the reference."""
    _, made, held = _sides(fake, reference)
    return Found({f"bleu{n}": mean_reading(v) for n, v in ngrams.bleu(made, held).items()})


def alike(fake: Features, reference: Reference) -> Found:
    """Self-BLEU-2 ... 5, distinct pairs of words."""
    _, made, _ = _sides(fake, reference)
    readings = {f"selfbleu{n}": mean_reading(v) for n, v in ngrams.self_bleu(made).items()}
    different = jackknifed(len(made), ngrams.distinct(made), lambda index: ngrams.distinct(made.take(index)))
    return Found(readings | {"distinct": different})


def shape(fake: Features, reference: Reference) -> Found:
    """Repetition within a text, and lengths."""
    _, made, held = _sides(fake, reference)
    gap = jackknifed(len(made), ngrams.length_gap(made, held), lambda index: ngrams.length_gap(made.take(index), held))
    return Found({"repetition": mean_reading(ngrams.repetition(made)), "length": gap})


def shared(fake: Features, reference: Reference) -> Found:
    """Runs of words that one training text has too; floors are what held-out rows share."""
    space, made, held = _sides(fake, reference)
    (own, copied), (usual, near) = (_spans(side, space.train) for side in (made, held))
    found = stats.wilson(float(copied.sum()), len(copied), CONFIDENCE)
    verbatim = Reading(found.value, found.low, found.high, float(near.mean()))
    details = {"longest": int(own.max()), "longest of held-out rows": int(usual.max())}
    return Found({"span": mean_reading(own, float(usual.mean())), "verbatim": verbatim}, {"shared spans": details})


def _spans(side: Sentences, train: Sentences) -> tuple[Floats, Floats]:
    """([n] words of the longest shared run, [n] 1 for near copies)."""
    spans = ngrams.shared_spans(side, train)
    near = (spans >= NEARLY * side.lengths) & (spans >= FEWEST)
    return spans.astype(np.float64), near.astype(np.float64)


def frontier(fake: Features, reference: Reference) -> Found:
    """The area under the divergence frontier, cells found once for both sides."""
    made, held = fake.values, reference.held.values
    k = max(2, min(CELLS, min(len(made), len(held)) // ROWS_A_CELL))
    found = area.cells(torch.cat([held, made]), k)
    real, own = found[: len(held)], found[len(held) :]
    counts = torch.bincount(real, minlength=k)

    def value(index: Ints) -> float:
        return area.frontier_area(counts, torch.bincount(own[torch.from_numpy(index)], minlength=k))

    return Found({"frontier": jackknifed(len(own), value(np.arange(len(own))), value)})


LIKELIHOOD = Measure(("nll",), likelihood, fresh=True)
LANGUAGE = Measure(("lm",), language, fresh=True)
STRANGERS = Measure(("lm-held",), by_strangers, fresh=True)
REVERSE = Measure(("reverse",), reverse)
MATCHED = Measure(("bleu2", "bleu3", "bleu4", "bleu5"), matched)
ALIKE = Measure(("selfbleu2", "selfbleu3", "selfbleu4", "selfbleu5", "distinct"), alike)
SHAPE = Measure(("repetition", "length"), shape)
SHARED = Measure(("span", "verbatim"), shared, fresh=True)
FRONTIER = Measure(("frontier",), frontier)


def measures(reference: Reference) -> tuple[Measure, ...]:
    """What can be measured of text."""
    return (LIKELIHOOD, LANGUAGE, STRANGERS, REVERSE, FRONTIER, MATCHED, ALIKE, SHAPE, SHARED)
