"""NIfTI volumes: brought to canonical orientation and cut into slices as radiologists look at them."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rivalry.data.medical.dicom import narrow
from rivalry.data.medical.parts import Broken, Header, Part, token
from rivalry.data.sources import Array

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

MOST_BYTES = 4 << 30
SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)")
AXIS = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
"""Which of x, y, z (to the right, to the front, up) are slices, rows and columns.  Rows and columns are then flipped: the front
or the top is up, and the patient's right is on the left, as in DICOM."""


@dataclass(frozen=True)
class Turned:
    """A volume as slices, and what turns it back.  frames: [n, h, w]; affine: of (slice, row, column) to mm; orientation: of
    the voxels in the file, as nibabel has it."""

    image: Nifti1Image = field(repr=False)
    frames: Array = field(repr=False)
    affine: Array
    orientation: Array
    axis: str
    shape: tuple[int, ...]

    def spacing(self) -> tuple[float, float, float]:
        a, b, c = np.sqrt((self.affine[:3, :3] ** 2).sum(0)).tolist()
        return a, b, c

    def back(self, frames: Array) -> Array:
        """[n, h, w] in the axes and the shape of the file."""
        from nibabel import orientations as turns

        order = AXIS[self.axis]
        xyz = np.transpose(frames[:, ::-1, ::-1], np.argsort(order))
        canonical = turns.axcodes2ornt("RAS")
        stored: Array = turns.apply_orientation(xyz, turns.ornt_transform(canonical, self.orientation))
        return stored.reshape(self.shape)


def unpacked(content: bytes) -> bytes:
    if not content:
        raise Broken("the file is empty")
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            raw = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Broken("it is truncated or damaged (gzip)") from error
    if len(raw) > MOST_BYTES:
        raise Broken("it is larger than 4 GiB unpacked")
    return raw


def opened(content: bytes) -> Nifti1Image:
    """Raises Broken for what is no NIfTI file, or not one volume."""
    from nibabel import Nifti1Image, Nifti2Image

    raw = unpacked(content)
    sizes = {int.from_bytes(raw[:4], "little"), int.from_bytes(raw[:4], "big")}
    kinds = {348: Nifti1Image, 540: Nifti2Image}
    kind = next((k for size, k in kinds.items() if size in sizes), None)
    if kind is None:
        raise Broken("its content is no NIfTI volume")
    try:
        image: Nifti1Image = kind.from_bytes(raw)
    except Exception as error:
        raise Broken("its NIfTI header is damaged or truncated") from error
    if any(n > 1 for n in image.shape[3:]):
        raise Broken(
            f"it has {len(image.shape)} dimensions ({' x '.join(map(str, image.shape))}), a series of volumes; "
            "split it into volumes first (nibabel.four_to_three)"
        )
    if len(image.shape) < 2 or 0 in image.shape:
        raise Broken(f"it has the shape {list(image.shape)}, which is none of a volume")
    return image


def _values(image: Nifti1Image) -> Array:
    if image.get_data_dtype().kind not in "iuf":
        raise Broken(f"its voxels are {image.get_data_dtype()}, neither whole numbers nor measurements; convert it to int16 or float32")
    try:
        values = np.asarray(image.dataobj)
    except Exception as error:
        raise Broken("it is truncated: there are fewer voxels than its header says") from error
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise Broken(f"it holds NaN or infinity in {bad:,} voxels; set them to a number first (nibabel, numpy.nan_to_num)")
    shape = (*values.shape, 1)[:3] if values.ndim < 3 else values.shape[:3]
    return values.reshape(shape)


def turned(content: bytes, axis: str = "axial") -> Turned:
    """The volume as slices along the axis, in canonical (RAS) orientation; raises Broken."""
    from nibabel import orientations as turns

    image = opened(content)
    values = _values(image)
    affine = np.asarray(image.affine, dtype=np.float64)
    orientation = turns.io_orientation(affine)
    if np.isnan(orientation).any():
        raise Broken("its header gives an axis no length, so its orientation is not known")
    xyz = turns.apply_orientation(values, orientation)
    to_mm = affine @ turns.inv_ornt_aff(orientation, values.shape)
    order = AXIS[axis]
    frames = np.transpose(xyz, order)[:, ::-1, ::-1]
    placed = to_mm[:, [*order, 3]]
    _, height, width = frames.shape
    placed[:3, 3] += placed[:3, 1] * (height - 1) + placed[:3, 2] * (width - 1)
    placed[:3, 1:3] *= -1
    return Turned(image, narrow(np.ascontiguousarray(frames)), placed, orientation, axis, tuple(image.shape))


def patient_of(name: str) -> str:
    """The volume, or the subject where files are named as BIDS has it (sub-01)."""
    hit = SUBJECT.search(name)
    return token("subject", hit.group(1)) if hit else token("volume", name)


def read(name: str, content: bytes, axis: str = "axial") -> Part:
    """Raises Broken."""
    found = turned(content, axis)
    n, height, width = found.frames.shape
    bits = found.image.get_data_dtype().itemsize * 8
    header = Header("NIfTI", "", n, height, width, found.spacing(), patient_of(name), token("series", name), bits)
    return Part(header, found.frames)
