"""Adult: how soon our default reaches the quality that CTGAN's own package has at its own defaults.

    python benchmarks/ctgan.py                                  # both (the package takes about half an hour), and the table
    python benchmarks/ctgan.py --epochs 1 --budgets 20s         # a rehearsal

The package `ctgan` is licensed under the Business Source License 1.1.  It is no dependency of rivalry: this script
installs it into an environment of its own (benchmarks/work/ctgan-venv), calls it there, and reads the rows that it
wrote.  Ours is trained afresh for each of a rising row of budgets until one beats the package in every measure; what is
there already is not done again.  Both on one thread; times are CPU seconds, so that other work on the machine bears on neither, and hold
reading, encoding and training, without sampling (ours: the look at the scores and the report, too).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as arrow
import torch
from adult import NAMES, ready
from common import WORK, keep, measured, table, threads
from pyarrow import csv as arrow_csv
from torch import Tensor

import rivalry
from rivalry.data import Dataset, TableModality, load
from rivalry.data.columns.codes import LevelCode
from rivalry.experiments import finished
from rivalry.files import write_json

VENV = WORK / "ctgan-venv"
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
LOWER = {"shape": True, "trend": True, "c2st": True, "tstr": False}
WORKER = '''
import json, sys, time
import pandas as pd
import torch
from ctgan import CTGAN

source, out, epochs, seed, discrete = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5].split(",")
torch.set_num_threads(1)
begun = time.process_time()
rows = pd.read_csv(source, skipinitialspace=True, keep_default_na=False)
model = CTGAN(epochs=epochs, cuda=False)
model.set_random_state(seed)
model.fit(rows, discrete)
seconds = time.process_time() - begun
model.sample(len(rows)).to_csv(out, index=False)
print(json.dumps({"seconds": seconds}))
'''


def package(source: str, epochs: int, seed: int) -> tuple[Path, float]:
    """(rows that CTGAN made, CPU seconds it took to learn), in its own environment, once."""
    out = WORK / "ctgan" / f"{epochs}-seed{seed}.csv"
    note = out.with_suffix(".json")
    if not note.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        python = VENV / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
            pinned = f"torch=={torch.__version__.split('+')[0]}"
            subprocess.run([str(python), "-m", "pip", "install", "-q", pinned, "ctgan"], check=True)
        discrete = ",".join(n for n in NAMES.split(",") if n not in NUMBERS)
        words = [str(python), "-I", "-c", WORKER, f"{source}/train.csv", str(out), str(epochs), str(seed), discrete]
        told = subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        write_json(note, json.loads(told.stdout.splitlines()[-1]))
    return out, float(json.loads(note.read_text())["seconds"])


def as_ours(path: Path, dataset: Dataset) -> Tensor:
    """[N, C] raw rows of a CSV in the columns of our data; a level that ours does not have is missing."""
    read = arrow_csv.read_csv(path, convert_options=arrow_csv.ConvertOptions(column_types=dict.fromkeys(NAMES.split(","), arrow.string())))
    columns = []
    assert isinstance(dataset.modality, TableModality)
    for column in dataset.modality.learned:
        words = read[column.name].to_pylist()
        if isinstance(column.code, LevelCode):
            levels = {w: float(i) for i, w in enumerate(column.code.levels)}
            values = [levels.get(w, math.nan) for w in words]
        else:
            values = [float(w) for w in words]
        columns.append(torch.tensor(values, dtype=torch.float64))
    return torch.stack(columns, 1)


def ours(source: str, budget: str, seed: int, dataset: Dataset) -> tuple[dict[str, float], float]:
    """(measures, CPU seconds of training) of our default on that budget, once."""
    place = WORK / "ctgan" / f"ours-{budget}-seed{seed}"
    begun = time.process_time()
    if finished(place):
        run = rivalry.load(place)
    else:
        run = rivalry.train(
            source, budget=budget, seed=seed, run=str(place), overwrite=True, device="cpu", tensorboard=False
        )
        write_json(place / "wall.json", {"seconds": time.process_time() - begun})
    fake = run.sample(len(dataset.train), seed=seed + 1000, device="cpu")
    return measured(fake, dataset, "income"), float(json.loads((place / "wall.json").read_text())["seconds"])


def beats(ours: dict[str, float], theirs: dict[str, float]) -> bool:
    """In every measure of LOWER, in its own direction."""
    return all(ours[k] <= theirs[k] if lower else ours[k] >= theirs[k] for k, lower in LOWER.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=300, help="of the package; 300 is its default")
    parser.add_argument("--budgets", default="15s,30s,60s,2m,4m,8m", help="of ours, rising")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    threads(1)
    source = ready()
    dataset = load(source)
    path, seconds = package(source, given.epochs, given.seed)
    theirs = measured(as_ours(path, dataset), dataset, "income")
    lines = [(f"ctgan, {given.epochs} epochs", *(theirs[k] for k in LOWER), f"{seconds:.0f}", "")]
    for budget in given.budgets.split(","):
        found, wall = ours(source, budget, given.seed, dataset)
        lines.append((f"rivalry, --budget {budget}", *(found[k] for k in LOWER), f"{wall:.0f}", f"{seconds / wall:.1f}"))
        if beats(found, theirs):
            break
    head = ("who", "shape error, %", "trend error, %", "C2ST AUC", "TSTR AUC, trees", "CPU seconds", "times sooner")
    text = table(head, lines) + (
        f"\n\nOne thread, seed {given.seed}; {len(dataset.train):,} training rows, against {len(dataset.held):,} test rows. "
        "CPU seconds; ours of the whole command, scores and report included; the last line is the first budget that is as good in every "
        "measure, if there is one. Equal machine, one after the other."
    )
    keep("ctgan", "Our default beside the package ctgan", text)


if __name__ == "__main__":
    main()
