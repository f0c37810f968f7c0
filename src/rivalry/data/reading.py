"""Reads pictures from their source into one tensor: chosen, decoded, brought to one size, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rivalry.data.cache import Kept, Meta, Shelf, entry_path, find
from rivalry.data.containers import Content
from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Decoded, Look, Plan, decode, look, quiet
from rivalry.data.plan import choose_plan
from rivalry.data.progress import threaded, track
from rivalry.data.rows import Ints, Rows, choose
from rivalry.data.sources import Array, Encoded
from rivalry.data.words import count, some
from rivalry.errors import DataError

SAMPLE = 1024
SMALL = 96 * 96
GREY_SAMPLE = 256


@dataclass(frozen=True)
class Scale:
    """How stored integers stand for values: value = offset + scale * stored, stored in 0 ... high."""

    bits: int = 8
    high: int = 255
    offset: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Pictures:
    """Pictures as read.

    data: [M, C, H, W] uint8 or uint16; places: [N] which rows of it are whole; rows, digests: of those N.
    streamed: data are mapped from a file, or too large to be resident.  window, axis: of scans, see ImageModality.
    """

    data: Tensor
    places: Ints
    rows: Rows
    digests: Array
    plan: Plan
    scale: Scale
    streamed: bool
    notes: tuple[str, ...] = ()
    window: str = ""
    axis: str = ""


def from_files(source: Encoded, options: ReadOptions) -> Pictures:
    """Decodes the pictures of a folder, archive or Parquet file, or finds them decoded in the cache folder.

    Raises DataError when none, or fewer than half, can be read.
    """
    chosen = choose(source.rows, options)
    rows = source.rows.take(chosen)
    if not len(rows):
        raise DataError(f"no picture of {source.where} is left to read; choose other classes or labels")
    ask = repr((options.height_width, options.fit, options.channels, hashlib.sha256(chosen.tobytes()).hexdigest()))
    entry = entry_path("pictures", source.identity, ask)
    kept = find(entry, options.resident_bytes) or _decode_all(source, rows, chosen, options, entry)
    plan = _plan_of(kept, options)
    broken = {int(i): str(reason) for i, reason in kept.meta["broken"]}
    whole = np.setdiff1d(np.arange(len(rows)), np.array(sorted(broken), dtype=np.int64))
    notes = [*map(str, kept.meta["notes"]), *_broken_note(rows, broken, source.where)]
    if plan.channels == 3 and options.channels is None and is_grey(kept.data, whole):
        notes.append("all pictures are grey though they are stored in colour: channels=1 would be quicker")
    high = 255 if plan.bits == 8 else depth_of(int(kept.meta["highest"]))
    scale = Scale(plan.bits, high)
    return Pictures(kept.data, whole, rows.take(whole), kept.digests[whole], plan, scale, kept.mapped, tuple(notes))


def depth_of(highest: int) -> int:
    """The largest value of the fewest bits (8 to 16) that hold `highest`: 4095 for 12-bit data."""
    return (1 << max(8, highest.bit_length())) - 1


def _plan_of(kept: Kept, options: ReadOptions) -> Plan:
    _, channels, height, width = kept.data.shape
    return Plan(height, width, channels, 8 if kept.data.dtype == torch.uint8 else 16, options.fit)


def _broken_note(rows: Rows, broken: dict[int, str], where: str) -> list[str]:
    if not broken:
        return []
    examples = [f"{rows.name(i)} ({reason})" for i, reason in broken.items()]
    if len(broken) * 2 > len(rows):
        share = "none" if len(broken) == len(rows) else f"only {len(rows) - len(broken):,}"
        raise DataError(
            f"{share} of the {count(len(rows), 'picture')} in {where} can be read: {some(examples, 2)}; "
            "replace or remove the broken ones"
        )
    # notes are recorded with the run, and files may be called after people: `data inspect` names them on the screen
    return [f"{count(len(broken), 'picture')} of {len(rows):,} cannot be read: left out; `rivalry data inspect` names them"]


def is_grey(data: Tensor, whole: Ints) -> bool:
    """Are the three channels equal in (a sample of) the pictures?"""
    sample = whole[:: max(1, len(whole) // GREY_SAMPLE)]
    part = data.numpy()[sample]
    return bool((part[:, 0] == part[:, 1]).all() and (part[:, 0] == part[:, 2]).all())


def sample_looks(source: Encoded, chosen: Ints) -> list[Look]:
    """The headers of at most SAMPLE pictures, evenly spread over those chosen."""
    picked = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(SAMPLE, len(chosen))).astype(np.int64))]
    with quiet():
        return [look(content) for _, content in source.stream(picked.tolist())]


def _decode_all(source: Encoded, rows: Rows, chosen: Ints, options: ReadOptions, entry: Path) -> Kept:
    looks = sample_looks(source, chosen)
    if all(found.reason for found in looks):
        broken = {i: looks[min(i, len(looks) - 1)].reason for i in range(len(rows))}
        _broken_note(rows, broken, source.where)
    plan, notes = choose_plan(looks, options)
    size = len(rows) * int(np.prod(plan.shape)) * plan.dtype.itemsize
    path = entry if options.cache or size > options.resident_bytes else None
    with Shelf(path, (len(rows), *plan.shape), plan.dtype) as shelf:
        small = float(np.median([found.width * found.height for found in looks])) <= SMALL
        digests, meta = fill(shelf.rows, source.stream(chosen.tolist()), plan, small)
        _broken_note(rows, dict(meta["broken"]), source.where)
        meta["notes"] = [*notes, *_size_note(meta, len(rows), plan)]
        return shelf.finish(digests, meta, options.resident_bytes)


def fill(out: Array, contents: Iterator[tuple[int, Content]], plan: Plan, small: bool) -> tuple[Array, Meta]:
    """Decodes into out [N, C, H, W]; returns digests [N] of 16 bytes and what was found on the way.

    small: the files' pictures are, so one thread does.
    """
    digests = np.zeros(len(out), dtype="V16")
    missing = set(range(len(out)))
    broken, resized, highest = list[tuple[int, str]](), 0, 0

    def work(item: tuple[int, Content]) -> tuple[int, Decoded]:
        return item[0], decode(item[1], plan)

    with quiet():
        for place, found in track(threaded(work, contents, small), "decoding pictures", len(out)):
            missing.discard(place)
            if found.pixels is None:
                broken.append((place, found.reason))
                continue
            out[place], digests[place] = found.pixels, np.void(found.digest)
            resized += found.size != (plan.width, plan.height)
            highest = max(highest, int(found.pixels.max())) if plan.bits == 16 else 255
    broken += [(place, "it is not there") for place in missing]
    return digests, {"broken": sorted(broken), "resized": resized, "highest": highest}


def _size_note(meta: Meta, total: int, plan: Plan) -> list[str]:
    resized = meta["resized"]
    if not resized:
        return []
    return [f"resized {resized:,} of {count(total, 'picture')} to {plan.height}x{plan.width} ({plan.fit})"]


def content_hash(pictures: Pictures, rows: Rows, held: Ints, options: ReadOptions) -> str:
    """sha256 of the pixels (by their digests), labels, split and options."""
    hashed = hashlib.sha256(b"rivalry image 1")
    hashed.update(repr((pictures.plan.shape, pictures.scale, rows.classes, options.content())).encode())
    hashed.update(np.ascontiguousarray(pictures.digests).tobytes())
    hashed.update(np.ascontiguousarray(held).tobytes())
    if rows.codes is not None:
        hashed.update(rows.codes.astype("<i8").tobytes())
    return hashed.hexdigest()
