"""Recorded steps without a GPU: what would be a recording takes the step again from its tape."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rivalry.training import graphs
from rivalry.training.graphs import Graphs, Recording
from rivalry.training.loop import Trainer
from rivalry.training.tape import Tape, Untaped
from test_tape import set_up
from tiny import flat

STEPS = 14


class Replayed:
    """Stands for a CUDA graph: takes the step anew, from the tape alone, and writes where the recording would."""

    def __init__(self, again: Callable[[], None]) -> None:
        self.replay = again

    def pool(self) -> None:
        return None


def recorded(name: str, monkeypatch: pytest.MonkeyPatch, again: int = 8) -> Graphs:
    """A trainer's recordings, on the processor."""
    trainer = set_up(name)

    def taped(self, tape, span, scheduled, stream):  # type: ignore[no-untyped-def]
        self._seed()
        with trainer.taped(span, tape):
            return trainer.turns(span, scheduled)

    def captured(self, tape, span, scheduled, stream):  # type: ignore[no-untyped-def]
        noted: list[Tensor] = []
        names: list[str] = []

        def again() -> None:
            tape.rewind()
            with trainer.taped(span, tape):
                notes = trainer.turns(span, scheduled)
            names[:] = list(notes)
            found = torch.stack([v.float() for v in notes.values()])
            noted[0].copy_(found) if noted else noted.append(found)

        kept = [w.clone() for w in self._weights()]
        again()
        torch._foreach_copy_(self._weights(), kept)
        return Recording(Replayed(again), tape, names, noted[0])

    monkeypatch.setattr(graphs, "AGAIN", again)
    monkeypatch.setattr(graphs.torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(Graphs, "_taped", taped)
    monkeypatch.setattr(Graphs, "_captured", captured)
    trainer.graphs = Graphs(trainer)
    return trainer.graphs


def steps(trainer: Trainer, n: int = STEPS) -> None:
    for _ in range(n):
        trainer.step()


@pytest.mark.parametrize("name", ["gan", "dcgan", "wgan-gp", "stylegan2-ada", "house-labels", "house-table", "ctgan", "fastgan"])
def test_recordings_are_made_and_stand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded(name, monkeypatch)
    steps(found.trainer)
    assert not found.why
    assert found.recordings
    assert any(r.plays > 1 for r in found.recordings.values())


def test_recorded_steps_are_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, found = set_up("dcgan"), recorded("dcgan", monkeypatch)
    first = {k: flat(n) for k, n in plain.state.nets.items()}
    steps(plain)
    steps(found.trainer)
    for key, begun in first.items():
        right, played = (flat(t.state.nets[key]) for t in (plain, found.trainer))
        assert float((right - played).norm()) <= 0.02 * float((right - begun).norm()), key
    assert plain.state.counts == found.trainer.state.counts
    for what, value in plain.state.sums.items():
        assert float(found.trainer.state.sums[what]) == pytest.approx(float(value), rel=1e-2, abs=1e-4), what


def test_a_recording_of_something_else_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has the noise and rows of another step is seen at once."""
    found = recorded("dcgan", monkeypatch)
    fill = Tape.fill
    monkeypatch.setattr(Tape, "fill", lambda self, step, knobs: fill(self, step + 1, knobs))
    before = flat(found.trainer.state.nets["generator"])
    steps(found.trainer, 5)
    assert "otherwise" in found.why
    assert not found.recordings
    assert float((flat(found.trainer.state.nets["generator"]) - before).norm()) > 0


def test_a_recording_that_goes_astray_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded("dcgan", monkeypatch, again=5)
    steps(found.trainer, 6)
    assert found.recordings
    monkeypatch.setattr(Tape, "fill", lambda self, step, knobs: None)
    steps(found.trainer, 6)
    assert "otherwise" in found.why
    assert not found.recordings


def test_a_step_that_cannot_be_taped_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken-off try leaves no trace."""
    plain, found = set_up("dcgan"), recorded("dcgan", monkeypatch)

    def breaks(self, tape, span, scheduled, stream):  # type: ignore[no-untyped-def]
        self.trainer.turns(span, scheduled)
        raise Untaped("a number was read back")

    monkeypatch.setattr(Graphs, "_taped", breaks)
    steps(plain, 6)
    steps(found.trainer, 6)
    assert found.why == "a number was read back"
    for key, net in plain.state.nets.items():
        assert torch.equal(flat(net), flat(found.trainer.state.nets[key]))


def test_another_checkpoint_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded("dcgan", monkeypatch)
    steps(found.trainer, 6)
    assert found.recordings
    found.trainer.state.step = 2
    steps(found.trainer, 1)
    assert not found.recordings


def test_what_is_charged_every_few_turns_has_recordings_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded("stylegan2-ada", monkeypatch)
    steps(found.trainer, 80)
    assert not found.why
    assert len(found.recordings) > 1


def test_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = set_up("dcgan")
    monkeypatch.setattr(trainer.state, "device", torch.device("cuda", 0))
    found = {value: Graphs.of(trainer, True) for value in ("0", "1") if monkeypatch.setenv(graphs.SWITCH, value) is None}
    assert found["0"] is not None
    assert found["0"].why
    assert found["1"] is not None
    assert not found["1"].why


def test_there_are_none_on_the_processor() -> None:
    assert set_up("dcgan").graphs is None


@pytest.mark.parametrize("draws", [False, True])
def test_only_what_draws_by_itself_is_seeded(draws: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded("dcgan", monkeypatch, again=99)
    if draws:
        generator = found.trainer.state.nets["generator"]
        generator.register_forward_pre_hook(lambda module, given: (given[0] + torch.randn_like(given[0]), *given[1:]))
    steps(found.trainer, 6)
    assert [r.draws for r in found.recordings.values()] == [draws]
    seeds: list[int] = []
    monkeypatch.setattr(Graphs, "_seed", lambda self: seeds.append(self.trainer.state.step))
    steps(found.trainer, 2)
    assert bool(seeds) == draws


def test_notes_of_a_played_step_are_summed_in_one_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded("dcgan", monkeypatch, again=99)
    steps(found.trainer, 6)
    one = dict(found.trainer.state.sums)
    steps(found.trainer, 2)
    for name, value in found.trainer.state.sums.items():
        assert value.data_ptr() == one[name].data_ptr(), name
