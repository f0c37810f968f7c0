"""A time budget is planned by what a step takes at the start: who shares the processors then is said."""

from pathlib import Path

import pytest

from rivalry.data import load
from rivalry.training import neighbours, session
from rivalry.training.engine import Engine
from rivalry.training.neighbours import Moment, crowded, others
from rivalry.training.session import Request, start
from rivalry.zoo import get


def test_others_are_what_is_left_when_one_takes_oneself_away() -> None:
    assert others(Moment(10, 100, 5), Moment(14, 107, 8)) == pytest.approx(1.0)
    assert others(Moment(10, 100, 5), Moment(14, 103, 8.01)) == 0.0  # ticks are coarse
    assert others(None, Moment(14, 107, 8)) == 0.0


def test_the_systems_own_count_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "stat"
    said.write_text("cpu  200 100 300 99999 77777 10 20 70 5 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    monkeypatch.setattr(neighbours, "TICKS", said)
    monkeypatch.setattr(neighbours.os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    here = neighbours.now()
    assert here is not None
    assert here.busy == pytest.approx(7.0)  # neither idle nor waiting for a disk
    monkeypatch.setattr(neighbours, "TICKS", tmp_path / "elsewhere")
    assert neighbours.now() is None


def test_nothing_is_said_where_there_is_room() -> None:
    assert crowded(0.2, threads=2, processors=2) == ""
    assert crowded(1.0, threads=1, processors=2) == ""
    assert crowded(0.1, threads=4, processors=2) == ""  # more threads than processors are nobody else's doing
    assert "1.0 of the 2 processors" in crowded(1.0, threads=2, processors=2)


def test_several_processes_of_one_training_are_not_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(device: str, precision: str) -> Engine:
        one = Engine(device, precision)
        one.world = 2
        return one

    ticks = iter([Moment(10, 100, 5), Moment(14, 108, 9)])
    monkeypatch.setattr(session, "Engine", engine)
    monkeypatch.setattr(session, "now", lambda: next(ticks))
    monkeypatch.setattr(session.torch, "get_num_threads", lambda: 10**6)
    heard: list[str] = []
    start(load("ring8"), Request(get("house-points"), budget="1s", run=str(tmp_path / "run"), device="cpu", tensorboard=False), say=heard.append)
    assert not [line for line in heard if "other programs" in line]


@pytest.mark.parametrize(("budget", "told"), [("1s", True), ("3steps", False)])
def test_only_a_budget_of_time_is_at_the_mercy_of_others(budget: str, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "crowded", lambda others, threads, processors: "it is crowded")
    heard: list[str] = []
    start(load("ring8"), Request(get("house-points"), budget=budget, run=str(tmp_path / "run"), device="cpu", tensorboard=False), say=heard.append)
    assert ("it is crowded" in heard) == told
