"""Distributions of whole numbers that hang together as a forest: from counts, noisy or not, to something to sample from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Edge = tuple[int, int]

ROUNDS = 100
"""Of iterative proportional fitting, at most."""
CLOSE = 1e-10
FAINT = 1e-12
"""Share of independence mixed into a pair's counts, so that whatever its margins ask for can be met."""


def on_simplex(x: Tensor, total: float) -> Tensor:
    """The nearest [K] to x [K] that is nowhere below 0 and sums to `total` > 0: max(x - t, 0) for the right t
    (Held, Wolfe & Crowder 1974)."""
    falling = x.sort(descending=True).values
    rank = torch.arange(1, len(x) + 1, dtype=x.dtype)
    cut = (falling.cumsum(0) - total) / rank
    t = cut[(falling > cut).nonzero().amax()]
    return (x - t).clamp_min(0)


def agreed(ones: Sequence[Tensor], pairs: Mapping[Edge, Tensor], noise: tuple[float, float]) -> list[Tensor]:
    """What counts of single variables (each [n], variance noise[0]) and of pairs ([n, m], variance noise[1], whose rows and
    columns are counts of single ones too) say together of every single variable: means weighted by one over their
    variances, on the simplex.  Only the ratio of the variances matters."""
    sums = [one / noise[0] for one in ones]
    weights = [1 / noise[0] for _ in ones]
    for (i, j), pair in pairs.items():
        for at, axis in ((i, 1), (j, 0)):
            variance = noise[1] * pair.shape[axis]
            sums[at] = sums[at] + pair.sum(axis) / variance
            weights[at] += 1 / variance
    means = [s / w for s, w in zip(sums, weights, strict=True)]
    total = max(1.0, float(torch.stack([m.sum() for m in means]).mean()))
    return [on_simplex(m, total) for m in means]


def fitted(pair: Tensor, rows: Tensor, columns: Tensor, noisy: bool = True) -> Tensor:
    """Counts [n, m] with these margins [n], [m] (of equal sums), nowhere below 0, near to `pair`: its projection on what
    has the margins, then on the simplex, then iterative proportional fitting (Deming & Stephan 1940).  A pair that has
    them already stays as it is.  Of counts that are not noisy, those of 0 stay there."""
    total = float(rows.sum())
    n, m = pair.shape
    spare = (total - pair.sum()) / (n * m)
    moved = pair + ((rows - pair.sum(1)) / m)[:, None] + (columns - pair.sum(0)) / n - spare
    begun = on_simplex(moved.flatten(), total).view(n, m) if noisy else pair
    found = begun + FAINT * rows[:, None] * columns / total
    for _ in range(ROUNDS):
        found = found * (rows / found.sum(1).clamp_min(1e-300))[:, None]
        found = found * (columns / found.sum(0).clamp_min(1e-300))
        if float((found.sum(1) - rows).abs().sum()) <= CLOSE * total:
            break
    return found


def joined(pairs: Sequence[Edge], count: int) -> list[int]:
    """[count]: the number of the tree each variable is part of."""
    tree = list(range(count))
    for i, j in pairs:
        old, new = tree[j], tree[i]
        tree = [new if t == old else t for t in tree]
    return tree


@dataclass(frozen=True)
class Forest:
    """parents [V]: of each variable, -1 for roots.  tables: chances [n] of a root's values, [m, n] of others' given the
    parent's, float64."""

    parents: tuple[int, ...]
    tables: tuple[Tensor, ...]

    @classmethod
    def of(cls, ones: Sequence[Tensor], pairs: Mapping[Edge, Tensor]) -> Forest:
        """From counts of single variables and of the pairs that hang together, which must agree and have no ring."""
        near: dict[int, dict[int, Tensor]] = {i: {} for i in range(len(ones))}
        for (i, j), pair in pairs.items():
            near[i][j], near[j][i] = pair, pair.T
        parents, tables = [-1] * len(ones), [one / one.sum() for one in ones]
        seen: set[int] = set()
        for root in range(len(ones)):
            waiting = [] if root in seen else [root]
            while waiting:
                at = waiting.pop()
                seen.add(at)
                for child in near[at].keys() - seen:
                    mass = near[at][child].sum(1, keepdim=True)
                    tables[child] = torch.where(mass > 0, near[at][child] / mass.clamp_min(1e-300), tables[child])
                    parents[child] = at
                    waiting.append(child)
        return cls(tuple(parents), tuple(tables))

    @property
    def order(self) -> list[int]:
        """Parents before their children."""
        found = [i for i, p in enumerate(self.parents) if p < 0]
        for at in found:
            found += [i for i, p in enumerate(self.parents) if p == at]
        return found

    def sample(self, uniform: Tensor) -> Tensor:
        """Uniform numbers [N, V] in [0, 1) -> [N, V] int64."""
        codes = torch.zeros(uniform.shape, dtype=torch.int64)
        for at in self.order:
            reached = self.tables[at].cumsum(-1)
            reached = reached / reached[..., -1:]
            if self.parents[at] >= 0:
                reached = reached[codes[:, self.parents[at]]]
            last = self.tables[at].shape[-1] - 1
            codes[:, at] = (reached <= uniform[:, at, None]).sum(1).clamp_max(last)
        return codes
