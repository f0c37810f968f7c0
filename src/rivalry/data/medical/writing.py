"""Changed volumes back into DICOM series or NIfTI files: geometry kept, identity removed, and a warning carried along."""

from __future__ import annotations

import copy
import gzip
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from rivalry.data.medical import dicom
from rivalry.data.medical.identity import METHOD, UidMap, deidentified
from rivalry.data.medical.nifti import Turned
from rivalry.data.medical.parts import is_nifti
from rivalry.data.medical.volume import Plane, Volume
from rivalry.data.medical.warning import SHORT, WARNING
from rivalry.data.pixels import quiet
from rivalry.data.sources import Array
from rivalry.errors import DataError
from rivalry.files import atomic, write_json

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NOT_REMOVED: Final = "writing burned into the pixels, and faces that can be made of head scans"
STALE: Final = (
    "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue", "PixelPaddingRangeLimit", "ModalityLUTSequence",
    "VOILUTSequence", "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "IconImageSequence",
    "DimensionIndexSequence", "DimensionOrganizationSequence", "FrameIncrementPointer",
)  # fmt: skip
"""Attributes that are wrong once the pixels are others, or once frames are files."""
DEEP = 65535


def write_volume(
    volume: Volume, new_array: Array, out: Path, keep_identity: bool = False, *, uids: UidMap | None = None,
    role: str = "changed", record: Mapping[str, object] | None = None,
) -> list[Path]:  # fmt: skip
    """new_array [slices, h, w], in the volume's units, as a DICOM series (out: a new folder) or a NIfTI file (out: .nii or .nii.gz).

    Unless keep_identity, DICOM headers keep only what `identity.deidentified` lets through, and NIfTI headers lose their
    free text; UIDs are new in any case.  uids: the map of a run, so that series of one study stay together.  role: what the
    volume is, in a word (also tells the UIDs of several outputs of one volume apart).  record: more for the JSON file beside
    `out`, which says what was done and names nobody.  Raises DataError for a wrong shape, NaN, or a place that is taken.
    """
    if new_array.shape != volume.array.shape:
        raise DataError(f"the changed volume has the shape {list(new_array.shape)}, the original {list(volume.array.shape)}")
    if new_array.dtype.kind == "f" and not np.isfinite(new_array).all():
        raise DataError("the changed volume holds NaN or infinity; nothing was written")
    check_free(out)
    if isinstance(volume.held, Turned):
        written = [_write_nifti(volume.held, new_array, out, keep_identity)]
    else:
        written = _write_dicom(volume, volume.held, new_array, out, keep_identity, uids or UidMap(), role)
    beside = _beside(out)
    write_json(beside, _record(volume, keep_identity, role, record or {}))
    return [*written, beside]


def check_free(out: Path) -> None:
    """DataError where something stands where a volume, or the record beside it, is to go: scans are never replaced."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        where = "scans are never replaced: name another place with -o" if is_nifti(out.name) else "a DICOM series goes into a new folder"
        raise DataError(f"{out} is there already; {where}")
    if _beside(out).exists():
        raise DataError(f"{_beside(out)} is there already, and the record of what is done is to go there; name another place with -o")


def _beside(out: Path) -> Path:
    return out.with_name(f"{stem(out)}.json")


def stem(path: Path) -> str:
    """'brain.nii.gz' -> 'brain'."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _record(volume: Volume, keep_identity: bool, role: str, record: Mapping[str, object]) -> dict[str, object]:
    n, height, width = volume.array.shape
    return {
        "warning": WARNING,
        "what": role,
        "kind": volume.kind,
        "modality": volume.modality,
        "slices": n,
        "size": [height, width],
        "spacing_mm": [round(s, 6) for s in volume.spacing],
        "identity": "kept, as was asked" if keep_identity else "removed",
        "method": "none" if keep_identity else ", ".join(METHOD) if volume.kind == "dicom" else "free text and extensions of the header cleared",
        "not_removed": NOT_REMOVED,
        "notes": list(volume.notes),
        **record,
    }


def quantised(values: Array) -> tuple[Array, float, float]:
    """(stored int16 or uint16, slope, intercept) with stored * slope + intercept = values: exactly for whole numbers of 16 bits,
    else to within half a step of 1/65535 of their range.  Slope and intercept are numbers that DICOM's text (DS) can say."""
    if values.dtype.kind in "iu" or bool((values == np.round(values)).all()):
        low, high = values.min(), values.max()
        if low >= -32768 and high <= 32767:
            return values.astype(np.int16), 1.0, 0.0
        if low >= 0 and high <= DEEP:
            return values.astype(np.uint16), 1.0, 0.0
    low, high = float(values.min()), float(values.max())
    intercept = _sayable(low)
    slope = _sayable((high - intercept) / DEEP * (1 + 1e-9)) or 1.0
    steps = np.clip(np.round((values.astype(np.float64) - intercept) / slope), 0, DEEP)
    return steps.astype(np.uint16), slope, intercept


def _sayable(value: float) -> float:
    from pydicom.valuerep import format_number_as_ds

    return float(format_number_as_ds(float(value)))


def _write_dicom(
    volume: Volume, planes: Sequence[Plane], values: Array, out: Path, keep_identity: bool, uids: UidMap, role: str
) -> list[Path]:
    stored, slope, intercept = quantised(values)
    beside = out.with_name(f".part-{out.name}-{os.getpid()}")
    names = [f"{i + 1:06d}.dcm" for i in range(len(planes))]
    try:
        beside.mkdir(parents=True)
        with quiet():
            for i, (plane, pixels) in enumerate(zip(planes, stored, strict=True)):
                made = _header(plane, keep_identity, uids, role, i)
                _geometry(made, plane)
                _pixels(made, pixels, slope, intercept, volume.inverted)
                made.save_as(beside / names[i], enforce_file_format=True)
        if out.exists():
            out.rmdir()
        os.replace(beside, out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}; free some space or name another place") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return [out / n for n in names]


def _header(plane: Plane, keep_identity: bool, uids: UidMap, role: str, index: int) -> Dataset:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import (
        CTImageStorage,
        ExplicitVRLittleEndian,
        MRImageStorage,
        PositronEmissionTomographyImageStorage,
        SecondaryCaptureImageStorage,
    )

    source = plane.header
    made = copy.deepcopy(source) if keep_identity else deidentified(source, uids)
    for keyword in STALE:
        if keyword in made:
            delattr(made, keyword)
    series = dicom.word(source, "SeriesInstanceUID")
    kinds = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
    made.SOPClassUID = kinds.get(dicom.word(source, "Modality").upper(), SecondaryCaptureImageStorage)
    made.StudyInstanceUID = made.get("StudyInstanceUID") or uids.new(f"study of {series}")
    made.SeriesInstanceUID = uids.new(f"{role} {series}")
    made.SOPInstanceUID = uids.new(f"{role} {series} {index} {dicom.word(source, 'SOPInstanceUID')}")
    made.InstanceNumber = index + 1
    third = [str(v) for v in source.get("ImageType") or ()][2:3]
    made.ImageType = ["DERIVED", "SECONDARY", *(third if third and third[0].isupper() else ["OTHER"])]
    made.SeriesDescription = f"rivalry: {role} by a model, not for diagnosis"[:64]
    made.ImageComments, made.DerivationDescription = WARNING, WARNING
    if keep_identity:
        made.PatientIdentityRemoved = "NO"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    made.preamble = b"\0" * 128
    return made


def _geometry(made: Dataset, plane: Plane) -> None:
    """Where the slice lies, as the source says it, wherever it says it."""
    measures = dicom.grouped(plane.header, 0, dicom.MEASURES)
    for keyword in ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"):
        value = measures.get(keyword)
        if value is not None and value != "":
            setattr(made, keyword, value)
    if plane.position:
        made.ImagePositionPatient = [_sayable(v) for v in plane.position]
    if plane.orientation:
        made.ImageOrientationPatient = [_sayable(v) for v in plane.orientation]


def _pixels(made: Dataset, stored: Array, slope: float, intercept: float, inverted: bool) -> None:
    made.Rows, made.Columns = stored.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME1" if inverted else "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, int(stored.dtype.kind == "i")
    made.RescaleSlope, made.RescaleIntercept = slope, intercept
    made.RescaleType = "HU" if made.get("Modality") == "CT" else "US"
    made.add_new(0x7FE00010, "OW", np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes())


def _write_nifti(held: Turned, values: Array, out: Path, keep_identity: bool) -> Path:
    if not out.name.lower().endswith((".nii", ".nii.gz")):
        raise DataError(f"a NIfTI volume is written as .nii or .nii.gz, not as {out.name}")
    header = held.image.header.copy()
    kind = header.get_data_dtype()
    whole = values.dtype.kind in "iu" or bool((values == np.round(values)).all())
    if kind.kind in "iu" and whole and np.iinfo(kind).min <= values.min() and values.max() <= np.iinfo(kind).max:
        values = values.astype(kind)
    elif kind.kind in "iu" and kind.itemsize == 1:
        header.set_data_dtype(np.float32)
    if not keep_identity:
        header.extensions.clear()
        for name in ("aux_file", "intent_name", "db_name", "data_type"):
            if name in header:
                header[name] = b""
    header["descrip"] = SHORT.encode()
    image = type(held.image)(held.back(values), held.image.affine, header)
    raw = image.to_bytes()
    with atomic(out) as beside:
        beside.write_bytes(gzip.compress(raw, mtime=0) if out.name.lower().endswith(".gz") else raw)
    return out
