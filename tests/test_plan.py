"""What a training does beside its steps: how rarely, and that nothing learned hangs on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rivalry.data import Dataset, ReadOptions, load
from rivalry.evaluate import Budget, Judge, choose_extractor
from rivalry.run import Run
from rivalry.training import plan as planning
from rivalry.training import showing, watch
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.plan import PREVIEWS, SHARE, Plan, seconds_a_preview
from rivalry.training.state import State, build_state
from rivalry.training.watch import Watch
from rivalry.zoo import get

RECIPE = get("house-points-small")


@pytest.mark.parametrize("steps", [1, 7, 25, 39, 59, 150, 399, 1000, 12_345])
@pytest.mark.parametrize("per_preview", [0.0, 0.01, 0.4, 3.0, 200.0])
def test_pictures_take_a_twentieth_of_the_steps_time(steps: int, per_preview: float) -> None:
    plan = Plan.make(Budget(steps=steps), RECIPE, 0.06, 0.1, per_preview)
    drawn = sum(step % plan.preview == 0 for step in range(1, steps))  # one at the end besides
    assert drawn * per_preview <= SHARE * steps * 0.06 + 1e-9
    assert drawn <= PREVIEWS
    assert 1 <= plan.preview <= steps


def test_cheap_pictures_come_as_often_as_ever() -> None:
    assert Plan.make(Budget(steps=1000), RECIPE, 0.06, 0.1, 0.1).preview == 50
    assert Plan.make(Budget(steps=1000), RECIPE, 0.06, 0.1).preview == 50
    assert Plan.make(Budget(steps=150), RECIPE, 0.06, 0.1, 0.4).preview == 150
    assert Plan.make(Budget(steps=1000), RECIPE, 0.06, 0.1, 0.6).preview == 200


def test_steps_do_not_hang_on_what_pictures_cost_but_the_estimate_does() -> None:
    dear, cheap = (Plan.make(Budget(seconds=60), RECIPE, 0.06, 0.1, cost) for cost in (2.0, 0.0))
    assert replace(dear, preview=cheap.preview, seconds_per_preview=0.0) == cheap
    assert dear.estimate == pytest.approx(cheap.estimate + 2.0 * -(-dear.steps // dear.preview))


@pytest.fixture
def course(tmp_path: Path) -> Callable[[str, Plan], tuple[Run, State]]:
    """Trains points for ten steps by a plan."""

    def trained(name: str, plan: Plan) -> tuple[Run, State]:
        engine, data = Engine("cpu"), load("ring8", options=ReadOptions(limit=300))
        trainer = Trainer(build_state(RECIPE, data.spec, 0, engine.device), data.train, plan.steps, engine)
        run = Run.claim(str(tmp_path / name))
        run.begin({})
        seen = Watch(run, plan, Judge(data, choose_extractor(data), None, 0, engine.device), data, engine, tensorboard=False)
        with seen:
            seen.bind(trainer)
            while trainer.state.step < plan.steps:
                trainer.step()
                assert seen.after_step(trainer.state) in ("", "budget")
        return run, trainer.state

    return trained


def test_scores_and_checkpoints_do_not_hang_on_pictures(course: Callable[[str, Plan], tuple[Run, State]]) -> None:
    """The rarer they are, the less is drawn, and nothing else changes."""
    plan = Plan(10, log=5, pulse=5, preview=1, look=5, save=5)
    (often, one), (rarely, other) = course("often", plan), course("rarely", replace(plan, preview=10))
    assert len(list((often.path / "samples").glob("step-*"))) == 10
    assert len(list((rarely.path / "samples").glob("step-*"))) == 1
    scores = [[{k: v for k, v in m.items() if k != "seconds"} for m in run.metrics()] for run in (often, rarely)]
    assert scores[0] == scores[1]
    for which in ("best", "last"):
        tensors = [run.state(which)[0] for run in (often, rarely)]
        assert tensors[0].keys() == tensors[1].keys()
        assert all(torch.equal(v, tensors[1][k]) for k, v in tensors[0].items())
    assert all(torch.equal(v, other.ema["generator"].state_dict()[k]) for k, v in one.ema["generator"].state_dict().items())


def test_averages_are_settled_once_where_something_uses_them(
    course: Callable[[str, Plan], tuple[Run, State]], monkeypatch: pytest.MonkeyPatch
) -> None:
    at, settle = list[int](), watch.settle_averages

    def counted(state: State, data: Dataset) -> None:
        at.append(state.step)
        settle(state, data)

    monkeypatch.setattr(watch, "settle_averages", counted)
    monkeypatch.setattr(watch.Monitor, "suspicious", property(lambda monitor: True))  # so that the last is not saved at 3, 6 and 9
    course("run", Plan(10, log=5, pulse=5, preview=4, look=8, save=3))
    assert at == [4, 8, 10]


def test_a_preview_is_timed_with_its_settling_and_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded to draw the first one counts for no later one."""
    clock, data = [0.0], load("ring8", options=ReadOptions(limit=300))
    state, costs = build_state(RECIPE, data.spec, 0, torch.device("cpu")), iter([4.5, 0.75])

    def drawn(path: Path, *rest: object) -> Path:
        path.write_text("a picture")
        clock[0] += next(costs)
        return path

    def settled(state: State, data: Dataset) -> None:
        clock[0] += 0.25

    monkeypatch.setattr(planning, "write_preview", drawn)
    monkeypatch.setattr(planning, "settle_averages", settled)
    monkeypatch.setattr(planning.time, "perf_counter", lambda: clock[0])
    assert seconds_a_preview(state, data, tmp_path / "private") == pytest.approx(1.0)
    assert not (tmp_path / "private").exists()
    costs = iter([0.1])
    (tmp_path / "private").mkdir()
    assert seconds_a_preview(state, data, tmp_path / "private") == pytest.approx(0.35)
    assert not list((tmp_path / "private").iterdir())
    costs = iter([60.0])  # what is slow is slow
    assert seconds_a_preview(state, data, tmp_path / "private") == pytest.approx(60.25)


def test_previews_go_where_they_are_for(tmp_path: Path) -> None:
    data = load("ring8", options=ReadOptions(limit=300))
    state = build_state(RECIPE, data.spec, 0, torch.device("cpu"))
    path = showing.write_preview(tmp_path / "a.png", showing.averaged(state, data), data, 0)
    assert path == tmp_path / "a.png"
    assert path.stat().st_size > 1000
