"""What the benchmarks share: naming the machine, tables, and where results are kept."""

from __future__ import annotations

import platform
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from rivalry import stats
from rivalry.baselines import fit
from rivalry.data import Dataset
from rivalry.evaluate.tabular import kinds, names
from rivalry.parts import Baseline
from rivalry.recipe import Recipe
from rivalry.run import machine, versions
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.state import build_state

HERE = Path(__file__).parent
WORK = HERE / "work"
"""Runs and downloads of benchmarks; not part of the repository."""
SHARED = HERE.parent.parent / "shared" / "data"
"""Development data; benchmarks that need them say so where they are missing."""


def about() -> str:
    """The machine in a line."""
    m, v = machine(), versions()
    gpu = f", {m['gpu']}" if m["gpu"] else ""
    return f"{m['cpu']}, {m['threads']} threads{gpu}, {platform.system()}, torch {v['torch']}, rivalry {v['rivalry']}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def keep(name: str, title: str, text: str) -> None:
    """Prints a result and writes it to results/NAME.md with the command as it was typed."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    page = f"# {title}\n\nMachine: {about()}.\n\n    {command}\n\n{text}\n"
    print(page)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.md").write_text(page, encoding="utf-8")


def shared(folder: str) -> Path:
    """A development data set; exits with a word where it is missing."""
    path = SHARED / folder
    if not path.exists():
        sys.exit(f"this benchmark needs the development data {folder}, which are not at {path}")
    return path


def interval(values: Sequence[float], digits: int = 3) -> str:
    """Mean and half-width of the 95 % interval over seeds; one value as it is."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    half = stats.student_quantile(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.{digits}f} ± {half:.{digits}f}"


def rows(dataset: Dataset, side: str) -> Tensor:
    """[N, C] raw rows of a table's side."""
    store = dataset.train if side == "train" else dataset.held
    return store.raw(torch.arange(len(store)))


def measured(fake: Tensor, dataset: Dataset, target: str) -> dict[str, float]:
    """What synthetic rows [M, C] score against held-out rows, and how well they teach to predict the target."""
    train, test, what = rows(dataset, "train"), rows(dataset, "held"), kinds(dataset.spec)
    used = stats.utility(train, fake, test, what, names(dataset.spec).index(target), 0)
    return {
        "shape": 100 * stats.shape_error(test, fake, what),
        "trend": 100 * stats.trend_error(test, fake, what),
        "c2st": stats.classifier_two_sample(test, fake[: len(test)], what, 0).value,
        "tstr": used.fake.trees,
        "tstr linear": used.fake.linear,
        "augmented": used.augmented.trees,
        "real": used.real.trees,
    }


def counted(baseline: Baseline, dataset: Dataset, seed: int) -> Tensor:
    """As many rows [N, C] as training has, from a baseline fitted to them."""
    return dataset.modality.decode(fit(baseline, dataset).sample(len(dataset.train), seed))


def cpu_seconds_a_step(recipe: Recipe, data: Dataset, steps: int = 6) -> float:
    """CPU seconds of a step, stage by stage, weighed by their shares."""
    whole, total = sum(s.share for s in recipe.stages), 0.0
    for stage in recipe.stages:
        trainer = Trainer(build_state(replace(recipe, stages=(stage,)), data.spec, 0, torch.device("cpu")), data.train, 1000, Engine("cpu"))
        trainer.step()
        began = time.process_time()
        for _ in range(steps):
            trainer.step()
        total += (time.process_time() - began) / steps * stage.share / whole
    return total


def threads(count: int) -> None:
    torch.set_num_threads(count)
