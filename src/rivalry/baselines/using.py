"""Which baseline a name means, and fitting one to a data set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from rivalry.baselines.trees import Independent
from rivalry.catalogue import names, part
from rivalry.data import Dataset
from rivalry.data.base import Store
from rivalry.errors import RecipeError
from rivalry.files import read_tensors, write_tensors
from rivalry.parts import Baseline, Fitted
from rivalry.types import Spec

BLOCK = 16_384


def named(name: str) -> Baseline | None:
    """The baseline of that name at its defaults, None if no baseline is called so."""
    return part("baseline", name)() if name in names("baseline") else None


def usual(spec: Spec) -> dict[str, Baseline]:
    """Those that stand beside every score of such data."""
    plain = {"independent": Independent()}
    return {name: one for name, one in plain.items() if one.fits(spec)}


def check(name: str, dataset: Dataset) -> Baseline | None:
    """As `named`; RecipeError for a baseline that is not for such data."""
    found = named(name)
    if found is not None and not found.fits(dataset.spec):
        raise RecipeError(
            f"the baseline {name!r} is for tables, and {dataset.name} is of kind {dataset.spec.kind!r}; leave it out"
        )
    return found


def private(baseline: Baseline, dataset: Dataset, epsilon: float, delta: float) -> Baseline:
    """The baseline under differential privacy, the preparation of the data's columns included where that was paid for."""
    paid = dataset.prepared
    return baseline.private(epsilon, delta) if paid is None else baseline.private(epsilon, delta, paid.noise, paid.names_delta)


def fit(baseline: Baseline, dataset: Dataset) -> Fitted:
    """Fitted to the training rows of data that it is for."""
    return baseline.fit(blocks(dataset.train), dataset.spec)


def kept(baseline: Baseline, dataset: Dataset, path: Path) -> tuple[Fitted, float]:
    """(fitted to the training rows, the seconds that took): read from `path` if it is there, else written to it, so that
    no row is counted, and under differential privacy paid for, twice.  The file is as private as the rows."""
    if path.exists():
        tensors, meta = read_tensors(path)
        return baseline.restored(tensors, dataset.spec), float(meta["seconds"])
    begun = time.perf_counter()
    found = fit(baseline, dataset)
    seconds = time.perf_counter() - begun
    write_tensors(path, found.tensors(), {"seconds": seconds, "notes": list(found.notes)})
    return found, seconds


def blocks(store: Store) -> Iterator[Tensor]:
    """[n, D] encoded rows, all of them, some at a time."""
    for index in torch.arange(len(store)).split(BLOCK):
        yield store.batch(index, torch.device("cpu")).x
