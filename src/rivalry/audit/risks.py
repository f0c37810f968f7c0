"""The regulators' three risks, of a table: singling out, linking, inferring (`stats.risks` has the maths)."""

from __future__ import annotations

import torch
from torch import Tensor

from rivalry.audit.material import Material, Tick
from rivalry.audit.sides import Sides
from rivalry.audit.tables import TableSpace
from rivalry.stats import Risk, linked, linked_by_chance, near, predicates, risk
from rivalry.streams import generator

CPU = torch.device("cpu")
TARGETS, SAMPLES = 2_000, 10_000
"""Rows of either side that are attacked, and samples that they are compared with, at most."""
CLOSE = 0.025
"""A number is inferred if the guess is within so much of its rank: a window of 5 % of the rows."""


def risks(material: Material, sides: Sides, space: TableSpace, samples: Tensor, tick: Tick) -> tuple[Risk, ...]:
    """Of samples [S, C], raw.  Every try is one row: trained on, held out (the control), or guessed at."""
    train = material.real(material.dataset.train, sides.members[:TARGETS])
    held = material.real(material.dataset.held, sides.others[:TARGETS])
    made = samples[:SAMPLES]
    tick("risks", 0.0)
    found = [_singling_out(material, train, held, made)]
    tick("risks", 0.3)
    if made.shape[1] > 1:
        found.append(_linking(space, train, held, made, material.seed))
        tick("risks", 0.6)
        found.append(_inferring(space, train, held, made, material.seed))
    tick("risks", 1.0)
    return tuple(found)


def _singling_out(material: Material, train: Tensor, held: Tensor, made: Tensor) -> Risk:
    asked, guessed = (predicates(made, material.kinds, material.seed, mixed) for mixed in (False, True))
    return risk("singling out", asked.singled(train), asked.singled(held), guessed.singled(train))


def _linking(space: TableSpace, train: Tensor, held: Tensor, made: Tensor, seed: int) -> Risk:
    """The columns in two halves, at random."""
    columns = torch.randperm(made.shape[1], generator=generator(CPU, seed, "halves of columns"))
    halves = [sorted(half.tolist()) for half in columns.tensor_split(2)]
    seen = [space.only(half) for half in halves]

    def hits(rows: Tensor) -> Tensor:
        left, right = ((s.plain(rows[:, h]), s.plain(made[:, h])) for s, h in zip(seen, halves, strict=True))
        return linked(left, right)

    return risk("linking", hits(train), hits(held), linked_by_chance(len(train), len(made), 5, seed))


def _inferring(space: TableSpace, train: Tensor, held: Tensor, made: Tensor, seed: int) -> Risk:
    """Of every row one cell is hidden, in turn over the columns, and taken from the sample that is nearest by the rest."""
    hits = [torch.zeros(len(side), dtype=torch.bool) for side in (train, held, train)]
    picked = torch.randint(len(made), (len(train),), generator=generator(CPU, seed, "guesses"))
    for column in range(made.shape[1]):
        others = [c for c in range(made.shape[1]) if c != column]
        rest = space.only(others)
        base = rest.plain(made[:, others])
        for side, found in zip((train, held), hits, strict=False):
            mine = torch.arange(len(side))[column :: made.shape[1]]
            if len(mine):
                index = near([rest.plain(side[mine][:, others])], base).index[:, 0]
                found[mine] = space.agree(column, side[mine, column], made[index, column], CLOSE)
        mine = torch.arange(len(train))[column :: made.shape[1]]
        if len(mine):
            hits[2][mine] = space.agree(column, train[mine, column], made[picked[mine], column], CLOSE)
    return risk("inferring", hits[0], hits[1], hits[2])
