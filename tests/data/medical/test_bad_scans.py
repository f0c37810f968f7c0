"""What is wrong with scans: one clear sentence each, and nobody named in it."""

import shutil

import numpy as np
import pytest

from rivalry.data import ReadOptions, inspect, load
from rivalry.data.medical.volume import find_volumes, read_volume
from rivalry.errors import DataError

from .scans import as_bytes, ct_series, dataset, head, nifti, packaged, save

pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")

FRAME = np.random.default_rng(0).integers(0, 2000, (16, 16), dtype=np.uint16)


def without_pixels(folder):
    made = dataset(FRAME)
    del made.PixelData
    return save(made, folder / "Doe.dcm")


def truncated(folder):
    path = folder / "a.dcm"
    path.write_bytes(as_bytes(dataset(FRAME))[:-100])
    return path


def truncated_header(folder):
    path = folder / "a.dcm"
    path.write_bytes(as_bytes(dataset(FRAME))[:300])
    return path


def compressed(folder):
    shutil.copy(packaged("MR_small_jpeg_ls_lossless.dcm"), folder / "a.dcm")
    return folder / "a.dcm"


def plan(folder):
    shutil.copy(packaged("rtplan.dcm"), folder / "a.dcm")
    return folder / "a.dcm"


def structured_report(folder):
    shutil.copy(packaged("test-SR.dcm"), folder / "a.dcm")
    return folder / "a.dcm"


def palette(folder):
    shutil.copy(packaged("examples_palette.dcm"), folder / "a.dcm")
    return folder / "a.dcm"


def no_header(folder):
    shutil.copy(packaged("no_meta.dcm"), folder / "a.dcm")
    return folder / "a.dcm"


def not_a_number(folder):
    values = head(16).astype(np.float32)
    values[3, 3, 3] = np.nan
    return nifti(values, folder / "a.nii.gz")


def four_dimensions(folder):
    shutil.copy(f"{nibabel.__path__[0]}/tests/data/example4d.nii.gz", folder / "a.nii.gz")
    return folder / "a.nii.gz"


def truncated_volume(folder):
    path = nifti(head(16), folder / "a.nii")
    path.write_bytes(path.read_bytes()[:-500])
    return path


def truncated_gzip(folder):
    path = nifti(head(16), folder / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-500])
    return path


def no_volume(folder):
    (folder / "a.nii").write_bytes(b"x" * 1000)
    return folder / "a.nii"


def empty_file(folder):
    (folder / "a.nii").write_bytes(b"")
    return folder / "a.nii"


def complex_volume(folder):
    return nifti(head(8).astype(np.complex64), folder / "a.nii")


CASES = {
    without_pixels: "without pixels",
    truncated: "truncated: there are fewer pixels",
    truncated_header: "damaged or truncated|without pixels",
    compressed: "compressed .JPEG-LS Lossless.*no decoder at hand.*gdcm",
    plan: "kind RTPLAN, not an image",
    structured_report: "kind SR, not an image",
    palette: "palette; save it as RGB or grey",
    no_header: "no DICOM header .the letters DICM",
    not_a_number: "NaN or infinity in 1 voxels; set them",
    four_dimensions: "4 dimensions .128 x 96 x 24 x 2.*split it into volumes first",
    truncated_volume: "truncated: there are fewer voxels",
    truncated_gzip: "truncated or damaged .gzip.",
    no_volume: "content is no NIfTI volume",
    empty_file: "the file is empty",
    complex_volume: "voxels are complex64.*convert it to int16",
}


@pytest.mark.parametrize(("make", "says"), CASES.items(), ids=[m.__name__ for m in CASES])
def test_broken_files_say_why(make, says, tmp_path):
    path = make(tmp_path)
    with pytest.raises(DataError, match=says) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("make", [m for m in CASES if m is not palette], ids=lambda m: m.__name__)
def test_broken_volumes_say_why(make, tmp_path):
    path = make(tmp_path)
    with pytest.raises(DataError, match=CASES[make]):
        read_volume(path)


def test_a_few_broken_files_are_left_out_and_told(tmp_path):
    ct_series(tmp_path, "P1", 1)
    ct_series(tmp_path, "P2", 2)
    truncated(tmp_path)
    seen, data = inspect(tmp_path), load(tmp_path)
    assert seen.broken == (("a.dcm", "it is truncated: there are fewer pixels than its header says"),)
    assert any("1 file of 65 cannot be read" in n for n in data.notes)


def test_pictures_of_unread_formats_beside_scans_are_not_named(tmp_path):
    ct_series(tmp_path, "P1", 1)
    ct_series(tmp_path, "P2", 2)
    (tmp_path / "Mueller_Hans_1950.psd").write_bytes(b"x")
    notes = " ".join(load(tmp_path).notes)
    assert "1 picture of a format that is not read: left out" in notes
    assert "Mueller" not in notes


def test_names_of_broken_files_hide_patients(tmp_path):
    ct_series(tmp_path, "HOSP-1", 1, PatientName="Doe^Jane")
    ct_series(tmp_path, "HOSP-2", 2)
    (tmp_path / "Jane scan.dcm").write_bytes(b"broken")
    assert inspect(tmp_path).broken[0][0] == "***"


def test_mixed_kinds_are_refused_or_learned_as_classes(tmp_path):
    for i in range(8):
        frame = np.roll(FRAME, i, 0)
        save(dataset(frame, patient=f"A{i}", modality="CT"), tmp_path / f"c{i}.dcm")
        save(dataset(frame.T.copy(), patient=f"B{i}", modality="MR"), tmp_path / f"m{i}.dcm")
    with pytest.raises(DataError, match=r"CT \(8\), MR \(8\).*--labels-from Modality"):
        load(tmp_path)
    assert load(tmp_path, options=ReadOptions(labels_from="Modality")).spec.class_names == ("CT", "MR")


def test_colour_among_grey_is_left_out(tmp_path):
    ct_series(tmp_path, "P1", 1)
    ct_series(tmp_path, "P2", 2)
    save(dataset(np.zeros((8, 8, 3), np.uint8), patient="P3", modality="US"), tmp_path / "us.dcm")
    assert inspect(tmp_path).broken == (("us.dcm", "it is in colour, and most are grey"),)


def test_colour_volumes_are_refused(tmp_path):
    path = save(dataset(np.zeros((8, 8, 3), np.uint8), modality="US"), tmp_path / "us.dcm")
    with pytest.raises(DataError, match="in colour, and volumes are changed in grey only"):
        read_volume(path)


def test_dicom_has_no_axis(tmp_path):
    ct_series(tmp_path, "P1", 1)
    with pytest.raises(DataError, match="--axis turns NIfTI volumes"):
        load(tmp_path, options=ReadOptions(axis="coronal"))


def test_options_that_make_no_sense(tmp_path):
    ct_series(tmp_path, "P1", 1)
    with pytest.raises(DataError, match="--axis must be one of"):
        load(tmp_path, options=ReadOptions(axis="oblique"))
    with pytest.raises(DataError, match="--spacing is the side of a pixel"):
        ReadOptions(spacing=0)
    with pytest.raises(DataError, match="--window takes"):
        load(tmp_path, options=ReadOptions(window="40,-1"))


def test_volumes_of_one_value_teach_nothing(tmp_path):
    for i in range(9):
        nifti(np.full((8, 8, 4), i, np.int16), tmp_path / f"{i}.nii")
    with pytest.raises(DataError, match="empty or of one value; there is nothing to learn"):
        load(tmp_path)


def test_folders_without_volumes(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="no DICOM or NIfTI file"):
        find_volumes(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder"):
        find_volumes(tmp_path / "b")
    ct_series(tmp_path, "P1", 1)
    ct_series(tmp_path, "P2", 2)
    with pytest.raises(DataError, match="holds 2 volumes"):
        read_volume(tmp_path)
