"""One audit from samples to verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from rivalry import stats
from rivalry.audit import canaries, memory, shadows
from rivalry.audit.attacking import (
    Scores,
    by_classifier,
    by_discriminator,
    by_distance,
    by_gower,
    controls,
    judged,
    search,
)
from rivalry.audit.discriminator import Asked
from rivalry.audit.lines import Lines, Spans, by_likelihood, by_spans, spans
from rivalry.audit.material import Material, Tick
from rivalry.audit.retraining import Retraining
from rivalry.audit.risks import risks
from rivalry.audit.sides import Sides
from rivalry.audit.tables import TableSpace
from rivalry.audit.verdict import Audit, Promise, corrected, corrected_controls
from rivalry.data.base import Dataset
from rivalry.errors import DataError, RecipeError
from rivalry.stats import Risk

MEMBERS = {"image": 2_000, "tokens": 5_000}
"""Members that are attacked at most; OTHER of kinds that are not named."""
OTHER = 10_000
SAMPLES = {"image": 5_000, "tokens": 10_000}
"""Samples by default; ten for each member, at most MOST, of kinds that are not named."""
MOST = 50_000
FEWEST = 20


@dataclass(frozen=True)
class Setting:
    """What an audit is told.

    n: samples, None for the default.  weights: a network to compare pictures by, trained on other pictures.  asked:
    the run's own networks; skipped: attacks that cannot be made, and why.  promise: of training under
    differential privacy.  private: the folder for pairs that show training data, None to show none.  retraining: the recipe,
    for shadow models and canaries, None for neither.  planned: told how many trainings are to come, where there are any, before the first
    and after everything that is refused.
    """

    n: int | None = None
    seed: int = 1
    weights: Path | None = None
    device: torch.device = field(default=torch.device("cpu"))
    asked: Asked = field(default_factory=Asked)
    skipped: tuple[str, ...] = ()
    promise: Promise | None = None
    private: Path | None = None
    retraining: Retraining | None = None
    planned: Callable[[int], None] = lambda trainings: None


def _quiet(what: str, share: float) -> None:
    """No progress is shown."""


def audit(
    dataset: Dataset, draw: Callable[[int, int], Tensor], name: str, setting: Setting, tick: Tick = _quiet
) -> tuple[Audit, list[Scores]]:
    """Attacks the samples of `draw` ((n, seed) -> encoded [n, *spec.shape]) and returns (what was found, the scores).

    Nothing is trained but a classifier, and what `setting.retraining` asks for.  Work: (members + non-members) x samples distances, times 20 for
    pictures.  DataError for kinds of data that have no attacks here, and for too few rows; RecipeError for too few
    samples; Diverged for samples that are NaN.
    """
    if dataset.spec.kind not in ("image", "table", "records", "points", "tokens"):
        raise DataError(f"an audit knows pictures, tables, patient records, points and text, not data of kind {dataset.spec.kind!r}")
    sides = Sides.choose(dataset, MEMBERS.get(dataset.spec.kind, OTHER), setting.seed)
    n = setting.n if setting.n is not None else SAMPLES.get(dataset.spec.kind, min(MOST, 10 * len(sides.members)))
    plan = setting.retraining
    if plan is not None and plan.shadows:
        shadows.check(plan.shadows)
    if plan is not None and plan.canaries:
        canaries.check(plan.canaries)
    if n < FEWEST:
        raise RecipeError(f"{n} samples are too few to attack; ask for at least {FEWEST}, better thousands")
    material = Material(dataset, draw, setting.seed)
    spaces = material.spaces(sides, setting.weights, setting.device)
    seen = material.seen(spaces, n, tick)
    if plan is not None:
        shadowing = shadows.left(plan, material, sides, spaces[0], len(seen.points[0]), setting.private) if plan.shadows else 0
        trainings = shadowing + bool(plan.canaries)
        if trainings:
            setting.planned(trainings)
    found = [search(material, sides, *pair, tick) for pair in zip(spaces, seen.points, strict=True)]

    scores = [s for one in found for s in by_distance(one, sides.apart)]
    if isinstance(spaces[0], TableSpace) and seen.raw is not None:
        scores.append(by_gower(material, sides, spaces[0], seen.raw, found[0]))
    tick("classifiers", 0.0)
    scores.append(by_classifier(material, sides, spaces[-1], seen.points[-1], seen.raw if material.cells else None))
    scores += by_discriminator(material, sides, setting.asked.judges)
    found_spans = None
    if material.lines is not None and seen.raw is not None:
        lines = Lines.of(material.lines, dataset, sides, seen.raw)
        scores += [by_spans(lines), *by_likelihood(lines, dataset, sides, setting.asked.likelihood)]
        found_spans = spans(material.lines, dataset, sides, seen.raw, setting.private)
    if plan is not None and plan.shadows:
        target = seen.points[0], setting.asked
        scores += shadows.shadow_scores(plan, material, sides, spaces[0], target, setting.device, tick, setting.private)
    tick("classifiers", 0.5)
    blind = controls(material, sides, spaces, found)
    tick("classifiers", 1.0)

    kept = memory.remembered(material, sides, spaces[0], seen.points[0], seen.hashes, tick)
    if setting.private is not None:
        memory.show(material, memory.closest(found[0], sides), setting.private)
    found_risks: tuple[Risk, ...] = ()
    if isinstance(spaces[0], TableSpace) and seen.raw is not None:
        found_risks = risks(material, sides, spaces[0], seen.raw, tick)
    assembled = _assembled(dataset, name, setting, sides, n, (scores, blind), kept, (found_risks, found_spans))
    if plan is not None and plan.canaries:
        delta = canaries.DELTA if setting.promise is None else setting.promise.delta
        bound = canaries.planted_bound(plan, material, spaces[0], delta, setting.device, tick)
        assembled = replace(assembled, canaries=bound)
    return assembled, scores


def _assembled(
    dataset: Dataset, name: str, setting: Setting, sides: Sides, n: int,
    scores: tuple[Sequence[Scores], Sequence[Scores]], kept: memory.Memory, besides: tuple[tuple[Risk, ...], Spans | None],
) -> Audit:  # fmt: skip
    """The bounds on epsilon hold together: each errs with chance .05 / attacks."""
    delta = setting.promise.delta if setting.promise is not None else len(dataset.train) ** -1.1
    attacks = tuple(judged(s, delta, 1 - 0.05 / len(scores[0]), setting.seed) for s in scores[0])
    blind = tuple(judged(s, delta, 0.95, setting.seed) for s in scores[1])
    backwards = [stats.chance(s.others.cpu(), s.members.cpu(), ()).ranking for s in scores[1]]
    tests, memory_test, risk_tests = corrected(attacks, kept, besides[0])
    return Audit(
        name=name,
        data=dataset.name,
        kind="dialogue" if dataset.spec.context else dataset.spec.kind,
        samples=n,
        seed=setting.seed,
        rows=len(sides.members),
        known=len(sides.known),
        delta=delta,
        attacks=attacks,
        tests=tests,
        controls=blind,
        control_tests=corrected_controls(blind, backwards),
        memory=kept,
        memory_test=memory_test,
        promise=setting.promise,
        skipped=setting.skipped,
        risks=besides[0],
        risk_tests=risk_tests,
        spans=besides[1],
        shared=sides.shared,
    )
