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
from rivalry.streams import Draw, generator
from rivalry.training.staging import Staging
from rivalry.types import Knobs

Make = Callable[[int], Tensor]
"""A step's number -> what the step takes."""
Fill = Callable[[Tensor, int], object]
"""(where it stands, a step's number): puts in what the step takes."""
Rate = Callable[[Mapping[str, float | Tensor]], float]
"""Knobs -> a number for the step."""
STEP = 2
"""Where the number of the step stands in the place of a turn's draws: (stage, side, step, turn)."""
SIZES = "batch"
"""The knob that stays a number: shapes hang on it."""


class Untaped(RuntimeError):
    """A step takes something from outside that no buffer can hold."""


@dataclass
class _Taken:
    """Something a step took.  near: the processor makes it.  fill: draws it anew where it stands, for a step's number."""

    make: Make
    buffer: Tensor
    near: bool
    fill: Fill | None


class Tape:
    """The first pass writes what is taken, later ones read it in the same order.

    step: the step of the first pass.
    """

    def __init__(self, step: int, device: torch.device) -> None:
        self.step, self.device = step, device
        self.reading = False
        self.given: Mapping[str, float | Tensor] = {}
        self._takings: list[_Taken] = []
        self._place = 0
        self._numbers: dict[str, Tensor] = {}
        self._tensors: dict[str, Tensor] = {}
        self._rates: list[tuple[_Taken, Rate]] = []
        self._near: list[_Taken] = []
        self._staging: Staging | None = None

    def rewind(self) -> None:
        """From here on the buffers are read."""
        if not self.reading:
            self._lay()
        self.reading, self._place = True, 0

    def fill(self, step: int, knobs: Knobs) -> None:
        """Puts in what another step takes; a GPU is not waited for."""
        self.given = dict(knobs)
        if self._tensors:
            values = [self.given[name] for name in self._tensors]
            torch._foreach_copy_(list(self._tensors.values()), [v for v in values if isinstance(v, Tensor)])
        if self._staging is not None:
            self._staging.send(self._made(step))
        for taken in self._takings:
            if taken.fill is not None:
                taken.fill(taken.buffer, step)
            elif not taken.near:
                taken.buffer.copy_(taken.make(step))

    def take(self, make: Make, fill: Fill | None = None) -> Tensor:
        """The next buffer, which holds make(step)."""
        return self._take(make, fill).buffer

    def _take(self, make: Make, fill: Fill | None = None) -> _Taken:
        if self.reading:
            self._place += 1
            if self._place > len(self._takings):
                raise Untaped("a step took more than the one before")
            return self._takings[self._place - 1]
        with _unwatched(self.device):
            made = make(self.step)
            buffer = made.to(self.device, non_blocking=True, copy=True)
        self._takings.append(_Taken(make, buffer, fill is None and made.device.type == "cpu", fill))
        return self._takings[-1]

    def _lay(self) -> None:
        """What the processor makes is laid side by side: one copy brings it all."""
        rates = [taken for taken, _ in self._rates]
        self._near = [t for t in self._takings if t.near and not any(t is r for r in rates)]
        self._staging = Staging(self._made(self.step), self.device)
        numbers, *others = self._staging.pieces
        for taken, piece in zip(self._near, others, strict=True):
            taken.buffer = piece
        known = len(self._numbers)
        self._numbers = dict(zip(self._numbers, numbers[:known].unbind(), strict=True))
        for taken, number in zip(rates, numbers[known:].unbind(), strict=True):
            taken.buffer = number

    def _made(self, step: int) -> list[Tensor]:
        """What the processor makes for a step, numbers first."""
        return [self._listed(), *(t.make(step) for t in self._near)]

    def _listed(self) -> Tensor:
        return torch.tensor([float(self.given[k]) for k in self._numbers] + [rate(self.given) for _, rate in self._rates])

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
            self.given = dict(given)
            names = [k for k, v in given.items() if not isinstance(v, Tensor) and k != SIZES]
            self._numbers = dict.fromkeys(names, torch.zeros(()))
            self._numbers = dict(zip(names, self._listed().to(self.device, non_blocking=True).unbind(), strict=True))
            self._tensors = {k: v.clone() for k, v in given.items() if isinstance(v, Tensor)}
        return {**{k: v for k, v in given.items() if k == SIZES}, **self._numbers, **self._tensors}

    def rate(self, initial: float, factor: Rate) -> Tensor:
        """A learning rate: `initial` times what the knobs say."""
        taken = self._take(lambda step: torch.tensor(initial * factor(self.given)))
        if not self.reading:
            self._rates.append((taken, lambda given: initial * factor(given)))
        return taken.buffer


def _at(draw: Draw, step: int) -> Draw:
    """The draws of the same turn at another step, from no tape."""
    return Draw(draw.seed, _place(draw, step), draw.device, draw.share)


def _place(draw: Draw, step: int) -> tuple[str | int, ...]:
    return (*draw.place[:STEP], step, *draw.place[STEP + 1 :])


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

    def _taken(self, name: str, drawn: Callable[[Draw], Tensor], into: Callable[[Tensor, torch.Generator], object]) -> Tensor:
        """drawn: as without a tape; into: the same numbers, drawn where others stand."""

        def fill(buffer: Tensor, step: int) -> None:
            into(buffer, generator(self.device, self.seed, *_place(self, step), name))

        whole = self.share[1] == 1 and self.device == self.tape.device
        return self.tape.take(lambda step: drawn(_at(self, step)), fill if whole else None)

    def key(self, name: str) -> int:
        raise Untaped(f"{name!r} is drawn by the processor")

    def normal(self, name: str, n: int, *shape: int) -> Tensor:
        return self._taken(name, lambda d: d.normal(name, n, *shape), lambda x, g: x.normal_(generator=g))

    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        return self._taken(name, lambda d: d.uniform(name, n, *shape), lambda x, g: x.uniform_(generator=g))

    def integers(self, name: str, high: int, n: int, *shape: int) -> Tensor:
        return self._taken(name, lambda d: d.integers(name, high, n, *shape), lambda x, g: x.random_(0, high, generator=g))

    def permutation(self, name: str, n: int) -> Tensor:
        return self._taken(name, lambda d: d.permutation(name, n), lambda x, g: torch.randperm(n, generator=g, out=x))
