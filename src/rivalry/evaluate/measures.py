"""Measures: features of samples against a reference -> readings.  `scores` puts rulers and floors to them."""

from __future__ import annotations

import math
from importlib.util import find_spec

import torch
from torch import Tensor

from rivalry import stats
from rivalry.data.truths import Truth
from rivalry.evaluate.features import Features
from rivalry.evaluate.found import Found, Measure, Reading
from rivalry.evaluate.records import measures as record_measures
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import CONFIDENCE
from rivalry.evaluate.tabular import COLUMNS, FAITH, TREES
from rivalry.evaluate.text import measures as of_text

GROUPS = 20
WIDE = 512
"""Above so many features the jackknife has fewer shares, since each costs an eigenvalue problem."""


def frechet(fake: Features, reference: Reference) -> Found:
    """FD with its jackknife interval; details: the value extrapolated to infinitely many samples."""
    n, dim = fake.values.shape
    groups = min(GROUPS if dim <= WIDE else 8, n // 2)
    found = stats.frechet_interval(stats.grouped_moments(fake.values, groups), reference.gaussian, CONFIDENCE)
    reading = Reading(found.value, found.low, found.high)
    return Found({"fd": reading}, {"fd at infinite samples": found.corrected} if n > 2 * dim else {})


def kernel(fake: Features, reference: Reference) -> Found:
    found = stats.kernel_distance(fake.values, reference.held.values)
    half = _z() * found.error
    return Found({"kid": Reading(found.value, found.value - half, found.value + half)})


def neighbourhood(fake: Features, reference: Reference) -> Found:
    """Precision, recall, density, coverage.  Wilson's intervals take rows for independent, which is cautious for
    coverage; density's comes from shares of the samples."""
    k, held = reference.k(len(fake)), reference.held.values
    radii = reference.radii if k == reference.k(len(held)) else stats.neighbour_radii(held, k)
    found = stats.prdc(held, fake.values, k, real_radii=radii)
    return Found({
        "precision": share(found.precision, len(fake)),
        "recall": share(found.recall, len(held)),
        "density": _density(fake.values, held, found, radii),
        "coverage": share(found.coverage, len(held)),
    })  # fmt: skip


def _density(fake: Tensor, held: Tensor, found: stats.PRDC, radii: Tensor) -> Reading:
    """Density is a mean over samples, so shares of the samples scatter about it as it does about its mean.

    Where next to no sample lies among the real they scatter too little; since each that does adds at least 1 / k, the
    upper end is no less than precision's by k.
    """
    value, k = found.density, found.k
    groups = min(10, len(fake) // (k + 1))
    least = share(found.precision, len(fake)).high / k
    if groups < 2:
        return Reading(value, 0.0, max(2 * value, least))
    values = [stats.prdc(held, fake[g::groups], k, real_radii=radii).density for g in range(groups)]
    error = float(torch.tensor(values, dtype=torch.float64).std()) / math.sqrt(groups)
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1) * error
    return Reading(value, max(0.0, value - half), max(value + half, least))


def memory(fake: Features, reference: Reference) -> Found:
    """Copies and nearness to training data.

    A copy is at least twice as near to a training row as to any held-out one.  Data that nobody copied do so too at a
    rate c0 (half of them, where the dimensions are few), which the held-out rows themselves tell; a model that
    copies a share q scores c = q + (1 - q) c0, so `copies` is q = (c - c0) / (1 - c0), of the training rows searched.
    """
    found = stats.memorisation(fake.values, reference.train.values, reference.held.values, confidence=CONFIDENCE)
    copies = _excess(share(found.copies, len(fake)), share(found.copies_fresh, len(reference.held)))
    nearer = Reading(found.share.value, found.share.low, found.share.high, found.expected)
    details = {
        "flagged": found.flagged,
        "copies of fresh data": found.copies_fresh,
        "p": found.p_value,
        "ratio": found.ratio,
        "ratio of fresh data": found.ratio_fresh,
        "training rows": len(reference.train),
    }
    return Found({"copies": copies, "memorisation": nearer}, {"memorisation": details})


def _excess(seen: Reading, usual: Reading) -> Reading:
    """(seen - usual) / (1 - usual) of two independent shares, cut at 0; the interval is Newcombe's (1998, method 10)."""
    gap = seen.value - usual.value
    low = gap - math.hypot(seen.value - seen.low, usual.high - usual.value)
    high = gap + math.hypot(seen.high - seen.value, usual.value - usual.low)
    rest = max(1 - usual.value, 1e-12)
    value, low, high = (min(max(0.0, d / rest), 1.0) for d in (gap, low, high))
    return Reading(value, low, high, 0.0)


def labelled(fake: Features, reference: Reference) -> Found:
    """Classes as the extractor sees them among samples and among real rows."""
    truth = reference.shares
    assert fake.classes is not None
    assert truth is not None
    counts = stats.mode_counts(fake.classes, len(truth)).cpu()
    missing = float((counts == 0).sum())
    expected = round(float((1 - truth).pow(len(fake)).sum()), 6)  # less is none
    details = {
        "names": list(reference.spec.class_names),
        "samples": (counts / counts.sum()).tolist(),
        "real": truth.tolist(),
    }
    readings = {"missing": _exactly(missing, expected), "kl": divergence(counts, truth)}
    return Found(readings, {"classes": details})


def mixture(fake: Features, reference: Reference) -> Found:
    """Modes of a known density, by PacGAN's protocol, in the data's own units."""
    truth = known(reference)
    assert truth.modes is not None
    found = stats.mixture_modes(_own_units(fake, reference), truth.modes, truth.sigma)
    readings = {
        "modes": _exactly(found.found, found.total),
        "hq": share(found.high_quality, len(fake), found.high_quality_expected),
        "kl": divergence(found.counts, torch.full((found.total,), 1 / found.total, dtype=torch.float64)),
    }
    ratios = found.variance_ratio
    details = {"counts": found.counts.tolist(), "variance": [None if math.isnan(r) else r for r in ratios.tolist()]}
    worst = _furthest(ratios, found.counts, truth.modes.shape[1])
    return Found(readings | {"variance": worst}, {"modes": details})


def _exactly(value: float, floor: float) -> Reading:
    """A count: of these samples it is what it is."""
    return Reading(float(value), float(value), float(value), float(floor))


def _furthest(ratios: Tensor, counts: Tensor, dim: int) -> Reading:
    """The variance ratio furthest from 1; 0 where no mode has two samples.  A sample variance of m normal draws in
    D dimensions has a relative error of sqrt(2 / (D (m - 1)))."""
    usable = ~ratios.isnan()
    if not bool(usable.any()):
        return Reading(0.0, 0.0, 0.0, 1.0)
    logs = torch.where(usable, ratios.clamp_min(1e-12).log().abs(), -1.0)
    at = int(logs.argmax())
    value = float(ratios[at])
    half = _z() * value * math.sqrt(2 / (dim * max(1, int(counts[at]) - 1)))
    return Reading(value, max(0.0, value - half), value + half, 1.0)


def curve(fake: Features, reference: Reference) -> Found:
    """Share within 3 sigma of a known curve."""
    _, distance = known(reference).assign(_own_units(fake, reference))
    return Found({"hq": share(float((distance <= 3).double().mean()), len(fake))})


def sliced(fake: Features, reference: Reference) -> Found:
    """Sliced Wasserstein distance with a delete-a-group jackknife, for which fewer directions do."""
    assert fake.points is not None
    assert reference.held.points is not None
    points, held = fake.points, reference.held.points
    value = stats.sliced_wasserstein(points, held)
    groups = min(10, len(points) // 2)
    group = torch.arange(len(points), device=points.device) % groups
    parts = [points[group != g] for g in range(groups)]
    without = torch.tensor([stats.sliced_wasserstein(part, held, projections=32) for part in parts])
    error = math.sqrt((groups - 1) / groups * float((without - without.mean()).square().sum()))
    half = stats.student_quantile(0.5 + CONFIDENCE / 2, groups - 1) * error
    return Found({"swd": Reading(value, max(0.0, value - half), value + half)})


def share(value: float, trials: int, floor: float | None = None) -> Reading:
    """A share of so many rows, with Wilson's interval."""
    found = stats.wilson(value * trials, trials, CONFIDENCE)
    return Reading(found.value, found.low, found.high, floor)


def divergence(counts: Tensor, truth: Tensor) -> Reading:
    """KL(counts || truth) in nats.  Its variance is that of the delta method, (E_q log^2 - KL^2) / n, plus what
    remains where the shares are equal and 2 n KL is chi-square with K - 1 degrees: (K - 1) / (2 n^2)."""
    counts, n = counts.cpu().double(), int(counts.sum())
    value = stats.kl_from_counts(counts, truth)
    q = counts / n
    squares = float((q * (q.clamp_min(1e-300) / truth.clamp_min(1e-300)).log().square()).sum())
    half = _z() * math.sqrt(max(0.0, squares - value**2) / n + (len(q) - 1) / (2 * n**2))
    return Reading(value, max(0.0, value - half), value + half, stats.kl_floor(truth, n))


def known(reference: Reference) -> Truth:
    assert reference.truth is not None
    return reference.truth


def _own_units(fake: Features, reference: Reference) -> Tensor:
    assert fake.points is not None
    assert reference.decode is not None
    return reference.decode(fake.points)


def _z() -> float:
    return stats.normal_quantile(0.5 + CONFIDENCE / 2)


SPACE = (
    Measure(("fd",), frechet),
    Measure(("kid",), kernel),
    Measure(("precision", "recall", "density", "coverage"), neighbourhood),
    Measure(("copies", "memorisation"), memory, fresh=True),
)
CLASSES = Measure(("missing", "kl"), labelled, fresh=True)
MODES = Measure(("modes", "hq", "variance", "kl"), mixture, fresh=True)
CURVE = Measure(("hq",), curve)
SLICED = Measure(("swd",), sliced)


def measures_for(reference: Reference) -> tuple[Measure, ...]:
    """What can be measured against this reference, in the order in which people read it."""
    if reference.spec.kind == "table":
        return (COLUMNS, *((TREES,) if find_spec("sklearn") else ()), FAITH, *SPACE)
    if reference.spec.kind == "records":
        return (*record_measures(reference.spec), *SPACE)
    if reference.spec.kind == "tokens":
        return (*of_text(reference), SPACE[0])
    found: tuple[Measure, ...] = ()
    if reference.truth is not None:
        found += (MODES,) if reference.truth.modes is not None else (CURVE,)
    if reference.held.points is not None:
        found += (SLICED,)
    found += SPACE
    if reference.shares is not None:
        found += (CLASSES,)
    return found
