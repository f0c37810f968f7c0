"""Quality against variety of text, over temperatures: the only way in which language models and text GANs can be compared.

Lowering the temperature buys quality with variety, so that a single number shows nothing (Caccia et al. 2018,
arXiv:1811.02549).  Every run is measured at several temperatures and shares of top-p; its points make a curve, and of two
curves that one is better whose quality is better at equal variety.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rivalry.data import Dataset, restore
from rivalry.drawing import Decoding
from rivalry.errors import RecipeError, RulerMismatch
from rivalry.evaluate import Judge, Looks, Scores, choose_extractor
from rivalry.files import atomic
from rivalry.run import Run
from rivalry.sampling import Sampler
from rivalry.stats.ngrams import Floats
from rivalry.training.engine import Engine

TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
METRICS = ("lm", "lm-held", "reverse", "bleu5", "selfbleu5", "fd", "frontier", "verbatim")
AXES = (("reverse", "lm", -1.0), ("reverse", "lm-held", -1.0), ("selfbleu5", "bleu5", 1.0))
"""Pictures: (variety, quality, sign of better quality); less variety is to the right in all."""
LEVELS, DRAWS = 5, 2000


@dataclass(frozen=True)
class Point:
    """A run at one temperature and top-p: values by metric, and their 95 % intervals over samples."""

    contender: str
    run: str
    seed: int
    temperature: float
    top_p: float
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Level:
    """At equal variety: by how much the first contender's quality is better, mean over seeds with its 95 % bootstrap
    interval (None for a single seed)."""

    variety: float
    gain: float
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        if self.interval is None:
            return "one seed, no test"
        return "better" if self.interval[0] > 0 else "worse" if self.interval[1] < 0 else "no difference"


@dataclass(frozen=True)
class Sweep:
    """All points, the names of metrics by their rulers, and what real data score."""

    points: tuple[Point, ...]
    names: Mapping[str, str]
    floors: Mapping[str, float | None]

    @property
    def contenders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(p.contender for p in self.points))

    def table(self) -> list[tuple[str, ...]]:
        """Rows for people, the first is the head: means over seeds."""
        head = ("contender", "temperature", "top-p", *(self.names[m] for m in METRICS), "seeds")
        rows = [head]
        for key in dict.fromkeys((p.contender, p.temperature, p.top_p) for p in self.points):
            mine = [p for p in self.points if (p.contender, p.temperature, p.top_p) == key]
            means = [f"{np.mean([p.values[m] for p in mine]):.4g}" for m in METRICS]
            rows.append((key[0], f"{key[1]:g}", f"{key[2]:g}", *means, str(len(mine))))
        floors = ["" if self.floors[m] is None else f"{self.floors[m]:.4g}" for m in METRICS]
        return [*rows, ("real data (floor)", "", "", *floors, "")]

    def as_dict(self) -> dict[str, Any]:
        return {"points": [asdict(p) for p in self.points], "names": dict(self.names), "floors": dict(self.floors)}

    def curves(self, contender: str, variety: str, quality: str) -> list[tuple[Floats, Floats]]:
        """One for each run: (variety ascending, quality), of the points at the largest top-p swept."""
        top = max(p.top_p for p in self.points)
        mine = [p for p in self.points if p.contender == contender and p.top_p == top]
        out = []
        for run in dict.fromkeys(p.run for p in mine):
            pairs = sorted((p.values[variety], p.values[quality]) for p in mine if p.run == run)
            out.append((np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])))
        return out

    def dominance(self, first: str, second: str, axis: int = 0, levels: int = LEVELS) -> tuple[Level, ...]:
        """The first against the second at equal variety, on AXES[axis].

        RecipeError where their curves have no variety in common: sweep more temperatures.
        """
        variety, quality, sign = AXES[axis]
        return dominance(self.curves(first, variety, quality), self.curves(second, variety, quality), sign, levels)


def dominance(
    first: Sequence[tuple[Floats, Floats]], second: Sequence[tuple[Floats, Floats]], sign: float = 1.0, levels: int = LEVELS
) -> tuple[Level, ...]:
    """Curves of two contenders, one a seed: (variety ascending [k], quality [k]).  Quality is interpolated at `levels` varieties
    that all curves have, between points that no other of their curve beats in both (a temperature far above 1 is worse in both); the gain's interval is by
    bootstrap over the seeds of either (percentiles of DRAWS)."""
    first, second = ([_efficient(x, y, sign) for x, y in side] for side in (first, second))
    low = max(float(x[0]) for x, _ in (*first, *second))
    high = min(float(x[-1]) for x, _ in (*first, *second))
    if not low < high:
        raise RecipeError("the curves have no variety in common; sweep more temperatures")
    at = np.linspace(low, high, levels)
    a, b = (sign * np.array([np.interp(at, x, y) for x, y in side]) for side in (first, second))
    gains = a.mean(0) - b.mean(0)
    if min(len(a), len(b)) < 2:
        return tuple(Level(float(v), float(g), None) for v, g in zip(at, gains, strict=True))
    rng = np.random.default_rng(0)
    drawn = a[rng.integers(len(a), size=(DRAWS, len(a)))].mean(1) - b[rng.integers(len(b), size=(DRAWS, len(b)))].mean(1)
    lows, highs = np.quantile(drawn, [0.025, 0.975], axis=0)
    return tuple(
        Level(float(v), float(g), (float(lo), float(hi))) for v, g, lo, hi in zip(at, gains, lows, highs, strict=True)
    )


def _efficient(x: Floats, y: Floats, sign: float) -> tuple[Floats, Floats]:
    """Without points of which another has as much variety (a smaller x), and quality as good."""
    best = np.maximum.accumulate(np.concatenate([[-np.inf], sign * y[:-1]]))
    kept = sign * y > best
    return x[kept], y[kept]


def sweep(
    runs: Sequence[Run], dataset: Dataset, temperatures: Sequence[float] = TEMPERATURES, top_ps: Sequence[float] = (1.0,),
    n: int = 2000, *, which: str = "best", weights: Path | None = None, device: str = "auto", seed: int = 1,
    tick: Callable[[str, float], None] = lambda what, share: None,
) -> Sweep:  # fmt: skip
    """Measures runs of text on one data set, all by one ruler: n samples at each temperature and top-p.

    Runs of one recipe and budget on several seeds are one contender.  RulerMismatch for runs on other data, RecipeError for runs that
    make no text.
    """
    for run in runs:
        _check(run)
        if run.settings["data"]["fingerprint"] != dataset.fingerprint:
            raise RulerMismatch(f"{run.name} was trained on other data than {dataset.name}; sweep runs on the same data and options")
    where = Engine(device)
    extractor = choose_extractor(dataset, weights, where.device)
    judge = Judge(dataset, extractor, None, seed, where.device, Looks(gate=min(n, 2000), verdict=n))
    points, scores = list[Point](), None
    settings, names = list(product(runs, temperatures, top_ps)), _contenders(runs)
    for i, (run, temperature, top_p) in enumerate(settings):
        sampler = Decoding(temperature, top_p).of(_sampler(run, which, where), restore("text", run.settings["data"]["state"]))
        scores = judge.final(sampler, 0, metrics=METRICS)
        points.append(_point(run, names[run.path], temperature, top_p, scores))
        tick(f"{run.name} at {temperature:g}", (i + 1) / len(settings))
    if scores is None:
        raise RecipeError("a sweep needs at least one run and one temperature")
    return Sweep(tuple(points), {m: scores[m].ruler.name for m in METRICS}, {m: scores[m].floor for m in METRICS})


def _check(run: Run) -> None:
    if run.spec.context:
        raise RecipeError(f"{run.name} replies, and a sweep is of texts that are drawn by themselves; leave --sweep out")
    if run.recipe.game.changes:
        raise RecipeError(f"{run.name} changes what it is given, and a sweep is of texts that are drawn by themselves; leave --sweep out")
    if run.spec.kind != "tokens":
        raise RecipeError(f"{run.name} makes no text, and temperatures are for text; leave --sweep out")


def _contenders(runs: Sequence[Run]) -> dict[Path, str]:
    """Folder -> contender: its recipe, where runs of that name have one recipe, one budget, and each its own seed; else the run by itself."""
    found = {}
    for run in runs:
        mates = [r for r in runs if r.recipe.name == run.recipe.name]
        alike = all(r.recipe == run.recipe and r.settings["train"]["budget"] == run.settings["train"]["budget"] for r in mates)
        seeds = {r.settings["train"]["seed"] for r in mates}
        found[run.path] = run.recipe.name if alike and len(seeds) == len(mates) else run.called
    return found


def _sampler(run: Run, which: str, engine: Engine) -> Sampler:
    return Sampler(run.recipe.game, run.recipe.game.wiring(run.spec), run.networks(which, engine.device), engine.device)


def _point(run: Run, contender: str, temperature: float, top_p: float, scores: Scores) -> Point:
    values = {m: s.value for m, s in scores.items()}
    intervals = {m: (s.low, s.high) for m, s in scores.items()}
    return Point(contender, run.name, int(run.settings["train"]["seed"]), temperature, top_p, values, intervals)


def draw(found: Sweep, path: Path) -> Path:
    """Pictures side by side: LM scores against the reverse LM score, BLEU-5 against self-BLEU-5; to the left more variety, the better
    quality below, and in the last above."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(AXES), 4), layout="constrained")
    for i, (variety, quality, _) in enumerate(AXES):
        axes: Any = figure.add_subplot(1, len(AXES), i + 1)
        for number, contender in enumerate(found.contenders):
            for one, (x, y) in enumerate(found.curves(contender, variety, quality)):
                axes.plot(x, y, marker="o", markersize=3, linewidth=1, color=f"C{number}", label=contender if one == 0 else None)
        for x_value, y_value in _floor(found, variety, quality):
            axes.scatter(x_value, y_value, marker="*", color="black", label="real data", zorder=3)
        axes.set_xlabel(f"{found.names[variety]} (less variety to the right)")
        axes.set_ylabel(found.names[quality])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path


def _floor(found: Sweep, variety: str, quality: str) -> Iterator[tuple[float, float]]:
    x, y = found.floors[variety], found.floors[quality]
    if x is not None and y is not None:
        yield x, y
