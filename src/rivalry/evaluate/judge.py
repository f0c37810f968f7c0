"""Is it good enough yet?  A cheap look at every tick; the full ruler, on fresh seeds and twice, before it is said."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from rivalry.data.base import Dataset
from rivalry.errors import RecipeError
from rivalry.evaluate.features import Draw, FeatureSpace
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import Score, metric
from rivalry.evaluate.scores import Scores, available, evaluate
from rivalry.evaluate.target import Condition, Target
from rivalry.streams import key

COSTLY = frozenset({"copies", "memorisation", "c2st", "span", "verbatim", "adversuc"})
"""Searched among all training rows, or trained for the purpose: for the verdict only."""

HEADLINES = {"points": "swd", "table": "trend", "records": "trend"}


@dataclass(frozen=True)
class Looks:
    """gate: samples of the cheap look.  verdict: samples of the full ruler.  confirm: how many times the full ruler
    must agree, each on fresh samples."""

    gate: int = 2000
    verdict: int = 10_000
    confirm: int = 2

    @classmethod
    def usual(cls, kind: str) -> Looks:
        """For a kind of data: of points as many as published tables use (Lin et al. 2018)."""
        return cls(gate=1000, verdict=2500) if kind == "points" else cls()

    def __post_init__(self) -> None:
        if not 4 <= self.gate <= self.verdict or self.confirm < 1:
            raise RecipeError(
                f"looks need at least 4 samples, at the gate no more than for the verdict, and at least one confirmation; not {self.gate} at the gate, "
                f"{self.verdict} for the verdict and {self.confirm} confirmations"
            )


@dataclass(frozen=True)
class Verdict:
    """met: the target is reached and confirmed.  scores: of the last look that was taken (the gate's if it did not
    pass).  note: what was seen, in words."""

    met: bool
    scores: Scores
    note: str


class Judge:
    """Measures a model at a step: all it says is a function of (seed, step, model).

    The reference is chosen by no seed of the run, so that runs on the same data share their rulers.
    """

    def __init__(
        self,
        dataset: Dataset,
        extractor: FeatureSpace,
        target: Target | None = None,
        seed: int = 0,
        device: torch.device | None = None,
        looks: Looks | None = None,
        headline: str = "",
    ) -> None:
        """headline: in place of the usual one of the kind of data.  RecipeError if the target names what cannot be measured on these data."""
        self.dataset, self.extractor, self.target = dataset, extractor, target
        self.seed, self.device, self.looks = seed, device or torch.device("cpu"), looks or Looks.usual(dataset.spec.kind)
        self._headline = headline
        if target is not None:
            target.check(self.known(), f"{dataset.name}")

    def known(self) -> tuple[str, ...]:
        """The metrics it can measure."""
        return available(self.cheap)

    @cached_property
    def cheap(self) -> Reference:
        """What the gate measures against."""
        return Reference.build(self.dataset, self.extractor, self.looks.gate, 0, self.device, pool=0)

    @cached_property
    def full(self) -> Reference:
        """What the verdict measures against; built when a gate passes for the first time."""
        return Reference.build(self.dataset, self.extractor, self.looks.verdict, 0, self.device)

    @property
    def headline(self) -> str:
        """The metric by which the best checkpoint is kept: FD; of points the sliced Wasserstein distance; of tables the
        trend, since the margins are set right anyway."""
        return self._headline or HEADLINES.get(self.dataset.spec.kind, "fd")

    @property
    def gate_metrics(self) -> tuple[str, ...]:
        """What the gate measures: enough for curves, and what the target names unless it is costly."""
        known = available(self.cheap)
        usual = {"fd", "kid", "precision", "recall", "density", "coverage", "missing", "kl"}
        if self.headline == "swd":
            usual = {"swd", "modes", "hq", "variance", "kl", "precision", "coverage"}
        if self.headline == "trend":
            usual = {"trend", "shape", "missingness", "coverage", "crossed", "visits", "gaps", "lag", "change", "km", "censoring"}
        if self.dataset.spec.kind == "tokens":
            usual = {"fd", "frontier", "nll", "lm", "reverse", "bleu4", "selfbleu4", "repetition", "length"}
        wanted = usual | set(self.target.metrics if self.target else ())
        return tuple(m for m in known if m in wanted - COSTLY)

    def gate(self, draw_samples: Draw, step: int) -> Scores:
        """A cheap look, for curves and for keeping the best checkpoint."""
        seed = key(self.seed, "gate", step)
        return evaluate(draw_samples, self.cheap, self.looks.gate, seed, self.device, self.gate_metrics)

    def passes(self, scores: Scores) -> bool:
        """Whether a gate's scores leave it possible that the target is met: each at the kind end of its interval
        and without the bias of few samples, for which the floor stands."""
        if self.target is None:
            return False
        return all(may_hold(c, scores[c.metric]) for c in self.target.conditions if c.metric not in COSTLY)

    def verdict(self, draw_samples: Draw, step: int, gate: Scores | None = None) -> Verdict:
        """Only if the gate passes: the full ruler on fresh seeds, `looks.confirm` times, all of which must agree.

        gate: this step's scores by `gate`, if they are there already.
        """
        looked = gate if gate is not None else self.gate(draw_samples, step)
        if self.target is None:
            return Verdict(False, looked, "no target was set")
        if not self.passes(looked):
            return Verdict(False, looked, "not yet: " + "; ".join(self._short(looked)))
        scores = looked
        for turn in range(self.looks.confirm):
            scores = self.final(draw_samples, step, turn, self.target.metrics)
            missed = self.target.missed(scores)
            if missed:
                when = "by the full ruler" if turn == 0 else f"on fresh samples ({turn + 1} of {self.looks.confirm})"
                return Verdict(False, scores, f"close, but not met {when}: " + "; ".join(missed))
        held = "; ".join(c.says(scores[c.metric]) for c in self.target.conditions)
        times = "once" if self.looks.confirm == 1 else f"{self.looks.confirm} times, each on fresh samples"
        return Verdict(True, scores, f"the target {self.target} is met, measured {times}: {held}")

    def final(self, draw_samples: Draw, step: int, turn: int = 0, metrics: tuple[str, ...] | None = None) -> Scores:
        """The full ruler on fresh samples: of the verdict, and of the report at the end."""
        seed = key(self.seed, "verdict", step, turn)
        return evaluate(draw_samples, self.full, self.looks.verdict, seed, self.device, metrics)

    def _short(self, scores: Scores) -> list[str]:
        assert self.target is not None
        conditions = [c for c in self.target.conditions if c.metric in scores]
        return [c.says(scores[c.metric]) for c in conditions if not may_hold(c, scores[c.metric])]


def may_hold(condition: Condition, score: Score) -> bool:
    """Whether a cheap score leaves the condition open.

    Fewer samples make FD larger by a bias that the floor has too; a limit in floors needs no correction, since adding
    the same bias to value and floor brings their ratio nearer to 1.  Where higher is better, the floor falls short of
    what the full ruler's can reach by at most 1 - floor (of shares; counts and density are near their full value).
    """
    kind = score.low if metric(score.ruler.metric).better == "lower" else score.high
    floor = max(0.0, score.floor or 0.0)
    if condition.in_floors:
        return condition.holds(kind, score.floor)
    if metric(score.ruler.metric).better == "lower":
        return condition.holds(kind - floor, score.floor)
    return condition.holds(kind + max(0.0, 1 - floor), score.floor)
