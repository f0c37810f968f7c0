"""What samples are measured against: features of held-out rows, and of training rows for the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from rivalry import stats
from rivalry.data.base import Dataset, Store
from rivalry.data.split import EITHER
from rivalry.data.truths import Truth
from rivalry.errors import DataError
from rivalry.evaluate.features import Features, FeatureSpace, of_rows
from rivalry.evaluate.rulers import Ruler
from rivalry.streams import generator
from rivalry.types import Spec

POOL = 20_000
"""Training rows that are searched for copies, where there are so many; of points as many as are held out, since in
few dimensions the denser side is nearer to everything."""

OWN_UNITS = ("points", "table", "records")
"""Kinds that are measured in their own units, beside which features say little."""

NEIGHBOURS = 5
"""k of precision, recall, density, coverage (Naeem et al. 2020), fewer where there are fewer rows."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of held-out and training rows, computed once; what is derived from them is kept.

    held: H rows that training never saw.  train: T rows of the training split; the first n of them are the samples
    of a perfect model that n samples are compared with (the floor), all of them are searched for copies.
    shares [classes]: of the classes that the extractor sees in real rows.  decode: encoded points to their own
    units, in which `truth` is known.
    """

    held: Features
    train: Features
    spec: Spec
    extractor: FeatureSpace
    data: str
    split: str
    truth: Truth | None = None
    decode: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for what, side in (("held-out", self.held), ("training", self.train)):
            if len(side) < EITHER:
                raise DataError(
                    f"only {len(side)} rows are {what} of {len(self.held) + len(self.train)}, and at least {EITHER} are needed on either side, or no "
                    "score has an interval: a fifth is held back of few rows, so give 20 or more, or hold back a larger share (--holdout .5)"
                )

    @classmethod
    def build(
        cls, dataset: Dataset, extractor: FeatureSpace, n: int, seed: int = 0,
        device: torch.device | None = None, pool: int = POOL,
    ) -> Reference:
        """At most n held-out rows and max(n, pool) training rows (n of points), chosen by the seed.

        Keep `seed` the same wherever scores are to be compared: it is part of the ruler.  DataError below 4 rows.
        """
        where = device or torch.device("cpu")
        points = dataset.spec.kind == "points"
        own_units = dataset.spec.kind in (*OWN_UNITS, "tokens")

        def side(store: Store, name: str, most: int) -> Features:
            index = torch.randperm(len(store), generator=generator(torch.device("cpu"), seed, "reference", name))
            return of_rows(store, index[:most], extractor, where, points=own_units)

        return cls(
            held=side(dataset.held, "held", n),
            train=side(dataset.train, "train", n if points else max(n, pool)),
            spec=dataset.spec,
            extractor=extractor,
            data=dataset.fingerprint,
            split="held-out" if seed == 0 or len(dataset.held) <= n else f"held-out (seed {seed})",
            truth=dataset.truth,
            decode=dataset.modality.decode,
        )

    def head(self, n: int) -> Reference:
        """The first n held-out and training rows: for a cheaper look."""
        if n >= len(self.held) and n >= len(self.train):
            return self
        return Reference(
            self.held.head(n), self.train.head(n), self.spec, self.extractor, self.data, self.split,
            self.truth, self.decode,
        )  # fmt: skip

    def samples(self, n: int) -> int:
        """How many samples are measured where n are asked for: no more than the floor has rows for."""
        if n < EITHER:
            raise DataError(f"{n} samples are too few to measure; ask for at least {EITHER}")
        return min(n, len(self.train))

    def ruler(self, metric: str, samples: int) -> Ruler:
        e = self.extractor
        return Ruler(metric, e.name, e.sha, e.resize, samples, len(self.held), self.split, self.data)

    @cached_property
    def gaussian(self) -> stats.Reference:
        return stats.Reference(stats.Moments.of(self.held.values))

    @cached_property
    def radii(self) -> Tensor:
        """[H]: distance of each held-out row to its k-th neighbour."""
        return stats.neighbour_radii(self.held.values, self.k(len(self.held)))

    def k(self, samples: int) -> int:
        return max(1, min(NEIGHBOURS, samples - 1, len(self.held) - 1))

    @cached_property
    def shares(self) -> Tensor | None:
        """[classes] of real rows as the extractor sees them; half a row is added to each class, so that none is 0."""
        held, train = self.held.classes, self.train.classes
        if held is None or train is None or not self.spec.classes:
            return None
        counts = torch.bincount(torch.cat([held, train]), minlength=self.spec.classes).double().cpu() + 0.5
        return counts / counts.sum()

    @cached_property
    def floors(self) -> dict[tuple[str, int], float | None]:
        """Filled by `evaluate`: (metric, samples) -> floor."""
        return {}
