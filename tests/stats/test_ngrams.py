"""N-grams against a plain count, and BLEU against values of nltk 3.10.4 (Python 3.11), computed once and written down here."""

from __future__ import annotations

import math
import random
import time
from collections import Counter

import numpy as np
import pytest

from rivalry.errors import DataError
from rivalry.stats.ngram_lm import NGramModel
from rivalry.stats.ngrams import Sentences, bleu, distinct, length_gap, repetition, self_bleu, shared_spans


def corpus(n: int, words: int = 12, seed: int = 0, least: int = 0, most: int = 9) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(words) for _ in range(draw.randint(least, most))] for _ in range(n)]


def plain_bleu(hypothesis: list[int], references: list[list[int]], order: int) -> float:
    """Papineni et al. 2002, one sentence, method 1 of Chen & Cherry, as slowly as it is written down."""

    def counts(row: list[int], n: int) -> Counter[tuple[int, ...]]:
        return Counter(tuple(row[i : i + n]) for i in range(len(row) - n + 1))

    precisions = []
    for n in range(1, order + 1):
        own = counts(hypothesis, n)
        hit = sum(min(c, max(counts(r, n)[g] for r in references)) for g, c in own.items())
        if n == 1 and not hit:
            return 0.0
        precisions.append((hit or 0.1) / max(1, sum(own.values())))
    closest = min((abs(len(r) - len(hypothesis)), len(r)) for r in references)[1]
    brevity = 1.0 if len(hypothesis) > closest else math.exp(1 - closest / len(hypothesis))
    return brevity * math.exp(sum(map(math.log, precisions)) / order)


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_bleu_and_self_bleu_are_those_of_a_plain_count(order: int) -> None:
    made, real = corpus(40), corpus(60, seed=1, least=1)
    found = bleu(Sentences.of(made), Sentences.of(real), (order,))[order]
    assert np.allclose(found, [plain_bleu(m, real, order) for m in made], atol=1e-12, rtol=0)
    own = self_bleu(Sentences.of(made), (order,))[order]
    assert np.allclose(own, [plain_bleu(m, made[:i] + made[i + 1 :], order) for i, m in enumerate(made)], atol=1e-12, rtol=0)


NLTK = {
    "the cat sat on the mat": (0.8944271909999159, 0.7368062997280773, 0.33980884896942454, 0.2316230351238589),
    "a cat is there": (0.816496580927726, 0.32182979486854324, 0.24028114141347542, 0.2016395636994333),
    "the the the the the the the": (0.06900655593423542, 0.04566711403962942, 0.039281465090051315, 0.03801245254500842),
    "zebra": (0, 0, 0, 0),
    "there is a dog on the mat in the sun": (0.8819171036881969, 0.6631762013160654, 0.2540663740773074, 0.14734231924041577),
}
"""sentence_bleu([...], h, weights=[1 / n] * n, smoothing_function=SmoothingFunction().method1) for n = 2 ... 5."""
REFERENCES = ("the cat is on the mat", "there is a cat on the mat", "a dog sat in the sun today", "the cat sat here")


def test_bleu_is_nltks() -> None:
    numbers: dict[str, int] = {}
    made, real = ([[numbers.setdefault(w, len(numbers)) for w in t.split()] for t in texts] for texts in (NLTK, REFERENCES))
    found = bleu(Sentences.of(made), Sentences.of(real))
    for i, values in enumerate(NLTK.values()):
        assert [float(found[n][i]) for n in (2, 3, 4, 5)] == pytest.approx(values, abs=1e-9)


def test_two_hundred_against_ten_thousand_take_less_than_a_second() -> None:
    draw = np.random.default_rng(0)
    lengths = draw.integers(8, 20, 10_200)
    words = (draw.zipf(1.3, int(lengths.sum())) % 5000).astype(np.int64)
    both = Sentences(words, lengths)
    began = time.process_time()
    bleu(both.take(np.arange(200)), both.take(np.arange(200, 10_200)))
    assert time.process_time() - began < 1


def test_self_bleu_knows_a_collapsed_model_and_fresh_sentences() -> None:
    """A bug of others: references of an earlier look.  Here they are always the other sentences of the same call."""
    same = Sentences.of([[1, 2, 3, 4, 5, 6]] * 20)
    assert self_bleu(same)[5].mean() == pytest.approx(1)
    new = Sentences.of([[10 * i + j for j in range(6)] for i in range(1, 21)])
    assert self_bleu(new)[2].mean() == 0
    assert self_bleu(same)[5].mean() == pytest.approx(1)


def test_one_sentence_has_no_self_bleu() -> None:
    with pytest.raises(DataError, match="self-BLEU compares"):
        self_bleu(Sentences.of([[1, 2]]))


def test_distinct_repetition_and_lengths() -> None:
    made = Sentences.of([[1, 2, 1, 2, 1], [1, 2], [3], []])
    assert distinct(made) == pytest.approx(2 / 5)
    assert repetition(made).tolist() == pytest.approx([0.5, 0, 0, 0])
    assert length_gap(Sentences.of([[1]] * 4), Sentences.of([[1, 1, 1]] * 2)) == pytest.approx(2)
    assert length_gap(Sentences.of([[1], [1, 1, 1]]), Sentences.of([[1, 1]])) == pytest.approx(1)


def test_shared_spans_are_those_of_a_plain_search() -> None:
    made, train = corpus(30, words=5), corpus(20, words=5, seed=3)
    texts = ["," + ",".join(map(str, t)) + "," for t in train]

    def longest(row: list[int]) -> int:
        runs = [row[i:j] for i in range(len(row)) for j in range(i + 1, len(row) + 1)]
        return max((len(r) for r in runs if any("," + ",".join(map(str, r)) + "," in t for t in texts)), default=0)

    assert shared_spans(Sentences.of(made), Sentences.of(train)).tolist() == [longest(m) for m in made]


def plain_witten_bell(train: list[list[int]], vocabulary: int, order: int, history: tuple[int, ...], word: int) -> float:
    """p(word | history) by the formula, -1 for a start and `vocabulary` for the end."""
    padded = [[-1] * (order - 1) + t + [vocabulary] for t in train]
    if len(history) == 0:
        counts = Counter(w for t in padded for w in t if w >= 0)
        return (counts[word] + len(counts) / (vocabulary + 2)) / (sum(counts.values()) + len(counts))
    after = Counter(
        t[i] for t in padded for i in range(order - 1, len(t)) if tuple(t[i - len(history) : i]) == history
    )
    lower = plain_witten_bell(train, vocabulary, order, history[1:], word)
    return (after[word] + len(after) * lower) / (after.total() + len(after)) if after else lower


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_language_model_is_witten_bells_and_adds_to_one(order: int) -> None:
    vocabulary, train = 5, corpus(12, words=4, seed=2)
    model = NGramModel(Sentences.of(train), vocabulary, order)
    tests = [*corpus(8, words=5, seed=5), [], train[3]]
    sums, counts = model.surprise(Sentences.of(tests))
    for row, total, count in zip(tests, sums, counts, strict=True):
        stream = [-1] * (order - 1) + row + [vocabulary]
        wanted = sum(
            -math.log(plain_witten_bell(train, vocabulary, order, tuple(stream[i - order + 1 : i]), stream[i]))
            for i in range(order - 1, len(stream))
        )
        assert total == pytest.approx(wanted, abs=1e-9)
        assert count == len(row) + 1
    history = tuple(train[0][: order - 1])
    known = sum(plain_witten_bell(train, vocabulary, order, history, w) for w in range(vocabulary + 1))
    spare = plain_witten_bell(train, vocabulary, order, history, 99)
    assert known + spare == pytest.approx(1)


def test_sentences_without_any_gram_of_an_order_score_zero_there() -> None:
    """A generator that collapses to short or empty lines is measured, not crashed upon."""
    short = Sentences.of([[1, 2], [3, 4]])
    assert self_bleu(short)[4].tolist() == bleu(short, Sentences.of([[7, 8, 9, 10, 11]]))[4].tolist() == [0.0, 0.0]
    assert self_bleu(Sentences.of([[], [], []]))[2].tolist() == [0.0, 0.0, 0.0]
    alike = [[1, 2], [1, 2], [1]]
    assert self_bleu(Sentences.of(alike))[4] == pytest.approx([plain_bleu(s, [*alike[:i], *alike[i + 1 :]], 4) for i, s in enumerate(alike)])
