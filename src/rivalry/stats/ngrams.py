"""N-grams of sentences, counted exactly and without a Python loop over them: BLEU, self-BLEU, distinct n-grams,
repetition, spans shared with training sentences.

Words are numbers; what a word is, is decided by whoever makes the Sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rivalry.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ORDERS = (2, 3, 4, 5)
EPSILON = 0.1
"""What a precision without any hit counts as one hit over: nltk's smoothing 'method1' (Chen & Cherry 2014)."""


@dataclass(frozen=True, eq=False)
class Sentences:
    """N sentences: words [P] int64 >= 0, one sentence after the other, and lengths [N]."""

    words: Ints
    lengths: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Sentences:
        """From lists of numbers, one for each sentence."""
        lengths = np.fromiter((len(r) for r in rows), np.int64, len(rows))
        words = np.fromiter((w for r in rows for w in r), np.int64, int(lengths.sum()))
        return cls(words, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> Ints:
        """[N]: where each sentence begins."""
        ends: Ints = np.cumsum(self.lengths)
        return ends - self.lengths

    def take(self, index: Ints) -> Sentences:
        """These sentences, in this order."""
        lengths = self.lengths[index]
        first = np.repeat(self.starts[index], lengths)
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Sentences(self.words[first + within], lengths)


@dataclass(frozen=True, eq=False)
class Grams:
    """The n-grams of one set of sentences: ids [G] (equal for equal n-grams of all sets numbered together), owner [G] (the
    sentence), start [G] (the place of the first word)."""

    ids: Ints
    owner: Ints
    start: Ints


def grams(sets: Sequence[Sentences], order: int) -> list[list[Grams]]:
    """For n = 1 ... order: the n-grams of each set, numbered together."""
    words = np.concatenate([s.words for s in sets])
    lengths = np.concatenate([s.lengths for s in sets])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words))  # words from here to the end
    alphabet, word = np.unique(words, return_inverse=True)
    ids, place = word.astype(np.int64), np.arange(len(words))
    out = [_parted(ids, place, owner, sets)]
    for n in range(2, order + 1):
        keep = left[place] >= n
        ids, place = ids[keep], place[keep]
        joined = ids * max(len(alphabet), 1) + word[place + n - 1]
        ids = np.unique(joined, return_inverse=True)[1].astype(np.int64)
        out.append(_parted(ids, place, owner, sets))
    return out


def _parted(ids: Ints, place: Ints, owner: Ints, sets: Sequence[Sentences]) -> list[Grams]:
    out, word, sentence = [], 0, 0
    for s in sets:
        a, b = np.searchsorted(place, [word, word + len(s.words)])
        out.append(Grams(ids[a:b], owner[place[a:b]] - sentence, place[a:b] - word))
        word, sentence = word + len(s.words), sentence + len(s)
    return out


def _per_sentence(found: Grams, kinds: int) -> tuple[Ints, Ints, Ints]:
    """(sentence, n-gram, how often it stands there), one entry for each pair that occurs."""
    pair, count = np.unique(found.owner * kinds + found.ids, return_counts=True)
    return pair // kinds, pair % kinds, count.astype(np.int64)


def bleu(made: Sentences, real: Sentences, orders: Sequence[int] = ORDERS) -> dict[int, Floats]:
    """BLEU-n of each of N sentences against all R references, [N] each, for n in orders: Papineni et al. 2002, equal
    weights, the closest reference length, smoothing 'method1' of Chen & Cherry 2014; as nltk's sentence_bleu.

    An n-gram may be matched as often as the reference that has it most often has it; that maximum is kept in one index
    for all sentences.  DataError where a side is empty.
    """
    _some(made, real)
    hits = list[Floats]()
    for own, other in grams([made, real], max(orders)):
        kinds = 1 + max(int(own.ids.max(initial=-1)), int(other.ids.max(initial=-1)))
        most = np.zeros(max(kinds, 1), dtype=np.int64)
        _, kind, count = _per_sentence(other, max(kinds, 1))
        np.maximum.at(most, kind, count)
        sentence, kind, count = _per_sentence(own, max(kinds, 1))
        hits.append(np.bincount(sentence, np.minimum(count, most[kind]), len(made)).astype(np.float64))
    return _scores(hits, made.lengths, _closest(made.lengths, real.lengths), orders)


def self_bleu(made: Sentences, orders: Sequence[int] = ORDERS) -> dict[int, Floats]:
    """BLEU-n of each sentence against all others, exactly: of every n-gram the two largest counts are kept and who has the
    largest, so that leaving a sentence out is a look-up.  High where sentences are alike (Zhu et al. 2018, Texygen)."""
    if len(made) < 2:
        raise DataError(f"self-BLEU compares sentences with one another, and there is only {len(made)}; give more")
    hits = list[Floats]()
    for (own,) in grams([made], max(orders)):
        if not len(own.ids):  # all sentences are shorter
            hits.append(np.zeros(len(made)))
            continue
        kinds = 1 + int(own.ids.max())
        sentence, kind, count = _per_sentence(own, kinds)
        order = np.lexsort((-count, kind))
        first = np.searchsorted(kind[order], np.arange(kinds))
        top, holder = count[order][first], sentence[order][first]
        after = np.append(first[1:], len(order))
        second = np.where(after - first > 1, count[order][np.minimum(first + 1, len(order) - 1)], 0)
        most = np.where(holder[kind] == sentence, second[kind], top[kind])
        hits.append(np.bincount(sentence, np.minimum(count, most), len(made)).astype(np.float64))
    return _scores(hits, made.lengths, _closest(made.lengths, made.lengths, without=True), orders)


def _some(made: Sentences, real: Sentences) -> None:
    if not len(made) or not len(real):
        raise DataError("BLEU needs at least one sentence on either side; give more")


def _closest(lengths: Ints, others: Ints, without: bool = False) -> Ints:
    """[N]: of the others' lengths the nearest to each, the shorter of two; without: one of the same length, itself, is not
    counted."""
    known, times = np.unique(others, return_counts=True)
    own, place = np.unique(lengths, return_inverse=True)
    gap = np.abs(own[:, None] - known[None]).astype(np.float64)
    if without:
        gap[(own[:, None] == known[None]) & (times[None] < 2)] = np.inf
    nearest: Ints = known[gap.argmin(1)][place]
    return nearest


def _scores(hits: Sequence[Floats], lengths: Ints, closest: Ints, orders: Sequence[int]) -> dict[int, Floats]:
    """BLEU from the clipped hits of every n."""
    logs = []
    for n, hit in enumerate(hits, 1):
        all_ = np.maximum(lengths - n + 1, 1)
        logs.append(np.log(np.where(hit > 0, hit, EPSILON) / all_))
    with np.errstate(divide="ignore"):
        brevity = np.where(lengths > closest, 0.0, 1 - closest / np.maximum(lengths, 1))
    none = (hits[0] == 0) | (lengths == 0)
    return {n: np.where(none, 0.0, np.exp(brevity + sum(logs[:n]) / n)) for n in orders}


def distinct(made: Sentences, n: int = 2) -> float:
    """Different n-grams over all n-grams (Li et al. 2016); falls with the number of sentences, so compare equal numbers."""
    (found,) = grams([made], n)[-1]
    return len(np.unique(found.ids)) / max(len(found.ids), 1)


def repetition(made: Sentences, n: int = 2) -> Floats:
    """[N]: share of a sentence's n-grams that stood in it before; 0 where it has none."""
    (found,) = grams([made], n)[-1]
    sentence, _, _ = _per_sentence(found, 1 + int(found.ids.max(initial=0)))
    own = np.bincount(sentence, minlength=len(made))
    there = np.bincount(found.owner, minlength=len(made))
    return 1 - np.where(there > 0, own / np.maximum(there, 1), 1.0)


def length_gap(made: Sentences, real: Sentences) -> float:
    """Wasserstein-1 distance of the distributions of lengths, in words."""
    top = int(max(made.lengths.max(initial=0), real.lengths.max(initial=0))) + 1
    shares = [np.cumsum(np.bincount(s.lengths, minlength=top)) / max(len(s), 1) for s in (made, real)]
    return float(np.abs(shares[0] - shares[1]).sum())


def shared_spans(made: Sentences, train: Sentences) -> Ints:
    """[N]: the number of words of the longest run of each sentence that stands, word for word, in one training sentence."""
    sets = [made, train]
    words = np.concatenate([s.words for s in sets])
    lengths = np.concatenate([s.lengths for s in sets])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words))
    alphabet, word = np.unique(words, return_inverse=True)
    ids, place, cut, n = word.astype(np.int64), np.arange(len(words)), len(made.words), 1
    longest = np.zeros(len(made), dtype=np.int64)
    while True:
        mine = place < cut
        both = np.intersect1d(ids[mine], ids[~mine])
        keep = np.isin(ids, both)
        ids, place = ids[keep], place[keep]
        if not len(ids):
            return longest
        longest[owner[place[place < cut]]] = n
        n += 1
        on = left[place] >= n
        ids, place = ids[on], place[on]
        ids = np.unique(ids * len(alphabet) + word[place + n - 1], return_inverse=True)[1].astype(np.int64)
