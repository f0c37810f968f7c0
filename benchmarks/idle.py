"""How long a GPU waits: the share of a training's time in which it computes nothing.

Our loop as `rivalry train` runs it (notes, metrics, averages, previews, progress) on the recipes that a GPU is given, at their own batch and at
others.  Wall time is of steps without a profiler; busy time is the union of the kernels' times, from torch's profiler over further steps,
which the profiler does not lengthen.

    python benchmarks/idle.py
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
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
from rivalry.training.loop import Trainer
from rivalry.training.plan import Plan
from rivalry.training.session import Request, usual_precision
from rivalry.training.state import build_state
from rivalry.training.watch import Watch

Case = tuple[str, Recipe, int, int]


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


def busy(trainer: Trainer, steps: int) -> float:
    """Seconds a step in which some kernel runs."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(steps):
            trainer.step()
        torch.cuda.synchronize()
    spans = sorted((e.start_ns(), e.start_ns() + e.duration_ns()) for e in seen.profiler.kineto_results.events() if str(e.device_type()).endswith("CUDA"))
    total, reached = 0, 0
    for start, stop in spans:
        total += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return total / steps / 1e9


def measured(recipe: Recipe, size: int, batch: int, steps: int, folder: Path, number: str, recorded: bool) -> tuple[float, float]:
    """(seconds a step, seconds of them in which the GPU computes)."""
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
        for _ in range(20):
            trainer.step()
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(steps):
            trainer.step()
            watch.after_step(state)
        torch.cuda.synchronize()
        wall = (time.perf_counter() - begun) / steps
        return wall, busy(trainer, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
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
            for recorded in (True, False):
                wall, computing = measured(recipe, size, batch, given.steps, Path(folder), f"{number}-{recorded}", recorded)
                idle = 100 * max(0.0, 1 - computing / wall)
                row += [f"{batch / wall:,.0f}", f"{1e3 * wall:.2f}", f"{1e3 * computing:.2f}", f"{idle:.0f}"]
            print(*row, sep="\t", flush=True)
            rows.append(row)
    columns = ("images a second", "ms a step", "computing", "idle %")
    head = ("nets", "batch", *columns, *(f"plain: {c}" for c in columns))
    keep("idle", "How long a GPU waits", table(head, rows) + "\n\n'plain' is the loop without recordings of its kernels (CUDA graphs).")


if __name__ == "__main__":
    main()
