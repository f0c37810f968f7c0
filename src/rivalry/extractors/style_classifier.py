"""Which style is a text in?  A linear classifier of words and pairs of words, trained apart from whatever it judges."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rivalry.streams import generator, key

BUCKETS, WIDTH = 1 << 17, 16
BATCH, EPOCHS, LR = 256, 4, 0.02
LEAST_STEPS = 300
Ints = npt.NDArray[np.int64]
CPU = torch.device("cpu")


@dataclass(eq=False)
class StyleClassifier:
    """Joulin et al. 2017 (fastText, arXiv:1607.01759): the mean of hashed words' and word pairs' vectors, then a linear layer.

    It shares no weights, no tokenizer and no architecture with the networks that rewrite or judge while training.  sha: of all that it
    was made of.
    """

    bag: nn.EmbeddingBag = field(repr=False)
    out: nn.Linear = field(repr=False)
    sha: str

    @classmethod
    def fit(cls, lines: Sequence[Sequence[str]], styles: Sequence[int], kinds: int, seed: int = 0) -> StyleClassifier:
        """lines: words of each; every style weighs the same however many lines it has."""
        ids, starts = _hashed(lines)
        lengths = np.diff(np.r_[starts, len(ids)])
        wanted = torch.tensor(list(styles))
        weight = len(wanted) / (kinds * torch.bincount(wanted, minlength=kinds).clamp_min(1).float())
        bag = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean", sparse=True)
        out = nn.Linear(WIDTH, kinds)
        with torch.no_grad():
            bag.weight.copy_(torch.randn(BUCKETS, WIDTH, generator=generator(CPU, seed, "bag")) * 0.1)
            out.weight.copy_(torch.randn(kinds, WIDTH, generator=generator(CPU, seed, "out")) * 0.1)
            out.bias.zero_()
        digest = hashlib.sha256(f"{seed, kinds, BUCKETS, WIDTH, BATCH, EPOCHS, LR}".encode() + ids.tobytes() + wanted.numpy().tobytes())
        found = cls(bag, out, digest.hexdigest())
        _train(found, ids, starts, lengths, wanted, weight, seed)
        return found

    @torch.inference_mode()
    def logits(self, lines: Sequence[Sequence[str]]) -> Tensor:
        """[N, kinds]."""
        ids, starts = _hashed(lines)
        found: Tensor = self.out(self.bag(torch.from_numpy(ids), torch.from_numpy(starts)))
        return found

    def hits(self, lines: Sequence[Sequence[str]], styles: Tensor) -> Tensor:
        """[N] 1 where the style is the one named."""
        return (self.logits(lines).argmax(1) == styles).double()


def _train(
    found: StyleClassifier, ids: Ints, starts: Ints, lengths: Ints, wanted: Tensor, weight: Tensor, seed: int
) -> None:
    n = len(starts)
    steps = max(LEAST_STEPS, EPOCHS * n // BATCH)
    optimisers = [torch.optim.SparseAdam(found.bag.parameters(), LR), torch.optim.Adam(found.out.parameters(), LR)]
    rng = np.random.default_rng(key(seed, "style-classifier"))
    order = np.concatenate([rng.permutation(n) for _ in range(-(-steps * BATCH // n))])
    for step in range(steps):
        index = order[step * BATCH : (step + 1) * BATCH]
        mine, own = _taken(ids, starts, lengths, index)
        logits = found.out(found.bag(torch.from_numpy(mine), torch.from_numpy(own)))
        loss = cross_entropy(logits, wanted[index], weight)
        for optimiser in optimisers:
            optimiser.zero_grad()
            for group in optimiser.param_groups:
                group["lr"] = LR * (1 - step / steps)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in optimisers:
            optimiser.step()


def _taken(ids: Ints, starts: Ints, lengths: Ints, index: Ints) -> tuple[Ints, Ints]:
    """(ids of those lines, where each begins)."""
    own = np.cumsum(lengths[index]) - lengths[index]
    place = np.arange(int(lengths[index].sum())) - np.repeat(own, lengths[index]) + np.repeat(starts[index], lengths[index])
    return ids[place], own


def _hashed(lines: Sequence[Sequence[str]]) -> tuple[Ints, Ints]:
    """(buckets of all words and pairs of neighbouring words, where each line's begin)."""
    known: dict[str, int] = {}
    lengths = np.fromiter((len(line) for line in lines), np.int64, len(lines))
    flat = np.fromiter((known.setdefault(w, len(known)) for line in lines for w in line), np.int64, int(lengths.sum()))
    hashes = np.fromiter((zlib.crc32(w.encode()) for w in known), np.int64, len(known))
    words = hashes[flat] if len(flat) else flat
    starts = np.cumsum(lengths) - lengths
    first = np.zeros(len(words), dtype=bool)
    first[starts[lengths > 0]] = True
    pairs = (np.roll(words, 1) * 0x9E3779B1 + words) % 0x1FFFFFFFFFFFFFFF
    both = np.stack([words % BUCKETS, np.where(first, 0, pairs % BUCKETS)], 1).reshape(-1)
    return both, 2 * starts
