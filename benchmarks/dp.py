"""Adult under differential privacy: what the automatic recipe and the MST-like baseline are worth at epsilon 1, 3 and 8.

    python benchmarks/dp.py                                     # train what is missing (one thread each) and the table
    python benchmarks/dp.py --train 3 --seed 1                  # one training, for running two side by side
    python benchmarks/dp.py --measure                           # the table of what has been trained

Delta is N^-1.1.  TSTR: boosted trees (or logistic regression) trained on synthetic rows predict income of the official
test rows, which no training sees.  Trainings are as long as the automatic recipe says; one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from adult import ready
from common import WORK, counted, interval, keep, measured, rows, table, threads

import rivalry
from rivalry.baselines import MST, Independent
from rivalry.data import Dataset, load
from rivalry.experiments import finished
from rivalry.files import write_json
from rivalry.parts import Baseline
from rivalry.privacy import read_account

FOLDER = WORK / "dp"
NAMES = ("tstr", "tstr linear", "trend", "shape", "c2st")


def trained(source: str, epsilon: float, seed: int, budget: str) -> rivalry.Run:
    """The finished run: found, gone on with, or trained from the start."""
    place = FOLDER / f"{budget or 'own'}-{epsilon:g}-seed{seed}"
    if finished(place):
        return rivalry.load(place)
    if (place / "checkpoints" / "last" / "state.safetensors").exists():
        return rivalry.load(place).resume(device="cpu")
    return rivalry.train(
        source, budget=budget, seed=seed, run=str(place), overwrite=True, device="cpu", tensorboard=False,
        dp_epsilon=epsilon,
    )  # fmt: skip


def of_run(run: rivalry.Run, dataset: Dataset, seed: int) -> dict[str, float]:
    account = read_account(Path(run.path))
    assert account is not None
    found = measured(run.sample(len(dataset.train), seed=seed + 1000, which="last", device="cpu"), dataset, "income")
    seconds = next(r["seconds"] for r in reversed(run.folder.metrics()))
    return {**found, "seconds": seconds, "spent": account[1].epsilon, "turns": account[1].turns}


def of_baseline(baseline: Baseline, dataset: Dataset, seed: int) -> dict[str, float]:
    return measured(counted(baseline, dataset, seed), dataset, "income")


def of_real(dataset: Dataset) -> dict[str, float]:
    train = rows(dataset, "train")
    shuffled = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))]
    return measured(shuffled, dataset, "income")


class Kept:
    """Scores by name in a JSON file, so that an interrupted measuring goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scores: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def __call__(self, name: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        if name not in self.scores:
            self.scores[name] = make()
            write_json(self.path, self.scores)
        return self.scores[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", default="1,3,8")
    parser.add_argument("--train", type=float, default=0.0, metavar="EPSILON", help="train only, at this epsilon")
    parser.add_argument("--measure", action="store_true", help="measure what is there, train nothing")
    parser.add_argument("--seed", type=int, default=0, help="with --train")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", default="", help="instead of the recipe's own length")
    given = parser.parse_args()
    threads(1)
    source = ready()
    if given.train:
        trained(source, given.train, given.seed, given.budget)
        return
    dataset = load(source)
    kept = Kept(FOLDER / "scores.json")
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for epsilon in map(float, given.epsilons.split(",")):
        at = f"{epsilon:g}"
        for seed in range(given.seeds):
            place = FOLDER / f"{given.budget or 'own'}-{at}-seed{seed}"
            if not given.measure or finished(place):
                run = trained(source, epsilon, seed, given.budget)
                score = kept(place.name, partial(of_run, run, dataset, seed))
                found.setdefault((at, "auto"), []).append(score)
            for name, baseline in (("mst", MST(epsilon=epsilon)), ("independent", Independent(epsilon=epsilon))):
                score = kept(f"{name}-{at}-seed{seed}", partial(of_baseline, baseline, dataset, seed))
                found.setdefault((at, name), []).append(score)
    found["none", "mst"] = [
        kept(f"mst-none-seed{seed}", partial(of_baseline, MST(), dataset, seed)) for seed in range(given.seeds)
    ]
    found["none", "real training rows"] = [kept("real", partial(of_real, dataset))]
    report(found, dataset, given.seeds)


def report(found: dict[tuple[str, str], list[dict[str, float]]], dataset: Dataset, seeds: int) -> None:
    lines = []
    for (epsilon, name), values in found.items():
        cells = [interval([v[k] for v in values]) for k in NAMES]
        spent, turns, seconds = (
            f"{sum(v[k] for v in values) / len(values):.4g}" if k in values[0] else "" for k in ("spent", "turns", "seconds")
        )
        lines.append((epsilon, name, *cells, spent, turns, seconds))
    head = ("epsilon", "who", "TSTR AUC, trees", "TSTR AUC, linear", "trend error, %", "shape error, %", "C2ST AUC")
    text = table((*head, "epsilon spent", "discriminator turns", "seconds"), lines) + (
        f"\n\n{len(dataset.train):,} training rows, {len(dataset.held):,} test rows (the official split); delta N^-1.1 = "
        f"{len(dataset.train) ** -1.1:.3g}; {seeds} seed(s); as many synthetic rows as training has; the last checkpoint. "
        "Neither the GAN nor the baselines pay for preparation: column types, bounds, quantiles, level names (of the GAN "
        "level shares too) are taken from the training rows without noise. Baselines take a tenth of a second."
    )
    keep("dp", "Adult under differential privacy", text)


if __name__ == "__main__":
    main()
