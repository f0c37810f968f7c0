"""Scans become pictures: 16 bits, one window, MONOCHROME1 turned round, patients never parted, and nobody named."""

import io
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rivalry.data import ImageModality, ReadOptions, inspect, load, restore
from rivalry.data.medical import windows
from rivalry.data.medical.as_pictures import as_pictures
from rivalry.data.opening import open_source
from rivalry.data.sources import Scans
from rivalry.errors import DataError, MissingExtra

from ..files import everything
from .scans import ct_series, dataset, head, nifti, packaged, save

pytest.importorskip("pydicom")
pytest.importorskip("nibabel")


@pytest.fixture(scope="module")
def wards(tmp_path_factory):
    """Four patients' CT series, in a folder each that is called after the patient."""
    folder = tmp_path_factory.mktemp("wards") / "ct"
    for i in range(4):
        ct_series(folder / f"Doe_P{i}", f"HOSP-{i}", i, PatientName=f"Doe^Jane{i}")
    return folder


def in_units(dataset):
    m = dataset.modality
    raw = torch.cat([everything(dataset.train), everything(dataset.held)]).numpy().astype(np.float64)
    return raw * m.scale + m.offset


def test_ct_numbers_survive_in_sixteen_bits(wards):
    data = load(wards)
    assert data.spec.shape == (1, 32, 32)
    assert data.modality.window == "fixed"
    assert data.modality.offset == -1024
    truth = np.concatenate([head(seed=i) for i in range(4)])
    values = in_units(data)[:, 0]
    top = data.modality.offset + data.modality.scale * 65535
    clipped = np.clip(truth, -1024, top)
    worst = [np.abs(clipped - v).reshape(len(truth), -1).max(1).min() for v in values]
    assert max(worst) < 0.02  # Hounsfield units; eight bits would leave 4
    assert top % 100 == 0


def test_all_slices_of_a_patient_stay_on_one_side(wards, tmp_path):
    for i in range(4):
        shutil.copytree(wards / f"Doe_P{i}", tmp_path / "flat", dirs_exist_ok=True)
    data = load(tmp_path / "flat")
    truth = np.stack([np.clip(head(seed=i), -1024, None) for i in range(4)])
    sides = []
    for side in (data.train, data.held):
        values = side.raw(torch.arange(len(side))).numpy()[:, 0] * data.modality.scale + data.modality.offset
        near = np.abs(values[:, None, None] - np.minimum(truth, values.max())[None]).mean((3, 4))
        sides.append(set(near.reshape(len(values), -1).argmin(1) // 32))
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]
    assert any("4 patients" in n and "one side" in n for n in data.notes)


def test_nothing_recorded_names_a_patient(wards):
    data, seen = load(wards), inspect(wards)
    recorded = repr((data.notes, data.fingerprint, data.spec, data.modality.state(), data.defences))
    shown = seen.text() + repr(seen.as_dict())
    for secret in ("Doe", "Jane", "HOSP"):
        assert secret not in recorded
        assert secret not in shown
    assert data.spec.class_names == ()
    assert any("no classes" in n for n in data.notes)


def test_files_without_ending_and_in_archives(wards, tmp_path):
    plain = tmp_path / "plain"
    for i in range(2):
        ct_series(plain, f"P{i}", i, ending="")
    (plain / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (plain / "README").write_text("notes on the study")
    assert len(load(plain).train) > 10
    packed = tmp_path / "all.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(plain, "scans")
    assert load(packed).spec == load(plain).spec


def test_sub_folders_of_many_patients_are_classes(tmp_path):
    for i in range(4):
        ct_series(tmp_path / ("ill" if i % 2 else "well") / f"sub-{i}", f"P{i}", i, size=16)
    data = load(tmp_path)
    assert data.spec.class_names == ("ill", "well")
    assert set(data.held.labels.tolist()) == {0, 1}


def test_classes_from_a_tag(tmp_path):
    for i in range(6):
        ct_series(tmp_path, f"P{i}", i, size=16, BodyPartExamined=("HEAD", "CHEST")[i % 2])
    assert load(tmp_path, options=ReadOptions(labels_from="BodyPartExamined")).spec.class_names == ("CHEST", "HEAD")
    with pytest.raises(DataError, match=r"PatientName.*tell who"):
        load(tmp_path, options=ReadOptions(labels_from="PatientName"))


def test_tags_that_files_do_not_have_give_no_classes_and_that_is_said(tmp_path):
    for i in range(6):
        ct_series(tmp_path, f"P{i}", i, size=16, **({"BodyPartExamined": ("HEAD", "CHEST")[i % 2]} if i < 4 else {}))
    some = load(tmp_path, options=ReadOptions(labels_from="BodyPartExamined"))
    assert some.spec.class_names == ("CHEST", "HEAD")
    assert any("have no BodyPartExamined, so their class is not known" in n for n in some.notes)
    with pytest.raises(DataError, match=r"no file has the tag Laterality.*leave it out"):
        load(tmp_path, options=ReadOptions(labels_from="Laterality"))
    alike = load(tmp_path, options=ReadOptions(labels_from="Modality"))
    assert any("all files have the same Modality" in n for n in alike.notes)


def test_monochrome1_is_turned_round(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(10):
        frame = rng.integers(0, 4096, (16, 16), dtype=np.uint16)
        for name, kind, stored in (("a", "MONOCHROME2", frame), ("b", "MONOCHROME1", 4095 - frame)):
            made = dataset(stored, patient=f"P{i}", modality="DX", intercept=0, PhotometricInterpretation=kind)
            save(made, tmp_path / name / f"{i}.dcm")
    a, b = (everything(load(tmp_path / n, options=ReadOptions(window="2047.5,4095")).train) for n in "ab")
    assert torch.equal(a, b)


def test_mr_is_windowed_by_volume_and_ct_is_not(tmp_path):
    for i in range(6):
        values = (head(seed=i) + 1024).clip(0).astype(np.uint16) * (1 + i)  # the same contrast at other gains
        for j, frame in enumerate(values):
            save(dataset(frame, patient=f"P{i}", modality="MR", number=j, intercept=0), tmp_path / f"{i}-{j:02d}.dcm")
    data = load(tmp_path)
    assert data.modality.window == "volume"
    means = everything(data.train).numpy().astype(np.float64).max((1, 2, 3))
    assert (means > 30_000).mean() > 0.8
    assert any("each volume is windowed by itself" in n for n in data.notes)


def test_named_windows_are_for_ct(tmp_path, wards):
    lung = load(wards, options=ReadOptions(window="lung"))
    assert (lung.modality.offset, round(lung.modality.offset + lung.modality.scale * 65535)) == (-1350, 150)
    assert lung.fingerprint != load(wards).fingerprint
    save(dataset(np.ones((8, 8), np.uint16), modality="MR"), tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"'lung' is in Hounsfield units.*MR"):
        load(tmp_path, options=ReadOptions(window="lung"))
    with pytest.raises(DataError, match="--window takes centre,width"):
        load(wards, options=ReadOptions(window="liver"))


def test_state_goes_round(wards):
    data = load(wards)
    again = restore("image", data.modality.state())
    assert again == data.modality
    assert isinstance(again, ImageModality)


def test_nifti_is_cut_as_radiologists_look_at_it(tmp_path):
    x, y, z = np.meshgrid(np.arange(20), np.arange(24), np.arange(16), indexing="ij")
    for seed in range(4):
        right_front_up = (x * 10_000 // 20 + y * 40 + z + seed * 100).astype(np.int16)
        stored = right_front_up[::-1, :, ::-1]  # a file that runs to the left and downwards
        affine = np.diag([-1.0, 1.0, -2.0, 1.0])
        affine[:3, 3] = (19, 0, 30)
        nifti(stored, tmp_path / f"v{seed}.nii.gz", affine)
    for axis, shape in (("axial", (24, 20)), ("coronal", (16, 20)), ("sagittal", (16, 24))):
        data = load(tmp_path, options=ReadOptions(axis=axis, size=shape, window="5000,12000"))
        values = np.round(in_units(data)[:, 0])
        assert values.shape[1:] == shape
        if axis != "sagittal":
            assert (values[:, 0, 0] > values[:, 0, -1]).all()  # the patient's right on the left
        down = values[:, 0, 5] - values[:, -1, 5]
        assert (down > 0).all()  # the front, or the top, is up
        assert any("not square" in n for n in data.notes) == (axis != "axial")
    assert data.modality.axis == "sagittal"


def test_spacing_brings_pixels_to_one_size(tmp_path):
    for i in range(4):
        ct_series(tmp_path, f"P{i}", i, spacing=0.5 + 0.25 * (i % 2))
    assert any("pixel spacing differs, 0.5 to 0.75" in n for n in load(tmp_path).notes)
    data = load(tmp_path, options=ReadOptions(spacing=1, size=16))
    assert any("brought to 1 mm" in n for n in data.notes)
    assert data.spec.shape == (1, 16, 16)


def test_one_volume_holds_back_a_block_with_a_gap(tmp_path):
    ramp = np.arange(200, dtype=np.int16)
    values = np.random.default_rng(0).integers(0, 100, (12, 12, 200)).astype(np.int16) + 20
    values[0, 0] = ramp
    path = nifti(values, tmp_path / "one.nii")
    data = load(path, options=ReadOptions(window="100,200"))
    corner = [np.round(everything(s).numpy()[:, 0, -1, -1] * data.modality.scale + data.modality.offset) for s in (data.train, data.held)]
    learned, held = set(corner[0].tolist()), set(corner[1].tolist())
    assert max(held) - min(held) == len(held) - 1
    assert min(abs(a - b) for a in learned for b in held) > 10
    assert any("one patient" in n for n in data.notes)


def test_bids_subjects_keep_their_volumes_together(tmp_path):
    for i in range(6):
        for kind in ("T1w", "T2w"):
            nifti(head(16, i) + (kind == "T2w"), tmp_path / f"sub-{i}" / "anat" / f"sub-{i}_{kind}.nii.gz")
    data = load(tmp_path)
    assert any("6 patients" in n for n in data.notes)
    assert data.spec.class_names == ()


def test_empty_slices_are_left_out(tmp_path):
    for i in range(3):
        values = np.zeros((16, 16, 20), np.int16)
        values[:, :, 5:15] = np.random.default_rng(i).integers(100, 1000, (16, 16, 10))
        nifti(values, tmp_path / f"{i}.nii")
    data = load(tmp_path)
    assert len(data.train) + len(data.held) == 30
    assert any("30 slices of 60 show next to nothing" in n for n in data.notes)


def test_large_sets_stream_from_a_file(wards):
    small, large = load(wards), load(wards, options=ReadOptions(resident_bytes=1000))
    assert type(large.train).__name__ == "Streamed"
    assert large.fingerprint == small.fingerprint
    assert torch.equal(everything(small.train), everything(large.train))
    again = load(wards, options=ReadOptions(resident_bytes=1000))
    assert again.fingerprint == small.fingerprint


def test_colour_and_multi_frame_files(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(10):
        save(dataset(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8), patient=f"P{i}", modality="US"), tmp_path / "us" / f"{i}.dcm")
        save(dataset(rng.integers(0, 4000, (3, 16, 16), dtype=np.uint16), patient=f"P{i}", modality="XA"), tmp_path / "xa" / f"{i}.dcm")
    us, xa = load(tmp_path / "us"), load(tmp_path / "xa")
    assert us.spec.shape == (3, 16, 16)
    assert us.modality.bits == 8
    assert len(xa.train) + len(xa.held) == 30


def test_inspection_says_what_there_is(wards):
    seen = inspect(wards)
    assert seen.scans["files"] == "DICOM CT (128)"
    assert seen.scans["series"] == "4, of 32 slices"
    assert "2.5 x 0.7 x 0.7" in seen.scans["spacing in mm"]
    assert "HU" in seen.scans["values"]
    assert seen.total == 128
    assert "CT" in seen.text()


def test_samples_of_real_files(tmp_path):
    for name in ("CT_small.dcm", "MR_small.dcm"):
        folder = tmp_path / name
        for i in range(8):
            made = dataset(np.roll(_stored(name), i, 0), patient=f"P{i}", modality=name[:2])
            save(made, folder / f"{i}.dcm")
        assert load(folder).modality.window == ("fixed" if name[:2] == "CT" else "volume")
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"):  # compressed, and read all the same
        shutil.copy(packaged(name), tmp_path / name)
        assert inspect(tmp_path / name).whole == 1


def _stored(name):
    import pydicom

    return pydicom.dcmread(packaged(name)).pixel_array


def test_scans_as_picture_files(tmp_path):
    """For tasks that read pictures: each slice a 16-bit PNG, grouped by patient, in any order that is asked for."""
    for i in range(3):
        ct_series(tmp_path, f"P{i}", i, spacing=0.5)
    options = ReadOptions(window="0,2000", spacing=1)
    scans = open_source(str(tmp_path), options)
    assert isinstance(scans, Scans)
    shown = as_pictures(scans, options)
    assert (shown.offset, round(shown.offset + shown.scale * 65535), shown.window) == (-1000, 1000, "fixed")
    assert len(set(shown.source.rows.groups)) == 3
    some = [40, 3, 41, 3]
    found = dict(shown.source.stream(some))
    assert sorted(found) == [0, 1, 2, 3]
    assert found[1] == found[3]
    picture = Image.open(io.BytesIO(found[0]))
    assert (picture.size, picture.mode) == ((16, 16), "I;16")
    plain = load(tmp_path, options=replace(options, size=16))
    every = torch.cat([everything(s) for s in (plain.train, plain.held)]).numpy()[:, 0]
    assert (every == np.asarray(picture)).all((1, 2)).any()


def test_two_folders_of_volumes_are_pairs(tmp_path):
    for i in range(3):
        values = head(24, i)
        nifti(values, tmp_path / "t1" / f"v{i}.nii.gz")
        nifti((values > 900).astype(np.float32), tmp_path / "skull" / f"v{i}.nii.gz")
    scans = open_source(str(tmp_path), ReadOptions())
    shown = as_pictures(scans, ReadOptions())
    sides = {n.split("/")[0]: set() for n in shown.source.rows.names}
    for name, group in zip(shown.source.rows.names, shown.source.rows.groups, strict=True):
        sides[name.split("/")[0]].add((name.split("/")[1].split("-")[0], group))
    assert sides["t1"] == sides["skull"]  # the same patients, by the same word
    assert len(sides["t1"]) == 3
    assert shown.window == "volume"
    one = load(tmp_path, options=ReadOptions(window="volume"))
    assert any("patients" in n for n in one.notes)


def test_tasks_learn_from_scans(tmp_path):
    for i in range(3):
        values = head(24, i)
        nifti(values, tmp_path / "t1" / f"v{i}.nii.gz")
        nifti((values > 900).astype(np.float32), tmp_path / "skull" / f"v{i}.nii.gz")
    alone = load(tmp_path / "t1", options=ReadOptions(task="denoise", window="lung"))
    assert (alone.layout, alone.task, alone.modality.bits) == ("patches", "denoise", 16)
    assert (alone.modality.window, alone.modality.offset, alone.modality.axis) == ("fixed", -1350, "axial")
    assert alone.train.batch(torch.arange(2), torch.device("cpu")).x.shape == (2, 1, 24, 24)
    pairs = load(tmp_path, options=ReadOptions(task="translate"))
    assert (pairs.layout, pairs.modality.window) == ("pairs", "volume")
    batch = pairs.train.batch(torch.arange(len(pairs.train)), torch.device("cpu"))
    assert set(torch.unique(batch.x.sign()).tolist()) <= {-1, 1}  # the target is the mask
    assert not any("no classes" in n for n in pairs.notes)


def test_the_layout_of_scans_decides_and_hints_name_nobody(tmp_path):
    rng = np.random.default_rng(0)
    for side in ("noisy", "clean"):
        for patient in ("Doe_1", "Doe_2", "Doe_3"):
            for i in range(4):
                frame = rng.integers(100, 2000, (24, 24)).astype(np.uint16)
                save(dataset(frame, patient=patient, series=side, number=i), tmp_path / "pairs" / side / patient / f"{i}.dcm")
    found = load(tmp_path / "pairs")
    assert (found.layout, found.task) == ("pairs", "translate")
    assert any("no task is named" in n for n in found.notes)
    for patient in ("Doe_1", "Doe_2"):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "pairs" / "noisy" / patient).rename(tmp_path / "two" / patient)
    two = load(tmp_path / "two")
    assert two.layout == ""
    assert any("two folders hold files of equal names" in n for n in two.notes)
    assert not any("Doe" in n for n in two.notes)


def test_one_patient_with_two_series_holds_back_the_same_place(tmp_path):
    values = np.random.default_rng(0).integers(100, 2000, (60, 12, 12)).astype(np.uint16)
    for kind in ("T1", "T2"):
        for i, frame in enumerate(values):
            frame[0, 0] = 10 * i
            save(dataset(frame, patient="P", modality="MR", series=kind, number=i, intercept=0), tmp_path / f"{kind}-{(i * 7) % 60:02d}.dcm")
    data = load(tmp_path, options=ReadOptions(window="1000,2000", dedupe=False))
    corner = [{round(v * data.modality.scale) for v in everything(s).numpy()[:, 0, 0, 0]} for s in (data.train, data.held)]
    assert max(corner[1]) - min(corner[1]) == 10 * (len(corner[1]) - 1)
    assert min(abs(a - b) for a in corner[0] for b in corner[1]) >= 60


def test_names_that_were_taken_out_do_not_make_one_patient(tmp_path):
    rng = np.random.default_rng(0)
    for word in ("ANONYMOUS", "P-1"):
        for i in range(12):
            frame = rng.integers(0, 4000, (16, 16), dtype=np.uint16)
            made = dataset(frame, patient=word, modality="DX", series=str(i), StudyInstanceUID=f"1.2.{i // 2 + 1}", PatientName=word)
            save(made, tmp_path / word / f"{i}.dcm")
        data = load(tmp_path / word)
        assert any("6 patients" in n for n in data.notes)
        assert any("studies are kept together" in n for n in data.notes) == (word == "P-1")
    for i in range(20):
        frame = rng.integers(0, 4000, (16, 16), dtype=np.uint16)
        save(dataset(frame, patient="P", modality="DX", series=str(i)), tmp_path / "one" / f"{i:02d}.dcm")
    one = load(tmp_path / "one")
    assert any("one patient" in n for n in one.notes)
    assert len(one.held) == 4


def test_options_go_round_and_copies_are_left_out(tmp_path):
    options = ReadOptions(window="lung", axis="axial", spacing=0.5, labels_from="Modality")
    assert ReadOptions.from_dict(options.as_dict()) == options
    assert len({o.content() for o in (options, ReadOptions(), replace(options, window="bone"))}) == 3
    for i in range(3):
        ct_series(tmp_path, f"P{i}", i)
    shutil.copy(tmp_path / "00-010.dcm", tmp_path / "copy.dcm")
    plain, fewer = load(tmp_path), load(tmp_path, options=ReadOptions(dedupe=True))
    assert len(fewer.train) + len(fewer.held) < len(plain.train) + len(plain.held)
    assert fewer.modality.window == "fixed"


def test_the_missing_extra_is_named(wards, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtra, match=r"rivalry\[medical\]"):
        load(wards)


def test_windows_by_hand():
    window = windows.parse("40,80")
    assert window is not None
    assert (window.low, window.high) == (0, 80)
    values = np.array([-1000.0, 0.0, 40.0, 80.0, 1000.0])
    assert window.encoded(values).tolist() == [-1, -1, 0, 1, 1]
    assert window.decoded(window.encoded(values)).tolist() == [0, 0, 40, 80, 80]
    assert window.clipped(values) == pytest.approx(0.4)
    assert windows.parse("volume") is None
    samples = np.linspace(0, 1000, 100_001)[None]
    own = windows.of_volume(samples)
    assert own is not None
    assert (own.low, own.high) == pytest.approx((5, 995), abs=0.1)
    assert windows.of_volume(np.ones((2, 9))) is None

