"""Baselines of tables by counting: independent columns, and a spanning tree of pairs of columns.

Both measure counts of single variables and of some pairs, with normal noise under differential privacy, make them agree,
and sample from the forest they describe.  The budget is zero-concentrated (`privacy.zcdp`), in equal parts for each
round that is needed: singles, the choice of pairs, pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from rivalry.baselines.cells import Cells
from rivalry.baselines.forest import Edge, Forest, agreed, fitted, joined
from rivalry.catalogue import register
from rivalry.errors import DataError, RecipeError
from rivalry.parts import Baseline, Fitted
from rivalry.privacy.accounting import DELTA_POWER, check_delta
from rivalry.privacy.secure import normal
from rivalry.privacy.zcdp import drawn, exponential_chances, exponential_epsilon, gaussian_sigma, rho_for
from rivalry.streams import Draw
from rivalry.types import Spec

CHUNK = 16_384
"""Rows sampled at a time."""


@dataclass(frozen=True)
class TableModel:
    """A forest over a table's variables: what both baselines learn.  See `parts.Fitted`."""

    cells: Cells
    forest: Forest
    notes: tuple[str, ...] = ()
    rho: float = math.inf
    rounds: int = 1

    def sample(self, n: int, seed: int) -> Tensor:
        """[n, D] encoded."""
        return torch.cat(list(self._chunks(n, seed)))

    def _chunks(self, n: int, seed: int) -> Iterator[Tensor]:
        for start in range(0, n, CHUNK):
            draw, size = Draw(seed, ("baseline", start)), min(CHUNK, n - start)
            codes = self.forest.sample(draw.uniform("values", size, len(self.cells.variables)))
            yield self.cells.rows(codes, draw.uniform("within", *codes.shape))

    def tensors(self) -> dict[str, Tensor]:
        found = {f"table.{i}": t.contiguous() for i, t in enumerate(self.forest.tables)}
        return found | {"parents": torch.tensor(self.forest.parents)}


@dataclass(frozen=True)
class Counting(Baseline):
    """bins: of a number.  epsilon: inf for counts without noise; delta 0 is N^-1.1 of N rows.  before: noise of a preparation of the
    columns that epsilon pays for too (0: none); names_delta: the part of delta that it took besides.  least: without noise, counts
    are taken in multiples of it, those of fewer rows for 0."""

    bins: int = 16
    epsilon: float = math.inf
    delta: float = 0.0
    before: float = 0.0
    names_delta: float = 0.0
    least: int = 0

    def __post_init__(self) -> None:
        if self.bins < 2 or not self.epsilon > 0 or not 0 <= self.delta < 1:
            raise RecipeError(
                f"a baseline needs two bins, epsilon above 0 and delta from 0 to 1, not {self.bins}, {self.epsilon:g} and "
                f"{self.delta:g}"
            )

    def fits(self, spec: Spec) -> bool:
        return bool(spec.blocks)

    def private(self, epsilon: float, delta: float, before: float = 0.0, names_delta: float = 0.0) -> Baseline:
        return replace(self, epsilon=epsilon, delta=delta, before=before, names_delta=names_delta)

    def fit(self, rows: Iterable[Tensor], spec: Spec) -> TableModel:
        """Raises DataError where there are no rows, RecipeError where the preparation has spent all there is."""
        cells = Cells(spec, self.bins)
        codes = torch.cat([torch.zeros(0, len(cells.variables), dtype=torch.int64), *map(cells.codes, rows)])
        if not len(codes):
            raise DataError("a baseline needs rows to be fitted to, and there are none; give more data")
        delta = self.delta or len(codes) ** DELTA_POWER
        if math.isfinite(self.epsilon):
            check_delta(delta, len(codes))
        rho = self._rho(delta)
        count = Counts(codes, cells.sizes)
        free = self._chosen(cells)
        rounds = 1 + bool(free) + bool(free or cells.within)
        part = rho / rounds
        ones = count.ones(part)
        pairs = [*cells.within, *spanning(count, ones, cells.within, free, part)]
        two = count.pairs(pairs, part)
        if self.least and math.isinf(rho):
            ones, two = [_coarse(n, self.least) for n in ones], {k: _coarse(n, self.least) for k, n in two.items()}
        spread = (float(len(ones)), float(max(1, len(two))))  # variances, but for a common factor
        single = agreed(ones, two, spread)
        forest = Forest.of(single, {(i, j): fitted(p, single[i], single[j], not self.least or math.isfinite(rho)) for (i, j), p in two.items()})
        return TableModel(cells, forest, self._notes(rho, delta, rounds), rho, rounds)

    def restored(self, tensors: Mapping[str, Tensor], spec: Spec) -> Fitted:
        parents = tuple(tensors["parents"].tolist())
        tables = tuple(tensors[f"table.{i}"] for i in range(len(parents)))
        return TableModel(Cells(spec, self.bins), Forest(parents, tables))

    def _rho(self, delta: float) -> float:
        """What may be spent on counting; a normal mechanism of noise b is 1 / (2 b^2)-zCDP (Bun & Steinke 2016, proposition 6)."""
        left = delta - self.names_delta
        rho = rho_for(self.epsilon, left) - (1 / (2 * self.before**2) if self.before else 0.0) if left > 0 else 0.0
        if not rho > 0:
            raise RecipeError(
                f"the schema's preparation alone spends all of epsilon {self.epsilon:g} at delta {delta:g}; ask for a larger --dp-epsilon, or "
                "prepare the data with a smaller one"
            )
        return rho

    def _chosen(self, cells: Cells) -> int:
        """How many pairs are to be chosen by the data."""
        return 0

    def _notes(self, rho: float, delta: float, rounds: int) -> tuple[str, ...]:
        if math.isinf(rho):
            return ()
        what = "the preparation of the columns and of counting" if self.before else "counting"
        return (
            f"({self.epsilon:g}, {delta:.3g})-differential privacy of {what}: {rho:.4g}-zCDP in {rounds} equal parts. What the schema neither "
            "declares public of columns nor has paid for (bounds, quantiles, level names) was taken from the rows without noise, as a GAN's is.",
        )


@register("baseline", "independent")
@dataclass(frozen=True)
class Independent(Counting):
    """Each column on its own, missing cells included: what marginals alone are worth."""

    bins: int = 128


@register("baseline", "mst")
@dataclass(frozen=True)
class MST(Counting):
    """A maximum spanning tree of pairs of columns, after McKenna, Miklau & Sheldon 2021 (arXiv:2108.04978).

    Single counts are measured; C - 1 pairs are chosen one by one by the exponential mechanism, each joining two trees,
    by how far their counts are from those of independent columns (L1); these are measured too.  Unlike theirs: counts
    are made to agree by least squares and proportional fitting instead of mirror descent, rare levels are not merged,
    and the group and the member of a column of more than 64 levels are two variables, always joined.
    Without noise it is the tree itself, a strong baseline.
    """

    def _chosen(self, cells: Cells) -> int:
        return len(cells.variables) - 1 - len(cells.within)


@dataclass(frozen=True)
class Counts:
    """codes [N, V] int64, each below its variable's size.  One row more or less moves one cell of every count by 1."""

    codes: Tensor
    sizes: tuple[int, ...]

    def one(self, i: int) -> Tensor:
        return torch.bincount(self.codes[:, i], minlength=self.sizes[i]).double()

    def pair(self, i: int, j: int) -> Tensor:
        n, m = self.sizes[i], self.sizes[j]
        return torch.bincount(self.codes[:, i] * m + self.codes[:, j], minlength=n * m).double().view(n, m)

    def ones(self, rho: float) -> list[Tensor]:
        """All single counts, together rho-zCDP: their L2 sensitivity is the root of their number."""
        sigma = gaussian_sigma(rho, math.sqrt(len(self.sizes)))
        return [noised(self.one(i), sigma) for i in range(len(self.sizes))]

    def pairs(self, edges: list[Edge], rho: float) -> dict[Edge, Tensor]:
        """Counts of these pairs, together rho-zCDP; nothing is spent where there are none."""
        if not edges:
            return {}
        sigma = gaussian_sigma(rho, math.sqrt(len(edges)))
        return {(i, j): noised(self.pair(i, j), sigma) for i, j in edges}

    def apart(self, i: int, j: int, ones: list[Tensor]) -> float:
        """L1 distance between a pair's counts and those of independent variables with (noisy) counts `ones`.  One row more
        or less moves it by 1 at most."""
        total = ones[i].sum().clamp_min(1)
        alone = ones[i].clamp_min(0)[:, None] * ones[j].clamp_min(0) / total
        return float((self.pair(i, j) - alone).abs().sum())


def _coarse(counts: Tensor, least: int) -> Tensor:
    """Counts to the nearest multiple of `least`, those below it 0: of exact sums and parts a missing part is the difference."""
    return torch.where(counts < least, 0.0, (counts / least).round() * least)


def noised(counts: Tensor, sigma: float) -> Tensor:
    """Counts with noise from the operating system's secure source; without it where sigma is 0."""
    return counts + sigma * normal(counts.numel()).view(counts.shape) if sigma else counts


def spanning(count: Counts, ones: list[Tensor], given: Iterable[Edge], free: int, rho: float) -> list[Edge]:
    """`free` pairs that with the given ones make no ring, the furthest apart first; together rho-zCDP."""
    if not free:
        return []
    size = len(count.sizes)
    tree = joined(list(given), size)
    everything = [(i, j) for i, j in combinations(range(size), 2) if tree[i] != tree[j]]
    scores = {e: count.apart(*e, ones) for e in everything}
    epsilon = exponential_epsilon(rho / free)
    found: list[Edge] = []
    for _ in range(free):
        open_ = [(i, j) for i, j in everything if tree[i] != tree[j]]
        chances = exponential_chances(torch.tensor([scores[e] for e in open_]), epsilon)
        found.append(open_[drawn(chances)])
        tree = joined([*given, *found], size)
    return found
