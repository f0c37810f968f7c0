"""The loop: one for every GAN and every kind of data.

Algorithm 1 of Goodfellow et al. (2014), step by step: (1) build both nets is `build_state`; (2) sample noise and
generate is the game's play; (3) judge real against generated, (4) update the generator and (5) update the
discriminator are turns of the recipe's sides, in the recipe's order; (6) repeat until the target is reached is
`train`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from rivalry.errors import RecipeError
from rivalry.games import Pate
from rivalry.parts import Play, Refreshes, Sampler, Source, Surveys, Turn
from rivalry.privacy import Ledger, asks
from rivalry.recipe import Recipe, Side, Stage
from rivalry.training.averages import Averages
from rivalry.training.engine import Engine
from rivalry.training.graphs import Graphs
from rivalry.training.pool import PooledPlay
from rivalry.training.private import PrivateTurns
from rivalry.training.state import State, draw_for, optimiser_key, own_parameters, pool_key
from rivalry.training.step import freeze, losses, total
from rivalry.training.tally import Noted, Tally
from rivalry.training.tape import Tape
from rivalry.training.votes import VoteGuard
from rivalry.types import SURVEYED, Batch


class Store(Protocol):
    """The rows training may draw from."""

    def __len__(self) -> int: ...
    def batch(self, index: Tensor, device: torch.device) -> Batch: ...
    def prefetch(self, index: Tensor) -> None: ...


class Watcher(Protocol):
    """What is told of every step and may end the training: run folder, judge, progress bar, interrupts."""

    def after_step(self, state: State) -> str:
        """'' to go on, else why training stops: 'target', 'budget', 'diverged', 'asked'."""
        ...


@dataclass
class StoreSource:
    """A recipe's Source: batches of a store as the sampler picks them, each drawn once per turn."""

    store: Store
    sampler: Sampler
    device: torch.device
    tape: Tape | None = None
    slots: int = 1
    surveyed: bool = False

    def batch(self, stream: str, turn: Turn) -> Batch:
        rows = len(self.store)
        if self.tape is not None:
            return self._told(self.store.batch(self.tape.index(self.sampler, stream, rows, turn, self.slots), self.device))
        found = self.store.batch(self.sampler.index(stream, rows, turn), self.device)
        self.store.prefetch(self.sampler.index(stream, rows, replace(turn, position=turn.position + 1)))
        return self._told(found)

    def _told(self, batch: Batch) -> Batch:
        """Where a network has surveyed the rows, that these are of them."""
        return replace(batch, extra={**batch.extra, SURVEYED: torch.ones(len(batch), device=batch.x.device)}) if self.surveyed else batch


@dataclass(frozen=True)
class Span:
    """A stage's place in the training: steps [start, stop)."""

    number: int
    stage: Stage
    start: int
    stop: int

    @property
    def slots(self) -> int:
        """Turns per step."""
        return sum(side.turns for side in self.stage.sides)

    def progress(self, step: int) -> float:
        return (step - self.start) / max(1, self.stop - self.start)


def spans(recipe: Recipe, steps: int) -> list[Span]:
    """The stages, laid out over the steps by their shares; each gets at least one step."""
    whole = sum(stage.share for stage in recipe.stages)
    out, start, used = [], 0, 0.0
    for number, stage in enumerate(recipe.stages):
        used += stage.share
        stop = steps if number == len(recipe.stages) - 1 else max(start + 1, round(steps * used / whole))
        out.append(Span(number, stage, start, stop))
        start = stop
    return out


def span_at(layout: list[Span], step: int) -> Span:
    return next((s for s in layout if step < s.stop), layout[-1])


def pays(side: Side) -> bool:
    """Whether the side's turns are paid for."""
    return side.private is not None or asks(side)


def private_turns(recipe: Recipe, steps: int) -> int:
    """How many turns in so many steps are paid for."""
    layout = spans(recipe, steps)
    return sum((s.stop - s.start) * side.turns for s in layout for side in s.stage.sides if pays(side))


class Trainer:
    """Holds what does not change during training; `step` advances a State by one step of the recipe.

    ledger: pays for the turns of a side that learns under differential privacy.  recorded: on a GPU, steps may be played from
    recordings of their kernels (`graphs`).
    """

    def __init__(
        self, state: State, store: Store, steps: int, engine: Engine, ledger: Ledger | None = None, recorded: bool = True
    ) -> None:
        self.state, self.engine, self.steps, self.ledger = state, engine, steps, ledger
        self.recipe = state.recipe
        self.layout = spans(self.recipe, steps)
        self.source: Source = StoreSource(store, self.recipe.sampler.over(state.spec, store), state.device)
        self.charged = self.recipe
        self.tape: Tape | None = None
        self.plays: dict[tuple[int, int], Play] = {}
        self.refreshers = {
            side.name: [m for n in side.modules for m in state.nets[n].modules() if isinstance(m, Refreshes)]
            for side in self.recipe.sides()
        }
        for module in state.nets.values():
            module.train()
        self._survey(store)
        self.secret: PrivateTurns | None = None
        if self.recipe.private_sides():
            self.secret = PrivateTurns(state, store, ledger, engine.world)
            self.source, self.charged = self.secret.source, self.secret.public
        self.guard: VoteGuard | None = None
        if isinstance(self.recipe.game, Pate):
            self.guard = VoteGuard(state, self.recipe.game, self.source, ledger, engine.world)
        self.averages, self.tally = Averages(), Tally()
        self.graphs = Graphs.of(self, recorded)

    def _survey(self, store: Store) -> None:
        """Before the first step; later what was seen is in the checkpoint."""
        parts = [m for net in self.state.nets.values() for m in net.modules() if isinstance(m, Surveys)]
        if not parts:
            return
        if self.recipe.private:
            raise RecipeError(f"a network of {self.recipe.name} counts the rows themselves before training, which no privacy budget pays for; pick another")
        for part in parts if self.state.step == 0 else ():
            part.survey(store, self.state.device)
        assert isinstance(self.source, StoreSource)
        self.source.surveyed = True

    @property
    def exhausted(self) -> bool:
        """Whether the privacy budget does not pay for another step."""
        if self.ledger is None:
            return False
        span = span_at(self.layout, self.state.step)
        return not self.ledger.affords(sum(side.turns for side in span.stage.sides if pays(side)))

    def step(self) -> None:
        """One step: every side's turns in order, controllers, averages."""
        state = self.state
        span = span_at(self.layout, state.step)
        scheduled = self._schedule(span)
        notes = self.graphs.turns(span, scheduled) if self.graphs is not None else self.turns(span, scheduled)
        if self.recipe.controllers:
            if not isinstance(notes, Noted):
                notes = self.engine.average_notes(notes)
            told, batch = notes.kept() if isinstance(notes, Noted) else notes, self._batch(scheduled)
            for controller in self.recipe.controllers:
                state.knobs |= controller(state.knobs, told, batch)
        state.step += 1
        state.images += self._batch(scheduled)
        # no module's own code runs where a recording is played
        self.averages.step(state.ema, state.nets, self._keep(scheduled), same=isinstance(notes, Noted))
        self.tally.add(state, notes)

    def turns(self, span: Span, scheduled: Mapping[str, float | Tensor]) -> dict[str, Tensor]:
        """Every side's turns of the present step; the notes of them."""
        notes: dict[str, Tensor] = {}
        self.plays.clear()
        knobs = {**self.state.knobs, **scheduled}
        if self.tape is not None:
            knobs = self.tape.knobs(knobs)
        for side, number, position in self._turns(span):
            notes |= self._turn(span, side, number, position, knobs)
        self.plays.clear()
        return notes

    @contextmanager
    def taped(self, span: Span, tape: Tape) -> Iterator[None]:
        """What turns take from outside goes over the tape."""
        assert isinstance(self.source, StoreSource)
        source, self.source = self.source, replace(self.source, tape=tape, slots=span.slots)
        self.tape = tape
        try:
            yield
        finally:
            self.source, self.tape = source, None

    def knobs(self) -> dict[str, float | Tensor]:
        """The knobs as the last step left them: scheduled ones, and those of controllers."""
        return {**self.state.knobs, **self._schedule(span_at(self.layout, max(0, self.state.step - 1)))}

    def ends_a_stage(self, step: int) -> bool:
        """Whether another stage begins after so many steps."""
        return any(span.stop == step for span in self.layout[:-1])

    def stage_before(self, step: int) -> str:
        """The name of the stage that the step of that number was the last of."""
        return next(span.stage.name for span in self.layout if span.stop == step)

    def _schedule(self, span: Span) -> dict[str, float | Tensor]:
        progress = span.progress(self.state.step)
        return {name: schedule(progress) for name, schedule in self.recipe.schedules.items()}

    def _batch(self, scheduled: Mapping[str, float | Tensor]) -> int:
        """Examples per turn over all processes; a scheduled batch is rounded to what divides."""
        pieces = self.engine.world * self.recipe.accumulate
        wanted = float(scheduled.get("batch", self.recipe.batch))
        return max(1, round(wanted / pieces)) * pieces

    def _turns(self, span: Span) -> Iterator[tuple[Side, int, int]]:
        """(side, number of its turn within the step, position among all turns of the stage)."""
        first = (self.state.step - span.start) * span.slots
        position = 0
        for side in span.stage.sides:
            for number in range(side.turns):
                # who plays together sees the same rows
                yield side, number, first + (number if span.stage.together else position)
                position += 1

    def _turn(
        self, span: Span, side: Side, number: int, position: int, knobs: dict[str, float | Tensor]
    ) -> dict[str, Tensor]:
        """A turn: sample and generate, judge, charge, and move the side's parameters."""
        state, engine, recipe = self.state, self.engine, self.recipe
        together = span.stage.together
        # A judge that plays together may be the first to ask for fakes: their graph has to reach the generator.
        everyone = tuple(m for s in span.stage.sides for m in s.modules)
        freeze(state.trainable, everyone if together and side.judges else side.modules)
        for module in self.refreshers[side.name]:
            module.refresh()
        optimiser = state.optimisers.get(optimiser_key(span.number, span.stage, side))
        if optimiser is not None:
            optimiser.zero_grad(set_to_none=True)
        if self.secret is not None and side.private is not None and optimiser is not None:
            turn = self._at(span, side, number, position, knobs, self._batch(knobs))
            with engine.autocast():
                self.secret.take(side, turn)
            return {f"{side.name}.gradient": self._move(span, side, optimiser, turn)}
        micro = recipe.accumulate
        batch = self._batch(knobs) // (engine.world * micro)
        notes: dict[str, Tensor] = {}
        for part in range(micro):
            share = (engine.rank * micro + part, engine.world * micro)
            turn = self._at(span, side, number, position, knobs, batch, share)
            source = self.source
            if self.guard is not None:
                source, turn = self.guard.admitted(side, turn)
            if self.graphs is None:
                turn.draw.seed_globally("modules")
            with engine.autocast():
                play = self.plays.get((number, part)) or recipe.game.play(state.nets, source, turn)
                if together:
                    self.plays[number, part] = play
                seen = self._seen(span, side, play, turn, part)
                loss = total(losses(self.charged, side, seen, turn, state.joint))
            turn.note(f"{side.name}.loss", loss)
            for name, value in _divided(turn.notes, micro).items():
                notes[name] = notes[name] + value if name in notes else value
            if optimiser is not None:
                (loss / micro if micro > 1 else loss).backward()  # type: ignore[no-untyped-call]
        if optimiser is not None:
            notes[f"{side.name}.gradient"] = self._move(span, side, optimiser, turn)
        return {} if recipe.game.secret & set(side.modules) else notes

    def _seen(self, span: Span, side: Side, play: Play, turn: Turn, part: int) -> Play:
        """The play as the side sees it."""
        if side.pool is None:
            return play
        memory = self.state.memory[pool_key(optimiser_key(span.number, span.stage, side))]
        return PooledPlay(play.nets, play, side.pool.size, memory, turn, self.engine, part)

    def _at(
        self, span: Span, side: Side, number: int, position: int, knobs: dict[str, float | Tensor], batch: int,
        share: tuple[int, int] = (0, 1),
    ) -> Turn:  # fmt: skip
        """The turn's place, draws and size."""
        step = self.state.step
        place = (span.number, "together" if span.stage.together else side.name, step, number)
        draw = draw_for(self.state, *place, share=share)
        if self.tape is not None:
            draw = self.tape.draw(draw)
        return Turn(side.name, step, (step - span.start) * side.turns + number, position, draw, knobs, {}, batch)

    def _move(self, span: Span, side: Side, optimiser: torch.optim.Optimizer, turn: Turn) -> Tensor:
        """Updates the side's parameters; returns the norm of its gradient."""
        parameters = own_parameters(self.state, side)
        self.engine.average(parameters)
        slopes = [p.grad for p in parameters if p.grad is not None]
        norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(slopes)))
        if side.clip_gradient:
            nn.utils.clip_grad_norm_(parameters, side.clip_gradient)
        for group in optimiser.param_groups:
            group["lr"] = self._rate(side, group["initial_lr"], turn)
            if "beta2" in turn.knobs and "betas" in group:
                group["betas"] = (group["betas"][0], float(turn.knobs["beta2"]))
        optimiser.step()
        key = optimiser_key(span.number, span.stage, side)
        with torch.no_grad():
            for i, after in enumerate(side.after):
                after([p.data for p in parameters], self.state.memory[f"{key}.{i}"], turn)
        return norm

    def _rate(self, side: Side, initial: float, turn: Turn) -> float | Tensor:
        """The side's learning rate: a number, a tensor where steps are taped."""

        def factor(knobs: Mapping[str, float | Tensor]) -> float:
            return math.prod(float(knobs.get(name, 1.0)) for name in ("lr", f"lr.{side.name}", "mend.lr"))

        return initial * factor(turn.knobs) if self.tape is None else self.tape.rate(initial, factor)

    def _keep(self, scheduled: Mapping[str, float | Tensor]) -> float:
        """What averages keep of themselves at this step: EMA by half-life in examples."""
        state, ema = self.state, self.recipe.ema
        halflife = ema.halflife * float(scheduled.get("ema", 1.0))
        if ema.ramp:
            halflife = min(halflife, ema.ramp * state.images)
        return 0.5 ** (self._batch(scheduled) / halflife) if halflife > 0 else 0.0


def _divided(notes: Mapping[str, Tensor], by: int) -> dict[str, Tensor]:
    """Each note by a number, in one operation, in tensors of their own."""
    return dict(zip(notes, torch._foreach_div(list(notes.values()), by), strict=True)) if notes else {}


def train(trainer: Trainer, watch: Watcher) -> str:
    """Step 6 of algorithm 1: repeat until the target is reached, the budget is spent, or somebody says stop."""
    while trainer.state.step < trainer.steps and not trainer.exhausted:
        trainer.step()
        if why := watch.after_step(trainer.state):
            return why
    return "budget"


def calibrate(trainer: Trainer, seconds: float, most: int = 200) -> float:
    """Seconds per step, measured on a throw-away training: the mean after a warm-up, over whole cycles of what is
    charged only every so many turns, without the slowest 2 %."""
    times: list[float] = []
    begun = time.perf_counter()
    sides = list(trainer.recipe.sides())
    cycle = max(1, *(p.every for s in sides for p in s.penalties), *(t.every for s in sides for t in s.terms), 1)
    elapsed = 0.0
    while len(times) < most and (elapsed < seconds or len(times) < 3):
        started = time.perf_counter()
        trainer.step()
        if trainer.state.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
        # all processes must take the same number of steps: the first one's clock counts
        (elapsed,) = trainer.engine.agree([time.perf_counter() - begun])
    settled = times[len(times) // 4 :]
    whole = settled[len(settled) % cycle :] if len(settled) > cycle else settled
    kept = sorted(whole)[: max(1, int(len(whole) * 0.98))]
    return sum(kept) / len(kept)
