"""Pictures that are written row by row: PNG and TIFF at 8 or 16 bits as they come, what Pillow writes from a file on disk."""

from __future__ import annotations

import struct
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from PIL import Image, TiffImagePlugin

from rivalry.changing.kept import EXIF_IFD, GPS_IFD, HEAD, Kept
from rivalry.data.png16 import SIGNATURE
from rivalry.data.sources import Array
from rivalry.errors import DataError

ENDINGS = {
    ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP",
    ".avif": "AVIF", ".ppm": "PPM", ".pgm": "PPM", ".tga": "TGA",
}  # fmt: skip
DEEP = ("PNG", "TIFF")
WITHOUT_ALPHA = ("JPEG", "BMP", "PPM")
SIDES = {"JPEG": 65535, "WEBP": 16383, "TGA": 65535, "AVIF": 65535}
STRIP = 64
"""Rows of a TIFF that are compressed together."""
LEVEL = 6
PNG_COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}
TIFF_LARGEST = 2**32 - 2**20
OFFSETS = 273


@dataclass(frozen=True)
class Shape:
    """Of a picture to be written: colours 1 or 3, bits 8 or 16."""

    height: int
    width: int
    colours: int
    alpha: bool
    bits: int

    @property
    def channels(self) -> int:
        return self.colours + self.alpha

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if self.bits == 8 else np.uint16


class Sink(Protocol):
    """Takes rows [h, width, channels] uint8 or uint16 from top to bottom, and is then closed."""

    def write(self, rows: Array) -> None: ...

    def close(self) -> None: ...


def fitting(shape: Shape, format: str) -> Shape:
    """The shape that a format can hold: JPEG has no alpha, and only PNG and TIFF have 16 bits.  DataError where it is too
    large for the format."""
    limit = SIDES.get(format)
    if limit and max(shape.height, shape.width) > limit:
        raise DataError(
            f"{format} pictures are {limit} pixels wide or high at most, and this one becomes {shape.width}x{shape.height}; write "
            ".png or .tif"
        )
    alpha = shape.alpha and format not in WITHOUT_ALPHA
    return Shape(shape.height, shape.width, shape.colours, alpha, shape.bits if format in DEEP else 8)


def open_sink(stream: IO[bytes], shape: Shape, format: str, kept: Kept, quality: int, lossless: bool) -> Sink:
    """shape: what `fitting` made of it."""
    if format == "PNG":
        return PngSink(stream, shape, kept)
    if format == "TIFF":
        return TiffSink(stream, shape, kept)
    return PillowSink(stream, shape, format, kept, quality, lossless)


@dataclass
class PngSink:
    """W3C PNG specification, third edition.  Every row gets the filter whose differences have the least sum."""

    stream: IO[bytes]
    shape: Shape
    kept: Kept

    def __post_init__(self) -> None:
        s, icc = self.shape, self.kept.icc
        self.deflate = zlib.compressobj(LEVEL)
        self.above = np.zeros(s.width * s.channels * s.bits // 8, np.uint8)
        self.stream.write(SIGNATURE)
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", s.width, s.height, s.bits, PNG_COLOUR[s.channels], 0, 0, 0))
        if icc:
            self._chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
        if self.kept.dpi:
            self._chunk(b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in self.kept.dpi), 1))
        if self.kept.exif:
            self._chunk(b"eXIf", self.kept.exif)

    def write(self, rows: Array) -> None:
        plain = np.ascontiguousarray(rows.astype(">u2") if self.shape.bits == 16 else rows).view(np.uint8).reshape(len(rows), -1)
        for start in range(0, len(plain), STRIP):
            body = self.deflate.compress(self._filtered(plain[start : start + STRIP]))
            if body:
                self._chunk(b"IDAT", body)

    def close(self) -> None:
        self._chunk(b"IDAT", self.deflate.flush())
        self._chunk(b"IEND", b"")

    def _filtered(self, lines: Array) -> bytes:
        pixel = self.shape.channels * self.shape.bits // 8
        up = np.concatenate([self.above[None], lines[:-1]])
        left, corner = np.zeros_like(lines), np.zeros_like(lines)
        left[:, pixel:], corner[:, pixel:] = lines[:, :-pixel], up[:, :-pixel]
        self.above = lines[-1].copy()
        ways = [lines - left, lines - up, lines - _paeth(left, up, corner)]
        sums = [np.abs(w.view(np.int8), dtype=np.int16).sum(1, dtype=np.int64) for w in ways]
        best = np.argmin(sums, axis=0)
        out = np.empty((len(lines), lines.shape[1] + 1), np.uint8)
        out[:, 0] = np.array([1, 2, 4], np.uint8)[best]
        out[:, 1:] = np.choose(best[:, None], ways)
        return out.tobytes()

    def _chunk(self, kind: bytes, body: bytes) -> None:
        self.stream.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))


def _paeth(left: Array, up: Array, corner: Array) -> Array:
    a, b, c = (v.astype(np.int16) for v in (left, up, corner))
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, np.where(to_up <= to_corner, up, corner))


@dataclass
class TiffSink:
    """TIFF 6.0: strips of rows, deflated after horizontal differences; what tells of the picture in its directory."""

    stream: IO[bytes]
    shape: Shape
    kept: Kept
    waiting: list[Array] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stream.write(b"II*\0\0\0\0\0")

    def write(self, rows: Array) -> None:
        self.waiting.append(rows)
        if sum(map(len, self.waiting)) >= STRIP:
            lines = np.concatenate(self.waiting)
            whole = len(lines) // STRIP * STRIP
            for start in range(0, whole, STRIP):
                self._strip(lines[start : start + STRIP])
            self.waiting = [lines[whole:]]

    def close(self) -> None:
        if rest := [rows for rows in self.waiting if len(rows)]:
            self._strip(np.concatenate(rest))
        at = self.stream.tell() + self.stream.tell() % 2
        self.stream.write(b"\0" * (at - self.stream.tell()) + self._directory(at))
        self.stream.seek(4)
        self.stream.write(struct.pack("<I", at))

    def _strip(self, rows: Array) -> None:
        change = rows.copy()
        change[:, 1:] -= rows[:, :-1]
        body = zlib.compress(np.ascontiguousarray(change.astype(change.dtype.newbyteorder("<"))).tobytes(), LEVEL)
        if self.stream.tell() + len(body) > TIFF_LARGEST:
            raise DataError("the result is larger than the 4 GiB that a TIFF can hold; write .png")
        self.offsets.append(self.stream.tell())
        self.sizes.append(len(body))
        self.stream.write(body)

    def _directory(self, at: int) -> bytes:
        s, ifd = self.shape, TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
        told = Image.Exif()
        if self.kept.exif:
            told.load(self.kept.exif)
        for tag, value in told.items():
            ifd[tag] = value
        for group in (EXIF_IFD, GPS_IFD):
            if inner := told.get_ifd(group):
                ifd[group] = dict(inner)
        ifd[256], ifd[257], ifd[258] = s.width, s.height, (s.bits,) * s.channels
        ifd[259], ifd[262], ifd[277], ifd[284], ifd[317] = 8, 2 if s.colours == 3 else 1, s.channels, 1, 2
        ifd.tagtype[OFFSETS] = ifd.tagtype[279] = 4
        ifd[278], ifd[OFFSETS], ifd[279] = min(STRIP, s.height), tuple(self.offsets), tuple(self.sizes)
        if s.alpha:
            ifd[338] = 2
        if self.kept.icc:
            ifd.tagtype[34675] = 7
            ifd[34675] = self.kept.icc
        if self.kept.dpi:
            ifd[282], ifd[283], ifd[296] = float(self.kept.dpi[0]), float(self.kept.dpi[1]), 2
        return self._placed(bytearray(ifd.tobytes(at)), at)

    def _placed(self, directory: bytearray, at: int) -> bytes:
        """Pillow moves the strips' offsets, as it writes strips after their directory; here they come before it."""
        (count,) = struct.unpack_from("<H", directory)
        tags = [struct.unpack_from("<H", directory, 2 + 12 * i)[0] for i in range(count)]
        place = 2 + 12 * tags.index(OFFSETS) + 8
        if len(self.offsets) > 1:
            place = struct.unpack_from("<I", directory, place)[0] - at
        struct.pack_into(f"<{len(self.offsets)}I", directory, place, *self.offsets)
        return bytes(directory)


@dataclass
class PillowSink:
    """Rows gather in a file without a name, which Pillow reads as its own memory where it can; then it writes."""

    stream: IO[bytes]
    shape: Shape
    format: str
    kept: Kept
    quality: int
    lossless: bool

    def __post_init__(self) -> None:
        s, self.at = self.shape, 0
        self.raw = tempfile.TemporaryFile(dir=Path(self.stream.name).parent)  # noqa: SIM115 - closed by close
        self.mode, depth = ("L", 1) if s.channels == 1 else ("RGBX", 4) if s.channels == 3 else ("RGBA", 4)
        self.pixels = np.memmap(self.raw, np.uint8, "w+", shape=(s.height, s.width, depth))

    def write(self, rows: Array) -> None:
        here = self.pixels[self.at : self.at + len(rows)]
        if self.shape.channels == 2:
            here[..., :3], here[..., 3] = rows[..., :1], rows[..., 1]
        else:
            here[..., : self.shape.channels] = rows
        self.at += len(rows)

    def close(self) -> None:
        s = self.shape
        picture = Image.frombuffer(self.mode, (s.width, s.height), self.pixels.reshape(-1), "raw", self.mode, 0, 1)
        if self.mode == "RGBX" and self.format != "JPEG":
            picture = picture.convert("RGB")
        exif = HEAD + self.kept.exif if self.kept.exif else b""
        extra = {key: value for key, value in (("exif", exif), ("icc_profile", self.kept.icc), ("dpi", self.kept.dpi)) if value}
        if self.format == "JPEG":
            picture.save(self.stream, "JPEG", quality=self.quality, subsampling=0, optimize=True, **extra)
        elif self.format == "WEBP":
            picture.save(self.stream, "WEBP", quality=self.quality, lossless=self.lossless, exact=True, **extra)
        elif self.format == "AVIF":
            picture.save(self.stream, "AVIF", quality=self.quality, subsampling="4:4:4", **extra)
        else:
            picture.save(self.stream, self.format)
        self.raw.close()


def rows_of(shape: Shape, values: Array, out: Shape) -> Array:
    """[colours + alpha, h, w] of floats in [0, 1] -> [h, w, channels] for a sink; what is transparent lies on white where the
    format has no alpha."""
    if shape.alpha and not out.alpha:
        values = values[:-1] * values[-1:] + (1 - values[-1:])
    return np.ascontiguousarray(np.rint(values * (255 if out.bits == 8 else 65535)).astype(out.dtype).transpose(1, 2, 0))


def format_of(path: Path) -> str:
    """By a path's ending; '' for none that can be written."""
    return ENDINGS.get(path.suffix.lower(), "")
