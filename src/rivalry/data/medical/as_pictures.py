"""Scans as picture files that are never written: each slice a PNG of 16 bits, for tasks that read pictures (denoise, pairs ...)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from rivalry.data.containers import Content, Unreadable
from rivalry.data.medical import reading
from rivalry.data.medical import survey as surveys
from rivalry.data.medical.parts import DICOM_ENDINGS, Part, token
from rivalry.data.medical.reading import Slices
from rivalry.data.medical.windows import VOLUME, Window
from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Plan
from rivalry.data.sources import Array, Encoded, Scans


@dataclass(frozen=True)
class Shown:
    """source: the slices that show something, as pictures grouped by patient.  window, axis, offset, scale: what has to be
    known to change volumes later, as in ImageModality.  notes: what was decided."""

    source: Encoded
    window: str
    axis: str
    offset: float
    scale: float
    notes: tuple[str, ...]


def as_pictures(scans: Scans, options: ReadOptions) -> Shown:
    """Every slice keeps its own size, or its size at `options.spacing`.  Raises DataError as `reading.from_scans` does.

    Two folders of files with equal names are pairs: their volumes are one patient's.
    """
    pairs = paired(scans)
    scans = replace(scans, rows=replace(scans.rows, codes=None, classes=()))  # folders are sides here, not classes
    if pairs and options.window is None:
        options = replace(options, window=VOLUME)  # the two kinds have units of their own
    slices = reading.gather(scans, options, pairs)
    names = tuple(_name(n) for n in slices.rows.names)
    scale, window = reading.scale_of(slices.chosen.fixed, Plan(16, 16, 1, 8 if slices.found.colour else 16))
    axis = (options.axis or "axial") if any(h.kind == "NIfTI" for h in slices.found.whole) else ""

    def stream(wanted: Sequence[int]) -> Iterator[tuple[int, Content]]:
        return _stream(scans, slices, options, wanted)

    identity = hashlib.sha256(repr((scans.identity, options.content(), names)).encode()).hexdigest()
    rows = replace(slices.rows, names=names)
    return Shown(Encoded(scans.name, scans.where, rows, stream, identity), window, axis, scale.offset, scale.scale, slices.notes)


def paired(scans: Scans) -> dict[str, str]:
    """Of two folders with equal file names: file -> a word for the patient; {} for other layouts."""
    halves: dict[str, set[str]] = {}
    for name in scans.rows.names:
        top, _, rest = name.partition("/")
        halves.setdefault(top, set()).add(rest)
    if len(halves) != 2 or len({frozenset(h) for h in halves.values()}) != 1 or "" in next(iter(halves.values())):
        return {}
    return {name: token("pair", name.partition("/")[2]) for name in scans.rows.names}


def _name(name: str) -> str:
    """'t1/head.nii.gz#12' -> 't1/head-0012.png': a name of its own for each slice, with an ending like a picture's."""
    file, _, place = name.partition("#")
    path = PurePosixPath(file.removesuffix(".gz").removesuffix(".nii"))
    plain = path.with_suffix("") if path.suffix.lower() in DICOM_ENDINGS else path
    return f"{plain}-{int(place or 0):04d}.png"


def _stream(scans: Scans, slices: Slices, options: ReadOptions, wanted: Sequence[int]) -> Iterator[tuple[int, Content]]:
    """(position in `wanted`, PNG) of each slice, file by file: every file is read once."""
    index = slices.index[np.asarray(wanted, dtype=np.int64)]
    file = slices.found.file[index]
    order = np.argsort(file, kind="stable")
    used, starts = np.unique(file[order], return_index=True)
    groups = np.split(order, starts[1:])
    for i, part in surveys.parts(scans, [slices.files[f] for f in used.tolist()], options, "decoding scans"):
        mine = groups[i]
        if isinstance(part, str):
            yield from ((int(at), Unreadable(part)) for at in mine)
            continue
        window = slices.chosen.of(int(slices.found.volume[index[mine[0]]]))
        for at in mine.tolist():
            yield at, _png(_picture(part, slices, int(index[at]), options, window))


def _picture(part: Part, slices: Slices, row: int, options: ReadOptions, window: Window | None) -> Array:
    """[C, H, W] of one slice."""
    height, width = reading.size_at(part.header, options.spacing)
    plan = Plan(height, width, 3 if part.header.colour else 1, 8 if part.header.colour else 16)
    return reading.pictures(part, slices.found.place[row : row + 1], window, plan, options.spacing)[0]


def _png(picture: Array) -> bytes:
    stream = io.BytesIO()
    last = picture[0] if len(picture) == 1 else np.ascontiguousarray(picture.transpose(1, 2, 0))
    Image.fromarray(last).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
