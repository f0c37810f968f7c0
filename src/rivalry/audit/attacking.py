"""The attacks on one set of samples: a score for every candidate, and what the scores are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

from rivalry import stats
from rivalry.audit.material import PART, Material, Space, Tick
from rivalry.audit.sides import Sides
from rivalry.audit.tables import TableSpace
from rivalry.data.base import Store
from rivalry.stats import Chance, Interval, Near
from rivalry.streams import key

NEIGHBOURS = 10
"""Samples that are found for each candidate; the nearest by Gower's distance is sought among them."""
K = 5
"""Of the density ratio."""
PROBED = 256
"""Candidates of each side that the radius of the ball counts is taken from."""

SAMPLES = "samples"
REFERENCE = "samples, and rows of the same kind that were not trained on"
WHITE_BOX = "the discriminator"
MODEL = "the generator"

Scorer = Callable[[Store, Tensor], Tensor]
"""(store, row numbers [n]) -> [n] scores of the run's discriminator, or log p for each entry by its generator."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Of one attack: its name, what the attacker is assumed to have, scores of members [m] and of others [m]."""

    name: str
    knows: str
    members: Tensor
    others: Tensor


@dataclass(frozen=True)
class Attack:
    """What an attack achieved.  true_positives: by rate of false positives.  epsilon: lower bound on (epsilon, delta).
    chance: p-values of no difference, not corrected."""

    name: str
    knows: str
    rows: int
    auc: Interval
    true_positives: Mapping[float, Interval]
    epsilon: float
    chance: Chance


@dataclass(frozen=True, eq=False)
class Searched:
    """Neighbours of members and of others among the samples, and of the first `apart` of each in the reference."""

    space: str
    samples: tuple[Near, Near]
    known: tuple[Near, Near]


def search(material: Material, sides: Sides, space: Space, samples: Tensor, tick: Tick) -> Searched:
    """samples [n, D] in this space.  The radius of the balls is the median of (some) candidates' least distances."""
    dataset = material.dataset
    known = material.plain(space, dataset.held, sides.known)
    stores = ((dataset.train, sides.members), (dataset.held, sides.others))
    probed = [material.real(store, index[:PROBED]) for store, index in stores]
    radius = stats.median_radius(space.forms(torch.cat(probed)), samples)
    near_samples, near_known = [], []
    done, total = 0, sum(len(index) for _, index in stores)
    for store, index in stores:
        found, base = [], []
        for start, part in zip(range(0, len(index), PART), index.split(PART), strict=True):
            forms = space.forms(material.real(store, part))
            found.append(stats.near(forms, samples, min(NEIGHBOURS, len(samples)), radius=radius))
            if start < sides.apart:
                mine = [form[: sides.apart - start] for form in forms]
                base.append(stats.near(mine, known, min(K, len(known))))
            done += len(part)
            tick(f"comparing in {space.name}", done / total)
        near_samples.append(_joined(found))
        near_known.append(_joined(base))
    return Searched(space.name, (near_samples[0], near_samples[1]), (near_known[0], near_known[1]))


def _joined(parts: Sequence[Near]) -> Near:
    return Near(*(torch.cat(values) for values in zip(*((p.distance, p.index, p.within) for p in parts), strict=True)))


def _head(found: Near, n: int) -> Near:
    return Near(found.distance[:n], found.index[:n], found.within[:n])


def by_distance(found: Searched, apart: int) -> list[Scores]:
    """GAN-Leaks, plain and calibrated, ball counts and the density ratio, in one space."""
    k = min(side.distance.shape[1] for side in (*found.samples, *found.known))
    first = [_head(side, apart) for side in found.samples]
    pairs = list(zip(first, found.known, strict=True))
    return [
        Scores(f"GAN-Leaks, {found.space}", SAMPLES, *(stats.gan_leaks(s) for s in found.samples)),
        Scores(f"ball counts, {found.space}", SAMPLES, *(stats.ball_counts(s) for s in found.samples)),
        Scores(f"GAN-Leaks calibrated, {found.space}", REFERENCE, *(stats.gan_leaks_calibrated(*p) for p in pairs)),
        Scores(f"density ratio, {found.space}", REFERENCE, *(stats.density_ratio(*p, min(K, k)) for p in pairs)),
    ]


def by_gower(material: Material, sides: Sides, space: TableSpace, raw: Tensor, found: Searched) -> Scores:
    """Minus Gower's distance to the nearest sample, among the NEIGHBOURS nearest by Euclid's; raw [n, C]: samples."""
    scores = []
    stores = (material.dataset.train, sides.members), (material.dataset.held, sides.others)
    for (store, index), near in zip(stores, found.samples, strict=True):
        rows = material.real(store, index)
        apart = [space.gower(rows, raw[column]) for column in near.index.unbind(1)]
        scores.append(-torch.stack(apart).amin(0))
    return Scores("GAN-Leaks, Gower's distance", SAMPLES, *scores)


def by_classifier(material: Material, sides: Sides, space: Space, samples: Tensor, raw: Tensor | None) -> Scores:
    """LOGAN in the black box: samples against the reference, as many of each at most; samples [n, D] in the space.
    Trees on a table's own cells where scikit-learn is there, else logistic regression."""
    dataset, apart = material.dataset, sides.apart
    candidates = (dataset.train, sides.members[:apart]), (dataset.held, sides.others[:apart])
    if raw is not None and find_spec("sklearn"):
        known = material.real(dataset.held, sides.known)
        both = torch.cat([material.real(*c) for c in candidates])
        found = stats.told_by_trees(raw[: len(known)], known, both, key(material.seed, "attack"))
        return Scores("LOGAN black box, trees", REFERENCE, found[:apart], found[apart:])
    known = material.plain(space, dataset.held, sides.known)
    both = torch.cat([material.plain(space, *c) for c in candidates])
    found = stats.told_by_logistic(samples[: len(known)], known, both)
    return Scores(f"LOGAN black box, {space.name}", REFERENCE, found[:apart], found[apart:])


def by_discriminator(material: Material, sides: Sides, scorers: Mapping[str, Scorer]) -> list[Scores]:
    """LOGAN in the white box: what each discriminator says of the candidates."""
    train, held = material.dataset.train, material.dataset.held
    return [
        Scores(f"LOGAN white box, {name}", WHITE_BOX, scorer(train, sides.members), scorer(held, sides.others))
        for name, scorer in scorers.items()
    ]


def controls(material: Material, sides: Sides, spaces: Sequence[Space], found: Sequence[Searched]) -> list[Scores]:
    """Attacks that see no sample: rows that they tell apart are no random split, and nothing can be said.

    The distance to the nearest reference row in each space, and a classifier of training against held-out rows.
    """
    dataset, apart = material.dataset, sides.apart
    scores = [
        Scores(f"distance to the reference, {one.space}", "no sample", *(n.distance[:, 0].contiguous() for n in one.known))
        for one in found
    ]
    trained, known = (dataset.train, sides.trained), (dataset.held, sides.known)
    candidates = (dataset.train, sides.members[:apart]), (dataset.held, sides.others[:apart])
    if material.cells and find_spec("sklearn"):
        rows = [material.real(*side) for side in (trained, known, *candidates)]
        told = stats.told_by_trees(rows[0], rows[1], torch.cat(rows[2:]), key(material.seed, "control"))
    else:
        rows = [material.plain(spaces[-1], *side) for side in (trained, known, *candidates)]
        told = stats.told_by_logistic(rows[0], rows[1], torch.cat(rows[2:]))
    return [*scores, Scores("training against held-out rows", "no sample", told[:apart], told[apart:])]


def judged(scores: Scores, delta: float, confidence: float, seed: int) -> Attack:
    """confidence: of the bound on epsilon; the other intervals are at 95 %."""
    members, others = scores.members.double().cpu(), scores.others.double().cpu()
    rates = stats.supported_rates(len(others))
    return Attack(
        name=scores.name,
        knows=scores.knows,
        rows=len(members),
        auc=stats.auc_interval(members, others),
        true_positives={rate: stats.true_positives(members, others, rate) for rate in rates},
        epsilon=stats.epsilon_lower_bound(members, others, delta=delta, confidence=confidence, seed=seed),
        chance=stats.chance(members, others),
    )
