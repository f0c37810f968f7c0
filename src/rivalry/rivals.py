"""What stands beside a run's scores, by the same ruler: baselines of tables; of runs that change pictures doing nothing, the run's
last checkpoint, and its twin that was trained by pixels alone."""

from __future__ import annotations

import torch

from rivalry.baselines import fit, usual
from rivalry.data import layouts
from rivalry.evaluate import Judge, Scores
from rivalry.games.change import Untouched
from rivalry.run import PIXELS, Run
from rivalry.sampling import Sampler, sampler_of

BESIDE = ("shape", "trend", "missingness", "c2st")
"""What a baseline of tables is measured by."""


def rivals(run: Run, judge: Judge, scores: Scores, which: str, device: torch.device) -> dict[str, Scores]:
    """By name: what they score where checkpoint `which` of the run scores `scores`.  Baselines are fitted without privacy, and kept
    nowhere."""
    if run.recipe.game.changes and run.spec.kind == "image":
        return _of_changes(run, judge, which, device)
    fitted = {name: fit(one, judge.dataset) for name, one in usual(judge.dataset.spec).items()}
    metrics = tuple(m for m in BESIDE if m in scores)
    return {name: judge.final(one.sample, 0, metrics=metrics) for name, one in fitted.items()}


def _of_changes(run: Run, judge: Judge, which: str, device: torch.device) -> dict[str, Scores]:
    game, data = run.recipe.game, judge.dataset
    if data.layout not in layouts.KINDS:  # between classes everything is a source and a target
        return {}
    wiring = game.wiring(data.spec)
    larger = wiring.source[1:] != data.spec.shape[1:]
    nothing = Sampler(Untouched(game, data.spec.shape), wiring, {}, device, rows=data.held)
    found = {"bicubic" if larger else "untouched": judge.final(nothing, 0)}
    for name, other in (("last", "last"), ("pixels alone", PIXELS)):
        if run.checkpoint(other).exists() and run.step(other) != run.step(which):
            found[name] = judge.final(sampler_of(game, wiring, run.networks(other, device), device, data), 0)
    return found
