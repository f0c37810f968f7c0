"""DICOM files: header, frames in their units, geometry.  Everything here works on bytes; nothing is shown of the patient."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rivalry.data.medical.parts import DICM, Broken, Header, Part, token
from rivalry.data.sources import Array
from rivalry.errors import DataError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NO_IMAGES = ("SEG", "RTDOSE", "RTPLAN", "RTSTRUCT", "SR", "PR", "KO", "REG", "DOC")
MEASURES, POSITION, ORIENTATION = "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence"
RESCALING = "PixelValueTransformationSequence"
LABELS = (
    "Modality", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality", "PatientSex", "PatientPosition",
    "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "Manufacturer",
)  # fmt: skip
"""Tags that may name classes: none of them says who somebody is, or holds free text."""
IDENTIFIERS = (
    "PatientName", "PatientID", "OtherPatientNames", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName",
    "InstitutionName", "OperatorsName", "StudyID", "PerformingPhysicianName", "PatientAddress",
)  # fmt: skip
NOBODIES = frozenset(
    ("", "removed", "anonymous", "anonymized", "anonymised", "anonym", "anon", "unknown", "none", "no name", "noname", "nobody", "n/a", "na",
     "null", "0", "x", "xxx", "patient", "deidentified", "de-identified")
)  # fmt: skip
"""What stands in place of a patient's name or number where it was taken out."""
MOST_VALUES = 1 << 30


def check_label(tag: str | None) -> None:
    """Raises DataError for a tag that is no class, or would tell who somebody is."""
    if tag is not None and tag not in LABELS:
        raise DataError(
            f"--labels-from takes one of the tags {', '.join(LABELS)}, not {tag!r}: others hold free text or tell who a patient is; "
            "put the images into sub-folders by class"
        )


def parsed(content: bytes) -> Dataset:
    """The data set with its pixels, not yet decoded; raises Broken for what is no image."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    if content[128:132] != DICM:
        raise Broken("it has no DICOM header (the letters DICM at byte 128)")
    try:
        found = dcmread(io.BytesIO(content))
    except InvalidDicomError as error:
        raise Broken("it has no DICOM header (the letters DICM at byte 128)") from error
    except Exception as error:  # damaged files make the parser trip anywhere; its words may quote what it read
        raise Broken("its DICOM header is damaged or truncated") from error
    check_kind(found)
    if "PixelData" not in found and "FloatPixelData" not in found:
        raise Broken("it is a DICOM file without pixels")
    if not found.get("Rows") or not found.get("Columns"):
        raise Broken("its DICOM header does not say how large the image is")
    return found


def check_kind(found: Dataset) -> None:
    """Raises Broken for DICOM objects that are no images."""
    modality = word(found, "Modality")
    if modality in NO_IMAGES:
        raise Broken(f"it is a DICOM object of the kind {modality}, not an image")


def word(found: Dataset, keyword: str) -> str:
    value = found.get(keyword)
    return "" if value is None else str(value).strip()


def grouped(found: Dataset, frame: int, sequence: str) -> Dataset:
    """Where the attributes of a frame's functional group stand: with the frame, with all frames, or in the file itself."""
    own = found.get("PerFrameFunctionalGroupsSequence") or ()
    shared = found.get("SharedFunctionalGroupsSequence") or ()
    for group in (*own[frame : frame + 1], *shared[:1]):
        inner = group.get(sequence)
        if inner:
            first: Dataset = inner[0]
            return first
    return found


def floats(found: Dataset, keyword: str, n: int) -> tuple[float, ...]:
    """n numbers, () where they are missing or damaged."""
    value: Any = found.get(keyword)
    if value is None or value == "":
        return ()
    try:
        numbers = tuple(float(v) for v in (value if isinstance(value, Sequence | tuple) and not isinstance(value, str) else [value]))
    except (TypeError, ValueError):
        return ()
    return numbers if len(numbers) == n and bool(np.isfinite(numbers).all()) else ()


def frames_in(found: Dataset) -> int:
    try:
        return max(1, int(found.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def spacing_of(found: Dataset) -> tuple[float, float, float]:
    """(between slices, rows, columns) in mm; 0 where it is not said."""
    group = grouped(found, 0, MEASURES)
    plane = floats(group, "PixelSpacing", 2) or floats(found, "ImagerPixelSpacing", 2) or (0.0, 0.0)
    between = floats(group, "SpacingBetweenSlices", 1) or floats(group, "SliceThickness", 1) or (0.0,)
    return abs(between[0]), abs(plane[0]), abs(plane[1])


def header_of(found: Dataset, tag: str = "") -> Header:
    known = (word(found, k) for k in ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID"))
    patient = next((v for v in known if v.casefold().strip("^ ") not in NOBODIES), "")
    study = word(found, "StudyInstanceUID") or word(found, "SeriesInstanceUID")
    series = word(found, "SeriesInstanceUID") or word(found, "SOPInstanceUID")
    said = {word(found, k) for k in IDENTIFIERS}
    said |= {piece for k in ("PatientName", "OtherPatientNames") for piece in word(found, k).replace("^", " ").split()}
    return Header(
        "DICOM", word(found, "Modality").upper(), frames_in(found), int(found.Rows), int(found.Columns), spacing_of(found),
        token(patient), token(series, int(found.Rows), int(found.Columns)), int(found.get("BitsStored") or 16),
        int(found.get("SamplesPerPixel") or 1) > 1, word(found, "PhotometricInterpretation") == "MONOCHROME1",
        word(found, tag) if tag else "", token(study), along(found), frozenset(s for s in said if len(s) > 2),
    )  # fmt: skip


def along(found: Dataset, frame: int = 0) -> float:
    """Where a slice lies along its normal, mm; its number in the series where that is not said."""
    position = floats(grouped(found, frame, POSITION), "ImagePositionPatient", 3)
    turn = floats(grouped(found, frame, ORIENTATION), "ImageOrientationPatient", 6)
    if position and turn:
        return float(np.cross(turn[:3], turn[3:]) @ np.array(position))
    return (floats(found, "InstanceNumber", 1) or (0.0,))[0]


def stored_frames(found: Dataset) -> Array:
    """[n, h, w] as stored, or [n, h, w, 3] uint8 RGB; raises Broken."""
    from pydicom.pixels.utils import pixel_array

    kind = word(found, "PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        raise Broken("its colours come from a palette; save it as RGB or grey")
    if frames_in(found) * int(found.Rows) * int(found.Columns) > MOST_VALUES:
        raise Broken("it says to hold more pixels than fit into memory")
    try:
        pixels: Array = pixel_array(found)
    except Exception as error:
        raise Broken(_undecodable(found, error)) from error
    many = frames_in(found) > 1
    colour = int(found.get("SamplesPerPixel") or 1) > 1
    frames = pixels if many else pixels[None]
    if colour and frames.dtype != np.uint8:
        frames = (frames >> max(0, int(found.get("BitsStored") or 16) - 8)).astype(np.uint8)
    return frames


def _undecodable(found: Dataset, error: Exception) -> str:
    """Why the pixels cannot be had; the library's own words are long, and are not repeated."""
    text = str(error).lower()
    if "less than expected" in text or "truncat" in text or isinstance(error, EOFError):
        return "it is truncated: there are fewer pixels than its header says"
    syntax = found.file_meta.get("TransferSyntaxUID") if "file_meta" in found.__dict__ else None
    if syntax is not None and syntax.is_compressed:
        return (
            f"its pixels are compressed ({syntax.name}) and no decoder at hand reads them; "
            "decompress it (gdcmconv --raw, dcmdjpeg) or install python-gdcm"
        )
    return "its pixels do not fit what its header says of them"


def in_units(found: Dataset, stored: Array) -> Array:
    """Stored numbers by slope and intercept (or the modality's table): Hounsfield units for CT.  Whole numbers stay int16,
    uint16 or int32 where they fit; others become float32."""
    if found.get("ModalityLUTSequence"):
        from pydicom.pixels.processing import apply_modality_lut

        return narrow(np.asarray(apply_modality_lut(stored, found)))
    per_frame = [_rescaling(found, i) for i in range(len(stored))]
    if all(pair == (1.0, 0.0) for pair in per_frame):
        return narrow(stored)
    slope, offset = np.array(per_frame, dtype=np.float64).T[..., None, None]
    return narrow(stored * slope + offset)


def _rescaling(found: Dataset, frame: int) -> tuple[float, float]:
    group = grouped(found, frame, RESCALING)
    slope, offset = floats(group, "RescaleSlope", 1), floats(group, "RescaleIntercept", 1)
    return (slope[0] or 1.0) if slope else 1.0, offset[0] if offset else 0.0


def narrow(values: Array) -> Array:
    """int16 or uint16 where that loses nothing, else float32."""
    if values.dtype in (np.int16, np.uint16):
        return values
    if values.dtype.kind in "iu" or bool((values == np.round(values)).all()):
        low, high = values.min(), values.max()
        if low >= -32768 and high <= 32767:
            return values.astype(np.int16)
        if low >= 0 and high <= 65535:
            return values.astype(np.uint16)
    return values.astype(np.float32)


def read(content: bytes, tag: str = "") -> Part:
    """Raises Broken."""
    found = parsed(content)
    header = header_of(found, tag)
    frames = stored_frames(found)
    return Part(header, frames if header.colour else in_units(found, frames))
