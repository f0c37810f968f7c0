"""Pictures that are read row by row: files of any usual format, and tensors.

Pillow reads colour of 16 bits as 8: it takes the high byte of each value.  Told that the bytes are in the other order, it
takes the low one; so two readings make the whole value, for every compression it knows.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from rivalry.changing.kept import ORIENTATION, Kept, exif_of
from rivalry.data import png16, tiff
from rivalry.data.pixels import DEEP, formats, has_alpha, opened, quiet, reason_of
from rivalry.data.sources import Array
from rivalry.data.words import unread
from rivalry.errors import DataError

OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if np.little_endian else "L"}
TURNS = {2: (False, True), 3: (True, True), 4: (True, False)}


class Source(Protocol):
    """A picture [colours + alpha, height, width] with values in [0, 1]; colours: 1 grey, 3 RGB, not multiplied by alpha."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def colours(self) -> int: ...

    @property
    def alpha(self) -> bool: ...

    def rows(self, first: int, last: int) -> Tensor:
        """[colours + alpha, last - first, width] float32."""
        ...


@dataclass(frozen=True)
class TensorSource:
    """x: [colours + alpha, H, W] in [0, 1]."""

    x: Tensor

    @property
    def height(self) -> int:
        return int(self.x.shape[1])

    @property
    def width(self) -> int:
        return int(self.x.shape[2])

    @property
    def colours(self) -> int:
        return 3 if len(self.x) > 2 else 1

    @property
    def alpha(self) -> bool:
        return len(self.x) in (2, 4)

    def rows(self, first: int, last: int) -> Tensor:
        return self.x[:, first:last].float()


@dataclass(frozen=True)
class FileSource:
    """A picture's file, decoded at its own depth of 8 or 16 bits, upright.

    take: (first, last row) -> [rows, width, colours + alpha] uint8 or uint16.  notes: what was made of it that its owner
    may not expect.  lossy: are its colours compressed with loss?
    """

    take: Callable[[int, int], Array]
    height: int
    width: int
    colours: int
    alpha: bool
    bits: int
    kept: Kept
    format: str
    notes: tuple[str, ...] = ()
    lossy: bool = False

    def rows(self, first: int, last: int) -> Tensor:
        values = self.take(first, last).astype(np.float32) / (255 if self.bits == 8 else 65535)
        return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def open_picture(path: Path) -> FileSource:
    """The picture in a file, the first one where it holds several.  Raises DataError, saying why, for what is missing, no
    picture, damaged, or of values without a range."""
    if not path.is_file():
        raise DataError(f"there is no picture at {path}; check the path")
    try:
        with quiet():
            content = path.read_bytes()
            if not content:
                raise ValueError("the file is empty")
            return _opened(content)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise whatever they trip over
        what = unread([path.name]) and " (its format is not read: convert it to JPEG, PNG or TIFF first)"
        raise DataError(f"{path} cannot be read: {reason_of(error)}{what}") from error


def _opened(content: bytes) -> FileSource:
    picture = _decoded(content)
    found, notes, deep = picture.format or "", list[str](), picture.mode in DEEP
    if getattr(picture, "n_frames", 1) > 1 and found != "MPO":
        notes.append(f"the first of its {getattr(picture, 'n_frames', 1)} pictures was taken")
    kept = Kept(exif_of(picture), picture.info.get("icc_profile") or b"", picture.info.get("dpi"))
    orientation = int(picture.getexif().get(ORIENTATION, 1))
    lossy = found in ("JPEG", "MPO", "AVIF") or (found == "WEBP" and b"VP8L" not in content[:4096])
    if png16.is_deep_colour(content) and (content[25] == 4 or png16.transparent(content) is not None):
        values = _turned(png16.read(content), orientation)
        colours = values.shape[2] - 1
        return FileSource(lambda a, b: values[a:b], values.shape[0], values.shape[1], colours, True, 16, kept, found, tuple(notes))
    low = _low_bytes(content)
    if low is not None:
        return _deep_colour(ImageOps.exif_transpose(picture), ImageOps.exif_transpose(low), kept, found, notes)
    plain = tiff.upright(ImageOps.exif_transpose(picture), picture)
    if not deep:
        plain, kept = _plain(plain, kept, notes)
    elif not _fits_16_bits(plain):
        raise ValueError("32-bit values outside 0 ... 65535; save it with 16 bits")
    colours, alpha = 3 if plain.mode[:3] == "RGB" else 1, plain.mode in ("RGBA", "LA")
    return FileSource(
        lambda a, b: _crop(plain, a, b), plain.height, plain.width, colours, alpha, 16 if deep else 8, kept, found, tuple(notes), lossy
    )


def _deep_colour(high: Image.Image, low: Image.Image, kept: Kept, found: str, notes: list[str]) -> FileSource:
    def take(first: int, last: int) -> Array:
        return _crop(high, first, last).astype(np.uint16) << 8 | _crop(low, first, last)

    return FileSource(take, high.height, high.width, 3, high.mode == "RGBA", 16, kept, found, tuple(notes))


def _fits_16_bits(picture: Image.Image) -> bool:
    low, high = picture.getextrema()
    return isinstance(low, int | float) and isinstance(high, int | float) and low >= 0 and high <= 65535


def _decoded(content: bytes) -> Image.Image:
    picture = opened(content)
    picture.load()
    if picture.mode == "F":
        raise ValueError("floating-point pixels, whose range nobody knows; save it with 16 bits")
    return picture


def _low_bytes(content: bytes) -> Image.Image | None:
    """The low bytes of a picture with 16 bits a colour, None for others."""
    picture = Image.open(io.BytesIO(content), formats=formats())
    if picture.format not in ("PNG", "TIFF") or picture.mode not in ("RGB", "RGBA"):
        return None
    tiles = list(picture.tile)
    raw = str(tiles[0].args[0] if isinstance(tiles[0].args, tuple) else tiles[0].args)
    if ";16" not in raw:
        return None
    other = raw[:-1] + OTHER_ORDER[raw[-1]]
    if raw.startswith("RGBa"):
        raise ValueError("16-bit colours multiplied by their alpha; save it with straight alpha")
    picture.tile = [t._replace(args=(other, *t.args[1:]) if isinstance(t.args, tuple) else other) for t in tiles]
    picture.load()
    return picture


def _turned(values: Array, orientation: int) -> Array:
    """[H, W, C] as its camera held it (EXIF 2.32, tag 274)."""
    if orientation >= 5:
        values = values.transpose(1, 0, 2)
        orientation = {5: 1, 6: 2, 7: 3, 8: 4}.get(orientation, 1)
    rows, columns = TURNS.get(orientation, (False, False))
    return values[:: -1 if rows else 1, :: -1 if columns else 1]


def _crop(picture: Image.Image, first: int, last: int) -> Array:
    values = np.asarray(picture.crop((0, first, picture.width, last)))
    if values.dtype not in (np.uint8, np.uint16):
        values = values.astype(np.uint16)
    return values if values.ndim == 3 else values[..., None]


def _plain(picture: Image.Image, kept: Kept, notes: list[str]) -> tuple[Image.Image, Kept]:
    """As L, LA, RGB or RGBA."""
    if picture.mode == "CMYK":
        notes.append("CMYK became RGB")
        return _from_cmyk(picture, kept.icc), Kept(kept.exif, b"", kept.dpi)
    if has_alpha(picture):
        grey = picture.mode in ("LA", "La", "L", "1")
        return picture.convert("LA" if grey else "RGBA"), kept
    if picture.mode in ("L", "1"):
        return picture.convert("L"), kept
    if picture.mode == "LAB":  # its profile, if it has one, is of Lab numbers, and they are no more
        notes.append("Lab became RGB")
        return picture.convert("RGB"), Kept(kept.exif, b"", kept.dpi)
    return picture if picture.mode == "RGB" else picture.convert("RGB"), kept


def _from_cmyk(picture: Image.Image, icc: bytes) -> Image.Image:
    """By its colour profile, to sRGB, where it has one that is whole."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        made = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return picture.convert("RGB") if made is None else made
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture.convert("RGB")
