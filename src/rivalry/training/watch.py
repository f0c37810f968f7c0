"""What is told of every step: logs, health, previews, scores, checkpoints, interrupts.

All of it happens at step numbers that the plan fixed, so a resumed run does the same at the same places; only the
progress bar goes by the clock.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rivalry.data import Dataset
from rivalry.evaluate import Judge, Score, Scores
from rivalry.health import Diagnosis, Monitor
from rivalry.privacy import headline, read_account
from rivalry.run import Run, stage_checkpoint
from rivalry.training.closing import close
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.progress import Progress
from rivalry.training.remembering import remembering
from rivalry.training.showing import FOLDER, averaged, live, settle_averages, write_preview
from rivalry.training.state import State, pack_model, pack_state, parted, unpack_state
from rivalry.types import PAD

MENDS = 3
RELAPSE = 10
"""Trouble within so many pulses of going back says that the last answer was too weak; without any, a first answer is taken back."""
PULSE = 256
FEW = 4


class Intervals(Protocol):
    """The part of a plan that says when."""

    @property
    def steps(self) -> int: ...
    @property
    def log(self) -> int: ...
    @property
    def pulse(self) -> int: ...
    @property
    def preview(self) -> int: ...
    @property
    def look(self) -> int: ...
    @property
    def save(self) -> int: ...


@dataclass
class Memory:
    """What the watch itself must remember over a resume."""

    seconds: float = 0.0
    missed: str = ""
    best: float = math.inf
    best_give: float = 0.0
    best_step: int = 0
    mends: int = 0
    mended: int = -1
    lr: float = 1.0
    penalty: float = 1.0
    eased: bool = False
    saved: dict[str, int] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict)


class Watch:
    """Follows a training from outside; `after_step` says why it should stop, if it should."""

    def __init__(
        self, run: Run, plan: Intervals, judge: Judge, data: Dataset, engine: Engine, tensorboard: bool = True
    ) -> None:
        self.run, self.plan, self.judge, self.data, self.engine = run, plan, judge, data, engine
        self.memory = Memory()
        self.monitor = Monitor()
        self.tensorboard = tensorboard and engine.main
        self.asked = False
        self.private = False
        self.scores: Scores | None = None
        self._reals: Tensor | None = None
        self._latest: dict[str, float] = {}
        self._settled = -1

    def bind(self, trainer: Trainer) -> None:
        self.trainer, self.private = trainer, trainer.recipe.private
        self.progress = Progress(self.plan.steps, trainer.state.step, self.engine.main)
        self.started = time.perf_counter() - self.memory.seconds

    def restore(self, meta: Mapping[str, Any], step: int) -> None:
        """Takes up what a checkpoint remembers; what was logged after it will be logged again."""
        self.memory = Memory(**meta["watch"])
        self.monitor.restore(self.memory.health)
        if self.engine.main:
            self.run.rewind(step)
            self.run.event(step, "resume", f"went on from step {step}")

    def __enter__(self) -> Watch:
        self._handlers = {s: signal.signal(s, self._interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
        self._board = _board(self.run) if self.tensorboard else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for s, handler in self._handlers.items():
            signal.signal(s, handler)
        self.progress.close()
        if self._board is not None:
            self._board.close()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C saves and stops after the step; the second stops at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    # -- every step ---------------------------------------------------------------------------------------------

    def after_step(self, state: State) -> str:
        step, plan = state.step, self.plan
        last = step >= plan.steps or self.trainer.exhausted
        why = ""
        stage = self.trainer.ends_a_stage(step)
        if step % plan.log == 0 or last:
            why = self._log(state)
        if not why and not self.private and (step % plan.pulse == 0 or last):
            why = self._pulse(state)
        if state.step != step:  # went back to an earlier checkpoint
            return why
        if step % plan.preview == 0 or last:
            self._preview(state)
        twin = stage and state.recipe.game.changes  # the end of a stage by pixels alone is what the next is held against
        if not why and (step % plan.look == 0 or last or twin):
            why = self._look(state)
        if stage and not why:
            self.save(state, stage_checkpoint(self.trainer.stage_before(step)))
        asked = self._asked(state)
        if last or why or asked or (step % plan.save == 0 and not self.monitor.suspicious):
            self.save(state, "last")
        self.progress.update(step, self._latest)
        return why or ("asked" if asked and not last else "")

    def _asked(self, state: State) -> bool:
        """Interrupts are agreed on at log steps when there are several processes, at once when there is one."""
        if self.engine.world == 1 or state.step % self.plan.log == 0:
            return self.engine.any(self.asked)
        return False

    def _log(self, state: State) -> str:
        """Statistics leave the device here and nowhere else: one copy for all of them."""
        if not state.sums:
            return ""
        names = sorted(state.sums)
        sums = torch.stack([state.sums[n].float() for n in names]).tolist()
        means = {n: s / state.counts[n] for n, s in zip(names, sums, strict=True)}
        state.sums, state.counts = {}, {}
        knobs = {k: float(v) for k, v in state.knobs.items()}
        bad = [n for n, v in means.items() if not math.isfinite(v)]
        if bad:
            return self._mend(state, self.monitor.diverged(state.step, bad[0]))
        self._latest = means
        record = {"step": state.step, "images": state.images, "seconds": round(self.seconds, 3)}
        self._record(record | {"notes": means, "knobs": knobs})
        if self._board is not None:
            for name, value in (means | {f"knobs/{k}": v for k, v in knobs.items()}).items():
                self._board.add_scalar(name.replace(".", "/", 1), value, state.step)
        return ""

    @property
    def seconds(self) -> float:
        """Wall time of training and watching, over all sittings."""
        return time.perf_counter() - self.started

    def _record(self, record: Mapping[str, Any]) -> None:
        if self.engine.main:
            self.run.log(record)

    def _settle(self, state: State) -> None:
        """Makes averaged weights ready to be sampled from or kept, once for each step number."""
        if self._settled != state.step:
            settle_averages(state, self.data)
            self._settled = state.step

    def _pulse(self, state: State) -> str:
        """A cheap look at a few samples of the live generator: is it well?"""
        # what is made of pictures is as varied as they are: rules on variety say nothing there, and numbers are looked at on a few
        size = min(FEW if state.recipe.game.changes else PULSE, len(self.data.train))
        if self._reals is None:
            index = torch.linspace(0, len(self.data.train) - 1, size).long()
            self._reals = self.data.train.batch(index, state.device).x
        fakes, reals = live(state, self.data)(size, state.seed), self._reals
        if self.data.spec.kind == "tokens":  # token numbers are no places: texts are compared by what they are made of
            fakes, reals = bags(fakes), bags(reals)
        found = self.monitor.pulse(state.step, fakes, reals, self._latest, finite=finite(state.nets))
        if found.kind != "healthy":
            return self._mend(state, found)
        self._ease(state)
        return ""

    def _preview(self, state: State) -> None:
        self._settle(state)
        if not self.engine.main:
            return
        folder = FOLDER if state.recipe.game.changes else "samples"
        path = write_preview(self.run.path / folder / f"step-{state.step:07d}.png", averaged(state, self.data), self.data, state.seed)
        if self._board is not None and folder == "samples" and path.suffix == ".png":
            from rivalry.pictures import pixels

            self._board.add_image("samples", pixels(path), state.step, dataformats="HWC")

    def _look(self, state: State) -> str:
        """Scores of the averaged generator; keeps the best; asks the judge whether the target is reached.

        Under differential privacy nothing is chosen by scores on real rows, nor the discriminator asked about them."""
        self._settle(state)
        draw = averaged(state, self.data)
        scores = self.judge.gate(draw, state.step)
        self.scores = scores
        found: dict[str, Any] = {"scores": {m: s.as_dict() for m, s in scores.items()}}
        if (paired := scores.details.get("paired")) is not None:
            found["paired"] = {k: paired[k] for k in ("untouched", "said")}  # which rows came out worst stays in private/
        if not self.private:
            found["memory"] = remembering(state, self.data, self.trainer.knobs())
        self._record({"step": state.step, "seconds": round(self.seconds, 3), **found})
        headline = scores[self.judge.headline]
        self._latest = {**self._latest, self.judge.headline: headline.value}
        if self._board is not None:
            for name, score in scores.items():
                self._board.add_scalar(f"scores/{name}", score.value, state.step)
        if not self.private:
            self._keep(state, headline)
        if self.judge.target is None:
            return ""
        verdict = self.judge.verdict(draw, state.step, scores)
        self.memory.missed = "" if verdict.met else verdict.note
        if verdict.met:
            if self.engine.main:
                self.run.event(state.step, "target", verdict.note)
            if not self.private and self.memory.best_step != state.step:  # what is handed over is what was confirmed
                self.memory.best, self.memory.best_step = headline.loss, state.step
                self.save(state, "best")
        return "target" if verdict.met else ""

    def _keep(self, state: State, score: Score) -> None:
        """Checkpoint 'best' is the latest that is not worse than the best look by more than the two looks' noise: of looks that cannot be
        told apart the least is luck, and the later model has learned longer, at lower rates."""
        memory, give = self.memory, (score.high - score.low) / 2
        if not score.loss - memory.best <= math.hypot(give, memory.best_give):
            return
        if score.loss < memory.best:
            memory.best, memory.best_give = score.loss, give
        memory.best_step = state.step
        self.save(state, "best")

    # -- saving and mending -------------------------------------------------------------------------------------

    def save(self, state: State, which: str) -> None:
        """Writes checkpoint `which`; other processes only remember that it was written."""
        self._settle(state)
        if not self.engine.main:
            self.memory.saved[which] = state.step
            return
        tensors, meta = pack_state(state)
        if not all(bool(torch.isfinite(v).all()) for v in tensors.values() if v.is_floating_point()):
            return  # a broken state never replaces a good one; the next log or pulse answers it
        self.memory.seconds = self.seconds
        self.memory.saved[which] = state.step
        self.memory.health = self.monitor.state()
        shown, hidden = parted(state, tensors)
        self.run.save(which, pack_model(state), shown, {**meta, "watch": vars(self.memory)}, hidden)

    def _mend(self, state: State, found: Diagnosis) -> str:
        """Goes back to a checkpoint from before the trouble, with lower rates and stronger penalties, and says so."""
        if found.news:
            if self.engine.main:
                self.run.event(state.step, found.kind, found.sentence)
            self.progress.say(f"step {state.step}: {found.sentence}")
        which = self._before(found.good_step)
        if which is None or self.memory.mends >= MENDS:
            return "diverged" if found.fatal else ""
        seconds, mends, step = self.memory.seconds, self.memory.mends + 1, state.step
        again = self.memory.mended >= 0 and step - self.memory.mended <= RELAPSE * self.plan.pulse
        lr, penalty = self.memory.lr / (8 if again else 2), self.memory.penalty * 2
        tensors, meta = self.run.state(which)
        unpack_state(state, tensors, meta, str(self.run.checkpoint(which)))
        self._settled = state.step  # as they were kept
        self.memory.mends, self.memory.mended, self.memory.seconds = mends, state.step, seconds
        self.memory.lr, self.memory.penalty = lr, penalty
        state.knobs |= {"mend.lr": lr, "mend.penalty": penalty}
        self.monitor.forgive(state.step)
        sentence = f"went back from step {step} to {state.step}; learning rates now x{lr:g}, penalties x{penalty:g}"
        if self.engine.main:
            self.run.event(state.step, "mend", sentence, lr=lr, penalty=penalty)
        self.save(state, "last")
        self.progress.say(sentence)
        return ""

    def _ease(self, state: State) -> None:
        """Takes the first answer back once training has been well for long: what happened may have been of its own day, and lower
        rates cost quality.  After a second trouble the answer stays."""
        memory = self.memory
        well = state.step - memory.mended >= RELAPSE * self.plan.pulse and not self.monitor.suspicious
        if memory.mends != 1 or memory.eased or not well:
            return
        memory.eased = True
        state.knobs |= {"mend.lr": 1.0, "mend.penalty": 1.0}
        sentence = f"training has been well for {RELAPSE} looks: learning rates and penalties are the recipe's again"
        if self.engine.main:
            self.run.event(state.step, "ease", sentence)
        self.progress.say(f"step {state.step}: {sentence}")

    def _before(self, good_step: int) -> str | None:
        """The latest checkpoint that is not younger than `good_step`, else the oldest there is."""
        there = sorted(((step, which) for which, step in self.memory.saved.items()), reverse=True)
        good = [which for step, which in there if step <= good_step]
        return good[0] if good else (there[-1][1] if there else None)

    def finish(self, state: State, why: str) -> None:
        """Draws what is drawn at the end, and writes down how it ended."""
        if not self.engine.main:
            return
        if why == "budget" and self.memory.missed:
            self.run.event(state.step, "missed", f"the target {self.judge.target} was not reached: {self.memory.missed}")
        if why != "diverged":
            close(self.run, averaged(state, self.data), self.data, self.judge, state.seed)
        if self.trainer.ledger is not None:
            self.trainer.ledger.settle()
        self.run.event(state.step, "end", farewell(self.run, why), why=why)


def finite(nets: Mapping[str, nn.Module]) -> bool:
    """Whether every parameter is a number."""
    parameters = [p.detach() for m in nets.values() for p in m.parameters()]
    if not parameters:  # counts have none
        return True
    norms = torch._foreach_norm(parameters)
    return bool(torch.isfinite(torch.stack(norms)).all())


def bags(tokens: Tensor, buckets: int = 512) -> Tensor:
    """[N, T] -> [N, buckets]: how often each token (modulo buckets) stands in a text, without padding."""
    there = (tokens != PAD).float()
    return torch.zeros(len(tokens), buckets, device=tokens.device).scatter_add_(1, tokens % buckets, there)


def farewell(run: Run, why: str) -> str:
    """One sentence for the user."""
    used = run.recipe.game.used(run.called)
    use = f"use it: {used}" if used else f"samples: rivalry sample {run.called}"
    found = f"report: {run.path}/report.md; {use}"
    mends = sum(e["kind"] == "mend" for e in run.events())
    if mends:
        found += f"; training went back {mends} time{'s' * (mends > 1)}, see what happened in the report"
    missed = next((f"{e['sentence']}; " for e in reversed(run.events()) if e["kind"] == "missed"), "")
    account = read_account(run.path)
    if account is not None:
        found += f"; {headline(*account)}, see what it leaves out in the report"
    return {
        "target": f"the target is reached; {found}",
        "budget": f"the budget is spent; {missed}{found}",
        "asked": f"stopped as asked and saved; go on with: rivalry resume {run.called}",
        "diverged": f"training did not recover; what was seen is in {run.path}/report.md",
    }[why]


def _board(run: Run) -> Any:
    """TensorBoard's writer; imported late, it is slow."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(run.path / "tensorboard"))  # type: ignore[no-untyped-call]
