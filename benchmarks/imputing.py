"""Filling missing cells: Adult's test rows with a fifth of their cells taken out at random.

    python benchmarks/imputing.py RUN            # a run trained on benchmarks/work/sets/adult/train.csv, or on any of Adult's

Categories: share of cells that are filled in right.  Numbers: root mean squared error over the column's standard deviation
(of the filled cells that were there), mean over columns.  A draw has a larger error than a mean, by its nature: it keeps
the spread.  "spread": standard deviation of filled numbers over that of the true ones, mean over columns.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from adult import NAMES, ready
from common import keep, table, threads
from torch import Tensor

import rivalry
from rivalry.apply import POOL, fill_table
from rivalry.data import TableModality, filling
from rivalry.data.columns.codes import NumberCode
from rivalry.stats.imputing import Pool, Ways, fill

SHARE, NEAR = 0.2, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    threads(1)
    run, folder = rivalry.load(given.run), Path(ready())
    modality = run.modality
    assert isinstance(modality, TableModality)
    learned = modality.learned
    numbers = torch.tensor([isinstance(c.code, NumberCode) for c in learned])
    whole, holed = holes(folder / "test.csv", Path(given.run) / "private", given.rows, given.seed)
    true, gone = filling.read(whole, learned), filling.read(holed, learned)
    train = filling.read(folder / "train.csv", learned).raw
    gaps = gone.gaps & ~true.raw.isnan()
    kinds = ["number" if n else "category" for n in numbers]
    lines = [line("mean and most frequent level", *_timed(lambda: plain(gone.raw, train, numbers)), true.raw, gaps, numbers)]
    lines.append(line("k-NN imputer of scikit-learn, 5 real rows", *_timed(lambda: near(gone.raw, train, numbers)), true.raw, gaps, numbers))
    for name, likely in (("rivalry apply --likely", True), ("rivalry apply", False)):
        rows, seconds = _timed(lambda likely=likely: ours(run, holed, likely))
        lines.append(line(f"{name}, {POOL:,} generated rows", rows, seconds, true.raw, gaps, numbers))
    rows, seconds = _timed(
        lambda: fill(gone.raw, gone.gaps, Pool.of(train, kinds), range(len(kinds)), 0, Ways(60, likely=True))[0]
    )
    lines.append(line("the same, likely, among the real training rows", rows, seconds, true.raw, gaps, numbers))
    head = ("method", "categories right, %", "numbers: error / deviation", "spread", "seconds")
    steps = max(r["step"] for r in run.folder.metrics())
    text = table(head, lines) + (
        f"\n\n{given.rows:,} test rows, {SHARE:.0%} of the cells taken out at random ({int(gaps.sum()):,} cells that were there); a run "
        f"of {steps:,} steps; one seed. The first two and the last look at the training rows, `rivalry apply` at generated ones only."
    )
    keep("imputing", "Filling missing cells", text)


def holes(path: Path, folder: Path, n: int, seed: int) -> tuple[Path, Path]:
    """(n rows of a table, the same with cells taken out) as files."""
    g = np.random.default_rng(seed)
    with path.open() as stream:
        head, *rows = list(csv.reader(stream))
    assert ",".join(head) == NAMES
    rows = [rows[i] for i in np.sort(g.permutation(len(rows))[:n])]
    out = g.random((n, len(head))) < SHARE
    empty = [["" if gone else cell for cell, gone in zip(row, mine, strict=True)] for row, mine in zip(rows, out, strict=True)]
    folder.mkdir(exist_ok=True)
    made = folder / "imputing-whole.csv", folder / "imputing-gaps.csv"
    for place, cells in zip(made, (rows, empty), strict=True):
        with place.open("w", newline="") as stream:
            csv.writer(stream).writerows([head, *cells])
    return made


def _timed(make):  # type: ignore[no-untyped-def]
    begun = time.process_time()
    return make(), time.process_time() - begun


def plain(rows: Tensor, train: Tensor, numbers: Tensor) -> Tensor:
    filler = torch.where(numbers, train.nanmean(0), train.nan_to_num(-1).mode(0).values)
    return torch.where(rows.isnan(), filler, rows)


def ours(run: rivalry.Run, holed: Path, likely: bool) -> Tensor:
    modality = run.modality
    assert isinstance(modality, TableModality)
    out = holed.with_name("imputing-filled.csv")
    fill_table(modality, run.sampler(device="cpu"), holed, out, likely=likely)
    return filling.read(out, modality.learned).raw


def near(rows: Tensor, train: Tensor, numbers: Tensor) -> Tensor:
    """scikit-learn's KNNImputer: numbers over their deviation, levels one-hot over the square root of 2, and back."""
    from sklearn.impute import KNNImputer

    def coded(x: Tensor) -> np.ndarray:
        parts = []
        for i, number in enumerate(numbers.tolist()):
            column = x[:, i, None]
            if number:
                parts.append((column - train[:, i].nanmean()) / train[~train[:, i].isnan(), i].std())
            else:
                parts.append(torch.where(column.isnan(), torch.nan, (column == torch.arange(widths[i])).double() / 2**0.5))
        return torch.cat(parts, 1).numpy()

    widths = [1 if n else int(train[:, i].nan_to_num(0).max()) + 1 for i, n in enumerate(numbers.tolist())]
    found = torch.from_numpy(KNNImputer(n_neighbors=NEAR).fit(coded(train)).transform(coded(rows)))
    out, at = rows.clone(), 0
    for i, width in enumerate(widths):
        part = found[:, at : at + width]
        value = part[:, 0] * train[~train[:, i].isnan(), i].std() + train[:, i].nanmean() if numbers[i] else part.argmax(1).double()
        out[:, i] = torch.where(rows[:, i].isnan(), value, rows[:, i])
        at += width
    return out


def line(name: str, rows: Tensor, seconds: float, true: Tensor, gaps: Tensor, numbers: Tensor) -> tuple[str, ...]:
    levels = gaps & ~numbers
    right = float((rows[levels] == true[levels]).double().mean())
    errors, spreads = [], []
    for i in numbers.nonzero()[:, 0].tolist():
        mine, deviation = gaps[:, i], true[~true[:, i].isnan(), i].std()
        errors.append(float((rows[mine, i] - true[mine, i]).square().mean().sqrt() / deviation))
        spreads.append(float(rows[mine, i].std() / true[mine, i].std()))
    return name, f"{100 * right:.1f}", f"{np.mean(errors):.3f}", f"{np.mean(spreads):.2f}", f"{seconds:.0f}"


if __name__ == "__main__":
    main()
