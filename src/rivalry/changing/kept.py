"""What a picture's file holds besides pixels, and goes into the changed one: EXIF, the colour profile, the resolution."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
WIDTHS, HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
HEAD = b"Exif\x00\x00"
SHORT, LONG = 3, 4
TOLD = (270, 271, 272, 305, 306, 315, 33432)
"""Tags of a TIFF that tell of the picture, not of how it is stored: description, make, model, software, date, artist,
copyright."""


@dataclass(frozen=True)
class Kept:
    """exif: a TIFF structure without the head 'Exif', b'' for none.  icc: the colour profile.  dpi: horizontal, vertical."""

    exif: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None


def exif_of(picture: Image.Image) -> bytes:
    """The picture's EXIF as its file has it; of a TIFF, what tells of the picture."""
    raw = picture.info.get("exif")
    if isinstance(raw, bytes):
        return raw.removeprefix(HEAD)
    found, kept = picture.getexif(), Image.Exif()
    for tag in TOLD:
        if tag in found:
            kept[tag] = found[tag]
    for group in (EXIF_IFD, GPS_IFD):
        if inner := found.get_ifd(group):
            kept.get_ifd(group).update(inner)
            kept[group] = dict(inner)
    return kept.tobytes().removeprefix(HEAD) if len(kept) else b""


def upright(exif: bytes, width: int, height: int) -> bytes:
    """The same bytes but for: the orientation, which becomes 1; the picture's size, which becomes width x height; and the
    embedded thumbnail, which is no longer pointed at, as it shows the picture before.  b'' where the structure is damaged.
    """
    out = bytearray(exif)
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(out[:2])]
        (first,) = struct.unpack_from(order + "I", out, 4)
        for tag, kind, place in [*_entries(out, order, first)]:
            _set(out, order, tag, kind, place, width, height)
            if tag == EXIF_IFD:
                (inner,) = struct.unpack_from(order + "I", out, place)
                for inner_tag, inner_kind, inner_place in _entries(out, order, inner):
                    _set(out, order, inner_tag, inner_kind, inner_place, width, height)
        (count,) = struct.unpack_from(order + "H", out, first)
        struct.pack_into(order + "I", out, first + 2 + 12 * count, 0)
    except (KeyError, struct.error):
        return b""
    return bytes(out)


def _entries(exif: bytearray, order: str, at: int) -> Iterator[tuple[int, int, int]]:
    """(tag, type, where its value is) of a directory's entries."""
    (count,) = struct.unpack_from(order + "H", exif, at)
    for i in range(count):
        tag, kind = struct.unpack_from(order + "HH", exif, at + 2 + 12 * i)
        yield tag, kind, at + 2 + 12 * i + 8


def _set(exif: bytearray, order: str, tag: int, kind: int, place: int, width: int, height: int) -> None:
    value = 1 if tag == ORIENTATION else width if tag in WIDTHS else height if tag in HEIGHTS else None
    if value is not None and kind in (SHORT, LONG):
        struct.pack_into(order + ("H" if kind == SHORT else "I"), exif, place, value & (0xFFFF if kind == SHORT else 0xFFFFFFFF))
