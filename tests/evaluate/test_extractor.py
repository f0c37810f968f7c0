"""The feature space that fits the data: made once, kept, found again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluate import samples
from rivalry.errors import RivalryError, UnknownName, WeightsError
from rivalry.evaluate import Reference, choose_extractor, evaluate
from rivalry.evaluate.extractor import FILE, Pixels
from rivalry.extractors import PointsExtractor, drawing, train_local
from rivalry.extractors.local_training import STEPS


@pytest.mark.parametrize("terminal", [False, True])
def test_training_a_feature_space_says_how_far_it_is(terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("rivalry.data.progress.PATIENCE", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    seen: list[int] = []
    monkeypatch.setattr("rivalry.evaluate.extractor.train_local", lambda *given, tick, **named: [tick(step + 1) or seen.append(step) for step in range(STEPS)])
    choose_extractor(samples.pictures())
    said = capsys.readouterr().err
    assert len(seen) == STEPS
    assert "training a feature space for the rulers" in said
    assert terminal or said.endswith(" s to go\n")


def test_points_are_measured_as_they_are() -> None:
    assert choose_extractor(samples.ring(100)) == PointsExtractor(2)


def test_weights_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="measured as they are"):
        choose_extractor(samples.ring(100), tmp_path / "weights.bin")
    with pytest.raises(WeightsError, match="no weights file"):
        choose_extractor(samples.pictures(), tmp_path / "weights.npz")
    with pytest.raises(UnknownName, match="did you mean 'inception'"):
        choose_extractor(samples.pictures(), "inceptoin")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no known feature space"):
        choose_extractor(samples.pictures(), tmp_path / "other.pth")


def test_too_few_pictures_are_measured_by_their_pixels() -> None:
    data = samples.pictures(20, 10)
    space = choose_extractor(data)
    assert space == Pixels()
    scores = evaluate(samples.perfect, Reference.build(data, space, 20), 20, 0, metrics=("fd", "coverage"))
    assert scores["fd"].ruler.name == "FD-pixels"
    assert scores["coverage"].value > 0.5


def test_a_local_space_of_other_classes_is_refused(tmp_path: Path) -> None:
    data = samples.pictures()
    path = tmp_path / "space.safetensors"
    x = torch.rand(40, 1, 6, 6) * 2 - 1
    train_local(drawing(x, torch.arange(40) % 2), 40, (1, 6, 6), 2, steps=2).save(path)
    with pytest.raises(WeightsError, match="trained on 2 classes, and blobs has 4"):
        choose_extractor(data, path)


def test_a_local_space_is_trained_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rivalry.evaluate import extractor as module

    calls: list[int] = []
    train = module.train_local

    def short(*given: Any, **named: Any) -> Any:
        calls.append(given[1])
        return train(*given, **named, steps=40)

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
