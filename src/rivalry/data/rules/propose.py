"""Constraints that the data suggest: they hold in every row that was looked at, and not by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.data.columns.schema import Field
from rivalry.data.rules.kinds import TOLERANCE, MissingIf, Order, Rule, Sum, Together
from rivalry.data.words import count
from rivalry.streams import key

ROWS = 50_000
"""Rows that are looked at."""
SUPPORT = 50
"""Rows in which something must be seen before it is proposed."""
CHANCE = 0.95
"""What holds in so many rows that were put together at random proves nothing."""
SIGNS = set("<>=+,()|'\"")
"""What names in constraints cannot hold without quotes, and names in conditions not at all."""
HEAD = 200
"""Rows that most sums are ruled out by."""
FEW = 64
WIDEST = 60
"""Columns of one kind that are compared, the first ones."""


@dataclass(frozen=True)
class Proposal:
    """text: the constraint; why: what speaks for it, in words; columns: those that it names, of a sum the total last; kind: of constraint."""

    text: str
    why: str
    columns: tuple[str, ...] = ()
    kind: type[Rule] = Order


def propose(fields: Sequence[Field], cells: Sequence[Cells], seed: int) -> tuple[Proposal, ...]:
    """From at most ROWS rows, evenly spaced."""
    rows = len(cells[0])
    index = np.unique(np.linspace(0, rows - 1, min(rows, ROWS)).astype(np.int64))
    fitted = [
        fit.fit(f, c.take(index), np.arange(len(index)), seed)
        for f, c in zip(fields, cells, strict=True)
        if f.learned
    ]
    learned = [(f.column, f.raw) for f in fitted if f.raw is not None]
    sums = tuple(_sums(learned))
    implied = {(_quoted(total), _quoted(part)) for _, parts, total in sums for part in parts}
    orders = [p for (upper, lower), p in _orders(learned, seed) if (upper, lower) not in implied]
    return (*orders, *(p for p, _, _ in sums), *_together(learned, seed), *_missing(learned))


Learned = Sequence[tuple[Column, Tensor]]


def _orders(learned: Learned, seed: int) -> Iterator[tuple[tuple[str, str], Proposal]]:
    """((upper, lower), upper >= lower), without those that follow from two others."""
    for kind in ("date", "number"):
        mine = [(c.name, raw) for c, raw in learned if c.type == kind][:WIDEST]
        pairs = {
            (a, b): n for (a, x), (b, y) in permutations(mine, 2) if (n := _ordered(x, y, kind == "date", seed))
        }
        for (a, b), n in pairs.items():
            if (b, a) in pairs or any((a, c) in pairs and (c, b) in pairs for c, _ in mine):
                continue
            yield (_quoted(b), _quoted(a)), Proposal(f"{_quoted(b)} >= {_quoted(a)}", f"in all {count(n, 'row')} that have both", (a, b))


def _ordered(low: Tensor, high: Tensor, dates: bool, seed: int) -> int:
    """Rows that have both, if the order holds in all of them and not by chance; else 0."""
    both = ~(low.isnan() | high.isnan())
    low, high = low[both], high[both]
    if len(low) < SUPPORT or bool((high < low).any()) or bool((high == low).all()):
        return 0
    mixed = torch.randperm(len(low), generator=torch.Generator().manual_seed(key(seed, "proposals") % 2**63))
    by_chance = float((high[mixed] >= low).double().mean())
    return len(low) if by_chance < (0.999 if dates else CHANCE) else 0


def _sums(learned: Learned) -> Iterator[tuple[Proposal, tuple[str, ...], str]]:
    """(a + b = c or a = b, parts, total)."""
    mine = [(c.name, raw) for c, raw in learned if c.type == "number"][:WIDEST]
    for (a, x), (b, y) in combinations(mine, 2):
        if n := _equal(x[:, None], y):
            yield Proposal(f"{_quoted(a)} = {_quoted(b)}", f"in all {count(n, 'row')} that have both", (a, b), Sum), (a,), b
    if not mine:
        return
    heads = torch.stack([raw[:HEAD] for _, raw in mine], 1)
    for (a, x), (b, y) in combinations(mine, 2):
        pair = (x[:HEAD] + y[:HEAD])[:, None]
        off = ((pair - heads).abs() > TOLERANCE * (pair.abs() + heads.abs() + 1)).any(0)
        for c, total in (mine[i] for i in (~off).nonzero()[:, 0].tolist()):
            if c not in (a, b) and (n := _equal(torch.stack([x, y], 1), total)):
                text = f"{_quoted(a)} + {_quoted(b)} = {_quoted(c)}"
                yield Proposal(text, f"in all {count(n, 'row')} that have all three", (a, b, c), Sum), (a, b), c


def _equal(parts: Tensor, total: Tensor) -> int:
    """Rows that have all, if the parts add up to the total in each and no part is mostly 0; else 0."""
    whole = ~(parts.isnan().any(1) | total.isnan())
    parts, total = parts[whole], total[whole]
    off = (parts.sum(1) - total).abs() > TOLERANCE * (parts.abs().sum(1) + total.abs())
    telling = int((parts != 0).all(1).sum())
    constant = len(total) == 0 or bool((total == total[0]).all())
    return 0 if telling < SUPPORT or constant or bool(off.any()) else len(total)


def _together(learned: Learned, seed: int) -> Iterator[Proposal]:
    """Columns of levels of which one says the other; those that share a column are one group."""
    levels = [(c.name, _codes(c, raw), isinstance(c.code, LevelCode)) for c, raw in learned]
    mine = [(name, codes, named) for name, codes, named in levels if codes is not None][:WIDEST]
    groups = list[set[str]]()
    for (a, x, named_a), (b, y, named_b) in combinations(mine, 2):
        if (named_a or named_b) and x is not None and y is not None and _tied(x, y, named_a and named_b, seed):
            joined = {a, b}.union(*(g for g in groups if g & {a, b}))
            groups = [*(g for g in groups if not g & {a, b}), joined]
    for group in groups:
        names = [name for name, _, _ in mine if name in group]
        stacked = torch.stack([x for name, x, _ in mine if name in group and x is not None], 1)
        n = len(stacked.unique(dim=0))
        yield Proposal(
            f"combinations({', '.join(map(_quoted, names))})", f"{count(n, 'combination')} in {count(len(stacked), 'row')}", tuple(names), Together
        )


def _codes(column: Column, raw: Tensor) -> Tensor | None:
    """[N] int64 numbers of levels, missing cells a level of their own; None for columns of too many or too few."""
    levels, codes = raw.nan_to_num(-1e300).unique(return_inverse=True)
    if len(levels) < 3 or SUPPORT * len(levels) > 10 * len(raw):
        return None
    return codes if isinstance(column.code, LevelCode) or len(levels) <= FEW else None


def _tied(x: Tensor, y: Tensor, named: bool, seed: int) -> bool:
    """Does one column say the other (each the other, where one of them is of numbers), and not by chance?"""
    n_x, n_y = int(x.max()) + 1, int(y.max()) + 1
    pairs = len((x * n_y + y).unique())
    if pairs != (max(n_x, n_y) if named else min(n_x, n_y)) or (not named and n_x != n_y):
        return False
    mixed = torch.randperm(len(x), generator=torch.Generator().manual_seed(key(seed, "proposals") % 2**63))
    return len((x * n_y + y[mixed]).unique()) > 1.5 * pairs


def _missing(learned: Learned) -> Iterator[Proposal]:
    """x missing if c=level: in every row of these levels, and in not nearly all of the others."""
    choices = [
        (c, raw)
        for c, raw in learned
        if isinstance(c.code, LevelCode) and len(c.code.levels) <= 20 and not SIGNS & set("".join((c.name, *c.code.levels)))
    ]
    for column, raw in learned:
        gone = raw.isnan()
        if not SUPPORT <= int(gone.sum()) <= len(raw) - SUPPORT:
            continue
        for c, codes in choices:
            if c is column or not isinstance(c.code, LevelCode):
                continue
            hit = [i for i in range(len(c.code.levels)) if int((codes == i).sum()) >= SUPPORT and bool(gone[codes == i].all())]
            rest = ~torch.isin(codes, torch.tensor(hit, dtype=torch.float64))
            if hit and bool(rest.any()) and float(gone[rest].double().mean()) < 0.5:
                names = "|".join(c.code.levels[i] for i in hit)
                n = int((~rest).sum())
                yield Proposal(f"{_quoted(column.name)} missing if {c.name}={names}", f"in all {count(n, 'row')} of them", (column.name, c.name), MissingIf)


def _quoted(name: str) -> str:
    """In quotes where the name holds signs of its own."""
    return f"'{name}'" if SIGNS & set(name) else name
