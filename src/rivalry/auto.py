"""Which recipe for these data on this machine?  The one we would stake our name on, with its reasons in words."""

from __future__ import annotations

from pathlib import Path

import torch

from rivalry.data import Dataset
from rivalry.errors import RecipeError
from rivalry.evaluate import Budget
from rivalry.recipe import Recipe
from rivalry.zoo import get
from rivalry.zoo.house import critic_pictures, pictures
from rivalry.zoo.records import ABOUT as RECORDS
from rivalry.zoo.records import records
from rivalry.zoo.tables import ABOUT as TABLE
from rivalry.zoo.tables import table

FEW = 4_000
"""Below so many pictures the discriminator is augmented."""
WIDER = 75.0
"""Seconds from which wider nets overtake narrow ones on 28 px pictures and one core (docs/lab/fashion.md)."""
FEWER = 1_000
"""Below so many pictures without labels the critic's are."""
SMALL = 32
"""Up to so many pixels a side are small pictures."""
PER_CLASS = 20
"""Labels are used if every class has at least so many pictures."""


def find(recipe: str | Recipe) -> Recipe | None:
    """A Recipe as it is, a row by name, or a TOML file; None for 'auto', which needs the data."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe == "auto":
        return None
    if not recipe.endswith(".toml"):
        return get(recipe)
    path = Path(recipe)
    if not path.is_file():
        raise RecipeError(f"there is no recipe file {path}; `rivalry zoo show NAME` prints one to start from")
    return Recipe.from_toml(path.read_text(encoding="utf-8"))


def resolve(
    recipe: str | Recipe, dataset: Dataset, budget: str = "", device: str = "auto"
) -> tuple[Recipe, tuple[str, ...]]:
    """(recipe, reasons): what is named, or what is chosen for data and machine."""
    named = find(recipe)
    return (named, ()) if named is not None else choose(dataset, budget, device)


def choose(
    dataset: Dataset, budget: str = "", device: str = "auto", private: bool = False
) -> tuple[Recipe, tuple[str, ...]]:
    """(recipe, reasons), one sentence each.  private: it will be trained under differential privacy."""
    if dataset.spec.kind == "points":
        return get("house-points"), (
            "Points in the plane: the house recipe for points, relativistic with R1 and R2.",
        )
    if dataset.spec.kind == "table":
        return _table(dataset, device, private)
    if dataset.spec.kind == "records":
        return _records(dataset, device)
    return _pictures(dataset, budget, device)


def _table(dataset: Dataset, device: str, private: bool) -> tuple[Recipe, tuple[str, ...]]:
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    columns = len({b.name for b in dataset.spec.blocks})
    width = 512 if gpu else 256
    judge = (64, 64) if private else ()
    recipe = table(width, steps=20_000, batch=2000 if gpu else 500, judge=judge).recipe("house-table", TABLE)
    slim = ("The discriminator is 64 wide: every parameter it has gets noise.",) if private else ()
    return recipe, (
        *slim,
        f"{len(dataset.train):,} rows of {columns} columns, {dataset.spec.shape[0]} numbers when encoded: the house "
        f"recipe for tables, {width} wide ({'a GPU carries it' if gpu else 'a CPU makes enough steps with it'}).",
    )


def _records(dataset: Dataset, device: str) -> tuple[Recipe, tuple[str, ...]]:
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    spec, width = dataset.spec, 256 if gpu else 64
    recipe = records(width, steps=20_000, batch=1000 if gpu else 128).recipe("house-records", RECORDS)
    return recipe, (
        f"{len(dataset.train):,} patients with up to {spec.visits} visits, {spec.shape[0]} numbers when encoded: the house recipe "
        f"for records, {width} wide ({'a GPU carries it' if gpu else 'a CPU makes enough steps with it'}).",
    )


def _pictures(dataset: Dataset, budget: str, device: str) -> tuple[Recipe, tuple[str, ...]]:
    n, (channels, height, width) = len(dataset.train), dataset.spec.shape
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    seconds = Budget.parse(budget).seconds if budget else None
    base, reason = _width(max(height, width), gpu, seconds)
    conditional, by_class = _labels(dataset)
    seen = f"{n} pictures of {height} x {width}, {channels} channel{'s' if channels > 1 else ''}"
    reasons = [f"{seen}: the house recipe, {base} base channels ({reason}).", by_class]
    few = n < (FEW if conditional else FEWER)
    size = {"width": base, "latent": 128 if gpu else 64, "batch": 128 if gpu else 32}
    lr = 2e-3 if base <= 32 else 4e-4
    if conditional:
        recipe = pictures("house", few=n if few else 0, lr=lr, **size)
    else:
        recipe = critic_pictures("house", few=few, lr=lr, **size)
        reasons.append("Without labels a Wasserstein critic with gradient penalty, one turn each, at a high rate.")
    if few:
        reasons.append(f"Only {n} pictures: what the discriminator sees is augmented, more and more.")
    return recipe, tuple(reasons)


def _width(size: int, gpu: bool, seconds: float | None) -> tuple[int, str]:
    """Base channels: on a CPU small nets and many steps win; a longer budget pays for wider ones."""
    if gpu:
        return 64, "a GPU carries the published width"
    if size <= SMALL and (seconds is None or seconds >= WIDER):
        return 32, "small pictures on a CPU: half the published width, at high rates"
    return 16, "on a CPU small nets and many steps win"


def _labels(dataset: Dataset) -> tuple[bool, str]:
    labels = dataset.train.labels
    if labels is None or dataset.spec.classes < 2:
        return False, "No labels: both players do without."
    counts = torch.bincount(labels, minlength=dataset.spec.classes)
    least = int(counts.min())
    if least < PER_CLASS:
        rare = dataset.spec.class_names[int(counts.argmin())]
        return False, f"Labels are not used: class {rare!r} has only {least} pictures, fewer than {PER_CLASS}."
    return True, f"{dataset.spec.classes} classes with at least {least} pictures: labels guide both players."
