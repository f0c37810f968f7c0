"""Pictures on their way into a network: bytes, colour, size.

A ruler measures what the user is handed, so pictures are first rounded to the 8 bits a PNG would hold.  Resizing is
part of the ruler: interpolating without antialiasing, or at other pixel centres, moves a Fréchet distance by points.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.errors import DataError

WHITE = 255.0


def as_bytes(x: Tensor) -> Tensor:
    """[N, C, H, W], uint8 or floating in [-1, 1] (beyond is cut off) -> whole numbers 0..255 as float32.

    DataError on another rank or integer type, and on NaN.
    """
    if x.ndim != 4:
        raise DataError(f"pictures have shape [N, C, H, W], not {list(x.shape)}")
    if x.dtype == torch.uint8:
        return x.float()
    if not x.is_floating_point():
        raise DataError(f"pictures are uint8 in 0..255 or floating in [-1, 1], not {x.dtype}")
    if bool(x.isnan().any()):
        raise DataError("pictures hold NaN; leave them out or go back to a model that works")
    return x.float().add(1).mul(WHITE / 2).round().clamp(0, WHITE)


def on_white(x: Tensor) -> Tensor:
    """[N, 4, H, W] RGBA in 0..255 -> [N, 3, H, W] composited on white, whole numbers; other channels pass."""
    if x.shape[1] != 4:
        return x
    alpha = x[:, 3:] / WHITE
    return (x[:, :3] * alpha + WHITE * (1 - alpha)).round()


def as_rgb(x: Tensor) -> Tensor:
    """[N, C, H, W], as `as_bytes` takes it -> [N, 3, H, W] whole numbers 0..255 in float32.

    Grey is repeated, transparent pictures are laid on white; DataError unless C is 1, 3 or 4.
    """
    pictures = on_white(as_bytes(x))
    if pictures.shape[1] == 1:
        return pictures.expand(-1, 3, -1, -1)
    if pictures.shape[1] != 3:
        raise DataError(
            f"this feature space looks at grey, RGB or RGBA pictures, not at {x.shape[1]} channels; "
            "use the local feature space, which takes any"
        )
    return pictures


def resized(x: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """[N, C, H, W] in 0..255 -> [N, C, *size] in whole numbers, as Pillow's resize does it, to one level.

    Antialiased `mode` ('bilinear', 'bicubic'), pixel centres at half; columns first, then rows, rounded and cut to bytes
    after each: a bicubic that overshoots is off by tens of levels if it is cut only once.  (Recent Pillows pick the
    order by the sizes; published scores were made with this one.)
    """
    for target in ((x.shape[-2], size[1]), size):
        if tuple(x.shape[-2:]) != target:
            x = F.interpolate(x, target, mode=mode, align_corners=False, antialias=True).round().clamp(0, WHITE)
    return x


def resized_as_tensorflow_1(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, C, H, W] -> [N, C, *size]: `resize_bilinear` of TensorFlow 1, which FID's graph of 2015 contains.

    Output i looks at position i * in / out: corners at the origin, no half-pixel shift, no antialiasing, edge repeated.
    """
    return _lerp(_lerp(x, size[0], -2), size[1], -1)


def _lerp(x: Tensor, out: int, axis: int) -> Tensor:
    source = x.shape[axis]
    place = torch.arange(out, dtype=torch.float32, device=x.device) * (source / out)
    low = place.floor().long().clamp(max=source - 1)
    high = (low + 1).clamp(max=source - 1)
    weight = place - low
    if axis == -2:
        weight = weight[:, None]
    first = x.index_select(axis, low)
    return first + (x.index_select(axis, high) - first) * weight


def standardised(x: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    """(x - mean) / deviation by channel, for x [N, C, H, W] and C numbers each."""
    centre = torch.tensor(mean, device=x.device)[:, None, None]
    spread = torch.tensor(deviation, device=x.device)[:, None, None]
    return (x - centre) / spread
