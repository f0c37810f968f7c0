"""What training does about trouble: it goes back, lowers its rates and says so; at most three times."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rivalry.data import ReadOptions, load
from rivalry.evaluate import Judge, choose_extractor
from rivalry.health import Diagnosis
from rivalry.run import Run
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.plan import Plan
from rivalry.training.state import build_state
from rivalry.training.watch import MENDS, RELAPSE, Watch
from rivalry.zoo import get

PULSE, NEVER = 2, 10**9
RECIPE = get("house-points-small")


class Course:
    """A tiny training whose monitor finds trouble at the steps that the test names, each once."""

    def __init__(self, path: Path, ill: set[int], fatal: bool = False) -> None:
        engine, data = Engine("cpu"), load("ring8", options=ReadOptions(limit=200))
        self.trainer = Trainer(build_state(RECIPE, data.spec, 0, engine.device), data.train, NEVER, engine)
        self.state, self.ill, self.fatal = self.trainer.state, set(ill), fatal
        self.run = Run.claim(str(path))
        self.run.begin({})
        judge = Judge(data, choose_extractor(data), None, 0, engine.device)
        self.watch = Watch(self.run, Plan(NEVER, PULSE, PULSE, NEVER, NEVER, PULSE), judge, data, engine, tensorboard=False)
        self.watch.monitor.pulse = self.said  # type: ignore[assignment,method-assign]

    def said(self, step: int, *rest: object, finite: bool) -> Diagnosis:
        if step not in self.ill:
            return Diagnosis("healthy", step)
        self.ill.discard(step)
        return Diagnosis("divergence", step, step - PULSE, "trouble", fatal=self.fatal)

    def to(self, step: int) -> str:
        """Trains until `step` or until training stops, and says why."""
        with self.watch:
            self.watch.bind(self.trainer)
            while self.state.step < step:
                self.trainer.step()
                if why := self.watch.after_step(self.state):
                    return why
        return ""

    def answers(self) -> list[tuple[int, float, float]]:
        """(step gone back to, factor of the rates, of the penalties), each time."""
        return [(e["step"], e["lr"], e["penalty"]) for e in self.run.events() if e["kind"] == "mend"]


def test_it_goes_back_to_the_last_good_checkpoint(tmp_path: Path) -> None:
    course = Course(tmp_path / "run", {8})
    course.to(6)
    before = {k: v.clone() for k, v in course.state.nets["generator"].state_dict().items()}
    course.to(7)
    course.trainer.step()
    assert course.state.step == 8
    assert course.watch.after_step(course.state) == ""
    assert course.state.step == 6
    assert all(torch.equal(v, before[k]) for k, v in course.state.nets["generator"].state_dict().items())
    assert course.answers() == [(6, 0.5, 2.0)]


def test_rates_are_lower_afterwards(tmp_path: Path) -> None:
    course = Course(tmp_path / "run", {8})
    course.to(9)
    (optimiser,) = (o for k, o in course.state.optimisers.items() if "generator" in k)
    (group,) = optimiser.param_groups
    assert group["lr"] == pytest.approx(group["initial_lr"] / 2)  # the recipe's own schedule is still at 1


def test_a_relapse_is_answered_with_an_eighth(tmp_path: Path) -> None:
    """Trouble soon after going back says that the answer was too weak; trouble long after is another one."""
    soon = Course(tmp_path / "soon", {8, 6 + RELAPSE * PULSE})
    soon.to(60)
    assert [lr for _, lr, _ in soon.answers()] == [1 / 2, 1 / 16]
    late = Course(tmp_path / "late", {8, 6 + (RELAPSE + 1) * PULSE})
    late.to(60)
    assert [lr for _, lr, _ in late.answers()] == [1 / 2, 1 / 4]
    assert [penalty for _, _, penalty in late.answers()] == [2.0, 4.0]


def test_after_three_times_it_only_tells(tmp_path: Path) -> None:
    course = Course(tmp_path / "run", {10, 20, 30, 40})
    assert course.to(50) == ""
    assert len(course.answers()) == MENDS == 3
    assert sum(e["kind"] == "divergence" for e in course.run.events()) == 4


def test_what_is_fatal_ends_the_training(tmp_path: Path) -> None:
    course = Course(tmp_path / "run", {10, 20, 30, 40}, fatal=True)
    assert course.to(50) == "diverged"
    assert course.state.step == 40


def factors(course: Course) -> tuple[float, float]:
    return float(course.state.knobs.get("mend.lr", 1.0)), float(course.state.knobs.get("mend.penalty", 1.0))


def test_rates_and_penalties_come_back_once_training_has_been_well_for_long(tmp_path: Path) -> None:
    course = Course(tmp_path / "run", {8})
    course.to(6 + RELAPSE * PULSE - 1)
    assert factors(course) == (0.5, 2.0)
    course.to(6 + RELAPSE * PULSE + 1)
    assert factors(course) == (1.0, 1.0)
    assert [e["step"] for e in course.run.events() if e["kind"] == "ease"] == [6 + RELAPSE * PULSE]


def test_after_a_second_trouble_they_stay_lower(tmp_path: Path) -> None:
    """The first answer was not of its own day: the cause is in the recipe."""
    course = Course(tmp_path / "run", {8, 6 + (RELAPSE + 1) * PULSE})
    course.to(6 + 5 * RELAPSE * PULSE)
    assert factors(course) == (0.25, 4.0)


def test_checkpoints_know_that_rates_came_back(tmp_path: Path) -> None:
    course = Course(tmp_path / "run", {8})
    course.to(6 + RELAPSE * PULSE)
    course.watch.save(course.state, "last")
    _, meta = course.run.state("last")
    assert meta["watch"]["eased"]
    assert meta["knobs"]["mend.lr"] == 1.0
