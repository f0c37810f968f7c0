"""Films and plots: what people look at."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor

from rivalry.errors import DataError
from rivalry.files import atomic


def film(frames: Tensor, path: Path, milliseconds: int = 60) -> Path:
    """[N, C, H, W] uint8 pictures as an endless GIF, small ones enlarged to at least 128 pixels."""
    if frames.dim() != 4:
        raise DataError("a film needs pictures; for points give a .png")
    if frames.dtype.itemsize > 1:
        frames = (frames.int() >> 8).byte()
    factor = max(1, 128 // max(frames.shape[-2:]))
    pictures = [
        _picture(f).resize((f.shape[-1] * factor, f.shape[-2] * factor), Image.Resampling.NEAREST) for f in frames
    ]
    with atomic(path) as temporary:
        pictures[0].save(
            temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0
        )
    return path


def _picture(x: Tensor) -> Image.Image:
    """[C, H, W] uint8 as a Pillow image; alpha is laid on white."""
    array = x.permute(1, 2, 0).cpu().numpy()
    if array.shape[2] == 1:
        return Image.fromarray(array[..., 0], "L").convert("RGB")
    if array.shape[2] == 4:
        picture = Image.fromarray(array, "RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return Image.fromarray(array, "RGB")
