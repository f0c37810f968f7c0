"""Real data, where they are on this machine."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from rivalry.data import ReadOptions, inspect, load

from .files import contents, everything

CPU = torch.device("cpu")
needs_mlxtend = pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="mlxtend is not installed")
FASHION = Path("/usr/share/datasets/fashion-mnist")
needs_fashion = pytest.mark.skipif(not FASHION.is_dir(), reason="dataset-fashion-mnist is not installed")


@needs_mlxtend
def test_mnist_5k():
    data = load("mnist-5k")
    assert data.spec.shape == (1, 28, 28)
    assert data.spec.class_names == tuple("0123456789")
    assert (len(data.train), len(data.held)) == (4500, 500)
    assert torch.bincount(data.held.labels).tolist() == [50] * 10
    assert data.source == "mnist-5k"
    raw = everything(data.train)
    assert (int(raw.min()), int(raw.max())) == (0, 255)
    assert 25 < float(raw.float().mean()) < 40


def test_digits_8():
    pytest.importorskip("sklearn")
    data = load("digits8")
    assert data.spec.shape == (1, 8, 8)
    assert int(everything(data.train).max()) == 255


@needs_fashion
def test_fashion_mnist_and_where_it_may_lie(tmp_path, monkeypatch):
    data = load("fashion-mnist")
    assert (len(data.train), len(data.held)) == (60_000, 10_000)
    assert data.spec.class_names[9] == "Ankle boot"
    assert torch.bincount(data.train.labels).tolist() == [6000] * 10
    by_path = load(FASHION, options=ReadOptions(limit=100))
    assert by_path.spec.class_names == tuple("0123456789")
    os.symlink(FASHION, tmp_path / "fashion-mnist")
    monkeypatch.setenv("RIVALRY_DATA", str(tmp_path))
    assert load("fashion-mnist").fingerprint == data.fingerprint


def test_mnist_10k_idx(shared):
    data = load(shared("img_mnist10k"))
    assert len(data.train) + len(data.held) == 10_000
    assert data.spec.classes == 10
    counts = np.bincount(data.held.labels.numpy()) / np.bincount(
        torch.cat([data.held.labels, data.train.labels]).numpy()
    )
    assert np.abs(counts - 0.1).max() < 0.002


def test_mnist_npz(shared):
    data = load(shared("img_mnist10k/mnist_cazala_10k.npz"))
    assert data.spec.shape == (1, 28, 28)
    assert data.spec.classes == 10


def test_pneumonia_keeps_its_official_split(shared):
    data = load(shared("img_pneumoniamnist"))
    assert (len(data.train), len(data.held)) == (3882, 624)
    assert any("'val_images' is left aside" in n for n in data.notes)
    train, held = contents(data)
    assert not train & held


def test_emoji_keep_their_alpha(shared):
    data = load(shared("img_noto_emoji72/noto_emoji_png72.tar.xz"), options=ReadOptions(limit=400))
    assert data.spec.shape == (4, 72, 72)
    assert data.spec.classes == 0
    train, held = contents(data)
    assert not train & held
    small = load(
        shared("img_noto_emoji72/noto_emoji_png72.tar.xz"), options=ReadOptions(limit=100, size=32, channels=3)
    )
    assert small.spec.shape == (3, 32, 32)
    assert float((everything(small.train)[:, :, 0, 0] == 255).float().mean()) > 0.8


def test_caltech_folders_in_an_archive(shared):
    source = shared("img_caltech101_subset/caltech101_7classes.tar.xz")
    data = load(source, options=ReadOptions(only=("Faces_easy",), size=64))
    assert data.spec.shape == (3, 64, 64)
    assert len(data.train) + len(data.held) == 435
    assert 70 <= len(data.held) <= 100
    whole = inspect(source, options=ReadOptions(limit=150))
    assert len(whole.classes) == 7
    assert whole.total == 150


@pytest.mark.slow
def test_all_of_caltech(shared):
    found = inspect(shared("img_caltech101_subset/caltech101_7classes.tar.xz"))
    assert found.classes["Faces_easy"] == 435
    assert len(found.duplicates) == 1
    assert not found.broken


@pytest.mark.slow
def test_cifar_streams_as_it_is_resident(shared):
    source = shared("img_cifar10_jpeg/cifar10_jpeg.tar.xz")
    streamed = load(source, options=ReadOptions(resident_bytes=1 << 20))
    resident = load(source)
    assert (len(resident.train), len(resident.held)) == (50_000, 10_000)
    assert streamed.fingerprint == resident.fingerprint
    index = torch.randperm(50_000)[:512]
    streamed.train.prefetch(index)
    a, b = streamed.train.batch(index, CPU), resident.train.batch(index, CPU)
    assert torch.equal(a.x, b.x)
    assert torch.equal(a.label, b.label)


def test_framingham_says_which_column_is_incomplete(shared):
    from rivalry.errors import DataError

    path = shared("tab_medical/framingham.csv.gz")
    with pytest.raises(DataError, match=r"'TOTCHOL' .* cells: 409 of 11,627"):
        load(path, options=ReadOptions(kind="points"))
    data = load(path, options=ReadOptions(columns=("AGE", "SYSBP", "DIABP"), group="RANDID"))
    assert data.spec.shape == (3,)
