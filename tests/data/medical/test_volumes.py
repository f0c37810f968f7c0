"""Volumes go out as they came in: geometry, units and type kept; identity gone; the warning there."""

import gzip
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from rivalry.data.medical.identity import UidMap
from rivalry.data.medical.profile import ACTIONS, KEPT
from rivalry.data.medical.volume import find_volumes, holds_scans, read_volume
from rivalry.data.medical.warning import WARNING
from rivalry.data.medical.writing import quantised, write_volume
from rivalry.errors import DataError

from .scans import SECRETS, ct_series, dataset, head, nifti, packaged, save

EXAMPLE = f"{nib.__path__[0]}/tests/data/anatomical.nii"


def series(folder):
    return [pydicom.dcmread(p) for p in sorted(folder.glob("*.dcm"))]


def texts(value):
    return [value] if isinstance(value, str) else list(value)


def test_a_ct_series_comes_back_in_units_sorted_and_placed(tmp_path):
    truth = ct_series(tmp_path / "in", "P1", 3)
    names = sorted((tmp_path / "in").iterdir())
    for i, p in enumerate(names):  # file names in another order than positions
        p.rename(p.with_name(f"{(i * 7) % 32:03d}.dcm"))
    volume = read_volume(tmp_path / "in")
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, np.clip(truth, -1024, None))
    assert volume.spacing == pytest.approx((2.5, 0.7, 0.7))
    assert volume.affine @ [0, 0, 0, 1] == pytest.approx([10.5, 20.25, 2.5, 1])  # LPS turned to RAS
    assert volume.affine @ [2, 3, 4, 1] == pytest.approx([10.5 - 4 * 0.7, 20.25 - 3 * 0.7, 7.5, 1])


@pytest.mark.parametrize("inverted", [False, True])
def test_dicom_goes_round(tmp_path, inverted):
    ct_series(tmp_path / "in", "P1", 1, PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2")
    volume = read_volume(tmp_path / "in")
    rng = np.random.default_rng(0)
    changed = volume.array + rng.normal(0, 3, volume.array.shape).astype(np.float32)
    for array, worst in ((volume.array, 0), (changed, 0.03)):
        out = tmp_path / f"out{worst}"
        write_volume(volume, array, out)
        again = read_volume(out)
        assert np.abs(again.array - array).max() <= worst
        assert again.inverted == inverted
        assert again.affine == pytest.approx(volume.affine)
        assert again.spacing == volume.spacing
        for a, b in zip(sorted(series(tmp_path / "in"), key=lambda d: d.InstanceNumber), series(out), strict=True):
            for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
                assert a[keyword].value == b[keyword].value


def test_nobody_is_named_in_the_output(tmp_path):
    made_up = {**SECRETS, "PatientAge": "058Y", "PatientWeight": 71.25, "EthnicGroup": "Martian", "PatientSex": "F"}
    for i, frame in enumerate(head(16)):
        made = dataset(frame.astype(np.int16), patient="HOSP-99817", number=i, intercept=0, **made_up)
        block = made.private_block(0x0029, "SECRET MAKER", create=True)
        block.add_new(0x01, "LO", "private remark on Jane")
        inner = Dataset()
        inner.ReferencedSOPInstanceUID, inner.PatientName = made.SOPInstanceUID, "Doe^Jane^Inner"
        made.ReferencedImageSequence = [inner]
        made.add_new(0x60003000, "OW", b"Doe burned in   ")
        made.ConvolutionKernel = "QUINTESSA"  # a technical field misused
        save(made, tmp_path / "in" / f"{i}.dcm")
    volume = read_volume(tmp_path / "in")
    written = write_volume(volume, volume.array, tmp_path / "out")
    content = b"".join(p.read_bytes() for p in written)
    source = series(tmp_path / "in")[0]
    uids = [source[k].value for k in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")]
    words = [w for v in made_up.values() for w in str(v).replace("^", "|").split("|") if len(w) > 2]
    for secret in [*words, *uids, "Doe", "Jane", "Quintessa", "QUINTESSA", "private remark", "SECRET MAKER", "71.25"]:
        assert secret.encode() not in content, secret


def test_what_is_written_says_what_it_is(tmp_path):
    ct_series(tmp_path / "in", "P1", 1, size=16)
    volume = read_volume(tmp_path / "in")
    *_, record = write_volume(volume, volume.array, tmp_path / "out", record={"strength": 0.5})
    made = series(tmp_path / "out")
    assert {d.PatientIdentityRemoved for d in made} == {"YES"}
    assert all("PS3.15 Annex E" in d.DeidentificationMethod[0] for d in made)
    assert made[0].DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert all(d.ImageComments == d.DerivationDescription == WARNING for d in made)
    assert list(made[0].ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert made[0].SOPClassUID == pydicom.uid.CTImageStorage
    assert [d.InstanceNumber for d in made] == list(range(1, 17))
    assert len({d.SOPInstanceUID for d in made}) == 16
    assert len({d.SeriesInstanceUID for d in made}) == len({d.StudyInstanceUID for d in made}) == 1
    assert len({d.FrameOfReferenceUID for d in made}) == 1
    assert made[0].Modality == "CT"
    assert made[0].RescaleType == "HU"
    said = json.loads(record.read_text())
    assert said["warning"] == WARNING
    assert said["identity"] == "removed"
    assert said["strength"] == 0.5
    assert "P1" not in record.read_text()


def test_uids_are_consistent_within_a_run_and_fresh_in_the_next(tmp_path):
    ct_series(tmp_path / "in" / "a", "P1", 1, size=16, series="1")
    ct_series(tmp_path / "in" / "b", "P1", 2, size=16, series="2")
    a, b = (read_volume(files) for files in find_volumes(tmp_path / "in").volumes)
    uids = UidMap()
    write_volume(a, a.array, tmp_path / "a", uids=uids)
    write_volume(b, b.array, tmp_path / "b", uids=uids)
    write_volume(a, a.array, tmp_path / "std", uids=uids, role="uncertainty")
    write_volume(a, a.array, tmp_path / "other")
    one, two, three, other = (series(tmp_path / n)[0] for n in ("a", "b", "std", "other"))
    assert one.StudyInstanceUID == two.StudyInstanceUID == three.StudyInstanceUID != other.StudyInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID != other.FrameOfReferenceUID
    assert len({d.SeriesInstanceUID for d in (one, two, three, other)}) == 4
    assert one.StudyInstanceUID.is_valid
    assert one.StudyInstanceUID.startswith("2.25.")


def test_identity_is_kept_when_asked(tmp_path):
    ct_series(tmp_path / "in", "HOSP-1", 1, size=16, StudyDate="20190403")
    volume = read_volume(tmp_path / "in")
    *_, record = write_volume(volume, volume.array, tmp_path / "out", keep_identity=True)
    source, made = series(tmp_path / "in")[0], series(tmp_path / "out")[0]
    assert made.PatientID == "HOSP-1"
    assert made.StudyDate == "20190403"
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.PatientIdentityRemoved == "NO"
    assert json.loads(record.read_text())["identity"] == "kept, as was asked"
    assert made.ImageComments == WARNING


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm"])
def test_packaged_files_go_round_without_their_words(name, tmp_path):
    volume = read_volume(tmp_path.joinpath(packaged(name)))
    write_volume(volume, volume.array, tmp_path / "out")
    source, made = pydicom.dcmread(packaged(name)), series(tmp_path / "out")[0]
    assert np.array_equal(read_volume(tmp_path / "out").array, volume.array)
    slope, intercept = float(source.get("RescaleSlope", 1)), float(source.get("RescaleIntercept", 0))
    assert np.array_equal(volume.array[0], source.pixel_array * slope + intercept)
    content = (tmp_path / "out" / "000001.dcm").read_bytes()
    hidden = [e for e in source if e.keyword in ACTIONS and e.VR != "SQ" and len(str(e.value)) > 3]
    assert len(hidden) > 10
    for element in hidden:
        if element.VR == "DS":  # '0.000000' stands in other fields too
            assert element.keyword not in made
        else:
            assert str(element.value).encode() not in content, element.keyword
    assert made.Rows == source.Rows
    assert not any(e.tag.is_private for e in made)


def test_multi_frame_files_become_a_series(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 999, (5, 8, 8)).astype(np.uint16)
    made = dataset(pixels, modality="MR", intercept=0)
    measures, shared, frames = Dataset(), Dataset(), []
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 3
    turn = Dataset()
    turn.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turn]
    for i in range(5):
        place, frame, scaled = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 3 * i, 0]
        scaled.RescaleSlope, scaled.RescaleIntercept = 1 + i, 0
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [scaled]
        frames.append(frame)
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], frames
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept"):
        delattr(made, keyword)
    volume = read_volume(save(made, tmp_path / "in.dcm"))
    assert volume.spacing == pytest.approx((3, 0.5, 0.25))
    assert np.array_equal(volume.array, pixels * np.arange(1, 6)[:, None, None])
    write_volume(volume, volume.array, tmp_path / "out")
    again = read_volume(tmp_path / "out")
    assert again.affine == pytest.approx(volume.affine)
    assert np.array_equal(again.array, volume.array)


def test_burned_in_writing_is_warned_of(tmp_path):
    frame = np.zeros((8, 8), np.uint16)
    for said, modality, warns in (("YES", "CT", True), ("NO", "CT", False), (None, "US", True), (None, "CT", False)):
        tags = {} if said is None else {"BurnedInAnnotation": said}
        volume = read_volume(save(dataset(frame, modality=modality, **tags), tmp_path / "a.dcm"))
        assert any("NOT removed" in n for n in volume.notes) == warns


def test_uneven_slices_are_told(tmp_path):
    for i, z in enumerate((0, 1, 2, 5)):
        save(dataset(np.zeros((8, 8), np.uint16), number=i, ImagePositionPatient=[0, 0, z]), tmp_path / f"{i}.dcm")
    assert any("not evenly spaced" in n for n in read_volume(tmp_path).notes)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_nifti_goes_round(axis, tmp_path):
    volume = read_volume(tmp_path.joinpath(EXAMPLE), axis)
    write_volume(volume, volume.array, tmp_path / "out.nii.gz")
    a, b = nib.load(EXAMPLE), nib.load(tmp_path / "out.nii.gz")
    assert np.array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))
    assert np.array_equal(a.affine, b.affine)
    assert a.get_data_dtype() == b.get_data_dtype()
    for field in ("pixdim", "qform_code", "sform_code", "qoffset_x", "quatern_b", "srow_x", "xyzt_units", "dim"):
        assert np.array_equal(a.header[field], b.header[field]), field


def test_affines_of_slices_are_those_of_voxels(tmp_path):
    affine = np.array([[0, -2.0, 0, 9], [1.5, 0, 0, -4], [0, 0, -3, 7], [0, 0, 0, 1]])
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    path = nifti(values, tmp_path / "a.nii", affine)
    for axis in ("axial", "coronal", "sagittal"):
        volume = read_volume(path, axis)
        for place in ((0, 0, 0), (1, 2, 3), (3, 1, 2)):
            mm = volume.affine @ [*place, 1]
            i, j, k, _ = np.round(np.linalg.inv(affine) @ mm).astype(int)
            assert volume.array[place] == values[i, j, k]


def test_nifti_loses_its_free_text(tmp_path):
    image = nib.Nifti1Image(head(8), np.diag([1, 1, 2, 1]))
    image.header["descrip"], image.header["aux_file"] = b"Jane Doe 19610317", b"/home/jane/doe"
    image.header["intent_name"], image.header["db_name"] = b"jane", b"HOSP-99817"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"of Jane Doe"))
    nib.save(image, tmp_path / "jane.nii.gz")
    volume = read_volume(tmp_path / "jane.nii.gz")
    out, record = write_volume(volume, volume.array, tmp_path / "out.nii.gz")
    raw = gzip.decompress(out.read_bytes()) + out.read_bytes() + record.read_bytes()
    for secret in (b"Jane", b"jane", b"doe", b"Doe", b"HOSP"):
        assert secret not in raw
    assert b"not for diagnosis" in raw
    kept, _ = write_volume(volume, volume.array, tmp_path / "kept.nii", keep_identity=True)
    assert b"of Jane Doe" in kept.read_bytes()


def test_changed_nifti_keeps_its_type_where_it_can(tmp_path):
    changed = head(8).astype(np.float32) + 0.3
    for dtype, expected, worst in ((np.int16, np.int16, 0.03), (np.float32, np.float32, 0), (np.uint8, np.float32, 0)):
        path = nifti((head(8).clip(0, 200)).astype(dtype) if dtype == np.uint8 else head(8).astype(dtype), tmp_path / "a.nii")
        volume = read_volume(path)
        out = tmp_path / f"b-{np.dtype(dtype).name}.nii"
        write_volume(volume, np.transpose(changed, (2, 1, 0)), out)
        again = read_volume(out)
        assert nib.load(out).get_data_dtype() == expected
        assert np.abs(again.array - np.transpose(changed, (2, 1, 0))).max() <= worst


@pytest.mark.parametrize("there", ["a.nii", "b.nii", "b.json"])
def test_no_scan_result_or_record_is_replaced(tmp_path, there):
    """a.nii is the source itself."""
    source = nifti(head(8).astype(np.int16), tmp_path / "a.nii")
    volume = read_volume(source)
    (tmp_path / there).touch()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    out = source if there == "a.nii" else tmp_path / "b.nii"
    with pytest.raises(DataError, match=f"{there} is there already"):
        write_volume(volume, volume.array, out)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_numbers_that_dicom_can_say():
    rng = np.random.default_rng(0)
    for scale in (1e-6, 1, 1e5):
        values = (rng.normal(size=1000) * scale).astype(np.float32)
        stored, slope, intercept = quantised(values)
        assert stored.dtype == np.uint16
        assert len(repr(slope)) <= 16
        assert np.abs(stored * slope + intercept - values).max() <= slope * 0.51
        assert slope == pytest.approx(np.ptp(values) / 65535, rel=1e-3)
    assert quantised(np.array([-3.0, 7.0]))[1:] == (1, 0)
    assert quantised(np.full(3, 0.5))[1] == 1


def test_scans_are_told_from_pictures(tmp_path):
    save(dataset(np.zeros((8, 8), np.uint16)), tmp_path / "plain" / "IM0001")
    nifti(head(8), tmp_path / "volumes" / "a.nii.gz")
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png", "readme"):
        (tmp_path / "pictures" / name).write_bytes(b"x" * 200)
    assert holds_scans(tmp_path / "plain")
    assert holds_scans(tmp_path / "plain" / "IM0001")
    assert holds_scans(tmp_path / "volumes" / "a.nii.gz")
    assert not holds_scans(tmp_path / "pictures")
    assert not holds_scans(tmp_path / "pictures" / "readme")
    assert not holds_scans(tmp_path / "nothing")


def test_what_cannot_be_written(tmp_path):
    ct_series(tmp_path / "in", "P1", 1, size=16)
    volume = read_volume(tmp_path / "in")
    with pytest.raises(DataError, match="has the shape"):
        write_volume(volume, volume.array[:3], tmp_path / "out")
    with pytest.raises(DataError, match="NaN or infinity; nothing was written"):
        write_volume(volume, np.full(volume.array.shape, np.nan, np.float32), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="goes into a new folder"):
        write_volume(volume, volume.array, tmp_path / "in")
    one = read_volume(nifti(head(8), tmp_path / "a.nii"))
    with pytest.raises(DataError, match=r"written as .nii or .nii.gz"):
        write_volume(one, one.array, tmp_path / "a.png")


def test_the_table_of_actions_is_of_real_attributes():
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    assert all(tag_for_keyword(k) is not None for k in (*ACTIONS, *KEPT))
    assert not set(ACTIONS) & KEPT
    assert len(ACTIONS) > 400
    assert not {dictionary_VR(k) for k in KEPT} & {"PN", "DA", "TM", "DT", "AS", "LT", "ST", "UT", "SQ", "UN"}
    assert ACTIONS["PatientName"] == "empty"
    assert ACTIONS["PatientAge"] == "remove"
    assert ACTIONS["FrameOfReferenceUID"] == "uid"
