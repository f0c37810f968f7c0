"""Shadow models: the likelihood ratio attack of Carlini et al. 2022 (LiRA), for data small enough to train on again.

Each shadow is trained on a random half of training and held-out rows together, two at a time on a half and its rest, so
that every candidate is a member of half of them.  What the target says of a candidate is compared with what models say
that knew it, and that did not.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rivalry import stats
from rivalry.audit.attacking import MODEL, WHITE_BOX, Scores
from rivalry.audit.attacking import SAMPLES as BY_SAMPLES
from rivalry.audit.discriminator import LIKELIHOOD, Asked
from rivalry.audit.material import Material, Space, Tick
from rivalry.audit.retraining import Joined, Retraining, retrain, telling
from rivalry.audit.sides import Sides
from rivalry.catalogue import dump
from rivalry.errors import RecipeError
from rivalry.files import read_tensors, write_tensors
from rivalry.streams import generator, key

CPU = torch.device("cpu")
SAMPLES = 2_000
"""Samples of each model that candidates are compared with."""
LEAST = 4
NEAREST = "nearest sample"
FOLDER = "audit-shadows"
KNOWS = "{}, the recipe, and {} models of its own on rows of the same kind"

Statistics = dict[str, Tensor]
"""By name, [members + others] each, higher = more likely a member."""


@dataclass(frozen=True)
class Shelf:
    """What shadows said, a file for each.  known: a hash of all that it hangs on."""

    folder: Path
    known: str

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:03d}.safetensors"

    def get(self, number: int) -> Statistics | None:
        """None where it is not there, or of another audit."""
        if not self._path(number).is_file():
            return None
        tensors, meta = read_tensors(self._path(number))
        return tensors if meta["known"] == self.known else None

    def put(self, number: int, said: Statistics) -> None:
        write_tensors(self._path(number), {k: v.cpu().contiguous() for k, v in said.items()}, {"known": self.known})


def _known(plan: Retraining, material: Material, sides: Sides, space: Space, samples: int) -> str:
    told = (dump(plan.recipe), plan.steps, plan.precision, material.dataset.fingerprint, material.seed, space.name, samples)
    hashed = hashlib.sha256(repr(told).encode())
    for index in (sides.members, sides.others):
        hashed.update(index.numpy().tobytes())
    return hashed.hexdigest()


def check(count: int) -> None:
    """RecipeError for a number of shadows that cannot be halved, or is too small to tell anything."""
    if count % 2 or count < LEAST:
        raise RecipeError(f"--shadows takes an even number from {LEAST} on, such as 8 (half of them know each row), not {count}")


def _shelf(plan: Retraining, material: Material, sides: Sides, space: Space, samples: int, private: Path | None) -> Shelf | None:
    return None if private is None else Shelf(private / FOLDER, _known(plan, material, sides, space, samples))


def left(plan: Retraining, material: Material, sides: Sides, space: Space, samples: int, private: Path | None) -> int:
    """How many shadows are not kept yet, so that `shadow_scores` trains them.  samples: of the target, in all."""
    shelf = _shelf(plan, material, sides, space, min(SAMPLES, samples), private)
    return plan.shadows if shelf is None else sum(shelf.get(number) is None for number in range(plan.shadows))


def shadow_scores(
    plan: Retraining, material: Material, sides: Sides, space: Space, target: tuple[Tensor, Asked],
    device: torch.device, tick: Tick, private: Path | None = None,
) -> list[Scores]:  # fmt: skip
    """LiRA by the nearest sample, by each discriminator and by the likelihood.  target: its samples [S, D] in the space, its networks.

    private: a folder in which what each shadow said is kept, so that an audit that was broken off, or one with more shadows, trains only those that
    are not there; None to keep nothing."""
    check(plan.shadows)
    dataset, seed = material.dataset, material.seed
    rows = (len(dataset.train), len(dataset.held))
    mine = _statistics(material, sides, space, target[0][:SAMPLES], target[1])
    found: list[Statistics] = []
    count = min(SAMPLES, len(target[0]))
    shelf = _shelf(plan, material, sides, space, count, private)
    member = torch.zeros(plan.shadows, len(sides.members) + len(sides.others), dtype=torch.bool)
    for number in range(plan.shadows):
        order = torch.randperm(sum(rows), generator=generator(CPU, seed, "shadow", number // 2))
        half = torch.zeros(sum(rows), dtype=torch.bool)
        half[order[: sum(rows) // 2]] = True
        known = half if number % 2 == 0 else ~half
        sides_known = known[: rows[0]], known[rows[0] :]
        member[number] = torch.cat([sides_known[0][sides.members], sides_known[1][sides.others]])
        store = Joined([(s, k.nonzero()[:, 0]) for s, k in zip((dataset.train, dataset.held), sides_known, strict=True)])
        tell = telling(tick, "training shadow models", number, plan.shadows)
        kept = None if shelf is None else shelf.get(number)
        if kept is None:
            model = retrain(plan, dataset, store, key(seed, "shadow", number), device, tell)
            samples = material.seen_of(space, model.draw(count, key(seed, "shadow samples", number)))
            kept = _statistics(material, sides, space, samples, model.asked)
            if shelf is not None:
                shelf.put(number, kept)
        found.append(kept)
    tick("training shadow models", 1.0)
    n = len(sides.members)
    out = []
    for name, statistic in mine.items():
        shadows = stats.standardised(torch.stack([f[name] for f in found]))
        score = stats.lira(stats.standardised(statistic), shadows, member)
        source = BY_SAMPLES if name == NEAREST else MODEL if name == LIKELIHOOD else WHITE_BOX
        out.append(Scores(f"LiRA, {name}", KNOWS.format(source, plan.shadows), score[:n], score[n:]))
    return out


def _statistics(
    material: Material, sides: Sides, space: Space, samples: Tensor, asked: Asked
) -> Statistics:
    stores = (material.dataset.train, sides.members), (material.dataset.held, sides.others)
    apart = torch.cat([material.nearest(space, store, index, samples) for store, index in stores])
    found: Statistics = {NEAREST: -apart.clamp_min(1e-12).log()}
    for name, scorer in asked.by_name().items():
        found[name] = torch.cat([scorer(store, index).double() for store, index in stores])
    return found
