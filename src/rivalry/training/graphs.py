"""Steps played from recordings of their kernels (CUDA graphs): on small networks a GPU otherwise waits for Python most of the time.

A recording is used only where it has shown to do what the step does: when it is made, and once more later, a step is taken both ways from the
same weights.  A step that takes something which cannot be recorded (a number read back from the device, a draw of the processor's) goes on as it did.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rivalry.training.state import draw_for
from rivalry.training.tally import Noted
from rivalry.training.tape import SIZES, Tape, Untaped
from rivalry.types import Knobs

if TYPE_CHECKING:
    from rivalry.training.loop import Span, Trainer

Notes = dict[str, Tensor]
SWITCH = "RIVALRY_GRAPHS"
"""The environment variable that, at 0, says to record nothing."""
WARM, AGAIN = 3, 50
"""Steps of a kind before one is recorded; plays of a recording after which it is held against the step once more."""
APART = 0.25
"""How far the two ways' changes of a network may lie apart, of the change's own length: orders of adding differ, and Adam's first steps enlarge
that; other draws lie at about 1.  A rate that is a fifth off is not seen: that rates and knobs are filled in anew, the tests of the tape say."""


def recordable(trainer: Trainer) -> bool:
    """Whether steps go without decisions of the processor's own: private draws, votes, pools, what stands after an update."""
    sides = list(trainer.recipe.sides())
    odd = trainer.secret is not None or trainer.guard is not None or any(s.pool is not None or s.after for s in sides)
    several = trainer.engine.world > 1 or trainer.recipe.accumulate > 1
    return not (odd or several or "beta2" in trainer.recipe.schedules)


@dataclass
class Recording:
    """The kernels of one kind of step, what it takes and what it notes.

    draws: whether modules draw by themselves in it; the kernels of a recording never change, so that this does not either.
    """

    graph: torch.cuda.CUDAGraph
    tape: Tape
    names: list[str]
    noted: Tensor
    draws: bool = True
    plays: int = 0
    notes: Noted = field(init=False)

    def __post_init__(self) -> None:
        self.notes = Noted(self.names, self.noted)


@dataclass
class Graphs:
    """A trainer's recordings, by the kind of step: which charges are due, how large the batch is.  why: why there are none, if so."""

    trainer: Trainer
    why: str = ""
    recordings: dict[object, Recording] = field(default_factory=dict)
    _seen: dict[object, int] = field(default_factory=dict)
    _next: int = -1
    _pool: Any = None

    @classmethod
    def of(cls, trainer: Trainer, asked: bool) -> Graphs | None:
        """None where no step can be recorded; without recordings where none are asked for, so that draws are the same either way."""
        if trainer.state.device.type != "cuda" or not recordable(trainer):
            return None
        return cls(trainer, "" if asked and os.environ.get(SWITCH) != "0" else "none are asked for")

    def turns(self, span: Span, scheduled: Mapping[str, float | Tensor]) -> Notes:
        """As the trainer's own."""
        trainer, step = self.trainer, self.trainer.state.step
        if self.why:
            return self._plain(span, scheduled)
        if step != self._next:  # another checkpoint was loaded: tensors may be others
            self.recordings.clear()
            self._seen.clear()
        self._next = step + 1
        knobs: Knobs = {**trainer.state.knobs, **scheduled}
        kind = self._kind(span, knobs)
        recording = self.recordings.get(kind)
        if recording is None:
            self._seen[kind] = self._seen.get(kind, 0) + 1
            return self._plain(span, scheduled) if self._seen[kind] <= WARM else self._recorded(kind, span, scheduled)
        recording.plays += 1
        if recording.plays == AGAIN:
            return self._compared(recording, span, scheduled)
        return self._played(recording, knobs)

    def _plain(self, span: Span, scheduled: Mapping[str, float | Tensor]) -> Notes:
        self._seed()
        return self.trainer.turns(span, scheduled)

    def _seed(self) -> None:
        """Modules that draw by themselves begin anew at every step, and not at every turn, since a recording is of a whole step."""
        draw_for(self.trainer.state, "step", self.trainer.state.step).seed_globally("modules")

    def _kind(self, span: Span, knobs: Knobs) -> object:
        """What kernels hang on: the stage, sizes, which charges are due, which knobs there are."""
        due = []
        for side in span.stage.sides:
            for number in range(side.turns):
                index = (self.trainer.state.step - span.start) * side.turns + number
                due += [index % p.every == 0 for p in side.penalties] + [index % t.every == 0 for t in side.terms]
        return span.number, knobs.get(SIZES), tuple(due), tuple(knobs)

    def _played(self, recording: Recording, knobs: Knobs) -> Notes:
        recording.tape.fill(self.trainer.state.step, knobs)
        if recording.draws:
            self._seed()
        recording.graph.replay()
        return recording.notes

    def _recorded(self, kind: object, span: Span, scheduled: Mapping[str, float | Tensor]) -> Notes:
        """Takes the step as it is, then records it; the recording is kept if it leads to the same weights."""
        trainer, device = self.trainer, self.trainer.state.device
        tape, stream = Tape(trainer.state.step, device), torch.cuda.Stream(device)
        for optimiser in trainer.state.optimisers.values():
            for group in optimiser.param_groups:
                group["capturable"] = True
        before = self._weights()
        kept = [w.clone() for w in before]
        self._seed()
        seeded = _generators(device)
        try:
            notes = self._taped(tape, span, scheduled, stream)
        except Untaped as error:
            self.why = str(error)
            torch._foreach_copy_(before, kept)
            return self._plain(span, scheduled)
        draws = any(not torch.equal(a, b) for a, b in zip(seeded, _generators(device), strict=True))
        after = [w.clone() for w in self._weights()]
        if [w.data_ptr() for w in self._weights()] != [w.data_ptr() for w in before]:
            self.why = "a module puts other tensors in the place of its own"
            return notes
        torch._foreach_copy_(before, kept)
        try:
            recording = self._captured(tape, span, scheduled, stream)
        except RuntimeError as error:  # of CUDA, for what cannot be captured
            torch.cuda.synchronize()
            # a capture that broke off leaves torch's own generator as if it still went on
            torch.cuda.default_generators[stream.device_index].graphsafe_set_state(torch.Generator(device))
            self.why = str(error).splitlines()[0]
        else:
            self._pool, recording.draws = recording.graph.pool(), draws
            self._played(recording, {**trainer.state.knobs, **scheduled})
            self._judge(self._weights(), kept, after)
            if not self.why:
                self.recordings[kind] = recording
        torch._foreach_copy_(before, after)
        return notes

    def _taped(self, tape: Tape, span: Span, scheduled: Mapping[str, float | Tensor], stream: torch.cuda.Stream) -> Notes:
        """The step as it is, its takings written down; on the stream on which it will be captured, as CUDA wants it.  Untaped where the processor
        would wait for the device."""
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        self._seed()
        mode = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
        try:
            with torch.cuda.stream(stream), self.trainer.taped(span, tape):
                notes = self.trainer.turns(span, scheduled)
        except RuntimeError as error:
            raise Untaped(str(error).splitlines()[0]) from error
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        current.wait_stream(stream)
        return notes

    def _captured(self, tape: Tape, span: Span, scheduled: Mapping[str, float | Tensor], stream: torch.cuda.Stream) -> Recording:
        tape.rewind()
        graph = torch.cuda.CUDAGraph()
        with self.trainer.taped(span, tape), torch.cuda.graph(graph, pool=self._pool, stream=stream):
            notes = self.trainer.turns(span, scheduled)
            noted = torch.stack([v.float() for v in notes.values()])
        return Recording(graph, tape, list(notes), noted)

    def _compared(self, recording: Recording, span: Span, scheduled: Mapping[str, float | Tensor]) -> Notes:
        """A step both ways from the same weights; the plain one counts."""
        trainer = self.trainer
        before = self._weights()
        kept = [w.clone() for w in before]
        self._played(recording, {**trainer.state.knobs, **scheduled})
        played = [w.clone() for w in before]
        torch._foreach_copy_(before, kept)
        notes = self._plain(span, scheduled)
        self._judge(played, kept, before)
        if self.why:
            self.recordings.clear()
        return notes

    def _weights(self) -> list[Tensor]:
        """All that a turn changes in place; the networks' parameters come first."""
        state = self.trainer.state
        found: list[Tensor] = [p.detach() for net in state.nets.values() for p in net.parameters()]
        found += [b for net in state.nets.values() for b in net.buffers()]
        for optimiser in state.optimisers.values():
            found += [v for entry in optimiser.state.values() for v in entry.values() if isinstance(v, Tensor)]
        return found

    def _judge(self, played: list[Tensor], kept: list[Tensor], right: list[Tensor]) -> None:
        """Were the networks changed as they should have been?"""
        first = 0
        for name, net in self.trainer.state.nets.items():
            last = first + sum(1 for _ in net.parameters())
            one, other = (torch._foreach_sub(w[first:last], kept[first:last]) for w in (played, right))
            apart, whole = (_length(w) for w in (torch._foreach_sub(one, other), other))
            if not apart <= APART * whole:
                self.why = f"a recording of the step changes {name!r} otherwise, by {apart / max(whole, 1e-30):.2g} of the change"
            first = last


def _generators(device: torch.device) -> list[Tensor]:
    """The states of torch's own generators: of the processor, of the device."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _length(tensors: list[Tensor] | tuple[Tensor, ...]) -> float:
    return float(torch.stack(torch._foreach_norm(list(tensors))).norm()) if tensors else 0.0
