"""What of the training data is among the samples: copies, near copies, and the pairs that lie closest."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rivalry import stats
from rivalry.audit.attacking import Searched
from rivalry.audit.material import Material, Space, Tick
from rivalry.audit.sides import PICTURES, ROWS, Sides, hashed
from rivalry.data import sheets
from rivalry.data.base import Store
from rivalry.errors import DataError
from rivalry.files import atomic
from rivalry.stats import Interval
from rivalry.streams import generator

CPU = torch.device("cpu")
SAMPLES, POOL = 5_000, 10_000
"""Samples, and rows of either side, that the shares below are taken from."""
NEAR = 0.01
"""A near copy is nearer to a training row than this share of held-out rows are."""
SHOWN = 12


@dataclass(frozen=True)
class Memory:
    """Shares of samples; `fresh` ones are what held-out real rows score in the samples' place.

    nearer: to training than to held-out rows; expected: of a model that does not copy, p_value that it does not.
    exact: equal to a training row; held_exact: equal to a held-out row, times training over held-out rows: what chance
    alone would give.  near: see NEAR, which is its fresh value.  copies: less than half as far from training as from
    held-out rows.  authentic: farther from the nearest training row than that from its own neighbour.
    copying: the three-sample test's C_T (Meehan et al. 2020), below -3 or so where samples are too near to training rows;
    copying_worst: the least z of its cells.
    """

    samples: int
    nearer: Interval
    expected: float
    p_value: float
    exact: float
    held_exact: float
    near: float
    copies: float
    copies_fresh: float
    authentic: float
    authentic_fresh: float
    copying: float
    copying_worst: float


def remembered(
    material: Material, sides: Sides, space: Space, samples: Tensor, hashes: Tensor, tick: Tick
) -> Memory:
    """samples [N, D] in the space, hashes [N] of the samples as they are written."""
    tick("looking for copies", 0.0)
    made = samples[:SAMPLES]
    stores = (material.dataset.train, sides.distinct[0]), (material.dataset.held, sides.distinct[1])
    exact = [_equal(material, hashes, *side) for side in stores]
    pools = [material.plain(space, store, _some(index, material.seed)) for store, index in stores]
    tick("looking for copies", 0.3)
    found = stats.memorisation(made, *pools)
    fresh = stats.nearest(pools[1], pools[0])[0][:, 0]
    tick("looking for copies", 0.7)
    close = float(fresh.quantile(NEAR))
    few = pools[0][:SAMPLES]
    authentic = [stats.alpha_precision_beta_recall(few, side[:SAMPLES]).authenticity for side in (made, pools[1])]
    three = stats.data_copying(made, *pools, seed=material.seed)
    tick("looking for copies", 1.0)
    return Memory(
        len(made), found.share, found.expected, found.p_value,
        exact[0], exact[1] * len(sides.distinct[0]) / len(sides.distinct[1]),
        float((found.train_distance < close).double().mean()),
        found.copies, found.copies_fresh, authentic[0], authentic[1], three.c_t, three.worst,
    )  # fmt: skip


def _some(index: Tensor, seed: int) -> Tensor:
    return index[torch.randperm(len(index), generator=generator(CPU, seed, "audit", "pool"))[:POOL]]


def _equal(material: Material, hashes: Tensor, store: Store, index: Tensor) -> float:
    """Share of samples that are equal to one of these rows, both as they are written: with the digits that are kept."""
    block = ROWS if material.pictures is None else PICTURES
    parts = (material.dataset.modality.decode(store.batch(part, CPU).x) for part in index.split(block))
    return float(np.isin(hashes.numpy(), torch.cat([hashed(material.said(raw)) for raw in parts]).numpy()).mean())


@dataclass(frozen=True)
class Pairs:
    """Of the closest pairs: number of the training row [n], of the sample [n], distance over the distance from the
    reference [n], smallest first."""

    row: Tensor
    sample: Tensor
    ratio: Tensor


def closest(found: Searched, sides: Sides) -> Pairs:
    """The members that have a sample nearest to them, by what the reference says of how near is near."""
    mine, known = found.samples[0], found.known[0]
    n = len(known.distance)
    far = known.distance[:, 0].clamp_min(float(known.distance[:, 0].median()) * 1e-6 + 1e-12)
    ratio = mine.distance[:n, 0] / far
    order = ratio.argsort(stable=True)[:SHOWN]
    return Pairs(sides.members[order], mine.index[order, 0], ratio[order])


def show(material: Material, pairs: Pairs, folder: Path) -> Path:
    """The pairs side by side, for whoever may see the data: a sheet of pictures (sample, training row), a CSV, or tables of records."""
    made, real = material.samples(pairs.sample), material.real(material.dataset.train, pairs.row)
    if material.pictures is not None:
        both = torch.stack([made, real], 1).flatten(0, 1)
        return sheets.save(sheets.grid(material.pictures.shown(both), 6), folder / "audit-pairs.png")
    if material.dataset.spec.visits:
        return _write_records(material, made, real, folder / "audit-pairs")
    return _write_rows(material, torch.stack([made, real], 1).flatten(0, 1), pairs, folder / "audit-pairs.csv")


def _write_records(material: Material, made: Tensor, real: Tensor, folder: Path) -> Path:
    """samples/ and training/, the tables that were read; keys are drawn alike, so a pair has the same key in both."""
    for name, rows in (("samples", made), ("training", real)):
        material.dataset.modality.write(rows, folder / name)
    return folder


def _write_rows(material: Material, both: Tensor, pairs: Pairs, path: Path) -> Path:
    """Samples and training rows in turn, as the table was written, with the pair and the ratio in front."""
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place) / "rows.csv"
        x = both if material.dataset.spec.kind == "table" else material.dataset.modality.encode(both.float())
        material.dataset.modality.write(x, plain)
        with plain.open(newline="", encoding="utf-8") as lines:
            head, *rows = csv.reader(lines)
    if len(rows) != len(both):
        raise DataError(f"{len(rows)} rows were written where {len(both)} were shown; report this")
    front = [
        (str(i // 2 + 1), "sample" if i % 2 == 0 else "training row", f"{float(pairs.ratio[i // 2]):.4g}")
        for i in range(len(rows))
    ]
    with atomic(path) as beside, beside.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["pair", "what", "distance / reference distance", *head])
        writer.writerows([*left, *row] for left, row in zip(front, rows, strict=True))
    return path
