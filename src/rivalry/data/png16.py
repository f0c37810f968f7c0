"""PNG with 16 bits a channel, which Pillow reads and writes in grey only.

Format: W3C PNG specification, third edition: chunks, and the five row filters of section 9.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO

import numpy as np
import numpy.typing as npt

Pixels16 = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
COLOUR_TYPE = {1: 0, 3: 2, 4: 6}


def is_deep_colour(content: bytes) -> bool:
    """Is it a PNG with 16 bits a channel and more than one channel (alpha by a transparent colour is one), not interlaced?"""
    if content[:8] != SIGNATURE or content[12:16] != b"IHDR" or len(content) < 33:
        return False
    if content[24] != 16 or content[28] != 0:
        return False
    return content[25] in (2, 4, 6) or (content[25] == 0 and transparent(content) is not None)


def transparent(content: bytes) -> Pixels16 | None:
    """[1 or 3] uint16: the colour that stands for no colour (section 11.3.1), None where there is none."""
    if content[25] not in (0, 2):
        return None
    at, size = 33, 2 * CHANNELS[content[25]]
    while at + 12 <= len(content) and content[at + 4 : at + 8] != b"IDAT":
        (length,) = struct.unpack(">I", content[at : at + 4])
        if content[at + 4 : at + 8] == b"tRNS" and length >= size and at + 8 + size <= len(content):
            return np.frombuffer(content, ">u2", size // 2, at + 8).astype(np.uint16)
        at += 12 + length
    return None


def read(content: bytes) -> Pixels16:
    """[H, W, C] uint16 with C of 2 (grey and alpha), 3 or 4; a colour that stands for none becomes alpha.  Raises ValueError when it is not
    whole."""
    width, height, _, colour = struct.unpack(">IIBB", content[16:26])
    pixel = 2 * CHANNELS[colour]
    size = height * (1 + width * pixel)
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(b"".join(_data_chunks(content)), size)
    except zlib.error as error:
        raise ValueError(f"damaged PNG data: {error}") from error
    if len(raw) < size:
        raise ValueError("image file is truncated")
    lines = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * pixel)
    plain = _unfilter(lines[:, 0], lines[:, 1:].reshape(height, width, pixel))
    values = plain.reshape(height, width, pixel).view(">u2").astype(np.uint16)
    clear = transparent(content)
    if clear is None:
        return values
    alpha = np.where((values == clear).all(-1, keepdims=True), 0, 65535).astype(np.uint16)
    return np.concatenate([values, alpha], 2)


def _data_chunks(content: bytes) -> list[bytes]:
    found, at = list[bytes](), 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 8 : at + 8 + length]
        kind, check = content[at + 4 : at + 8], content[at + 8 + length : at + 12 + length]
        if kind == b"IEND":
            return found
        if len(check) < 4:
            break
        if kind == b"IDAT":
            if check != struct.pack(">I", zlib.crc32(kind + body)):
                raise ValueError("damaged PNG data: a check sum is wrong")
            found.append(body)
        at += 12 + length
    raise ValueError("image file is truncated")


def _unfilter(kinds: Bytes, lines: Bytes) -> Bytes:
    """Undoes the filters of all rows at once, along anti-diagonals: a pixel needs only those left and above."""
    if kinds.max(initial=0) > 4:
        raise ValueError("damaged PNG data: unknown filter")
    height, width, pixel = lines.shape
    if not kinds.any():
        return np.ascontiguousarray(lines)
    out = np.zeros((height + 1, width + 1, pixel), dtype=np.int16)
    for diagonal in range(height + width - 1):
        y = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        x = diagonal - y
        left, up, corner = out[y + 1, x], out[y, x + 1], out[y, x]
        kind = kinds[y, None]
        guess = np.select(
            [kind == 1, kind == 2, kind == 3, kind == 4],
            [left, up, (left + up) >> 1, _paeth(left, up, corner)],
            0,
        )
        out[y + 1, x + 1] = (lines[y, x] + guess) & 255
    return np.ascontiguousarray(out[1:, 1:].astype(np.uint8))


def _paeth(
    left: npt.NDArray[np.int16], up: npt.NDArray[np.int16], corner: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    to_left, to_up, to_corner = np.abs(up - corner), np.abs(left - corner), np.abs(left + up - 2 * corner)
    straight = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, straight)


def write(pixels: Pixels16, stream: IO[bytes]) -> None:
    """[H, W, C] uint16 with C of 1, 3 or 4 as a PNG, every row filtered by the one above."""
    height, width, channels = pixels.shape
    lines = np.ascontiguousarray(pixels.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, lines.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = lines[0]
    filtered[1:, 1:] = lines[1:] - lines[:-1]
    header = struct.pack(">IIBBBBB", width, height, 16, COLOUR_TYPE[channels], 0, 0, 0)
    stream.write(SIGNATURE)
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")):
        stream.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))
