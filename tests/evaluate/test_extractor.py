"""The feature space that fits the data: made once, kept, found again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evaluate import samples
from rivalry.errors import RivalryError, WeightsError
from rivalry.evaluate import Reference, choose_extractor, evaluate
from rivalry.evaluate.extractor import FILE
from rivalry.evaluate.features import Coordinates


def test_points_are_measured_as_they_are() -> None:
    assert choose_extractor(samples.ring(100)) == Coordinates()
    x = torch.randn(3, 2)
    assert torch.equal(Coordinates()(x), x)


def test_weights_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="fits no feature space"):
        choose_extractor(samples.ring(100), tmp_path / "weights.bin")


def test_a_local_space_is_trained_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rivalry.evaluate import extractor as module

    calls: list[int] = []
    train = module.train_local

    def short(draw: object, rows: int, shape: tuple[int, ...], classes: int, device: torch.device) -> object:
        calls.append(rows)
        return train(draw, rows, shape, classes, device, steps=25)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_local", short)
    data = samples.pictures()
    cpu = torch.device("cpu")
    first = choose_extractor(data, None, cpu, tmp_path)
    again = choose_extractor(data, None, cpu, tmp_path)
    assert calls == [len(data.train)], "the second time it is loaded"
    assert (first.name, first.sha) == ("local", again.sha)
    x = samples.perfect(50, 0)
    torch.testing.assert_close(first(x), again(x))
    scores = evaluate(samples.perfect, Reference.build(data, again, 300), 300, 0, metrics=("fd", "missing"))
    assert scores["fd"].ruler.name == "FD-local"
    assert scores["fd"].ruler.extractor_sha == again.sha
    assert scores["fd"].times_floor is not None
    assert scores["fd"].times_floor < 3
    assert choose_extractor(data, None, cpu, None).sha == first.sha, "the same data give the same weights"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    data = samples.pictures()
    path = tmp_path / f"{data.fingerprint[:16]}-{FILE}"
    path.write_bytes(b"PK")
    with pytest.raises(RivalryError, match=str(path)):
        choose_extractor(data, None, torch.device("cpu"), tmp_path)
