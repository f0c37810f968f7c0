"""Follows a training by its pulses and says when it is ill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from rivalry.health.rules import BACK, RULES, Kind, Limits, Past
from rivalry.health.vitals import Vitals, vitals


@dataclass(frozen=True)
class Diagnosis:
    """kind: what it is.  since_step: the first pulse that showed it.  good_step: the last pulse before that showed
    nothing, -1 if none did.  sentence: what was seen, the likely cause, the remedy.  evidence: the numbers behind it.
    news: it is said for the first time; a lasting illness is found again at every pulse.  fatal: going on is of no use if
    it cannot be mended.
    """

    kind: Kind
    since_step: int
    good_step: int = -1
    sentence: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict)
    news: bool = True
    fatal: bool = False


class Monitor:
    """Follows a training by its pulses; what it remembers is plain (`state`, `restore`)."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._past = Past()
        self._streaks: dict[str, list[int]] = {}  # rule -> [since, pulses, last good step, told]

    def pulse(
        self, step: int, fakes: Tensor, reals: Tensor, notes: Mapping[str, float], *, finite: bool = True
    ) -> Diagnosis:
        """Looks at fakes and reals [n, *shape], encoded, by preference the same noise and the same rows each time,
        of the live generator, not of its average; notes: means since the last pulse; finite: whether all
        parameters are.  Fewer than 8 rows say nothing."""
        if not finite:
            return self.diverged(step, "the weights")
        bad = next((k for k, v in notes.items() if not math.isfinite(v)), None)
        if bad is not None:
            return self.diverged(step, bad)
        if not bool(torch.isfinite(fakes).all()):
            return self.diverged(step, "the samples")
        n = min(len(fakes), len(reals))
        return self.observe(vitals(step, fakes[:n], reals[:n], notes)) if n >= 8 else Diagnosis("healthy", step)

    def observe(self, v: Vitals) -> Diagnosis:
        """Judges a reading by what was before it."""
        previous = self._past.recent[-1].step if self._past.recent else -1
        found = Diagnosis("healthy", v.step, previous)
        for name in reversed(list(RULES)):
            if not RULES[name].test(v, self._past, self.limits):
                self._streaks.pop(name, None)
                continue
            streak = self._streaks.setdefault(name, [v.step, 0, previous, 0])
            streak[1] += 1
            lasts = streak[1] >= self.limits.pulses and v.step - streak[0] >= self.limits.steps
            if lasts or RULES[name].at_once:
                found = self._diagnosis(name, streak, v)
                streak[3] = 1
        self._past.add(v, self.limits)
        return found

    def _diagnosis(self, name: str, streak: list[int], v: Vitals) -> Diagnosis:
        rule = RULES[name]
        seen = rule.seen.format(v=v, past=self._past, at=self.limits)
        evidence = {k: float(x) for k, x in asdict(v).items() if isinstance(x, int | float)}
        evidence |= {"best_spread": self._past.spread, "best_near": self._past.near, "best_coverage": self._past.coverage}
        if self._past.distance is not None:
            evidence["best_distance"] = self._past.distance
        sentence = f"{rule.kind} since step {streak[0]}: {seen}; likely {rule.cause}; the remedy: {rule.remedy}"
        return Diagnosis(rule.kind, streak[0], streak[2], sentence, evidence, not streak[3], rule.fatal)

    def diverged(self, step: int, what: str) -> Diagnosis:
        """Of numbers that are NaN or infinite: at once."""
        sentence = (
            f"divergence at step {step}: NaN or infinite numbers in {what}; likely a step was too large or a number "
            f"left the range of its format; the remedy: {BACK}"
        )
        previous = self._past.recent[-1].step if self._past.recent else -1
        return Diagnosis("divergence", step, previous, sentence, fatal=True)

    @property
    def suspicious(self) -> bool:
        """Whether something was seen that the next pulses may confirm: no time to overwrite a good checkpoint."""
        return bool(self._streaks)

    def forgive(self, step: int) -> None:
        """Training has gone back to `step`: what was seen later is dropped, what was reached stays."""
        self._past.forget(step)
        self._streaks = {}

    def state(self) -> dict[str, Any]:
        """Plain values for JSON; `restore` is the inverse."""
        return {"past": asdict(self._past), "streaks": {k: list(v) for k, v in self._streaks.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on as the monitor that wrote `state` would have; {} starts afresh."""
        past = dict(state.get("past", {}))
        recent = [Vitals(**{**v, "centre": tuple(v["centre"])}) for v in past.pop("recent", [])]
        self._past = Past(**past, recent=recent)
        self._streaks = {k: list(v) for k, v in state.get("streaks", {}).items()}
