"""Volumes in their own units, to be changed and written back: a DICOM series, or a NIfTI file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rivalry.data.containers import Folder
from rivalry.data.medical import dicom, nifti
from rivalry.data.medical.identity import burned_in
from rivalry.data.medical.nifti import Turned
from rivalry.data.medical.parts import (
    Broken,
    begins_like_dicom,
    check_axis,
    is_nifti,
    named_like_scan,
    require,
    without_ending,
)
from rivalry.data.pixels import quiet
from rivalry.data.rows import natural
from rivalry.data.sources import Array
from rivalry.data.words import count, some
from rivalry.errors import DataError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EVEN = 0.02
"""Slices whose distances differ by more than this share are said to be uneven."""


@dataclass(frozen=True)
class Plane:
    """A slice of a DICOM series.  header: its file's, without pixels.  position: of the first pixel, mm; orientation: of a row
    and of a column; () where the file does not say."""

    header: Dataset = field(repr=False)
    number: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]

    @property
    def along(self) -> float:
        """Where it lies along its normal, mm; 0 where that is not known."""
        if not self.position or not self.orientation:
            return 0.0
        return float(np.cross(self.orientation[:3], self.orientation[3:]) @ np.array(self.position))


@dataclass(frozen=True)
class Volume:
    """array: [slices, h, w] int16, uint16 or float32 in the units of the file (CT: Hounsfield units).  spacing: mm between
    slices, rows, columns.  affine: [4, 4], (slice, row, column) -> mm, x to the right, y to the front, z up.  window: (centre,
    width) that the file proposes.  inverted: small numbers are white.  notes: what there is to warn of, naming no file.  left_out: 'name:
    why' of the files of its series that could not be read.  held: the private headers, needed to write it back."""

    array: Array = field(repr=False)
    spacing: tuple[float, float, float]
    affine: Array = field(repr=False)
    modality: str
    kind: str
    window: tuple[float, float] | None = None
    inverted: bool = False
    axis: str = "axial"
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    held: tuple[Plane, ...] | Turned = field(default=(), repr=False)


@dataclass(frozen=True)
class Files:
    """What `find_volumes` found: the files of each volume, what there is to say of files that are none, and 'name: why' of these."""

    volumes: tuple[tuple[Path, ...], ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find_volumes(path: Path) -> Files:
    """The volumes of a file or a folder: NIfTI files, and DICOM files by series, size and orientation.  Raises DataError."""
    paths = _files(path)
    require(tuple(p.name for p in paths))
    series, broken, named = dict[tuple[object, ...], list[Path]](), list[str](), list[str]()
    for p in paths:
        try:
            key = (str(p),) if is_nifti(p.name) else _series(p)
        except Broken as error:
            broken.append(str(error))
            named.append(f"{p.name}: {error}")
            continue
        series.setdefault(key, []).append(p)
    if not series:
        why = f": {broken[0]}" if broken else ""
        raise DataError(f"{path} holds no DICOM or NIfTI file that can be read{why}; name one, or a folder of them")
    note = f"{count(len(broken), 'file')} of {len(paths):,} cannot be read and are left out: {some(sorted(set(broken)), 2)}"
    return Files(tuple(tuple(v) for v in series.values()), (note,) if broken else (), tuple(named))


def holds_scans(path: Path) -> bool:
    """Is it a DICOM or NIfTI file, or a folder with more of them than of pictures?  Looks at names, and at beginnings where
    there is no ending."""
    if not path.is_dir():
        return path.is_file() and (named_like_scan(path.name) or (without_ending(path.name) and begins_like_dicom(_head(path))))
    entries = Folder.open(path).entries
    scans = sum(named_like_scan(e.name) for e in entries)
    others = sum(e.ending in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp") for e in entries)
    return scans > others or (not scans and not others and any(without_ending(e.name) and begins_like_dicom(_head(path / e.name)) for e in entries))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataError(f"there is no file or folder {path}; check the path")
    if not path.is_dir():
        return [path]
    entries = [e for e in Folder.open(path).entries if named_like_scan(e.name) or without_ending(e.name)]
    found = [path / e.name for e in sorted(entries, key=lambda e: natural(e.name))]
    return [p for p in found if named_like_scan(p.name) or begins_like_dicom(_head(p))]


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(132)


def _series(path: Path) -> tuple[object, ...]:
    """Equal for the files of one volume; raises Broken."""
    from pydicom import dcmread

    if not begins_like_dicom(_head(path)):
        raise Broken("it has no DICOM header (the letters DICM at byte 128)")
    try:
        with quiet():
            found = dcmread(path, stop_before_pixels=True)
    except Exception as error:
        raise Broken("its DICOM header is damaged or truncated") from error
    dicom.check_kind(found)
    if not found.get("Rows"):
        raise Broken("it is a DICOM file without pixels")
    turned = dicom.floats(dicom.grouped(found, 0, dicom.ORIENTATION), "ImageOrientationPatient", 6)
    series = dicom.word(found, "SeriesInstanceUID") or str(path)
    alone = str(path) if dicom.frames_in(found) > 1 else ""
    return series, int(found.Rows), int(found.get("Columns") or 0), tuple(round(t, 3) for t in turned), alone


def read_volume(path: Path | Sequence[Path], axis: str = "axial") -> Volume:
    """A NIfTI file, a DICOM file, or the files (or the folder) of one DICOM series.

    axis: along which a NIfTI volume is cut.  Raises DataError where it cannot be read, holds several volumes, NaN, or colour.
    """
    check_axis(axis)
    if isinstance(path, Path):
        found = find_volumes(path)
        if len(found.volumes) > 1:
            raise DataError(f"{path} holds {len(found.volumes)} volumes or series; name one of them")
        files: Sequence[Path] = found.volumes[0]
    else:
        files = path
    require(tuple(p.name for p in files))
    try:
        with quiet():
            return _nifti(files[0], axis) if is_nifti(files[0].name) else _dicom(files)
    except Broken as error:
        where = files[0].parent if len(files) > 1 else files[0]
        raise DataError(f"{where} cannot be read: {error}") from error


def _nifti(path: Path, axis: str) -> Volume:
    found = nifti.turned(path.read_bytes(), axis)
    return Volume(found.frames, found.spacing(), found.affine, "", "nifti", axis=axis, held=found)


def _dicom(paths: Sequence[Path]) -> Volume:
    planes, frames, warned, left = list[Plane](), list[Array](), dict[str, None](), list[str]()
    for path in paths:
        try:
            found = dicom.parsed(path.read_bytes())
            colour = int(found.get("SamplesPerPixel") or 1) > 1
            values = np.zeros(0) if colour else dicom.in_units(found, dicom.stored_frames(found))
        except Broken as error:
            if len(paths) == 1:
                raise
            left.append(f"{path.name}: {error}")
            continue
        if colour:
            raise Broken("it is in colour, and volumes are changed in grey only; apply to it as a picture (PNG)")
        warned.update(dict.fromkeys([burned_in(found)]))
        for keyword in ("PixelData", "FloatPixelData"):
            if keyword in found:
                delattr(found, keyword)
        planes += [_plane(found, i) for i in range(len(values))]
        frames += list(values)
    if 2 * len(left) > len(paths):
        raise Broken(f"{len(left)} of its {count(len(paths), 'file')} are broken ({some(left, 2)}); replace them")
    if len({f.shape for f in frames}) > 1:
        raise Broken("its slices are of several sizes; name the files of one size")
    order = sorted(range(len(planes)), key=lambda i: (round(planes[i].along, 4), planes[i].number))
    planes = [planes[i] for i in order]
    affine, uneven = _placed(planes)
    array = dicom.narrow(np.stack([frames[i] for i in order]))
    a, b, c = np.sqrt((affine[:3, :3] ** 2).sum(0)).tolist()
    first = planes[0].header
    centre, width = _first(first, "WindowCenter"), _first(first, "WindowWidth")
    window = (centre, width) if centre is not None and width else None
    inverted = dicom.word(first, "PhotometricInterpretation") == "MONOCHROME1"
    missing = f"{count(len(left), 'file')} of {len(paths)} of the series cannot be read: those slices are missing from the volume" if left else ""
    notes = tuple(n for n in (*warned, uneven, missing) if n)
    return Volume(array, (a, b, c), affine, dicom.word(first, "Modality").upper(), "dicom", window, inverted, "", notes, tuple(left), tuple(planes))


def _first(found: Dataset, keyword: str) -> float | None:
    value = dicom.grouped(found, 0, "FrameVOILUTSequence").get(keyword)
    try:
        return None if value is None or value == "" else float(value if isinstance(value, int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return None


def _plane(found: Dataset, frame: int) -> Plane:
    position = dicom.floats(dicom.grouped(found, frame, dicom.POSITION), "ImagePositionPatient", 3)
    orientation = dicom.floats(dicom.grouped(found, frame, dicom.ORIENTATION), "ImageOrientationPatient", 6)
    number = dicom.floats(found, "InstanceNumber", 1) or (0.0,)
    return Plane(found, int(number[0]) * 100_000 + frame, position, orientation)


def _placed(planes: Sequence[Plane]) -> tuple[Array, str]:
    """The affine of (slice, row, column), and a note where slices are not evenly spaced."""
    between, rows, columns = (s or 1.0 for s in dicom.spacing_of(planes[0].header))
    turn = np.array(planes[0].orientation or (1, 0, 0, 0, 1, 0), dtype=np.float64)
    across, down = turn[:3], turn[3:]
    step, note = np.cross(across, down) * between, ""
    places = [p.position for p in planes]
    if len(planes) > 1 and all(places):
        whole = np.array(places[-1]) - np.array(places[0])
        if np.linalg.norm(whole) > 1e-6:
            step = whole / (len(planes) - 1)
            gaps = np.diff([p.along for p in planes])
            note = "slices are not evenly spaced; each keeps its own position" if np.ptp(gaps) > EVEN * abs(gaps.mean()) else ""
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = step, down * rows, across * columns
    lps[:3, 3] = places[0] or (0, 0, 0)
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, note
