"""A feature space of sentences that needs no download: latent semantic analysis of their words and pairs of words.

Deerwester et al. 1990: counts of hashed words and pairs of neighbours, weighed by log(1 + count) and by how rare they are
(tf-idf), projected onto the leading right singular vectors of the training sentences, rows of length 1.  It knows which words
go together in these data and nothing of the world, so its Fréchet distance is named after it and compares with no other.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

BUCKETS = 4096
DIM = 64
ROWS = 20_000
POWER = 6
"""Rounds of the subspace iteration (Halko et al. 2011, algorithm 4.4)."""


@dataclass(frozen=True, eq=False)
class LocalSentences:
    """Words of sentences -> [n, DIM] float32.  weights [BUCKETS]; basis [BUCKETS, DIM]; sha: of both."""

    weights: Tensor
    basis: Tensor
    sha: str
    name: str = "local-text"

    @classmethod
    def fit(cls, sentences: Sequence[Sequence[str]]) -> LocalSentences:
        """From training sentences, at most ROWS of them, evenly chosen; deterministic."""
        part = [sentences[i] for i in np.linspace(0, len(sentences) - 1, min(ROWS, len(sentences))).astype(int).tolist()]
        found = counts(part)
        there = torch.bincount(found.indices()[1], minlength=BUCKETS).float()
        weights = torch.log((1 + len(part)) / (1 + there))
        rows = weighed(found, weights)
        generator = torch.Generator().manual_seed(0)
        basis = torch.randn(BUCKETS, DIM, generator=generator)
        for _ in range(POWER):
            basis, _ = torch.linalg.qr(rows.t() @ (rows @ basis))
        digest = hashlib.sha256(weights.numpy().tobytes() + (basis * 1e3).round().abs().numpy().tobytes())
        return cls(weights, basis, digest.hexdigest())

    def __call__(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        found = weighed(counts(sentences), self.weights) @ self.basis
        unit: Tensor = found / found.norm(dim=1, keepdim=True).clamp_min(1e-6)
        return unit


def counts(sentences: Sequence[Sequence[str]]) -> Tensor:
    """Sparse [n, BUCKETS]: log(1 + times of each hashed word or pair)."""
    known: dict[str, int] = {}
    rows, features = list[int](), list[int]()
    for i, words in enumerate(sentences):
        terms = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
        features += [known.setdefault(t, len(known)) for t in terms]
        rows += [i] * len(terms)
    bucket = torch.tensor([zlib.crc32(t.encode()) % BUCKETS for t in known], dtype=torch.long)
    index = torch.stack([torch.tensor(rows, dtype=torch.long), bucket[torch.tensor(features, dtype=torch.long)]])
    found = torch.sparse_coo_tensor(index, torch.ones(index.shape[1]), (len(sentences), BUCKETS), check_invariants=False).coalesce()
    return torch.sparse_coo_tensor(found.indices(), found.values().log1p(), found.shape, check_invariants=False).coalesce()


def weighed(counts: Tensor, weights: Tensor) -> Tensor:
    index = counts.indices()
    return torch.sparse_coo_tensor(index, counts.values() * weights[index[1]], counts.shape, check_invariants=False).coalesce()
