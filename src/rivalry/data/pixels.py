"""From the bytes of a picture's file to an array of the planned size, channels and depth."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rivalry.data import png16, tiff
from rivalry.data.containers import Content, Unreadable
from rivalry.data.options import Fit
from rivalry.data.sources import Array

FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF", "PCX")
MOST_PIXELS = 1 << 26
ORIENTATION = 0x0112
DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")
WHITE = 255


@dataclass(frozen=True)
class Plan:
    """What every picture becomes: [channels, height, width] of 8 or 16 bits."""

    height: int
    width: int
    channels: int
    bits: int = 8
    fit: Fit = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.height, self.width)

    @property
    def dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)


@dataclass(frozen=True)
class Look:
    """What a picture's header says; `alpha` is true if some pixel is not opaque.  reason: why it is broken, or ''."""

    width: int = 0
    height: int = 0
    mode: str = ""
    bits: int = 8
    alpha: bool = False
    reason: str = ""

    @property
    def channels(self) -> int:
        if self.alpha:
            return 4
        return 1 if self.mode in ("1", "L", "LA", *DEEP) else 3


@dataclass(frozen=True)
class Decoded:
    """pixels: [C, H, W] as planned, None if broken for the `reason`; digest: 16 bytes of hash of the pixels."""

    pixels: Array | None
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    digest: bytes = b""


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow's warnings on odd files are silenced; what it warns of as a bomb is refused by its size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def formats() -> tuple[str, ...]:
    """Those of FORMATS that this Pillow can read."""
    Image.init()
    return tuple(f for f in FORMATS if f in Image.OPEN)


def _open(content: Content) -> Image.Image:
    if isinstance(content, Unreadable):
        raise ValueError(str(content))
    if not content:
        raise ValueError("the file is empty")
    picture = opened(content)
    if picture.width * picture.height > MOST_PIXELS:
        raise ValueError(f"{picture.height}x{picture.width} pixels are too many (a decompression bomb?)")
    return picture


def opened(content: bytes) -> Image.Image:
    """Its header; raises ValueError, or what Pillow raises, for what is no picture or would be read amiss."""
    if content[:4] == tiff.OTHER_BIG:
        raise ValueError("a BigTIFF with its bytes in the other order, which is not read; save it as a plain TIFF")
    picture = Image.open(io.BytesIO(content), formats=formats())
    tiff.check(picture)
    return picture


def reason_of(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is no picture"
    if isinstance(error, Image.DecompressionBombError):
        return "it has too many pixels (a decompression bomb?)"
    text = str(error).strip() or type(error).__name__
    return "it is truncated" if "truncat" in text.lower() else text


def has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def _header(picture: Image.Image, content: Content) -> Look:
    width, height = picture.size
    deep = isinstance(content, bytes) and png16.is_deep_colour(content)
    if picture.format in ("JPEG", "MPO", "TIFF", "WEBP") and picture.getexif().get(ORIENTATION, 1) >= 5:
        width, height = height, width
    alpha = False
    if deep and isinstance(content, bytes) and png16.transparent(content) is not None:
        alpha = bool(png16.read(content)[..., -1].min() < 65535)
    elif has_alpha(picture):
        lowest = picture.convert("RGBA").getchannel("A").getextrema()[0]
        alpha = isinstance(lowest, int | float) and lowest < 255
    return Look(width, height, picture.mode, 16 if deep or picture.mode in DEEP else 8, alpha)


def look(content: Content) -> Look:
    """Reads the header, and the pixels only where it takes them to know if transparency is used."""
    try:
        with _open(content) as picture:
            return _header(picture, content)
    except Exception as error:  # decoders of damaged files raise whatever they trip over
        return Look(reason=reason_of(error))


def look_whole(content: Content) -> tuple[Look, Image.Image | None]:
    """The header, and the whole picture turned as its camera held it; None if it is broken."""
    try:
        with _open(content) as picture:
            found = _header(picture, content)
            picture.load()
            turned = tiff.upright(ImageOps.exif_transpose(picture), picture)
            if turned.mode in DEEP:
                _grey16(turned)
            _check_whole_numbers(turned)
            return found, turned
    except Exception as error:
        return Look(reason=reason_of(error)), None


def decode(content: Content, plan: Plan) -> Decoded:
    """The picture upright, as planned; never raises on damaged content but gives the reason."""
    try:
        with _open(content) as picture:
            if isinstance(content, bytes) and png16.is_deep_colour(content):
                deep = png16.read(content)
                return _finished(render_deep(deep, plan), (picture.width, picture.height))
            size, turn = picture.size, picture.getexif().get(ORIENTATION, 1)
            if picture.format == "JPEG" and min(size) >= 4 * max(plan.height, plan.width):
                picture.draft(picture.mode, (2 * max(plan.shape), 2 * max(plan.shape)))
            turned = picture if turn == 1 else ImageOps.exif_transpose(picture)
            size = size[::-1] if turn >= 5 else size
            if turned.mode in DEEP:
                return _finished(render_deep(_grey16(tiff.upright(turned, picture)), plan), size)
            return _finished(render(turned, plan), size)
    except Exception as error:
        return Decoded(None, reason_of(error))


def _finished(pixels: Array, size: tuple[int, int]) -> Decoded:
    return Decoded(pixels, "", size, digest(pixels))


def digest(pixels: Array, shaped: bool = False) -> bytes:
    """16 bytes that are equal for equal pixels only.  shaped: and for equal shapes, where they are not all of one."""
    shape = repr(pixels.shape).encode() if shaped else b""
    return hashlib.blake2b(shape + pixels.tobytes(), digest_size=16).digest()


def _grey16(picture: Image.Image) -> Array:
    """[H, W, 1] uint16; raises ValueError for values out of range."""
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit values outside 0 ... 65535; save it with 16 bits, or all as .npz")
    return values.astype(np.uint16)[..., None]


def _check_whole_numbers(picture: Image.Image) -> None:
    if picture.mode == "F":
        raise ValueError("floating-point pixels; save it with 16 bits, or all as .npz")


def render(picture: Image.Image, plan: Plan) -> Array:
    """An 8-bit picture as planned: [C, H, W] uint8 or uint16.  Where alpha is 0, colour is set to 0: it cannot be
    seen, so it is nothing to learn."""
    _check_whole_numbers(picture)
    fitted = _fit(_coloured(picture, plan.channels), plan)
    values = np.asarray(fitted)
    pixels = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    if plan.channels == 4:
        pixels = np.where(pixels[3:] == 0, 0, pixels)
    return np.ascontiguousarray(pixels if plan.bits == 8 else pixels.astype(np.uint16) * 257)


def _coloured(picture: Image.Image, channels: int) -> Image.Image:
    """As L, RGB or RGBA; what shows through is white."""
    if has_alpha(picture):
        full = picture.convert("RGBA")
        if channels == 4:
            return full
        paper = Image.new("RGBA", full.size, (WHITE, WHITE, WHITE, 255))
        picture = Image.alpha_composite(paper, full).convert("RGB")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    if picture.mode not in ("1", "L", "RGB") and mode != picture.mode:
        picture = picture.convert("RGB")
    return picture if picture.mode == mode else picture.convert(mode)


def _fit(picture: Image.Image, plan: Plan, clear: bool = False) -> Image.Image:
    """Resized to the plan's height and width; clear: padding is 0, as it is for pictures with alpha."""
    width, height = picture.size
    if (width, height) == (plan.width, plan.height):
        picture.load()
        return picture
    scales = plan.width / width, plan.height / height
    if plan.fit == "pad":
        return _padded(picture, plan, min(scales), clear or picture.mode == "RGBA")
    cut_x = cut_y = 0.0
    if plan.fit == "crop":
        scale = max(scales)
        cut_x = max(0.0, (width - plan.width / scale) / 2)
        cut_y = max(0.0, (height - plan.height / scale) / 2)
    box = (cut_x, cut_y, width - cut_x, height - cut_y)
    method = Image.Resampling.LANCZOS if max(scales) < 1 else Image.Resampling.BICUBIC
    return picture.resize((plan.width, plan.height), method, box=box)


def _padded(picture: Image.Image, plan: Plan, scale: float, clear: bool) -> Image.Image:
    """The whole picture in the middle; around it 0, or the median of its border."""
    inner = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(inner, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    values = np.asarray(small)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    middle = np.median(border, axis=0)
    paper = np.empty((plan.height, plan.width, *values.shape[2:]), dtype=values.dtype)
    paper[...] = 0 if clear else middle.astype(values.dtype)
    top, left = (plan.height - inner[1]) // 2, (plan.width - inner[0]) // 2
    paper[top : top + inner[1], left : left + inner[0]] = values
    return Image.fromarray(paper)


def render_deep(values: Array, plan: Plan) -> Array:
    """[H, W, 1..4] uint16 as planned: [C, H, W] uint16, or uint8 if that is planned."""
    if values.shape[2] == 2:
        values = np.concatenate([values[..., :1].repeat(3, 2), values[..., 1:]], 2)
    planes = _coloured_deep(values, plan.channels)
    if planes.shape[:2] != (plan.height, plan.width):
        planes = _fit_deep(planes, plan)
    pixels = planes.transpose(2, 0, 1)
    if plan.channels == 4:
        pixels = np.where(pixels[3:] == 0, 0, pixels)
    if plan.bits == 8:
        pixels = np.round(pixels / 257).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _coloured_deep(values: Array, channels: int) -> Array:
    have = values.shape[2]
    if have == channels:
        return values
    if have == 4:
        alpha = values[..., 3:] / 65535
        values, have = np.round(values[..., :3] * alpha + 65535 * (1 - alpha)).astype(np.uint16), 3
    if have == 3 and channels == 1:
        grey: Array = np.round(values @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint16)
        return grey
    colour = values.repeat(3, 2) if have == 1 and channels > 1 else values
    return colour if channels < 4 else np.concatenate([colour, np.full_like(colour[..., :1], 65535)], 2)


def _fit_deep(values: Array, plan: Plan) -> Array:
    """Resized in floating point, colours weighted by alpha where there is one."""
    planes = values.astype(np.float32)
    alpha = planes[..., 3:] / 65535 if planes.shape[2] == 4 else None
    if alpha is not None:
        planes[..., :3] *= alpha
    pictures = [Image.fromarray(np.ascontiguousarray(p)) for p in planes.transpose(2, 0, 1)]
    out = np.stack([np.asarray(_fit(p, plan, clear=alpha is not None)) for p in pictures], 2)
    if alpha is not None:
        out[..., :3] /= np.maximum(out[..., 3:] / 65535, 1e-6)
    return np.clip(np.round(out), 0, 65535).astype(np.uint16)
