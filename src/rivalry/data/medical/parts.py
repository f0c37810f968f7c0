"""What one file of a scan holds: its header, without identifiers in clear, and its slices in their own units."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from rivalry.data.containers import Content
from rivalry.data.sources import Array
from rivalry.errors import DataError, MissingExtra

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
NIFTI_ENDINGS = (".nii", ".nii.gz")
DICM = b"DICM"
AXES = ("axial", "coronal", "sagittal")


class Broken(Exception):
    """Why a file cannot be used, in words that follow its name and tell nothing of the patient."""


@dataclass(frozen=True)
class Header:
    """modality: DICOM's word, '' where the file does not say.  spacing: mm between slices, rows and columns, 0 where it is
    not said.  inverted: small numbers are white (MONOCHROME1).  patient, series: equal for equal ones, nothing more.
    label: the value of the tag that gives classes.  bits: of a stored pixel.  along: mm along the series, or a number that
    grows likewise.  identifiers: what must not be shown."""

    kind: str
    modality: str
    slices: int
    height: int
    width: int
    spacing: tuple[float, float, float]
    patient: str
    series: str
    bits: int = 16
    colour: bool = False
    inverted: bool = False
    label: str = ""
    study: str = ""
    along: float = 0.0
    identifiers: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class Part:
    """frames: [n, h, w] numbers in the file's units, or [n, h, w, 3] uint8 where it is in colour."""

    header: Header
    frames: Array = field(repr=False)


def token(*values: object) -> str:
    """A name for a patient or a series that does not say who it is."""
    return hashlib.blake2b(repr(values).encode(), digest_size=12).hexdigest()


def is_nifti(name: str) -> bool:
    return name.lower().endswith(NIFTI_ENDINGS)


def named_like_scan(name: str) -> bool:
    return name.lower().endswith((*DICOM_ENDINGS, *NIFTI_ENDINGS))


def without_ending(name: str) -> bool:
    """DICOM files are often called by a number or a UID only."""
    last = name.rsplit("/", 1)[-1]
    ending = last.rsplit(".", 1)[-1] if "." in last else ""
    return (not ending or ending.isdigit()) and last.upper() != "DICOMDIR"


def begins_like_dicom(content: Content) -> bool:
    return isinstance(content, bytes) and content[128:132] == DICM


def require(names: tuple[str, ...]) -> None:
    """Raises MissingExtra if a library that these files need is not installed."""
    try:
        if any(is_nifti(n) for n in names):
            import nibabel  # noqa: F401
        if not all(is_nifti(n) for n in names):
            import pydicom  # noqa: F401
    except ImportError as error:
        raise MissingExtra("medical", "reading DICOM and NIfTI files") from error


def read_part(name: str, content: Content, axis: str = "axial", tag: str = "") -> Part:
    """The content of a file called so; raises Broken."""
    from rivalry.data.medical import dicom, nifti

    if not isinstance(content, bytes):
        raise Broken(str(content))
    if not content:
        raise Broken("the file is empty")
    return nifti.read(name, content, axis) if is_nifti(name) else dicom.read(content, tag)


def check_axis(axis: str | None) -> None:
    if axis is not None and axis not in AXES:
        raise DataError(f"--axis must be one of {', '.join(AXES)}, not {axis!r}")
