"""Samples that lie too near to a training row are not handed out.

Too near: nearer than 5 % of the held-out rows lie to theirs.  That is a rule of thumb against copies, no guarantee: what is
missing from the samples tells of the training rows too, a little.  It reads training data, which are asked for again each
time and kept nowhere in the run; under differential privacy that would void the guarantee, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.audit.material import Material, Space
from rivalry.audit.pictures import PixelSpace
from rivalry.audit.tables import TableSpace
from rivalry.data import Dataset
from rivalry.errors import DataError, RecipeError
from rivalry.room import check_room
from rivalry.run import Run
from rivalry.sampling import Sampler
from rivalry.stats import near
from rivalry.streams import generator, key

CPU = torch.device("cpu")
SHARE = 0.05
"""Of held-out rows that lie nearer to a training row than any sample that is handed out."""
MEASURED = 5_000
"""Held-out rows that the radius is taken from, at most."""
ROUND, MOST = 2048, 50
"""Samples drawn at a time, and how many times those asked for before it is given up."""


def admit(run: Run, dataset: Dataset) -> None:
    """RecipeError under differential privacy, DataError for other data than the run's."""
    if run.recipe.private:
        raise RecipeError(
            "--reject-copies reads the training rows at every sample, which nobody paid for: it would void the guarantee of "
            f"{run.name}, which was trained under differential privacy; leave it out"
        )
    if dataset.fingerprint != run.settings["data"]["fingerprint"]:
        raise DataError(
            f"these are not the rows that {run.name} was trained on (their fingerprints differ); --reject-copies takes the "
            "very same data"
        )


@dataclass
class Guard:
    """radius: of the balls around training rows, as points [T, D] of the space, that no sample may lie in."""

    material: Material
    space: Space
    points: Tensor
    radius: float
    seen: int = 0
    rejected: int = 0

    @classmethod
    def of(cls, dataset: Dataset) -> Guard:
        """DataError where more than SHARE of held-out rows equal a training row: then equal rows are no copies."""
        material = Material(dataset, _nothing, 0)
        train, held = (torch.arange(len(side)) for side in (dataset.train, dataset.held))
        some = held[torch.randperm(len(held), generator=generator(CPU, 0, "guard"))[:MEASURED]]
        space: Space
        if material.pictures is not None:
            space = PixelSpace(material.pictures)
        else:
            pool = torch.cat([material.real(dataset.train, train), material.real(dataset.held, some)])
            space = TableSpace.of(material.kinds, pool)
        points = material.plain(space, dataset.train, train)
        radius = float(material.nearest(space, dataset.held, some, points).quantile(SHARE))
        if radius <= 0:
            raise DataError(
                f"more than {SHARE:.0%} of held-out rows are equal to a training row, as few columns make likely, so samples "
                "that are equal to one are no copies; leave --reject-copies out"
            )
        return cls(material, space, points, radius)

    def keep(self, x: Tensor) -> Tensor:
        """[n] bool of encoded samples: which may be handed out."""
        return self.keep_raw(self.material.dataset.modality.decode(x.cpu()))

    def keep_raw(self, raw: Tensor) -> Tensor:
        """[n] bool of samples in the data's own form."""
        seen = raw.double() if self.material.pictures is None else self.material.dataset.modality.encode(raw)
        far = near(self.space.forms(seen), self.points).distance[:, 0] >= self.radius
        self.seen += len(raw)
        self.rejected += int((~far).sum())
        return far

    def told(self) -> str:
        return (
            f"{self.rejected:,} of {self.seen:,} samples were rejected: they lie nearer to a training row than {SHARE:.0%} of "
            "held-out rows do"
        )


def guard_of(run: Run, dataset: Dataset) -> Guard:
    """The guard of the run's own training data; see `admit` for what is refused."""
    if dataset.spec.kind == "tokens":
        raise DataError(
            "copies of text are measured, not rejected, since a line has no distance to others; see 'near copies' in `rivalry evaluate`"
        )
    admit(run, dataset)
    return Guard.of(dataset)


def _nothing(n: int, seed: int) -> Tensor:
    raise DataError("no samples are drawn to measure how near rows lie")


def guarded(
    sampler: Sampler, guard: Guard, n: int, seed: int, label: int | None, truncation: float
) -> tuple[Tensor, Tensor | None]:
    """(the first n encoded samples that the guard lets through; their labels).

    RecipeError once MOST times as many (and ten rounds) were drawn and fewer than n kept.
    """
    xs, labels, kept, drawn = list[Tensor](), list[Tensor](), 0, 0
    size = max(1, min(ROUND, n))
    while kept < n:
        if drawn >= max(MOST * n, 10 * ROUND):
            raise RecipeError(
                f"only {kept:,} of {drawn:,} samples may be handed out, and {n:,} were asked for; {guard.told()}; the model "
                "may know its rows by heart (rivalry audit), so train it for fewer steps or on more data"
            )
        x, label_of = sampler.draw(size, key(seed, "guarded", drawn), label, truncation)
        if not drawn:
            check_room(n, x.nbytes // size, torch.device("cpu"))  # where they are kept
        drawn += len(x)
        ok = guard.keep(x)
        xs.append(x.cpu()[ok])
        if label_of is not None:
            labels.append(label_of.cpu()[ok])
        kept += len(xs[-1])
    return torch.cat(xs)[:n], torch.cat(labels)[:n] if labels else None
