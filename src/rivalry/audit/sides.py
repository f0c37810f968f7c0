"""Who is attacked: members and non-members in equal numbers, and the rows that the attacker knows besides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rivalry.data.base import Dataset, Store
from rivalry.data.talk_rows import ReplyRows
from rivalry.errors import DataError
from rivalry.streams import generator

CPU = torch.device("cpu")
ROWS, PICTURES = 4096, 256
"""Rows of a table, or pictures, that are hashed at a time."""
LEAST = 30
"""Held-out rows, all different, below which nothing could be told."""
LOOKED = 60_000
"""Training pictures that are looked through for equal ones, chosen at random; tables are looked through whole."""


@dataclass(frozen=True)
class Sides:
    """Row numbers of distinct rows, in random order; rows that are equal stand for one person and are attacked once, and
    one row of a conversation for all of it.

    members [m] of the training split, others [m] of the held-out rows.  known [r]: held-out rows that the attacker knows
    for a reference; they are no part of the first `apart` others, so attacks with a reference are judged on the first
    `apart` of both sides.  trained [r]: training rows that are no members here, for the control.  shared: of the others,
    those that are equal to a training row (of pictures, to one of those that were looked through).
    """

    members: Tensor
    others: Tensor
    known: Tensor
    trained: Tensor
    shared: int
    apart: int
    distinct: tuple[Tensor, Tensor]

    @classmethod
    def choose(cls, dataset: Dataset, most: int, seed: int) -> Sides:
        """At most `most` members.  DataError where fewer than LEAST distinct rows are on either side."""
        pictures, rows_are = dataset.spec.kind == "image", "conversations" if dataset.spec.context else "rows"
        looked = LOOKED if pictures else None
        (kept, kept_hashes), (own, hashes) = (distinct(side, looked, seed) for side in (dataset.held, dataset.train))
        every_held, every = _mixed(kept, seed, "held"), _mixed(own, seed, "train")
        held, train = _apart(dataset.held, every_held), _apart(dataset.train, every)
        for what, side in (("held-out", held), ("training", train)):
            if len(side) < LEAST:
                raise DataError(
                    f"an audit needs at least {LEAST} different {what} {rows_are}, and there are {len(side)}; "
                    "train with more data, or hold more back (--holdout)"
                )
        rows = min(len(held), 3 * most // 2, 3 * len(train) // 4)
        apart = min(2 * rows // 3, most)
        size = min(rows, most)
        shared = int(torch.isin(held[:size], kept[torch.isin(kept_hashes, hashes)]).sum())
        return cls(train[:size], held[:size], held[apart:rows], train[size : size + rows - apart], shared, apart, (every, every_held))


def _apart(store: Store, index: Tensor) -> Tensor:
    """Of the rows of one conversation the first, since they depend on one another; of other data all."""
    if not isinstance(store, ReplyRows):
        return index
    _, first = np.unique(store.talk[index].numpy(), return_index=True)
    return index[torch.from_numpy(np.sort(first))]


def _mixed(index: Tensor, seed: int, what: str) -> Tensor:
    return index[torch.randperm(len(index), generator=generator(CPU, seed, "audit", what))]


def distinct(store: Store, most: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """(the row number of one row of each kind of equal rows, among all or, of pictures, a random `most`; the hash of each)."""
    index = torch.arange(len(store))
    block = ROWS if most is None else PICTURES
    if most is not None and len(store) > most:
        index = torch.randperm(len(store), generator=generator(CPU, seed, "audit", "looked"))[:most].sort().values
    hashes = torch.cat([hashed(store.raw(part)) for part in index.split(block)])
    found, first = np.unique(hashes.numpy(), return_index=True)
    return index[torch.from_numpy(first)], torch.from_numpy(found)


def hashed(raw: Tensor) -> Tensor:
    """[N] int64 of raw rows [N, ...]: equal for equal rows (NaN equals NaN, -0 equals 0), different for others but with
    a chance of 2^-64.  Every value is mixed (splitmix64) before the values of a row are summed with odd weights."""
    flat = raw.flatten(1).cpu()
    if flat.is_floating_point():
        flat = torch.where(flat.isnan(), torch.nan, flat.double() + 0.0).view(torch.int64)
    elif flat.dtype == torch.uint16:
        flat = flat.to(torch.int32)
    values = _mix(flat.to(torch.int64))
    weights = torch.randint(-(2**62), 2**62, (flat.shape[1],), generator=generator(CPU, 0, "row hash")) * 2 + 1
    return _mix((values * weights).sum(1))


def _mix(x: Tensor) -> Tensor:
    """splitmix64's finaliser; >> on signed numbers copies the sign, which is as good here."""
    x = (x ^ (x >> 30)) * -0x40A7B892E31B1A47
    x = (x ^ (x >> 27)) * -0x6B2FB644ECCEEE15
    return x ^ (x >> 31)
