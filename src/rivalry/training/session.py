"""From data and a recipe to a finished run: plan, train, watch, finish; and from a run folder, go on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rivalry.baselines import counted, fitted, take
from rivalry.catalogue import dump
from rivalry.data import Dataset, ReadOptions, load
from rivalry.errors import RecipeError, RunError
from rivalry.evaluate import Budget, Judge, Target, judge_of, kept_at
from rivalry.files import copy, write_text
from rivalry.games import Pate
from rivalry.players import as_they_were
from rivalry.privacy import (
    FILE,
    NOTES,
    AnyTerms,
    Ledger,
    VoteTerms,
    agree_terms,
    agree_votes,
    preparation,
    told,
    withheld,
)
from rivalry.privacy.counts import CountTerms
from rivalry.recipe import Private, Recipe
from rivalry.run import Run, free_name, machine
from rivalry.sampling import class_shares
from rivalry.training.engine import Engine, is_main_process
from rivalry.training.loop import Span, Trainer, calibrate, private_turns, train
from rivalry.training.neighbours import crowded, now, others
from rivalry.training.plan import Plan, seconds_a_preview
from rivalry.training.showing import live
from rivalry.training.state import build_state, load_nets, unpack_state
from rivalry.training.watch import Watch, farewell
from rivalry.types import Spec

Say = Callable[[str], None]


def to_stderr(line: str) -> None:
    if is_main_process():
        print(line, file=sys.stderr, flush=True)


CALIBRATION, SHORTEST = 4.0, 1.5
"""Seconds in which a step is measured, and those of a stage at least."""


@dataclass(frozen=True)
class Request:
    """What a training is asked to do; whatever is left out is chosen.

    recipe: what to play.  until: a target such as 'fd<20, coverage>.5'.  budget: '10m', '500steps', '4096samples';
    the recipe's own steps without it.  weights: a feature extractor's file for the rulers.  start: a run to
    fine-tune from.  precision: 'float32', 'bfloat16', 'auto'; '' is the usual one.  players: one's own modules in place of the recipe's networks, by name.  why: the reasons for
    the recipe, kept in the run.  cap: samples the run may hand out in all, 0 for any number.  ruler: a folder that may hold the local extractor of these data; the run takes a copy.
    """

    recipe: Recipe
    until: str = ""
    budget: str = ""
    seed: int = 0
    run: str = ""
    overwrite: bool = False
    device: str = "auto"
    precision: str = ""
    weights: Path | None = None
    start: str = ""
    players: Mapping[str, nn.Module] | None = None
    tensorboard: bool = True
    why: tuple[str, ...] = ()
    ruler: Path | None = None
    cap: int = 0


def start(dataset: Dataset, request: Request, say: Say = to_stderr, options: ReadOptions | None = None) -> Run:
    """Trains on the dataset as requested; returns the finished run.

    Raises RecipeError, RunError or DataError, and leaves nothing behind, if the request cannot be met.
    """
    recipe = request.recipe
    target = Target.parse(request.until) if request.until else None
    budget = Budget.parse(request.budget) if request.budget else Budget()
    base = Run.open(request.start) if request.start else None
    request = replace(request, precision=request.precision or usual_precision(request, dataset.spec))
    engine = Engine(request.device, request.precision)
    data = dataset.to(engine.device)
    _private_request(request, engine)
    forest, spent = fitted(recipe, data.train, data.spec) if counted(recipe) is not None else ({}, None)

    def make(recipe: Recipe, steps: int, ledger: Ledger | None = None, players: Mapping[str, nn.Module] | None = request.players) -> Trainer:
        state = build_state(recipe, data.spec, request.seed, engine.device, players)
        if base is not None:
            load_nets(state, base)
        if forest:
            take(state.nets, forest)
        return Trainer(state, data.train, steps, engine, ledger, recorded=not request.players)

    own = deepcopy(dict(request.players or {}))  # calibration trains a copy of one's own modules
    trial = make(recipe, 1, players=own)
    before = now() if engine.world == 1 else None  # the other processes of one training would be taken for strangers
    per_step = seconds_a_step(trial)
    threads = torch.get_num_threads() if engine.device.type == "cpu" else 1
    if budget.seconds is not None and (note := crowded(others(before, now()), threads, os.cpu_count() or 1)):
        say(note)
    name = engine.tell(request.run or free_name(f"{Path(dataset.name).stem}-{recipe.name}"))
    if base is not None and request.overwrite and base.path.resolve() == Run.at(name).path.resolve():
        raise RunError(f"a run cannot replace {base.path}, which it starts from; name another with --run")
    run = replace(Run.claim(name, request.overwrite) if engine.main else Run.at(name), players=request.players or {})
    try:
        if engine.main and request.ruler is not None and (known := kept_at(request.ruler, data)).exists():
            copy(known, kept_at(run.path / "private", data))
        begun = time.perf_counter()
        judge = make_judge(run, data, target, request.weights, request.seed, engine, recipe)
        made = time.perf_counter()
        judge.gate(live(trial.state, data), 0)
        looked = time.perf_counter() - made
        drawn = seconds_a_preview(trial.state, data, run.path / "private") if engine.main else 0.0
        del trial  # what it holds of the device's memory, the training needs
        per_step, per_look, per_preview, rulers = engine.agree([per_step, looked, drawn, made - begun])
        plan = Plan.make(_left(budget, recipe, rulers, say), recipe, per_step, per_look, per_preview)
        recipe, terms = _agreed(recipe, plan.steps, data, say) if spent is None else (recipe, spent)
        if engine.main:
            run.begin(_settings(dataset, replace(request, recipe=recipe), plan, options))
            if recipe.private and (dataset.notes or dataset.defences):
                write_text(run.path / "private" / NOTES, "\n".join((*dataset.notes, *dataset.defences)) + "\n")
        coarse = ", in bfloat16" if engine.precision == "bf16-mixed" else ""
        if target is not None and target.metrics == ("fd",) and dataset.modality.kind == "text":
            say(f"on few lines text that is no language may come near in FD; guard it with likelihood, for example --until '{target}, lm<1.2x floor'")
        say(f"{plan.steps} steps, about {duration(plan.estimate)} on {engine.device}{coarse}; the run is {run.path}")
        if base is not None and run.before:
            say(run.before)
        ledger = Ledger.create(run.path / FILE, terms) if terms is not None else None
        if ledger is not None and spent is not None:
            ledger.spend()  # the counts were taken when the forest was fitted
            say(told(preparation(data.modality.kind, data.modality.state(), data.defences)))
        watch = Watch(run, plan, judge, data, engine, request.tensorboard)
        return _go(run, make(recipe, plan.steps, ledger), watch, engine, say)
    except BaseException:  # the disk is full, Ctrl-C: what was never saved does not keep its name
        if engine.main:
            run.abandon()
        raise
    finally:
        as_they_were((request.players or {}).values())


def _left(budget: Budget, recipe: Recipe, spent: float, say: Say) -> Budget:
    """Of the seconds that a run may take which changes things, those that are left once its rulers are made: half of them at least.
    (Runs that make things are compared at equal seconds of training, so their rulers stand aside.)"""
    if budget.seconds is None or not recipe.game.changes or spent < 1:
        return budget
    left = max(budget.seconds / 2, budget.seconds - spent)
    say(f"{spent:.0f} s went into the feature space of the rulers, so {left:.0f} s of the budget are left to train in")
    return replace(budget, seconds=left)


def usual_precision(request: Request, spec: Spec) -> str:
    """'auto' for pictures and tables, where bfloat16 was seen to do no harm (docs/lab/speed.md), and for whatever is changed or restyled.  'float32'
    for all else: other data, penalties of small differences, differential privacy, and modules that are not ours."""
    recipe = request.recipe
    exact = any(p.exact for stage in recipe.stages for side in stage.sides for p in side.penalties)
    ours = not (request.players or recipe.private or exact)
    return "auto" if ours and (recipe.game.changes or spec.kind in ("image", "table")) else "float32"


def seconds_a_step(trial: Trainer) -> float:
    """Seconds of a step on average over the training: each stage is measured by itself, for the last may cost many times the first."""
    layout, stages = trial.layout, trial.recipe.stages
    if len(stages) == 1:
        return calibrate(trial, CALIBRATION)
    cost = 0.0
    for number, stage in enumerate(stages):
        trial.layout = [Span(number, stage, 0, 1)]
        cost += stage.share * calibrate(trial, max(SHORTEST, CALIBRATION / len(stages)))
    trial.layout = layout
    return cost / sum(stage.share for stage in stages)


def _private_request(request: Request, engine: Engine) -> None:
    """RecipeError where what is asked for besides would undo differential privacy."""
    if not request.recipe.private:
        return
    if engine.world > 1:  # before anything is counted: each process would draw, and spend, noise of its own
        raise RecipeError("differential privacy is for one process yet; start it without torchrun")
    if request.until:
        raise RecipeError(
            "--until stops by scores on real rows, which differential privacy does not cover; give --budget instead"
        )
    if request.start:
        raise RecipeError(
            f"--from {request.start} brings what that run learned of its rows, which nobody paid for; start afresh"
        )


def _agreed(recipe: Recipe, steps: int, data: Dataset, say: Say) -> tuple[Recipe, AnyTerms | None]:
    """The recipe with its noise and delta filled in for so many steps, and the terms of its privacy, if it has any."""
    rows = len(data.train)
    if isinstance(recipe.game, Pate):
        if data.prepared is not None:
            raise RecipeError(
                "votes are accounted for between rows that are exchanged, and the schema's preparation between rows that come and go, so "
                "the two do not add up; take a recipe such as 'house-table', or declare columns with public = true"
            )
        return _agreed_votes(recipe, recipe.game, steps, rows, say)
    private = [side.private for side in recipe.private_sides() if side.private is not None]
    if not private:
        return recipe, None
    say("looking for the noise that keeps within epsilon ...")
    terms = agree_terms(private[0], rows, recipe.batch, private_turns(recipe, steps), data.prepared)
    say(
        f"differential privacy: epsilon {terms.epsilon:g} at delta {terms.delta:.3g} over {terms.turns} turns, each row "
        f"drawn with chance {terms.rate:.4g}: noise {terms.sigma:.4g} times the clip {terms.clip:g}"
        + (", the preparation of the columns included" if terms.before else "")
    )
    say(told(preparation(data.modality.kind, data.modality.state(), data.defences)))
    resolved = Private(terms.epsilon, terms.delta, terms.clip, terms.sigma)
    stages = tuple(
        replace(s, sides=tuple(replace(side, private=resolved) if side.private else side for side in s.sides))
        for s in recipe.stages
    )
    return replace(recipe, stages=stages), terms


def _agreed_votes(recipe: Recipe, game: Pate, steps: int, rows: int, say: Say) -> tuple[Recipe, VoteTerms]:
    say("looking for the noise that keeps within epsilon ...")
    terms = agree_votes(game, rows, recipe.batch, private_turns(recipe, steps))
    say(
        f"differential privacy: epsilon {terms.epsilon:g} at delta {terms.delta:.3g} over {terms.turns * terms.each:,} votes "
        f"of {terms.teachers} teachers: Laplace noise of scale {terms.scale:.4g} on every count, which turns a unanimous "
        f"vote over with chance {terms.turned_over:.2f}"
    )
    return replace(recipe, game=replace(game, delta=terms.delta, scale=terms.scale)), terms


def resume(run: Run, dataset: Dataset | None = None, say: Say = to_stderr, device: str = "auto") -> Run:
    """Goes on from the last checkpoint, as if the run had never stopped (bit for bit on a CPU)."""
    settings = run.settings
    if not (run.checkpoint("last") / "state.safetensors").exists():
        raise RunError(f"{run.path} has no checkpoint yet; start it again with --overwrite")
    engine = Engine(device, settings["train"]["precision"])
    dataset = dataset if dataset is not None else reload_data(run)
    check_same(run, dataset)
    data = dataset.to(engine.device)
    state = build_state(run.recipe, data.spec, settings["train"]["seed"], engine.device, run.own_players())
    tensors, meta = run.state("last")
    unpack_state(state, tensors, meta, str(run.checkpoint("last") / "state.safetensors"))
    until = settings["train"]["until"]
    weights = Path(settings["train"]["weights"]) if settings["train"]["weights"] else None
    target = Target.parse(until) if until else None
    judge = make_judge(run, data, target, weights, settings["train"]["seed"], engine, run.recipe)
    plan = Plan(**settings["plan"])
    watch = Watch(run, plan, judge, data, engine, settings["train"]["tensorboard"])
    watch.restore(meta, state.step)
    ledger = _reopened(run)
    say(f"going on at step {state.step} of {plan.steps}")
    return _go(run, Trainer(state, data.train, plan.steps, engine, ledger, recorded=not run.own_players()), watch, engine, say)


def _reopened(run: Run) -> Ledger | None:
    """The run's ledger, if it trains under differential privacy; RunError where it speaks of another mechanism."""
    recipe, game = run.recipe, run.recipe.game
    if not recipe.private:
        return None
    ledger = Ledger.open(run.path / FILE)
    terms = ledger.terms
    if isinstance(terms, CountTerms):
        net = counted(recipe)
        same = net is not None and (net.epsilon, net.delta, net.before) == (terms.epsilon, terms.delta, terms.before)
    elif isinstance(terms, VoteTerms):
        same = isinstance(game, Pate) and terms.each == recipe.batch and terms == replace(
            terms, epsilon=game.epsilon, delta=game.delta, scale=game.scale, teachers=game.teachers
        )
    else:
        asked = Private(terms.epsilon, terms.delta, terms.clip, terms.sigma)
        same = [side.private for side in recipe.private_sides()][:1] == [asked] and recipe.batch == terms.batch
    if not same:
        raise RunError(
            f"{run.path / FILE} and run.toml tell of different noise, clip or batch; restore the one that was changed, "
            "or start a new run"
        )
    return ledger


def reload_data(run: Run) -> Dataset:
    """The data as the run read them; RunError where they have changed since."""
    settings = run.settings["data"]
    if not settings["source"]:
        raise RunError(f"the run {run.name} was made from data in memory; resume it from Python with the same data")
    options: ReadOptions = ReadOptions.from_dict(settings["options"])
    dataset = load(settings["source"], options=options)
    check_same(run, dataset)
    return dataset


def check_same(run: Run, dataset: Dataset) -> None:
    """RunError for other rows than those the run learned from, or another order of them: what was held back would be others now, some of
    them learned by heart."""
    known = run.settings["data"]
    if dataset.fingerprint != known["fingerprint"]:
        what = f"the data at {known['source']} have" if known["source"] else "these data are not those of the run, or have"
        raise RunError(
            f"{what} changed since the run {run.name} began (other rows, or another order), so what it held back can no longer be told from what it "
            "learned; put them back, or start a new run with --from"
        )


def make_judge(
    run: Run, data: Dataset, target: Target | None, weights: Path | None, seed: int, engine: Engine, recipe: Recipe
) -> Judge:
    """The judge of a run; its extractor is trained once, by the main process, and kept in the run's private folder."""
    for main in (True, False):
        if engine.main is main:
            judge = judge_of(recipe, data, target, weights, seed, engine.device, run.path / "private")
        engine.barrier()
    return judge


def _settings(dataset: Dataset, request: Request, plan: Plan, options: ReadOptions | None) -> dict[str, Any]:
    notes, defences = list(dataset.notes), list(dataset.defences)
    if request.recipe.private:
        notes, defences = withheld(notes, defences)
    return {
        "machine": machine(),
        "why": list(request.why),
        "train": {
            "seed": request.seed,
            "until": request.until,
            "budget": request.budget,
            "device": request.device,
            "precision": request.precision,
            "weights": str(request.weights) if request.weights else "",
            "start": request.start,
            "began": _began(request.start),
            "own_modules": sorted(request.players or {}),
            "tensorboard": request.tensorboard,
            "cap": request.cap,
        },
        "plan": asdict(plan),
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "options": (options or ReadOptions()).as_dict(),
            "fingerprint": dataset.fingerprint,
            "notes": notes,
            "defences": defences,
            "train": len(dataset.train),
            "held": len(dataset.held),
            "class_shares": list(class_shares(dataset)),
            "kind": dataset.modality.kind,
            "task": dataset.task,
            "state": dict(dataset.modality.state()),
            "spec": {**asdict(dataset.spec), "blocks": [b._asdict() for b in dataset.spec.blocks]},
        },
        "recipe": dump(request.recipe),
    }


def _began(start: str) -> list[dict[str, str]]:
    """`Run.began` of a run that starts from this one."""
    if not start:
        return []
    base = Run.open(start)
    return [*base.began, {"run": base.name, "fingerprint": base.settings["data"]["fingerprint"]}]


def _go(run: Run, trainer: Trainer, watch: Watch, engine: Engine, say: Say) -> Run:
    """Trains to the end and says why it stopped."""
    with watch:
        watch.bind(trainer)
        why = train(trainer, watch)
        watch.finish(trainer.state, why)
    engine.barrier()
    if engine.main:
        say(farewell(run, why))
    return run


def duration(seconds: float) -> str:
    """'40 s', '3 min', '2 h 5 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
