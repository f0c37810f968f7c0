"""The idx format of MNIST and its kin: big-endian arrays, gzipped or not."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np

from rivalry.data.rows import Rows, classify, unlabelled
from rivalry.data.sources import Array, Arrays
from rivalry.errors import DataError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
IMAGES = re.compile(r"^(?P<side>\w+?)[-_]images[-_.]idx(?P<axes>\d)[-_.]ubyte(\.gz)?$")
MOST_BYTES = 1 << 36
Read = Callable[[str], bytes]


def unzip(content: bytes, where: str) -> bytes:
    """The content, decompressed if it is gzip.  Raises DataError on damage."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is damaged ({error}); download it again") from error


def parse(content: bytes, where: str) -> Array:
    """The array in an idx file.  Raises DataError if it is none, or not whole."""
    raw = unzip(content, where)
    kind, axes = (raw[2], raw[3]) if len(raw) > 4 and raw[:2] == b"\0\0" else (0, 0)
    if kind not in TYPES or len(raw) < 4 + 4 * axes:
        raise DataError(f"{where} is no idx file (it does not begin like one); name the right file")
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    dtype = np.dtype(TYPES[kind])
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(raw) - 4 - 4 * axes != size or size > MOST_BYTES:
        have = len(raw) - 4 - 4 * axes
        raise DataError(f"{where} should hold {size:,} bytes of data but holds {have:,}; download it again")
    return np.frombuffer(raw, dtype, offset=4 + 4 * axes).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def image_files(names: Sequence[str]) -> dict[str, str]:
    """Side ('train', 't10k', ...) -> name, for the files that are pictures in idx format by their names."""
    hits = ((IMAGES.match(PurePosixPath(n).name), n) for n in names)
    return {hit["side"].lower(): name for hit, name in hits if hit}


def labels_file(images: str, names: Sequence[str]) -> str | None:
    """The labels that belong to a file of pictures, if they are among the names."""
    path = PurePosixPath(images)
    hit = IMAGES.match(path.name)
    if hit is None:
        return None
    wanted = re.compile(rf"^{re.escape(hit['side'])}[-_]labels[-_.]idx1[-_.]ubyte(\.gz)?$")
    return next(
        (n for n in names if PurePosixPath(n).parent == path.parent and wanted.match(PurePosixPath(n).name)), None
    )


def gather(name: str, where: str, names: Sequence[str], read: Read, known: Sequence[str] = ()) -> Arrays:
    """The idx files among the names as one source: `train` to train on, `t10k` or `test` held back if both are there.

    known: class names for the labels 0, 1, ...
    """
    found = image_files(names)
    sides = [s for s in ("train", "t10k", "test") if s in found] or sorted(found)[:1]
    sides = sides[:2] if sides[0] == "train" else sides[:1]
    parts = [parse(read(found[s]), f"{found[s]} in {where}") for s in sides]
    files = [labels_file(found[s], names) for s in sides]
    labels = [None if f is None else parse(read(f), f"{f} in {where}") for f in files]
    return joined(name, where, parts, labels, known)


def joined(
    name: str, where: str, parts: Sequence[Array], labels: Sequence[Array | None], known: Sequence[str] = ()
) -> Arrays:
    """One or two arrays [N, ...] (train, held) with their labels as one source."""
    if any(p.shape[1:] != parts[0].shape[1:] or p.dtype != parts[0].dtype for p in parts):
        kinds = " and ".join(f"{p.dtype}{list(p.shape[1:])}" for p in parts)
        raise DataError(f"training and test rows in {where} differ in kind ({kinds}); save them alike")
    for part, own in zip(parts, labels, strict=True):
        if own is not None and len(own) != len(part):
            raise DataError(f"{where} has {len(part):,} rows but {len(own):,} labels; save one label for each row")
    x = parts[0] if len(parts) == 1 else np.concatenate(parts)
    held = None if len(parts) == 1 else np.repeat([False, True], [len(p) for p in parts])
    rows = Rows(len(x), held=held)
    own_labels = [own for own in labels if own is not None]
    if own_labels and len(own_labels) == len(labels):
        codes, classes, note = classify(np.concatenate(own_labels), known)
        rows = Rows(len(x), codes=codes, classes=classes, held=held).noted(note, unlabelled(codes, "row", where))
    elif own_labels:
        rows = rows.noted("only one side of the split has labels: they are left out")
    return Arrays(name, where, rows, x)
