"""Sheets of pictures: a grid as one PNG."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rivalry.files import atomic

GAP = 2
BAND = 12
CELL = 64
PAPER = 255
LONGEST = 4096

Bytes = npt.NDArray[np.uint8]


def paper(pictures: Bytes) -> Bytes:
    """[N, H, W, C] with C of 1, 3 or 4 -> [N, H, W, 3]; what shows through is white."""
    if pictures.shape[3] == 1:
        return pictures.repeat(3, 3)
    if pictures.shape[3] == 3:
        return pictures
    alpha = pictures[..., 3:].astype(np.float32) / 255
    return np.round(pictures[..., :3] * alpha + PAPER * (1 - alpha)).astype(np.uint8)


def grid(pictures: Bytes, columns: int | None = None) -> Bytes:
    """[N, H, W, 3] -> one picture [h, w, 3]: rows of `columns` (a square if None), small ones enlarged evenly."""
    n, height, width, _ = pictures.shape
    columns = columns or math.ceil(math.sqrt(n * height / width) - 1e-9)
    columns = max(1, min(columns, n))
    lines = math.ceil(n / columns)
    longest = max(columns * width, lines * height)
    zoom = max(1, min(round(CELL / max(height, width)), LONGEST // max(longest, 1)))
    cells = pictures.repeat(zoom, 1).repeat(zoom, 2)
    tall, wide = height * zoom + GAP, width * zoom + GAP
    out = np.full((lines * tall + GAP, columns * wide + GAP, 3), PAPER, dtype=np.uint8)
    padded = np.full((lines * columns, tall, wide, 3), PAPER, dtype=np.uint8)
    padded[:n, :-GAP, :-GAP] = cells
    body = padded.reshape(lines, columns, tall, wide, 3).swapaxes(1, 2).reshape(lines * tall, columns * wide, 3)
    out[GAP:, GAP:] = body
    return out


def beside(left: Bytes, right: Bytes) -> Bytes:
    """Two pictures [h, w, 3] side by side on white, with a dark band between them."""
    height = max(left.shape[0], right.shape[0])
    out = np.full((height, left.shape[1] + BAND + right.shape[1], 3), PAPER, dtype=np.uint8)
    out[: left.shape[0], : left.shape[1]] = left
    out[:, left.shape[1] + BAND // 3 : left.shape[1] + 2 * BAND // 3] = 64
    out[: right.shape[0], left.shape[1] + BAND :] = right
    return out


def save(picture: Bytes, path: Path) -> Path:
    """One picture [h, w, 3] as a PNG (or JPEG, WebP by the ending), atomically."""
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(path.suffix.lower(), "PNG")
    with atomic(path) as beside:
        Image.fromarray(picture).save(beside, kind)
    return path
