"""Which feature space a data set is measured in."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from rivalry.data.base import Dataset
from rivalry.errors import WeightsError
from rivalry.evaluate.features import Coordinates, Extractor
from rivalry.extractors import LocalExtractor, train_local

FILE = "extractor.safetensors"


def choose_extractor(
    dataset: Dataset, weights: Path | None = None, device: torch.device | None = None, folder: Path | None = None
) -> Extractor:
    """Coordinates for points; for pictures the user's weights, else a local network trained on the training split.

    folder: where the local one is kept; it is loaded from there if it is there, so a run is measured by one ruler.
    WeightsError for weights that fit no known feature space.
    """
    device = device or torch.device("cpu")
    if weights is not None:
        raise WeightsError(f"{weights} fits no feature space that is known here; leave --weights out to use a local one")
    if dataset.spec.kind == "points":
        return Coordinates()
    stored = None if folder is None else folder / f"{dataset.fingerprint[:16]}-{FILE}"
    if stored is not None and stored.exists():
        return LocalExtractor.load(stored, device)

    def draw(index: Tensor) -> tuple[Tensor, Tensor | None]:
        batch = dataset.train.batch(index, device)
        return batch.x, batch.label

    found = train_local(draw, len(dataset.train), dataset.spec.shape, dataset.spec.classes, device)
    if stored is not None:
        found.save(stored)
    return found
