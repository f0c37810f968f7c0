"""A language model of counts, as a ruler: what a model of one set of sentences thinks of another.

Witten & Bell's interpolation (1991; Chen & Goodman 1999, section 2.5), with no setting but the order and no random
draw, so that a score is a function of the sentences alone:

    p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h)),    T(h): different words seen after h,  h': h without its first word

and p(w | ) interpolates with 1 / (V + 2): V words, the end of a sentence, and one to spare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rivalry.stats.ngrams import Floats, Ints, Sentences

ORDER = 4


Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Level:
    """N-grams that end at each place of a stream, numbered by ascending key = first word * width + number of the rest.

    count [K]: how often each was to be predicted.  before: of the histories, n-grams of one word less, [K'] tokens that
    followed each and [K'] different ones.
    """

    keys: Ints
    width: int
    count: Floats
    before: tuple[Floats, Floats]


class NGramModel:
    """Fitted to sentences; `surprise` says -log p of others, in nats.  vocabulary: words are numbers below it."""

    def __init__(self, sentences: Sentences, vocabulary: int, order: int = ORDER) -> None:
        self.vocabulary, self.order = vocabulary, order
        stream, history = _stream(sentences, vocabulary, order)
        self._levels: list[_Level] = []
        number, known = stream, vocabulary + 2
        for n in range(1, order + 1):
            width, rest = known, number
            keys, inverse = np.unique(_keys(stream, rest, width, n), return_inverse=True)
            number, known = inverse.astype(np.int64), len(keys)
            count = np.bincount(number[~history], minlength=known).astype(np.float64)
            self._levels.append(_Level(keys, width, count, _followed(rest, number, history, width, known, n)))

    def surprise(self, sentences: Sentences) -> tuple[Floats, Ints]:
        """(-log p of each sentence and its end [N], how many words that is [N])."""
        stream, history = _stream(sentences, self.vocabulary, self.order)
        p, number = np.zeros(len(stream)), stream
        for n, level in enumerate(self._levels, 1):
            place, seen = _find(level.keys, _keys(stream, np.maximum(number, 0), level.width, n))
            seen &= number >= 0
            hits = np.where(seen, level.count[place], 0.0)
            if n == 1:
                kinds = float((level.count > 0).sum())
                p = (hits + kinds / (self.vocabulary + 2)) / max(level.count.sum() + kinds, 1.0)
            else:
                before = np.roll(number, 1)
                after, kinds_after = (np.where(before >= 0, v[before], 0.0) for v in level.before)
                p = np.where(after > 0, (hits + kinds_after * p) / np.maximum(after + kinds_after, 1.0), p)
            number = np.where(seen, place, -1)
        logs = np.where(history, 0.0, -np.log(np.maximum(p, 1e-300)))
        owner = np.repeat(np.arange(len(sentences)), sentences.lengths + self.order)
        return np.bincount(owner, logs, len(sentences)).astype(np.float64), sentences.lengths + 1


def _stream(sentences: Sentences, vocabulary: int, order: int) -> tuple[Ints, Flags]:
    """(all words, order - 1 starts before and an end after each sentence; which of them are starts)."""
    begin, end, pad = vocabulary, vocabulary + 1, order - 1
    lengths = sentences.lengths
    stream = np.full(int(lengths.sum()) + len(lengths) * order, begin, dtype=np.int64)
    first = np.cumsum(lengths + order) - lengths - order
    within = np.arange(len(sentences.words)) - np.repeat(sentences.starts, lengths)
    stream[np.repeat(first + pad, lengths) + within] = sentences.words
    stream[first + pad + lengths] = end
    return stream, stream == begin


def _keys(stream: Ints, rest: Ints, width: int, n: int) -> Ints:
    """The key of the n-gram that ends at each place; places whose n-gram would begin before the stream are starts."""
    return stream if n == 1 else np.roll(stream, n - 1) * width + rest


def _followed(rest: Ints, number: Ints, history: Flags, width: int, known: int, n: int) -> tuple[Floats, Floats]:
    """(tokens that follow each history of n - 1 words, different ones)."""
    if n == 1:
        return np.zeros(0), np.zeros(0)
    before, own = np.roll(rest, 1)[~history], number[~history]
    pairs = np.unique(before * known + own)
    return (
        np.bincount(before, minlength=width).astype(np.float64),
        np.bincount(pairs // known, minlength=width).astype(np.float64),
    )


def _find(keys: Ints, wanted: Ints) -> tuple[Ints, Flags]:
    """(place of each among ascending keys, whether it is there)."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted
