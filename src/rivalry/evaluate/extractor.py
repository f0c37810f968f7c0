"""Which feature space a data set is measured in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from rivalry.data.base import Dataset
from rivalry.data.progress import ticking
from rivalry.data.text import TextModality
from rivalry.errors import WeightsError
from rivalry.evaluate.features import FeatureSpace
from rivalry.evaluate.text_space import text_space
from rivalry.extractors import LocalClassifier, LocalExtractor, PointsExtractor, extractor, train_local
from rivalry.extractors.base import Tick
from rivalry.extractors.local_training import LEAST, STEPS

FILE = "extractor.safetensors"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Pixels:
    """The feature space of pictures too few to train one on: their values at 8 x 8 pixels."""

    name: str = "pixels"
    sha: str = "identity"
    resize: str = "mean over 8x8 places"

    def __call__(self, x: Tensor) -> Tensor:
        return adaptive_avg_pool2d(x.float(), 8).flatten(1)


def choose_extractor(
    dataset: Dataset,
    weights: Path | str | None = None,
    device: torch.device | None = None,
    folder: Path | None = None,
    tick: Tick | None = None,
) -> FeatureSpace:
    """Coordinates for points, encoded rows for tables.  For pictures: what `weights` says, else a local network trained on the training split.

    weights: a file, whose tensors say which network they are of (Inception, DINOv2, SqueezeNet, a local one), or the
    name of a space that needs none ('efficientnet-lite0').
    folder: where the local network is kept; it is loaded from there if it is there.  Training takes the same bytes to
    the same network, so runs on the same data and machine share their ruler even without it.
    tick: told the steps of that training (of `rivalry.extractors.local_training.STEPS`), in place of a bar on stderr.
    WeightsError for weights that are missing, damaged or of no known network; UnknownName for an unknown name.
    """
    where = device or CPU
    if isinstance(dataset.modality, TextModality):
        return text_space(dataset, dataset.modality, weights)
    if dataset.spec.kind in ("points", "table", "records"):
        if weights is not None:
            raise WeightsError(f"points and tables are measured as they are; leave the weights {weights} out")
        return PointsExtractor(dataset.spec.shape[0])
    if weights is not None and str(weights) != "local":
        return _fitting(extractor(weights, device=where), dataset, str(weights))
    if len(dataset.train) < LEAST:
        return Pixels()
    stored = None if folder is None else kept_at(folder, dataset)
    if stored is not None and stored.exists():
        return _fitting(LocalExtractor.load(stored, where), dataset, str(stored))
    found = _trained(dataset, where, tick)
    if stored is not None:
        found.save(stored)
    return found


def kept_at(folder: Path, dataset: Dataset) -> Path:
    """Where a folder keeps the local network of these data."""
    return folder / f"{dataset.fingerprint[:16]}-{FILE}"


def _trained(dataset: Dataset, device: torch.device, tick: Tick | None) -> LocalExtractor:
    def draw(index: Tensor) -> tuple[Tensor, Tensor | None]:
        batch = dataset.train.batch(index, CPU)
        return batch.x, batch.label

    def held(index: Tensor) -> tuple[Tensor, Tensor | None]:
        batch = dataset.held.batch(index, CPU)
        return batch.x, batch.label

    spec, rows = dataset.spec, len(dataset.train)
    with ticking("training a feature space for the rulers", STEPS) as shown:
        return train_local(
            draw, rows, spec.shape, spec.classes, device, held=held, held_rows=len(dataset.held), tick=tick or shown
        )  # fmt: skip


def _fitting(space: FeatureSpace, dataset: Dataset, where: str) -> FeatureSpace:
    """The space itself; WeightsError for a classifier of other classes than the data have."""
    if isinstance(space, LocalClassifier) and space.classes != dataset.spec.classes:
        raise WeightsError(
            f"{where} was trained on {space.classes} classes, and {dataset.name} has {dataset.spec.classes}; "
            "leave it out and one will be trained on these data"
        )
    return space
