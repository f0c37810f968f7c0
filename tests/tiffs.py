"""TIFF files as other programs write them: one strip, not compressed."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt


def tiff(values: npt.NDArray[np.generic], planes: bool = False, **tags: int) -> bytes:
    """[H, W] or [H, W, C] as a TIFF; planes: [C, H, W], colour after colour.  tags: t262=0 and so on, in place of the usual."""
    height, width = values.shape[1:] if planes else values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[0 if planes else 2]
    body, bits = values.astype(values.dtype.newbyteorder("<")).tobytes(), values.dtype.itemsize * 8
    many = channels > 2  # their own numbers lie after the head
    at = 8 + 2 * channels + 8 * channels * planes
    strips = (0x111, 4, channels, 8 + 2 * channels) if planes else (0x111, 4, 1, at)
    sizes = (0x117, 4, channels, 8 + 6 * channels) if planes else (0x117, 4, 1, len(body))
    entries = {256: (4, 1, width), 257: (4, 1, height), 258: (3, channels, 8 if many else bits), 259: (3, 1, 1), 262: (3, 1, 2 if many else 1),
               strips[0]: strips[1:], 277: (3, 1, channels), 278: (4, 1, height), sizes[0]: sizes[1:], 284: (3, 1, 2 if planes else 1)}  # fmt: skip
    entries |= {int(name[1:]): (3, 1, value) for name, value in tags.items()}
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries)) + bytes(4)
    head = b"II*\0" + struct.pack("<I", at + len(body)) + struct.pack(f"<{channels}H", *[bits] * channels)
    if planes:
        each = len(body) // channels
        head += struct.pack(f"<{channels}I", *(at + each * i for i in range(channels))) + struct.pack(f"<{channels}I", *[each] * channels)
    return head + body + directory
