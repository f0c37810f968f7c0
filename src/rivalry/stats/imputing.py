"""Filling missing cells from a pool of generated rows: the nearest by what is known, one of them drawn.

Numbers are compared by their ranks in the pool, levels by being equal (Gower 1971), each column weighted by what it tells
of the one to be filled.  Columns are filled one after the other, so that later ones go by what was filled before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rivalry.streams import generator

BINS, LEVELS = 10, 30
LOOKED = 20_000
"""Rows of the pool that relevance is measured on."""
SLIGHT = 0.03
"""Columns that tell less than this share of what the best one tells are left out."""
SPREAD = 3.0
"""Weight of a squared difference of ranks: about that of unlike levels, for ranks that are far apart."""
TIE, DIRECTIONS = 1e-4, 4
CELLS = 1 << 25
"""Distances that are held at a time."""
ROWS = 1 << 17
"""Candidates that are tried at a time."""
AGAIN = 20
"""So many times more neighbours are tried where none of the first is allowed."""

Allowed = Callable[[Tensor, int], Tensor]
"""(rows [n, C], the column that was just filled) -> [n] bool: may they be so?"""
Derive = Callable[[Tensor, Tensor], None]
"""(rows, cells to be filled): fills, in place, cells that follow from others, and crosses them off."""


def _anything(rows: Tensor, column: int) -> Tensor:
    return torch.ones(len(rows), dtype=torch.bool)


def _nothing(rows: Tensor, cells: Tensor) -> None:
    """Nothing follows."""


@dataclass(frozen=True)
class Ways:
    """How cells are filled.

    neighbours: among which one is drawn.  likely: their weighted mean or most frequent level in place of a draw; settle
    (column, values [n]) brings means to what the column can hold.  tick: told (what is done, its share).
    """

    neighbours: int = 30
    likely: bool = False
    allowed: Allowed = _anything
    derive: Derive = _nothing
    settle: Callable[[int, Tensor], Tensor] = lambda column, values: values
    tick: Callable[[str, float], None] = lambda what, share: None


WAYS = Ways()


@dataclass(frozen=True)
class Pool:
    """rows [M, C] with NaN for missing cells; kinds: 'number' or 'category' of each column."""

    rows: Tensor
    kinds: tuple[str, ...]
    ranked: Tensor
    relevance: Tensor

    @classmethod
    def of(cls, rows: Tensor, kinds: Sequence[str]) -> Pool:
        ranked = torch.stack([ranks(c, c) if k == "number" else c for c, k in zip(rows.T, kinds, strict=True)], 1)
        return cls(rows, tuple(kinds), ranked, relevance(rows[:LOOKED], kinds))


def ranks(values: Tensor, among: Tensor) -> Tensor:
    """[N]: the share of the values [M] among which lie below, ties in their middle; NaN where missing."""
    there = among[~among.isnan()].sort().values
    if not len(there):
        return torch.where(values.isnan(), torch.nan, 0.5)
    clean = values.nan_to_num(0.0).contiguous()
    low, high = torch.searchsorted(there, clean), torch.searchsorted(there, clean, right=True)
    return torch.where(values.isnan(), torch.nan, (low + high).double() / 2 / len(there))


def relevance(rows: Tensor, kinds: Sequence[str]) -> Tensor:
    """[C, C]: the share of column t's entropy that column c explains, I(t; c) / H(t), less its bias by chance (Miller and
    Madow); numbers in tenths, missing cells as a level; 0 on the diagonal."""
    codes = [_coded(c, k) for c, k in zip(rows.T, kinds, strict=True)]
    own = [_entropy(c) for c in codes]
    found = torch.zeros(len(codes), len(codes), dtype=torch.float64)
    for t in range(len(codes)):
        for c in range(t):
            width = int(codes[c].max()) + 1
            shared = own[t][0] + own[c][0] - _entropy(codes[t] * width + codes[c])[0]
            chance = (own[t][1] - 1) * (own[c][1] - 1) / (2 * len(rows))
            shared = max(shared - chance, 0.0)
            found[t, c], found[c, t] = (shared / own[i][0] if own[i][0] > 1e-9 else 0.0 for i in (t, c))
    return found


def _coded(column: Tensor, kind: str) -> Tensor:
    if kind == "number":
        there = column[~column.isnan()]
        edges = torch.quantile(there, torch.linspace(0, 1, BINS + 1, dtype=column.dtype)[1:-1]).unique() if len(there) else there
        codes = torch.bucketize(column.nan_to_num(0.0).contiguous(), edges, right=True)
        return torch.where(column.isnan(), len(edges) + 1, codes)
    return torch.where(column.isnan(), LEVELS + 1, column.nan_to_num(0.0).long().clamp_max(LEVELS))


def _entropy(codes: Tensor) -> tuple[float, int]:
    """(in nats, how many values there are)."""
    counts = codes.unique(return_counts=True)[1].double()
    share = counts / counts.sum()
    return float(-(share * share.log()).sum()), len(counts)


def fill(rows: Tensor, gaps: Tensor, pool: Pool, order: Sequence[int], seed: int, ways: Ways = WAYS) -> tuple[Tensor, Tensor]:
    """rows [N, C] with NaN where nothing is known; gaps [N, C]: which of those are to be filled, column by column in
    `order`.  -> (rows, gaps that are left: no neighbour's value was allowed, or the pool has none)."""
    rows, open_ = rows.clone(), gaps.clone()
    ways.derive(rows, open_)
    left, begun = torch.zeros_like(gaps), int(gaps.sum())
    for t in order:
        mine = open_[:, t].nonzero()[:, 0]
        donors = (~pool.rows[:, t].isnan()).nonzero()[:, 0]
        if len(mine) and len(donors):
            draw = generator(torch.device("cpu"), seed, f"fill {t}")
            for part in mine.split(max(1, CELLS // len(donors))):
                rows[part, t] = _column(rows[part], t, pool, donors, ways, draw)
                open_[part, t] = False
                ways.tick("filling", 1 - int(open_.sum()) / begun)
        open_[mine, t] = False
        left[mine, t] = rows[mine, t].isnan()
        ways.derive(rows, open_)
    return rows, left


def _column(rows: Tensor, t: int, pool: Pool, donors: Tensor, ways: Ways, draw: torch.Generator) -> Tensor:
    """[n] values of column t, NaN where none is allowed."""
    far = _distances(rows, t, pool, donors, draw)
    found = torch.full((len(rows),), torch.nan, dtype=rows.dtype)
    for many in (ways.neighbours, AGAIN * ways.neighbours):
        todo = found.isnan().nonzero()[:, 0]
        if len(todo):
            near, at = far[todo].topk(min(many, len(donors)), dim=1, largest=False)
            values = pool.rows[donors[at], t]
            weight = 1 - 0.9 * (near - near[:, :1]) / (near[:, -1:] - near[:, :1]).clamp_min(1e-9)
            if ways.likely:
                best = (values * weight).sum(1) / weight.sum(1) if pool.kinds[t] == "number" else _mode(values, weight)
                values = torch.cat([ways.settle(t, best)[:, None], values], 1)
            else:
                noise = -torch.empty_like(weight).exponential_(generator=draw).log()  # the order of draws without replacement
                values = values.gather(1, (weight.log() + noise).argsort(dim=1, descending=True))
            found[todo] = _first(rows[todo], t, values, ways.allowed)
    return found


def _first(rows: Tensor, t: int, values: Tensor, allowed: Allowed) -> Tensor:
    """[n]: for each row the first of its candidates [n, k] that is allowed, NaN if none is."""
    k = values.shape[1]

    def tried(some: Tensor, candidates: Tensor) -> Tensor:
        whole = some.repeat_interleave(candidates.shape[1], 0)
        whole[:, t] = candidates.flatten()
        good = allowed(whole, t).reshape(candidates.shape)
        picked = candidates.gather(1, good.int().argmax(1, keepdim=True))[:, 0]
        return torch.where(good.any(1), picked, torch.nan)

    found = tried(rows, values[:, :1])
    for part in found.isnan().nonzero()[:, 0].split(max(1, ROWS // k)):
        found[part] = tried(rows[part], values[part])
    return found


def _mode(values: Tensor, weight: Tensor) -> Tensor:
    """[n]: the level of the largest weight among candidates [n, k]."""
    levels, place = values.unique(return_inverse=True)
    total = torch.zeros(len(values), len(levels), dtype=weight.dtype).scatter_add_(1, place, weight)
    best: Tensor = levels[total.argmax(1)]
    return best


def _distances(rows: Tensor, t: int, pool: Pool, donors: Tensor, draw: torch.Generator) -> Tensor:
    """[n, M] float32, up to a constant per row: over known columns the weighted sum of squared differences of ranks, or
    of 1 for unlike levels and for cells that the donor lacks; one matrix product.

    Donors that are equally near are told apart at random, for each row anew: by projections on random directions.
    """
    weights = pool.relevance[t].clone()
    weights[t] = 0
    used = (weights > SLIGHT * weights.max()).nonzero()[:, 0].tolist()
    size = TIE * float(weights.max().clamp_min(TIE))
    left = [size * torch.randn(len(rows), DIRECTIONS, generator=draw)]
    right = [nn.functional.normalize(torch.randn(len(donors), DIRECTIONS, generator=draw), dim=1)]
    for c in used:
        known = ~rows[:, c].isnan()
        weight = (weights[c] * known).float()[:, None]
        donor = pool.ranked[donors, c]
        if pool.kinds[c] == "number":
            u = ranks(rows[:, c], pool.rows[:, c]).nan_to_num(0.0).float()[:, None]
            there, v = (~donor.isnan()).float()[:, None], donor.nan_to_num(0.0).float()[:, None]
            left.append(weight * torch.cat([SPREAD * u.square() - 1, -2 * SPREAD * u, torch.full_like(u, SPREAD)], 1))
            right.append(torch.cat([there, v * there, v.square() * there], 1))
        else:
            levels = torch.arange(int(pool.rows[:, c].nan_to_num(0).max()) + 1)
            left.append(-weight * (rows[:, c, None] == levels).float())
            right.append((donor[:, None] == levels).float())
    return torch.cat(left, 1) @ torch.cat(right, 1).T
