"""The three risks that Europe's regulators name (WP29, opinion 05/2014): singling out, linking, inferring.

Each attack uses samples against training rows, and the same attack against held-out rows is its control: what it learns
there anybody could have learned from the population.  So risk = (attack - control) / (1 - control), as in Giomi et al.
2023; and an attack that does no better than a guess measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.attacks import hypergeometric, near
from rivalry.stats.intervals import Interval, wilson
from rivalry.streams import generator

CPU = torch.device("cpu")
PREDICATES = 2000
WIDEST = 6
"""Columns of a predicate at most."""
PART = 100


@dataclass(frozen=True)
class Risk:
    """Shares of tries that succeeded: against training rows, against held-out rows, and by guessing, with Wilson's
    intervals.  risk: what the samples tell of training rows beyond that; p_value: that they tell nothing (Fisher's exact
    test, one-sided).  tries: of each kind."""

    name: str
    attack: Interval
    control: Interval
    guess: Interval
    risk: Interval
    p_value: float
    tries: int

    @property
    def measures(self) -> bool:
        """Whether the attack is better than a guess; else a small risk says nothing but that the attack is poor."""
        return self.attack.low > self.guess.value


def risk(name: str, attack: Tensor, control: Tensor, guess: Tensor, confidence: float = 0.95) -> Risk:
    """From whether each try succeeded, [n] bool of each kind."""
    if not len(attack) or not len(control) or not len(guess):
        raise DataError(f"{name} was not tried at all")
    hits = [int(side.sum()) for side in (attack, control, guess)]
    a, c, g = (wilson(h, len(side), confidence) for h, side in zip(hits, (attack, control, guess), strict=True))
    low, value, high = (_beyond(x, y) for x, y in ((a.low, c.high), (a.value, c.value), (a.high, c.low)))
    p_value = hypergeometric(hits[0], hits[0] + hits[1], len(attack), len(control))
    return Risk(name, a, c, g, Interval(value, min(low, value), max(high, value), confidence), p_value, len(attack))


def _beyond(attack: float, control: float) -> float:
    """(attack - control) / (1 - control), at least -1."""
    return max(-1.0, (attack - control) / (1 - control)) if control < 1 else 0.0


# -- whose nearest sample tells -----------------------------------------------------------------------------------------


def linked(left: Sequence[Tensor], right: Sequence[Tensor], k: int = 5) -> Tensor:
    """[n] bool: do the k samples nearest by some columns and the k nearest by the others have one in common?

    left, right: (targets [n, D], samples [S, D]) in the two halves of the columns.
    """
    first, second = (near([targets], samples, min(k, len(samples))).index for targets, samples in (left, right))
    return (first[:, :, None] == second[:, None, :]).flatten(1).any(1)


def linked_by_chance(n: int, samples: int, k: int, seed: int) -> Tensor:
    """[n] bool: the same for k samples picked at random, twice."""
    g = generator(CPU, seed, "linked")
    first, second = (torch.rand(n, samples, generator=g).topk(min(k, samples), dim=1).indices for _ in range(2))
    return (first[:, :, None] == second[:, None, :]).flatten(1).any(1)


# -- predicates -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Predicates:
    """P questions on rows [N, C]: used [P, C] says which columns each asks about; values [P, C]; above [P, C] whether a
    number must be at least, or at most, the value.  Levels must be equal, missing cells missing."""

    used: Tensor
    values: Tensor
    above: Tensor
    number: Tensor

    def _answers(self, rows: Tensor) -> Tensor:
        """[P, N] bool: which rows [N, C] answer yes to which question."""
        found = torch.ones(len(self.values), len(rows), dtype=torch.bool)
        for c in range(rows.shape[1]):
            x, v = rows[:, c][None], self.values[:, c][:, None]
            yes = torch.where(self.above[:, c][:, None], x >= v, x <= v) if bool(self.number[c]) else x == v
            yes = torch.where(v.isnan(), x.isnan(), yes)
            found &= yes | ~self.used[:, c][:, None]
        return found

    def met(self, rows: Tensor) -> Tensor:
        """[P] int64: how many of the rows [N, C] answer yes."""
        return torch.cat([part._answers(rows).sum(1) for part in self._parts()])

    def singled(self, rows: Tensor) -> Tensor:
        """[N] bool: is the row the only one to answer yes to one of the questions?"""
        out = torch.zeros(len(rows), dtype=torch.bool)
        for part in self._parts():
            yes = part._answers(rows)
            out[yes[yes.sum(1) == 1].int().argmax(1)] = True
        return out

    def _parts(self) -> list[Predicates]:
        """Some questions at a time, so that answers fit a cache."""
        cut = zip(self.used.split(PART), self.values.split(PART), self.above.split(PART), strict=True)
        return [Predicates(u, v, a, self.number) for u, v, a in cut]


def predicates(samples: Tensor, kinds: Sequence[str], seed: int, mixed: bool = False, count: int = PREDICATES) -> Predicates:
    """Made of samples [S, C]: a sample's cells in one to six random columns; numbers as 'at least' above the median and 'at
    most' below it.  mixed: every cell from a sample of its own, which is a guess by the columns' distributions alone."""
    columns = samples.shape[1]
    g = generator(CPU, seed, "predicates", str(mixed))
    rows = torch.randint(len(samples), (count, columns if mixed else 1), generator=g).expand(count, columns)
    values = samples.gather(0, rows)
    order = torch.rand(count, columns, generator=g).argsort(1).argsort(1)
    wide = torch.randint(1, min(WIDEST, columns) + 1, (count, 1), generator=g)
    middle = samples.nanmedian(0).values
    number = torch.tensor([k == "number" for k in kinds])
    return Predicates(order < wide, values, values >= middle, number)
