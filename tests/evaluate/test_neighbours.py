"""The nearest training rows, found exactly and shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluate import samples
from rivalry.data import Dataset
from rivalry.errors import DataError
from rivalry.evaluate import neighbours, write_sheet
from rivalry.extractors import PointsExtractor

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return samples.pictures()


def test_copies_find_their_originals(data: Dataset) -> None:
    index = torch.tensor([3, 141, 592])
    found = neighbours(data.train.batch(index, CPU).x, data, samples.Nearest(), k=2)
    assert torch.equal(found.by_features[:, 0], index)
    assert torch.equal(found.by_values[:, 0], index)
    assert float(found.feature_distance[:, 0].max()) < 1e-6
    assert float(found.value_distance[:, 0].max()) == 0
    assert bool((found.value_distance[:, 1] > 0).all())


def test_the_search_agrees_with_brute_force(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["rivalry.evaluate.neighbours"], "ROWS", 100)  # several parts to merge
    x = samples.perfect(9, 0)
    real = data.train.batch(torch.arange(len(data.train)), CPU).x
    space = samples.Nearest()
    by_features = torch.cdist(space(x).double(), space(real).double())
    by_values = torch.cdist(x.flatten(1).double(), real.flatten(1).double()) / samples.SIDE
    found = neighbours(x, data, space, k=5)
    for distances, index, distance in (
        (by_features, found.by_features, found.feature_distance),
        (by_values, found.by_values, found.value_distance),
    ):
        expected = distances.topk(5, largest=False)
        assert torch.equal(index, expected.indices)
        torch.testing.assert_close(distance, expected.values, rtol=1e-6, atol=1e-8)


def test_too_many_neighbours_are_refused(data: Dataset) -> None:
    with pytest.raises(DataError, match="601 nearest training rows"):
        neighbours(samples.perfect(2, 0), data, samples.Nearest(), k=601)


def test_a_sheet_shows_each_sample_beside_its_neighbours(data: Dataset, tmp_path: Path) -> None:
    x = samples.perfect(4, 0)
    path = write_sheet(tmp_path / "sheet.png", x, neighbours(x, data, samples.Nearest(), k=3), data)
    with Image.open(path) as picture:
        width, height = picture.size
    assert width / height == pytest.approx(7 / 4, rel=0.05)


def test_points_are_drawn(tmp_path: Path) -> None:
    data = samples.ring(200)
    x = samples.points(data)(20, 0)
    path = write_sheet(tmp_path / "sheet.png", x, neighbours(x, data, PointsExtractor(2), k=2), data)
    assert path.stat().st_size > 1000
