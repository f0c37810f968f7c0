"""How long a training is, and how often what sits beside its steps happens."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rivalry.data import Dataset
from rivalry.evaluate import Budget
from rivalry.recipe import Recipe
from rivalry.training.showing import averaged, settle_averages, write_preview
from rivalry.training.state import State

PREVIEWS, SHARE = 20, 0.05
"""Pictures that a training draws of itself at most, and the share of its steps' time that they may take."""
COLD, SLOW = 0.5, 5.0
"""Seconds: a first preview may owe so many, and at most so many, to the loading of what draws."""


@dataclass(frozen=True)
class Plan:
    """How long and how often, in steps: fixed before training starts, so that nothing later depends on the clock.

    log: a line of metrics; pulse: a look at the health; preview: a picture; look: scores; save: a checkpoint.
    """

    steps: int
    log: int
    pulse: int
    preview: int
    look: int
    save: int
    seconds_per_step: float = 0.0
    seconds_per_look: float = 0.0
    seconds_per_preview: float = 0.0

    @classmethod
    def make(cls, budget: Budget, recipe: Recipe, per_step: float, per_look: float, per_preview: float = 0.0) -> Plan:
        """Turns a budget into steps, the fewest where it names several limits: looks may take a tenth of a time budget, and there are
        twenty at most.  Of a short budget three looks take up to a third, or the one at the end what it takes, but never more than half.
        Previews, twenty at most, take up to a twentieth of the time that the steps take; one is drawn at the end whatever it costs."""
        looks, limits = 10, [] if budget.steps is None else [budget.steps]
        if budget.samples is not None:
            limits.append(-(-budget.samples // recipe.batch))
        if budget.seconds is not None:
            affordable = budget.seconds / max(per_look, 1e-6)
            looks = int(max(1, min(3, affordable / 3), min(20, affordable / 10)))
            limits.append(max(1, int((budget.seconds - min(looks * per_look, budget.seconds / 2)) / per_step)))
        steps = min(limits, default=recipe.steps)
        part = max(1, steps // looks)
        shown = int(min(PREVIEWS, SHARE * steps * per_step / max(per_preview, 1e-9)))
        return cls(
            steps=steps,
            log=max(1, min(100, steps // 50)),
            pulse=max(1, min(100, steps // 10)),
            preview=max(1, -(-steps // max(shown, 1))),
            look=part,
            save=max(1, min(part, int(60 / max(per_step, 1e-6)))),
            seconds_per_step=round(per_step, 6),
            seconds_per_look=round(per_look, 3),
            seconds_per_preview=round(per_preview, 3),
        )

    @property
    def estimate(self) -> float:
        """Seconds the training should take."""
        beside = self.steps // self.look * self.seconds_per_look + -(-self.steps // self.preview) * self.seconds_per_preview
        return self.steps * self.seconds_per_step + beside


def seconds_a_preview(state: State, data: Dataset, folder: Path) -> float:
    """Seconds that one preview takes with the settling before it, measured on one that is thrown away.  folder: a private place for it,
    since it may show a user's own pictures.  The first one of a process also pays for loading what draws, so the second counts where that may
    be much of it."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as place:
        for _ in range(2):
            begun = time.perf_counter()
            settle_averages(state, data)
            write_preview(Path(place) / "preview.png", averaged(state, data), data, state.seed)
            taken = time.perf_counter() - begun
            if not COLD <= taken < SLOW:
                break
    if new:
        folder.rmdir()
    return taken
