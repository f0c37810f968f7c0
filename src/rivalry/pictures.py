"""Films: what people look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rivalry.files import atomic


def pixels(path: Path) -> npt.NDArray[Any]:
    """[H, W, 3] uint8 of a picture in a file."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def film(frames: npt.NDArray[Any], path: Path, milliseconds: int = 60) -> Path:
    """[N, H, W, 3] uint8 pictures as an endless GIF, small ones enlarged to at least 128 pixels."""
    height, width = frames.shape[1:3]
    factor = max(1, 128 // max(height, width))
    size = (width * factor, height * factor)
    pictures = [Image.fromarray(f, "RGB").resize(size, Image.Resampling.NEAREST) for f in frames]
    with atomic(path) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0
        )
    return path
