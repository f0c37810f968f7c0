"""Feature spaces by name and by file; points; batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import rivalry.extractors
from extractors.test_dino import small_state
from rivalry.errors import DataError, UnknownName, WeightsError
from rivalry.extractors import Extractor, PointsExtractor, SqueezeNet, drawing, extractor, train_local
from rivalry.extractors.base import batched


def test_the_public_names_are_sorted_and_true() -> None:
    names = rivalry.extractors.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(getattr(rivalry.extractors, name) is not None for name in names)


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'inception'"):
        extractor("incepton")
    with pytest.raises(UnknownName, match="feature space"):
        extractor("vgg")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="needs a file of weights, such as pt_inception"):
        extractor("inception")
    with pytest.raises(WeightsError, match="no weights file at"):
        extractor("dinov2", tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="no weights file at"):
        extractor(tmp_path / "absent.pth")


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    torch.save(small_state(), tmp_path / "any_name.pth")
    assert extractor(tmp_path / "any_name.pth").name == "DINOv2-S"
    assert extractor(str(tmp_path / "any_name.pth")).name == "DINOv2-S"
    assert extractor("dinov2", tmp_path / "any_name.pth").sha == extractor(tmp_path / "any_name.pth").sha
    x = torch.randint(256, (64, 1, 16, 16), dtype=torch.uint8)
    local = train_local(drawing(x), 64, (1, 16, 16), steps=20)
    local.save(tmp_path / "local.safetensors")
    assert extractor(tmp_path / "local.safetensors").sha == extractor("local", tmp_path / "local.safetensors").sha
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no known feature space"):
        extractor(tmp_path / "other.safetensors")
    save_file(
        {name: value.contiguous() for name, value in SqueezeNet().state_dict().items()}, tmp_path / "s.safetensors"
    )
    with pytest.raises(WeightsError, match="no known feature space"):
        extractor(tmp_path / "s.safetensors")


def test_points_are_their_own_features() -> None:
    space: Extractor = PointsExtractor(2)
    x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    done: list[int] = []
    features = space(x, tick=done.append)
    assert torch.equal(features, x.float())
    assert not features.requires_grad
    assert done == [5]
    assert (space.name, space.sha, space.size) == ("coordinates", "identity", ())
    with pytest.raises(DataError, match="2 coordinates"):
        space(torch.zeros(5, 3))


def test_batches_do_not_change_features_and_progress_is_told() -> None:
    x = torch.randn(10, 4)
    done: list[int] = []
    features = batched(lambda part: part * 2, x, 4, torch.device("cpu"), 4, done.append)
    assert torch.equal(features, x * 2)
    assert done == [4, 8, 10]
    features += 1  # must be an ordinary tensor, not one of inference mode
    assert batched(lambda part: part, x[:0], 4, torch.device("cpu"), 4, None).shape == (0, 4)
    with pytest.raises(DataError, match="at least one row"):
        batched(lambda part: part, x, 4, torch.device("cpu"), 0, None)
