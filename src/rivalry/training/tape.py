"""What a step takes from outside, kept in buffers that are filled anew for another step: random draws, row numbers, knobs, learning rates.

A step is a function of its weights and of these: played again on the same buffers with other contents, it is another step.  So the kernels of
one step can be recorded and played again for the next (`graphs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rivalry.parts import Sampler, Turn
from rivalry.streams import Draw
from rivalry.types import Knobs

Make = Callable[[int], Tensor]
"""A step's number -> what the step takes."""
STEP = 2
"""Where the number of the step stands in the place of a turn's draws: (stage, side, step, turn)."""
SIZES = "batch"
"""The knob that stays a number: shapes hang on it."""


class Untaped(RuntimeError):
    """A step takes something from outside that no buffer can hold."""


class Tape:
    """The first pass writes what is taken, later ones read it in the same order.

    step: the step of the first pass.
    """

    def __init__(self, step: int, device: torch.device) -> None:
        self.step, self.device = step, device
        self.reading = False
        self.given: Mapping[str, float | Tensor] = {}
        self._makes: list[Make] = []
        self._buffers: list[Tensor] = []
        self._place = 0
        self._numbers: dict[str, Tensor] = {}
        self._tensors: dict[str, Tensor] = {}
        self._dials = torch.zeros(0, device=device)

    def rewind(self) -> None:
        """From here on the buffers are read."""
        self.reading, self._place = True, 0

    def fill(self, step: int, knobs: Knobs) -> None:
        """Puts in what another step takes."""
        self._dial(knobs)
        for make, buffer in zip(self._makes, self._buffers, strict=True):
            buffer.copy_(make(step), non_blocking=True)

    def take(self, make: Make) -> Tensor:
        """The next buffer, which holds make(step)."""
        if self.reading:
            self._place += 1
            if self._place > len(self._buffers):
                raise Untaped("a step took more than the one before")
            return self._buffers[self._place - 1]
        with _unwatched(self.device):
            buffer = make(self.step).to(self.device, non_blocking=True, copy=True)
        self._makes.append(make)
        self._buffers.append(buffer)
        return buffer

    def draw(self, plain: Draw) -> Draw:
        """The same draws, from the tape."""
        return TapedDraw(plain.seed, plain.place, plain.device, plain.share, self)

    def index(self, sampler: Sampler, stream: str, rows: int, turn: Turn, slots: int) -> Tensor:
        """Row numbers on the device.  slots: turns of the stage in a step, by which positions go on."""

        def make(step: int) -> Tensor:
            there = replace(turn, step=step, position=turn.position + slots * (step - self.step), draw=_at(turn.draw, step))
            return sampler.index(stream, rows, there)

        return self.take(make)

    def knobs(self, given: Knobs) -> Knobs:
        """The knobs as tensors on the device, but for those that shapes hang on."""
        if not self.reading:
            numbers = [k for k, v in given.items() if not isinstance(v, Tensor) and k != SIZES]
            self._dials = torch.zeros(len(numbers), device=self.device)
            self._numbers = dict(zip(numbers, self._dials.unbind(), strict=True))
            self._tensors = {k: v.clone() for k, v in given.items() if isinstance(v, Tensor)}
            self._dial(given)
        return {**{k: v for k, v in given.items() if k == SIZES}, **self._numbers, **self._tensors}

    def rate(self, initial: float, factor: Callable[[Mapping[str, float | Tensor]], float]) -> Tensor:
        """A learning rate: `initial` times what the knobs say."""
        return self.take(lambda step: torch.tensor(initial * factor(self.given)))

    def _dial(self, given: Knobs) -> None:
        self.given = dict(given)
        self._dials.copy_(torch.tensor([float(given[k]) for k in self._numbers]), non_blocking=True)
        for name, buffer in self._tensors.items():
            value = given[name]
            assert isinstance(value, Tensor)
            buffer.copy_(value)


def _at(draw: Draw, step: int) -> Draw:
    """The draws of the same turn at another step, from no tape."""
    return Draw(draw.seed, (*draw.place[:STEP], step, *draw.place[STEP + 1 :]), draw.device, draw.share)


@contextmanager
def _unwatched(device: torch.device) -> Iterator[None]:
    """What stands outside a recording may wait for the device."""
    if device.type != "cuda":
        yield
        return
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("default")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


@dataclass(frozen=True)
class TapedDraw(Draw):
    """Draws that stand on a tape."""

    tape: Tape = field(default_factory=lambda: Tape(0, torch.device("cpu")))

    def _taken(self, drawn: Callable[[Draw], Tensor]) -> Tensor:
        return self.tape.take(lambda step: drawn(_at(self, step)))

    def key(self, name: str) -> int:
        raise Untaped(f"{name!r} is drawn by the processor")

    def normal(self, name: str, n: int, *shape: int) -> Tensor:
        return self._taken(lambda d: d.normal(name, n, *shape))

    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        return self._taken(lambda d: d.uniform(name, n, *shape))

    def integers(self, name: str, high: int, n: int, *shape: int) -> Tensor:
        return self._taken(lambda d: d.integers(name, high, n, *shape))

    def permutation(self, name: str, n: int) -> Tensor:
        return self._taken(lambda d: d.permutation(name, n))
