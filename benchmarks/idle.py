"""How long a GPU waits: the share of a training's time in which it computes nothing.

Our loop as `rivalry train` runs it (notes, metrics, averages, previews, progress) on the recipes that a GPU is given, at their own batch and at
others.  Wall time is of steps without a profiler; busy time is the union of the kernels' times, from torch's profiler over further steps,
which the profiler does not lengthen.

    python benchmarks/idle.py
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import cast

import torch
from common import keep, table
from speed import pictures, recipes
from torch.profiler import ProfilerActivity, profile

from rivalry import zoo
from rivalry.data import Dataset, load
from rivalry.evaluate import Judge
from rivalry.recipe import Recipe
from rivalry.run import Run
from rivalry.training.engine import Engine
from rivalry.training.graphs import AGAIN
from rivalry.training.loop import Trainer
from rivalry.training.plan import Plan
from rivalry.training.session import Request, usual_precision
from rivalry.training.state import build_state
from rivalry.training.watch import Watch

Case = tuple[str, Recipe, int, int]
WARM = AGAIN + 20
"""Steps before the clock starts: a recording is once held against the plain step, which happens once in a training and is as long as ten."""
NOTE = (
    "'plain' is the loop without recordings of its kernels (CUDA graphs). 'replay alone': the recording played over and over, so that what it takes beyond\n"
    "'computing' are the gaps between its kernels; 'all else alone': a step whose recording does nothing, what the processor takes between two recordings."
)


def cases() -> list[Case]:
    """(name, recipe, picture size, batch)."""
    plain = recipes()
    return [
        *(("DCGAN, 64 px", plain["DCGAN, 64 px"][1], 64, batch) for batch in (64, 256, 1024)),
        *(("ResNet, 32 px", plain["ResNet, 32 px"][1], 32, batch) for batch in (64, 256, 1024)),
        ("house, 28 px", zoo.get("house"), 28, 128),
        *(("house, 64 px", zoo.get("house"), 64, batch) for batch in (128, 512)),
        *(("dcgan, published, 64 px", zoo.get("dcgan"), 64, batch) for batch in (128, 512)),
        *(("stylegan2-ada, 64 px", zoo.get("stylegan2-ada"), 64, batch) for batch in (32, 128)),
        *(("r3gan, 64 px", zoo.get("r3gan"), 64, batch) for batch in (64, 256)),
    ]


def busy(trainer: Trainer, steps: int) -> tuple[float, float]:
    """(seconds a step in which something runs, how many kernels and copies those are)."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(steps):
            trainer.step()
        torch.cuda.synchronize()
    spans = sorted((e.start_ns(), e.start_ns() + e.duration_ns()) for e in seen.profiler.kineto_results.events() if str(e.device_type()).endswith("CUDA"))
    total, reached = 0, 0
    for start, stop in spans:
        total += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return total / steps / 1e9, len(spans) / steps


def parts(trainer: Trainer, watch: Watch, steps: int) -> tuple[float, float]:
    """(seconds of a recording played over and over, seconds a step of all else, what the processor does); nan where nothing was recorded."""
    recordings = list(trainer.graphs.recordings.values()) if trainer.graphs is not None else []
    if not recordings:
        return math.nan, math.nan
    graph = max(recordings, key=lambda r: r.plays).graph
    replayed = timed(graph.replay, steps)
    for recording in recordings:
        recording.graph = cast(torch.cuda.CUDAGraph, SimpleNamespace(replay=lambda: None))

    def step() -> None:
        trainer.step()
        watch.after_step(trainer.state)

    return replayed, timed(step, steps)


def timed(do: Callable[[], object], times: int) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(times):
        do()
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / times


def measured(recipe: Recipe, size: int, batch: int, steps: int, folder: Path, number: str, recorded: bool) -> list[object]:
    """A line's columns: images a second, then ms a step: all, with something computed, of the recording alone, of all else alone; kernels; idle %."""
    data: Dataset = load(pictures(size).numpy())
    recipe = replace(recipe, batch=batch, schedules={k: v for k, v in recipe.schedules.items() if k != "batch"})
    engine = Engine("cuda", usual_precision(Request(recipe), data.spec))
    data = data.to(engine.device)
    state = build_state(recipe, data.spec, 0, engine.device)
    trainer = Trainer(state, data.train, 10**9, engine, recorded=recorded)
    run = Run.claim(str(folder / f"run-{number}"))
    run.begin({})
    plan = Plan(10**9, log=50, pulse=500, preview=1000, look=10**9, save=10**9)
    with Watch(run, plan, cast(Judge, None), data, engine) as watch:  # nobody is asked for scores within these steps
        watch.bind(trainer)

        def step() -> None:
            trainer.step()
            watch.after_step(state)

        for _ in range(WARM if recorded else 20):
            trainer.step()
        wall = timed(step, steps)
        computing, kernels = busy(trainer, 16)
        idle = f"{100 * max(0.0, 1 - computing / wall):.0f}"
        found: list[object] = [f"{batch / wall:,.0f}", f"{1e3 * wall:.2f}", f"{1e3 * computing:.2f}", f"{kernels:.0f}", idle]
        if recorded:
            found += [f"{1e3 * seconds:.2f}" for seconds in parts(trainer, watch, steps)]
        if trainer.graphs is not None and trainer.graphs.why and recorded:
            print(f"{recipe.name}: no recordings: {trainer.graphs.why}", file=sys.stderr, flush=True)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--recorded", action="store_true", help="leave the loop without recordings out")
    parser.add_argument("--only", default="", help="cases whose name has this")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs an NVIDIA GPU")
    rows = []
    with TemporaryDirectory() as folder:
        for number, (name, recipe, size, batch) in enumerate(cases()):
            if given.only not in name:
                continue
            row: list[object] = [name, batch]
            for recorded in (True, False)[: 1 if given.recorded else 2]:
                row += measured(recipe, size, batch, given.steps, Path(folder), f"{number}-{recorded}", recorded)
            print(*row, sep="\t", flush=True)
            rows.append(row)
    columns = ("images a second", "ms a step", "computing", "kernels", "idle %")
    head: tuple[str, ...] = ("nets", "batch", *columns, "replay alone", "all else alone")
    if not given.recorded:
        head += tuple(f"plain: {c}" for c in columns)
    keep("idle", "How long a GPU waits", f"{table(head, rows)}\n\n{NOTE}")


if __name__ == "__main__":
    main()
