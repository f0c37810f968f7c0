"""Samples beside their nearest training rows, so that people can see whether a model copies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rivalry import stats
from rivalry.data import sheets
from rivalry.data.base import Dataset
from rivalry.data.image import ImageModality
from rivalry.errors import DataError
from rivalry.evaluate.features import FeatureSpace, home

ROWS = 2048
"""Training rows that are looked at at a time."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Of n samples the k nearest training rows: row numbers in the training split and distances, each [n, k],
    nearest first.  by_features: Euclidean among the features; by_values: root mean square of the encoded values."""

    by_features: Tensor
    feature_distance: Tensor
    by_values: Tensor
    value_distance: Tensor


@dataclass
class _Best:
    """The k nearest so far of n points."""

    distance: Tensor
    index: Tensor

    def meet(self, points: Tensor, rows: Tensor, start: int) -> None:
        k = self.distance.shape[1]
        distance, index = stats.nearest(points, rows, min(k, len(rows)))
        distance = torch.cat([self.distance, distance], 1)
        index = torch.cat([self.index, index + start], 1)
        self.distance, order = distance.topk(k, dim=1, largest=False)
        self.index = index.gather(1, order)


@torch.no_grad()
def neighbours(
    samples: Tensor, dataset: Dataset, extractor: FeatureSpace, k: int = 3, device: torch.device | None = None
) -> Neighbours:
    """Searches all training rows for the k nearest to each of samples [n, *spec.shape].

    Exact: distances are of differences, in float64.  DataError where there are fewer than k rows.
    """
    where = device or torch.device("cpu")
    rows = len(dataset.train)
    if not 1 <= k <= rows:
        raise DataError(f"{k} nearest training rows were asked for, where {rows} exist; lower k")
    x = samples.to(where)
    there = home(where)
    features, values = extractor(x).to(there), x.flatten(1).to(there)
    blank = torch.full((len(x), k), torch.inf, dtype=torch.float64, device=there)
    nothing = torch.full((len(x), k), -1, dtype=torch.int64, device=there)
    by_features, by_values = _Best(blank, nothing), _Best(blank, nothing)
    for part in torch.arange(rows).split(ROWS):
        real = dataset.train.batch(part, where).x
        by_features.meet(features, extractor(real).to(there), int(part[0]))
        by_values.meet(values, real.flatten(1).to(there), int(part[0]))
    scale = values.shape[1] ** 0.5
    return Neighbours(
        by_features.index.cpu(), by_features.distance.cpu(), by_values.index.cpu(), by_values.distance.cpu() / scale
    )


def write_sheet(path: Path, samples: Tensor, found: Neighbours, dataset: Dataset) -> Path:
    """A row for each sample: the sample, its nearest training pictures by features, then by pixels.

    What is no picture is drawn by its modality, samples beside their nearest rows by value.
    """
    cpu = torch.device("cpu")
    if not isinstance(dataset.modality, ImageModality):
        dataset.modality.preview(samples.cpu(), path, dataset.train.batch(found.by_values[:, 0], cpu).x)
        return path
    n, k = found.by_features.shape
    index = torch.cat([found.by_features, found.by_values], 1)
    near = dataset.train.batch(index.flatten(), cpu).x.unflatten(0, (n, 2 * k))
    rows = torch.cat([samples.cpu()[:n, None].float(), near.float()], 1).flatten(0, 1)
    pictures = dataset.modality.rgb(rows).clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return sheets.save(sheets.grid(pictures.permute(0, 2, 3, 1).contiguous().numpy(), 1 + 2 * k), path)
