import json

import numpy as np
import pytest
import torch

from rivalry.data import ReadOptions, batch_index, inspect, load
from rivalry.data.stores import Resident, Streamed, gather
from rivalry.errors import DataError

from .files import everything, noise, save_all

CPU = torch.device("cpu")
DEPTHS = [np.uint8, np.uint16]


def pictures(tmp_path, dtype=np.uint8):
    many = noise(60, 10, 8, dtype=dtype)
    save_all(tmp_path / "set", many, names=[f"{'ab'[i % 2]}/{i:03d}.png" for i in range(60)])
    return tmp_path / "set"


@pytest.mark.parametrize("dtype", DEPTHS)
def test_streaming_gives_what_is_resident(tmp_path, cache, dtype):
    source = pictures(tmp_path, dtype)
    resident = load(source)
    streamed = load(source, options=ReadOptions(resident_bytes=100))
    assert isinstance(resident.train, Resident)
    assert isinstance(streamed.train, Streamed)
    assert streamed.fingerprint == resident.fingerprint
    assert len(list(cache.iterdir())) == 1
    for side in ("train", "held"):
        a, b = getattr(resident, side), getattr(streamed, side)
        assert len(a) == len(b)
        for position in range(6):
            index = batch_index(len(a), position, 7, seed=0)
            if position % 2:
                b.prefetch(index)
            left, right = a.batch(index, CPU), b.batch(index, CPU)
            assert torch.equal(left.x, right.x)
            assert torch.equal(left.label, right.label)
            assert torch.equal(right.index, index)
            assert torch.equal(a.raw(index), b.raw(index))


def test_a_prefetch_of_another_batch_does_no_harm(tmp_path):
    data = load(pictures(tmp_path), options=ReadOptions(resident_bytes=100))
    expected = data.train.raw(torch.tensor([5, 1, 1]))
    data.train.prefetch(torch.tensor([2, 3]))
    assert torch.equal(data.train.raw(torch.tensor([5, 1, 1])), expected)
    data.train.prefetch(torch.tensor([5, 1, 1]))
    data.train.prefetch(torch.tensor([5, 1, 1]))
    assert torch.equal(data.train.raw(torch.tensor([5, 1, 1])), expected)


def test_the_cache_is_found_again_and_follows_changes(tmp_path, cache, monkeypatch):
    source = pictures(tmp_path)
    options = ReadOptions(resident_bytes=100)
    first = load(source, options=options)
    from rivalry.data import reading

    def never(*_):
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(reading, "decode", never)
        assert load(source, options=options).fingerprint == first.fingerprint
        kept = load(source)  # resident this time, from the same entry
        assert isinstance(kept.train, Resident)
        assert kept.fingerprint == first.fingerprint
        assert kept.notes == first.notes
    save_all(source, noise(1, 10, 8, seed=9), names=["a/000.png"])
    changed = load(source, options=options)
    assert changed.fingerprint != first.fingerprint
    assert len(list(cache.iterdir())) == 2


def test_broken_pictures_stay_left_out_in_the_cache(tmp_path):
    source = pictures(tmp_path)
    (source / "a" / "004.png").write_text("no")
    options = ReadOptions(resident_bytes=100)
    first, second = load(source, options=options), load(source, options=options)
    assert first.notes == second.notes == load(source).notes
    assert first.fingerprint == second.fingerprint == load(source).fingerprint
    assert len(first.train) + len(first.held) == 59


@pytest.mark.parametrize("damage", ["rows", "meta", "digests"])
def test_a_damaged_entry_is_made_anew(tmp_path, cache, damage):
    source = pictures(tmp_path)
    options = ReadOptions(cache=True)
    first = load(source, options=options)
    entry = next(cache.iterdir())
    assert json.loads((entry / "meta.json").read_text())["shape"] == [60, 1, 10, 8]
    file = entry / {"rows": "rows.bin", "meta": "meta.json", "digests": "digests.npy"}[damage]
    file.write_bytes(file.read_bytes()[:50])
    assert load(source, options=options).fingerprint == first.fingerprint
    assert [p.name for p in cache.iterdir()] == [entry.name]


def test_two_processes_may_make_the_same_entry(tmp_path, cache, monkeypatch):
    """The slower one finds the entry made and uses it."""
    from rivalry.data import reading

    source, options, decode = pictures(tmp_path), ReadOptions(resident_bytes=100), reading.decode
    made = []

    def slow(content, plan):
        if not made:
            made.append(True)
            made.append(load(source, options=options))
        return decode(content, plan)

    monkeypatch.setattr(reading, "decode", slow)
    slower = load(source, options=options)
    assert torch.equal(everything(slower.train), everything(made[1].train))
    assert len(list(cache.iterdir())) == 1


def test_small_data_leave_nothing_in_the_cache(tmp_path, cache):
    load(pictures(tmp_path))
    assert not list(cache.iterdir())


def test_a_failed_read_leaves_nothing_behind(tmp_path, cache, monkeypatch):
    from rivalry.data import reading

    source = pictures(tmp_path)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reading, "decode", fail)
    with pytest.raises(KeyboardInterrupt):
        load(source, options=ReadOptions(cache=True))
    assert not list(cache.iterdir())


def test_a_full_disk_is_one_clear_sentence(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(
        DataError, match=r"4.7 KiB are needed and 10 bytes free; free some space or name another folder"
    ):
        load(pictures(tmp_path), options=ReadOptions(cache=True))


def test_what_is_already_there_stays(tmp_path):
    data = load(pictures(tmp_path))
    assert data.train.to(CPU) is data.train
    assert data.to(CPU).fingerprint == data.fingerprint
    meta = data.train.to(torch.device("meta"))
    assert len(meta) == len(data.train)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_gathering_keeps_types(dtype):
    rows = (
        torch.arange(12).to(dtype).reshape(6, 2)
        if dtype != torch.uint16
        else torch.arange(65524, 65536).to(dtype).reshape(6, 2)
    )
    assert gather(rows, torch.tensor([4, 0])).tolist() == [rows.tolist()[4], rows.tolist()[0]]


def test_arrays_too_large_to_be_resident_stream_from_memory():
    x = noise(40, 9, 9)
    data = load(x, options=ReadOptions(resident_bytes=100))
    assert isinstance(data.train, Streamed)
    assert torch.equal(everything(data.train), everything(load(x).train))


def test_encoding_undoes_decoding(tmp_path):
    for dtype in DEPTHS:
        data = load(pictures(tmp_path / dtype.__name__, dtype))
        raw = everything(data.train)
        x = data.modality.encode(raw)
        assert x.dtype == torch.float32
        assert x.min() >= -1
        assert x.max() <= 1
        assert torch.equal(data.modality.decode(x), raw)
        assert data.modality.decode(torch.tensor([9.0, -9.0, float("nan")])).tolist() == [data.modality.high, 0, 0]


def test_inspection_proposes_what_loading_does(tmp_path):
    source = pictures(tmp_path)
    found, data = inspect(source), load(source)
    assert found.proposal["size"] == "10x8"
    assert found.proposal["channels"] == data.spec.shape[0]
    assert found.proposal["held back"] == len(data.held)
