"""Comparisons: recipes over seeds on one data set at equal time, or runs that are there already; resumable.

The folder of a comparison holds a run per (recipe, seed), and `comparison.json` with the scores measured so far, all
by one ruler.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from rivalry.auto import check_task, find, read_for, resolve, suited
from rivalry.baselines import check, kept, private
from rivalry.catalogue import dump
from rivalry.data import Dataset, ReadOptions
from rivalry.errors import RecipeError, RulerMismatch, RunError
from rivalry.evaluate import Budget, Draw, Looks, Scores, judge_of
from rivalry.files import write_json
from rivalry.parts import Baseline
from rivalry.privacy import privatised
from rivalry.recipe import Recipe
from rivalry.report import write_report
from rivalry.run import ROOT, Run
from rivalry.sampling import sampler_of
from rivalry.streams import key
from rivalry.training.engine import Engine
from rivalry.training.session import Request, resume, start

PRIVATE = "private"
"""Folder of what was learned from the data, here the ruler's network."""

T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Student's t at 97.5 %, for 1, 2, ... degrees of freedom."""


@dataclass(frozen=True)
class Entry:
    """What one contender reached: its scores over seeds by metric, and the wall time of training."""

    name: str
    scores: dict[str, list[float]]
    seconds: list[float]

    def summary(self, metric: str) -> tuple[float, float]:
        """(mean, half-width of the 95 % interval over seeds; NaN for a single seed)."""
        values = self.scores[metric]
        if len(values) < 2:
            return values[0], math.nan
        t = T95[min(len(values) - 2, len(T95) - 1)]
        return mean(values), t * stdev(values) / math.sqrt(len(values))


@dataclass(frozen=True)
class Comparison:
    """Contenders, best first by the headline metric."""

    data: str
    headline: str
    names: dict[str, str]
    floors: dict[str, float | None]
    entries: tuple[Entry, ...]

    def table(self) -> list[tuple[str, ...]]:
        """Rows for people; the first is the head."""
        metrics = [self.headline, *(m for m in self.names if m != self.headline)]
        head = ("rank", "contender", *(self.names[m] for m in metrics), "seconds")
        rows: list[tuple[str, ...]] = [head]
        means = [entry.summary(self.headline)[0] for entry in self.entries]
        for entry, score in zip(self.entries, means, strict=True):
            rank = means.index(score) + 1  # equals share one
            cells = [_cell(*entry.summary(m)) for m in metrics]
            rows.append((str(rank), entry.name, *cells, f"{mean(entry.seconds):.0f}"))
        floors = [f"{self.floors[m]:.3g}" if self.floors[m] is not None else "" for m in metrics]
        rows.append(("", "real data (floor)", *floors, ""))
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "headline": self.headline,
            "entries": [{"name": e.name, "scores": e.scores, "seconds": e.seconds} for e in self.entries],
            "floors": self.floors,
        }


def _cell(value: float, half: float) -> str:
    return f"{value:.3g}" if math.isnan(half) else f"{value:.3g} ± {half:.2g}"


def compare_recipes(
    source: str | Path,
    recipes: Sequence[str],
    seeds: Sequence[int] = (0, 1, 2),
    budget: str = "3m",
    name: str = "",
    options: ReadOptions | None = None,
    device: str = "auto",
    samples: int | None = None,
    say: Callable[[str], None] = print,
    only_trained: bool = False,
    dp: tuple[float, float] | None = None,
    precision: str = "",
) -> Comparison:
    """Trains every recipe with every seed for the same budget, measures all by one ruler on the same held-out rows.

    A contender may also be a baseline ('independent', 'mst'), which is fitted and takes no budget.  dp: (epsilon, delta)
    that each training and each fit may spend, delta 0 for N^-1.1.  precision: see `Request`.
    What is done already (same name) is not done again; `only_trained` measures what is there and trains nothing.
    Raises RecipeError for an unknown recipe, or a baseline that is not for such data, before anything is trained.
    """
    if isinstance(seeds, int):
        raise RecipeError(f"seeds are several numbers, for example seeds=range({seeds}), not {seeds}")
    if not recipes or not seeds:
        raise RecipeError("a comparison needs at least one recipe and one seed")
    Budget.parse(budget)  # a mistake in it should not have to wait for the data
    dataset, options = _read(source, recipes, options or ReadOptions())
    baselines = {r: _private(found, dataset, dp) for r in recipes if (found := check(r, dataset)) is not None}
    chosen = {r: _resolved(r, dataset, budget, device, dp) for r in recipes if r not in baselines}
    stems = [Path(r).stem for r in recipes]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
        raise RecipeError(f"two contenders are called {twice!r}, and runs and scores are kept by that name; rename one of the files")
    for recipe, _ in chosen.values():
        recipe.game.wiring(dataset.spec)  # what cannot play these data says so before others have trained
    folder = _free(ROOT / (name or f"compare-{Path(dataset.name).stem}"))
    engine = Engine(device)
    spent = "" if dp is None else f" epsilon {dp[0]:g} delta {dp[1]:g}"
    measure = _Measure(dataset, engine, folder, samples, f"{dataset.fingerprint} {budget}{spent}", [r for r, _ in chosen.values()])
    for recipe_name in recipes:
        for seed in seeds:
            place = f"{Path(recipe_name).stem}-seed{seed}"
            if recipe_name in baselines:
                file = measure.private / f"{place}.safetensors"
                make = partial(_fitted, baselines[recipe_name], dataset, file, seed, say)
            else:
                path = folder / place
                if only_trained and not finished(path):
                    continue
                recipe, why = chosen[recipe_name]
                request = Request(recipe, budget=budget, seed=seed, run=str(path), device=device, precision=precision, tensorboard=False, why=why)
                run = _trained(path, dataset, replace(request, ruler=measure.private), options, say)
                if not finished(path):
                    raise RunError(f"stopped at {recipe_name}, seed {seed}; the same command goes on from there")
                make = partial(measure.trained, run)
            scores = measure(make, recipe_name, seed)
            say(f"{recipe_name}, seed {seed}: {measure.headline} {scores[measure.headline].value:.4g}")
    return measure.comparison()


def _free(folder: Path) -> Path:
    """The folder of a comparison; RunError where a run stands."""
    if (folder / "run.toml").exists():
        raise RunError(f"{folder} is a run; give the comparison another name")
    return folder


def _read(source: str | Path, recipes: Sequence[str], options: ReadOptions) -> tuple[Dataset, ReadOptions]:
    """(the data as all contenders learn from them, how they were read): as in a training, recipes that are named go before the layout
    of pictures.  RecipeError where they learn from different things, which no one ruler measures."""
    named = [recipe for name in recipes if (recipe := find(name)) is not None]
    learned = {recipe.name: suited(recipe) if recipe.game.changes else "" for recipe in named}
    for recipe in named:
        if options.task is not None:
            check_task(recipe, options.task)
    if options.task is None and len(set(learned.values())) > 1:
        (one, first), (other, second) = next((a, b) for a in learned.items() for b in learned.items() if a[1] != b[1])
        does = [f"learns --task {task}" if task else "makes new examples" for task in (first, second)]
        raise RecipeError(f"{one!r} {does[0]} and {other!r} {does[1]}, so no one ruler measures both; compare each kind by itself")
    return read_for(next(iter(named), None), source, options)


def _resolved(
    recipe: str, dataset: Dataset, budget: str, device: str, dp: tuple[float, float] | None
) -> tuple[Recipe, tuple[str, ...]]:
    """(recipe, reasons), private where that is asked for."""
    found, why = resolve(recipe, dataset, budget, device, dp[0] if dp else None)
    if dp is None:
        return found, why
    private, changed = privatised(found, *dp)
    return private, why + changed


def _private(baseline: Baseline, dataset: Dataset, dp: tuple[float, float] | None) -> Baseline:
    return baseline if dp is None else private(baseline, dataset, *dp)


def _fitted(
    baseline: Baseline, dataset: Dataset, file: Path, seed: int, say: Callable[[str], None]
) -> tuple[Draw, float]:
    """(how to draw from the fitted baseline, seconds); each seed draws rows of its own."""
    found, seconds = kept(baseline, dataset, file)
    for note in found.notes:
        say(note)
    return lambda n, s: found.sample(n, key(seed, s)), seconds


def train_one(
    source: str | Path,
    recipe: str,
    seed: int,
    budget: str,
    name: str,
    options: ReadOptions | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> Run:
    """One training of a comparison, so that several can run side by side; `compare_recipes` finds it there."""
    dataset, options = _read(source, [recipe], options or ReadOptions())
    folder = ROOT / name
    path = folder / f"{Path(recipe).stem}-seed{seed}"
    chosen, why = resolve(recipe, dataset, budget, device)
    if not finished(path):
        judge_of(chosen, dataset, None, None, 1, torch.device("cpu"), folder / PRIVATE)  # its feature space, once for all contenders
    request = Request(chosen, budget=budget, seed=seed, run=str(path), device=device, tensorboard=False, why=why)
    request = replace(request, ruler=folder / PRIVATE)
    return _trained(path, dataset, request, options, say)


def finished(path: Path) -> bool:
    """Whether there is a run that came to its end."""
    if not (path / "run.toml").is_file():
        return False
    return any(e["kind"] == "end" and e.get("why") != "asked" for e in Run.open(path).events())


def _trained(path: Path, dataset: Dataset, request: Request, options: ReadOptions, say: Callable[[str], None]) -> Run:
    """The finished run of that place: found, gone on with, or trained from the start.  RunError where another recipe trained it."""
    if (path / "run.toml").is_file():
        _check_same(Run.open(path), request.recipe)
    if finished(path):
        return Run.open(path)
    begun = (path / "run.toml").is_file() and (Run(path).checkpoint("last") / "state.safetensors").exists()
    run = (
        resume(Run.open(path), dataset, say)
        if begun
        else start(dataset, replace(request, overwrite=True), say, options)
    )
    write_report(run)
    return run


def _check_same(run: Run, recipe: Recipe) -> None:
    """RunError where the run's recipe is not the one that goes by its name now.  (Private ones are fitted to their budget before they begin.)"""
    if not recipe.private and dump(run.recipe) != dump(recipe):
        raise RunError(f"{run.path} was trained by another recipe than {recipe.name!r} is now; give the comparison another name, or remove that folder")


def compare_runs(
    runs: Sequence[Run], dataset: Dataset, device: str = "auto", samples: int | None = None
) -> Comparison:
    """Measures runs by one ruler on the data of the first; RulerMismatch if they were trained on other data."""
    engine = Engine(device)
    measure = _Measure(dataset, engine, runs[0].path, samples, "", [run.recipe for run in runs])
    names = [run.name for run in runs]
    for run in runs:
        if run.settings["data"]["fingerprint"] != dataset.fingerprint:
            raise RulerMismatch(
                f"{run.name} was trained on other data than {runs[0].name}; compare runs on the same data"
            )
        called = run.name if names.count(run.name) == 1 else str(run.path)
        measure(partial(measure.trained, run), called, run.settings["train"]["seed"])
    return measure.comparison()


class _Measure:
    """One ruler for all, and what it has measured so far."""

    def __init__(self, dataset: Dataset, engine: Engine, folder: Path, samples: int | None, what: str, recipes: Sequence[Recipe]) -> None:
        """what: the data and budget that stored scores must be of; '' to store nothing.  recipes: of the contenders."""
        self.data = dataset.to(engine.device)
        self.private = folder / PRIVATE
        looks = None if samples is None else Looks(gate=min(2000, samples), verdict=samples)
        lead = next((r for r in recipes if any(side.fools for side in r.sides())), next(iter(recipes), None))
        self.judge = judge_of(lead, self.data, None, None, 1, engine.device, self.private, looks)
        self.device, self.path, self.what = engine.device, folder / "comparison.json", what
        stored: dict[str, Any] = (
            json.loads(self.path.read_text()) if what and self.path.exists() else {"what": what, "scores": {}}
        )
        if stored["what"] != what:
            raise RunError(
                f"{folder} holds a comparison on other data or with another budget; name this one with --run"
            )
        self.scores: dict[str, dict[str, Any]] = stored["scores"]

    @property
    def headline(self) -> str:
        return self.judge.headline

    def trained(self, run: Run) -> tuple[Draw, float]:
        """(how to draw from the run's best checkpoint, seconds of training)."""
        nets = run.networks("best", self.device)
        draw = sampler_of(run.recipe.game, run.recipe.game.wiring(run.spec), nets, self.device, self.data)
        return draw, next((r["seconds"] for r in reversed(run.metrics())), math.nan)

    def __call__(self, make: Callable[[], tuple[Draw, float]], name: str, seed: int) -> Scores:
        """The contender's scores; made and measured once."""
        place = f"{name}/{seed}"
        if place not in self.scores:
            draw, seconds = make()
            found = self.judge.final(draw, 0)
            self.scores[place] = {"scores": found.as_dict(), "seconds": seconds}
            if self.what:
                write_json(self.path, {"what": self.what, "scores": self.scores})
        return Scores.from_dict(self.scores[place]["scores"])

    def comparison(self) -> Comparison:
        by_name: dict[str, list[dict[str, Any]]] = {}
        for place, value in self.scores.items():
            by_name.setdefault(place.rsplit("/", 1)[0], []).append(value)
        first = Scores.from_dict(next(iter(self.scores.values()))["scores"])
        losses: dict[str, float] = {}
        entries = []
        for name, values in by_name.items():
            all_scores = [Scores.from_dict(v["scores"]) for v in values]
            for other in all_scores:
                other[self.headline].ruler.check(first[self.headline].ruler)
            table = {m: [s[m].value for s in all_scores if m in s] for m in first}
            entries.append(Entry(name, table, [v["seconds"] for v in values]))
            losses[name] = mean(s[self.headline].loss for s in all_scores)
        entries.sort(key=lambda e: losses[e.name])
        names = {m: s.ruler.name for m, s in first.items()}
        floors = {m: s.floor for m, s in first.items()}
        return Comparison(self.data.name, self.headline, names, floors, tuple(entries))
