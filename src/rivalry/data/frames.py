"""Arrays as pictures: which axis is what, what the numbers mean, and one tensor [N, C, H, W] of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Look, Plan, digest, render, render_deep
from rivalry.data.plan import choose_plan
from rivalry.data.progress import threaded, track
from rivalry.data.reading import Pictures, Scale, depth_of, is_grey
from rivalry.data.rows import choose
from rivalry.data.sources import Array, Arrays
from rivalry.data.words import count
from rivalry.errors import DataError

CHANNELS = (1, 3, 4)
CHUNK = 2048
FLAT = 64
MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def flat_shape(columns: int) -> tuple[int, int, int] | None:
    """(C, H, W) of pictures whose rows of numbers are so long, None if they are no pictures: 784 -> (1, 28, 28)."""
    if columns < FLAT:
        return None
    for channels in (1, 3):
        side = math.isqrt(columns // channels)
        if channels * side * side == columns:
            return channels, side, side
    return None


def looks_like_pictures(x: Array) -> bool:
    """[N, H, W], [N, H, W, C], [N, C, H, W], or [N, H*W] of at least 64 numbers."""
    return x.ndim in (3, 4) or (x.ndim == 2 and flat_shape(x.shape[1]) is not None)


def as_frames(x: Array, where: str) -> tuple[Array, str]:
    """Pictures as a view [N, H, W, C], and a note on how the axes were taken.  Raises DataError for other shapes."""
    if x.ndim == 2:
        shape = flat_shape(x.shape[1])
        assert shape is not None
        note = f"rows of {x.shape[1]} numbers are taken as pictures of {shape[1]}x{shape[2]}"
        return x.reshape(len(x), *shape).transpose(0, 2, 3, 1), note
    if x.ndim == 3 and x.shape[2] in (3, 4) and x.shape[1] > 4:
        raise DataError(
            f"{where} has the shape {list(x.shape)} of one picture; give many as [N, height, width, channels]"
        )
    if x.ndim == 3:
        return x[..., None], ""
    if x.ndim == 4 and x.shape[3] in CHANNELS:
        return x, ""
    if x.ndim == 4 and x.shape[1] in CHANNELS:
        return x.transpose(0, 2, 3, 1), ""
    raise DataError(
        f"{where} has the shape {list(x.shape)}, which is none of pictures; "
        "give [N, height, width] or [N, height, width, channels] with 1, 3 or 4 channels"
    )


def scale_of(x: Array, where: str) -> tuple[Scale, str]:
    """What the numbers mean: how they are stored in 8 or 16 bits, and a note.  Raises DataError for NaN, infinity
    and arrays of one value."""
    if x.dtype == np.bool_:
        return Scale(8, 255, 0.0, 1 / 255), ""
    low, high = x.min(), x.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int((~np.isfinite(x)).reshape(len(x), -1).any(1).sum())
        raise DataError(f"{count(bad, 'picture')} of {where} hold NaN or infinity; remove or mend them")
    if low == high:
        raise DataError(f"all numbers of {where} are {low}; there is nothing to learn from them")
    lowest, highest = float(low), float(high)
    if x.dtype.kind in "iu":
        return _whole_numbers(lowest, highest)
    return _floats(x, lowest, highest)


def _whole_numbers(low: float, high: float) -> tuple[Scale, str]:
    if low == 0 and high == 1:
        return Scale(8, 255, 0.0, 1 / 255), "the numbers are 0 and 1: taken as black and white"
    if low >= 0 and high <= 255:
        return Scale(), ""
    if low >= 0 and high <= 65535:
        return Scale(16, depth_of(int(high))), ""
    if high - low <= 65535:
        return Scale(16, int(high - low), low, 1.0), f"numbers from {low:g} to {high:g} are kept exactly in 16 bits"
    note = f"numbers from {low:g} to {high:g} are kept in 16 bits"
    return Scale(16, 65535, low, (high - low) / 65535), note


def _floats(x: Array, low: float, high: float) -> tuple[Scale, str]:
    """Usual ranges are known: 0 to 1, -1 to 1, 0 to 255; 8 bits where these lose nothing."""
    for bottom, top in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if low >= bottom and high <= top and (top < 255 or high > 64):
            step = (top - bottom) / 255
            if _is_whole(x, bottom, step):
                return Scale(8, 255, bottom, step), f"numbers in [{bottom:g}, {top:g}] hold 8-bit values: stored so"
            note = f"numbers in [{bottom:g}, {top:g}] are kept in 16 bits"
            return Scale(16, 65535, bottom, (top - bottom) / 65535), note
    if high - low <= 255 and _is_whole(x, low, 1.0):
        return Scale(8, 255, low, (high - low) / 255), f"numbers from {low:g} to {high:g} are stretched over 8 bits"
    return Scale(16, 65535, low, (high - low) / 65535), f"numbers from {low:g} to {high:g} are kept in 16 bits"


def _is_whole(x: Array, bottom: float, step: float) -> bool:
    for start in range(0, len(x), CHUNK):
        steps = (x[start : start + CHUNK].astype(np.float64) - bottom) / step
        if np.abs(steps - np.round(steps)).max() > 1e-3:
            return False
    return True


def stored(x: Array, scale: Scale) -> Array:
    """Values as the integers they are stored as."""
    dtype = np.uint8 if scale.bits == 8 else np.uint16
    if scale.offset == 0 and scale.scale == 1:
        return x.astype(dtype, copy=False)
    steps = np.round((x.astype(np.float64) - scale.offset) / scale.scale)
    return np.clip(steps, 0, scale.high).astype(dtype)


def from_array(source: Arrays, options: ReadOptions) -> Pictures:
    """Pictures of an array: stored as 8 or 16 bits, brought to the planned size.  Raises DataError as above."""
    frames, note = as_frames(source.x, source.where)
    chosen = choose(source.rows, options)
    if not len(chosen):
        raise DataError(f"no picture of {source.where} is left to read; choose other classes")
    scale, meaning = scale_of(frames, source.where)
    plan, notes = choose_plan([look_of(frames, scale)], options)
    data = np.empty((len(chosen), *plan.shape), plan.dtype)
    for start in range(0, len(chosen), CHUNK):
        part = stored(frames[chosen[start : start + CHUNK]], scale)
        _place(part, data[start : start + len(part)], plan)
    if scale.bits == 16:
        scale = replace(scale, high=max(scale.high, int(data.max())))  # resizing may overshoot
    rows = torch.from_numpy(data)
    whole = np.arange(len(chosen))
    digests = np.array([digest(row) for row in data], dtype="V16")
    if plan.channels == 3 and options.channels is None and is_grey(rows, whole):
        notes.append("all pictures are grey though they are stored in colour: channels=1 would be quicker")
    said = tuple(n for n in (note, meaning, *notes) if n)
    streamed = data.nbytes > options.resident_bytes
    return Pictures(rows, whole, source.rows.take(chosen), digests, plan, scale, streamed, said)


def look_of(frames: Array, scale: Scale) -> Look:
    """What [N, H, W, C] pictures are, in the terms of a file's header."""
    _, height, width, channels = frames.shape
    opaque = 255 if scale.bits == 8 else 65535
    alpha = channels == 4 and bool((stored(frames[..., 3].min(keepdims=True), scale) < opaque).all())
    return Look(width, height, MODES[channels], scale.bits, alpha)


def _place(part: Array, out: Array, plan: Plan) -> None:
    """Puts stored pictures [n, H, W, C] into out [n, *plan.shape], drawn anew only where the plan differs."""
    if part.shape[1:] == (plan.height, plan.width, plan.channels) and plan.channels != 4:
        out[...] = part.transpose(0, 3, 1, 2)
        return
    deep = part.dtype == np.uint16

    def draw(row: Array) -> Array:
        return (
            render_deep(row, plan)
            if deep
            else render(Image.fromarray(row[..., 0] if row.shape[2] == 1 else row), plan)
        )

    for i, pixels in enumerate(track(threaded(draw, part), "resizing pictures", len(part))):
        out[i] = pixels
