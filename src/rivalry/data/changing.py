"""Reads pictures that are to be changed into pictures: good ones alone, pairs, or two sets (see `rivalry.data.layouts`)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

import numpy as np
import torch

from rivalry.data import uses
from rivalry.data.base import Dataset
from rivalry.data.layouts import Decision, Layout, layout_of, officially_held
from rivalry.data.mosaic import Mosaic, Pile, places
from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Look, Plan, decode, look, quiet
from rivalry.data.progress import threaded, track
from rivalry.data.rows import Flags, Ints, Rows, choose
from rivalry.data.sources import Array, Encoded
from rivalry.data.split import Split, split
from rivalry.data.words import count, some
from rivalry.degrade import TASKS
from rivalry.errors import DataError
from rivalry.types import Spec

PATCH = 96
LEAST = 16
LARGEST = 2048
"""Longer sides are shrunk to so many pixels: there is no more to learn from a camera's than from these."""

def read(source: Encoded, options: ReadOptions, modality: Any, decision: Decision) -> Dataset:
    """The pictures as squares of one size, in pairs where the task has pairs.  Raises DataError in one sentence for what cannot
    be used.  modality: an ImageModality, for its `encode`.  decision: the task, and why."""
    if options.only and options.reading >= uses.SINCE:
        raise DataError(f"--only keeps classes, and pictures to change ({decision.task}) have none; leave it out, or name the folder that is meant")
    source = replace(source, rows=officially_held(source.rows))
    chosen = choose(replace(source.rows, codes=None, classes=()), replace(options, only=()))
    source = _only(source, chosen)
    with quiet():
        looks = [look(content) for _, content in source.stream(range(len(source.rows)))]
    wanted, layout = layout_of(source, decision.task, looks, options)
    plan = _Common.of(looks, options, layout)
    pictures, broken = _decoded(source, looks, plan, layout.halves)
    tiny = _without_tiny(source, layout, pictures, decision.secret)
    rows, target, partner, notes = _whole(source, layout, pictures, broken)
    _check_sizes(rows, target, partner, layout, source.where)
    official = source.rows.held
    strangers = None if official is None else official[[i for i in layout.source if i in pictures]]
    if strangers is not None and not strangers.any():
        strangers = None
    if rows.held is not None and not rows.held.any():
        rows = replace(rows, held=None)  # only the other set has a test side
    parts = _split(rows, strangers, target, partner, layout, options, source.where)
    size = _patch([*target, *partner] if layout.scale == 1 else target, options, wanted, layout, source.where)
    known = [c for i, c in zip(layout.source, layout.codes, strict=False) if i in pictures]
    depth = type(modality)((plan.channels, *size), plan.bits, 255 if plan.bits == 8 else 65535)
    train, held = _stores(target, partner, layout, parts, size, depth, torch.tensor(known) if known else None)
    shape = (plan.channels, *size)
    given = (plan.channels, size[0] // layout.scale, size[1] // layout.scale)
    spec = Spec("image", shape, (-1.0, 1.0), layout.classes, source=given if layout.kind != "patches" else ())
    return Dataset(
        source.name, spec, depth, train, held, _hash(target, partner, parts, size, layout, wanted), layout=layout.kind, task=wanted,
        notes=(*source.rows.notes, *decision.notes, *tiny, *notes, *_told(layout, wanted, parts, size, len(train), plan)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Common:
    """What all pictures are decoded to, but for their sizes.  size: what all are brought to, None: each keeps its own."""

    channels: int
    bits: int
    size: tuple[int, int] | None
    fit: str
    longest: int = LARGEST

    @classmethod
    def of(cls, looks: Sequence[Look], options: ReadOptions, layout: Layout) -> _Common:
        whole = [found for found in looks if not found.reason]
        if not whole:
            reason = looks[0].reason if looks else "there is none"
            raise DataError(f"no picture can be read: {reason}; replace the broken ones")
        grey = all(found.channels == 1 for found in whole)
        alpha = sum(found.channels == 4 for found in whole) * 2 >= len(whole)
        channels = options.channels or (1 if grey else 4 if alpha and layout.kind != "patches" else 3)
        bits = max(found.bits for found in whole)
        plan = cls(channels, bits, options.height_width, options.fit)
        size = sum(p.height * p.width * p.channels * p.bits // 8 for p in (plan.plan(found, False) for found in whole))
        if layout.scale > 1:
            if size > options.resident_bytes:
                raise DataError(f"pairs of two sizes are kept as they are, and these take {size / 2**30:.1f} GiB of memory; cut them into smaller ones")
            return replace(plan, longest=max(max(p.height, p.width) for p in whole))
        if size <= options.resident_bytes:
            return plan
        # all of them live in memory: so many are brought to what fits
        return replace(plan, longest=max(4 * PATCH, int(LARGEST * (options.resident_bytes / size) ** 0.5)))

    def plan(self, found: Look, halves: bool) -> Plan:
        """For one picture: as it is, but no longer than LARGEST."""
        height, width = self.size or (found.height, found.width)
        if self.size is not None and halves:
            width = 2 * width
        shrink = min(1.0, self.longest / max(height, width))
        return Plan(max(1, round(height * shrink)), max(1, round(width * shrink)), self.channels, self.bits, self.fit)  # type: ignore[arg-type]


def _only(source: Encoded, chosen: Ints) -> Encoded:
    if len(chosen) == len(source.rows):
        return source
    stream = source.stream
    kept = chosen.tolist()
    return replace(source, rows=source.rows.take(chosen), stream=lambda wanted: stream([kept[i] for i in wanted]))


def _decoded(
    source: Encoded, looks: Sequence[Look], plan: _Common, halves: bool
) -> tuple[dict[int, Array], dict[int, str]]:
    pictures, broken = dict[int, Array](), {i: found.reason for i, found in enumerate(looks) if found.reason}
    wanted = [i for i in range(len(looks)) if i not in broken]

    def work(item: tuple[int, Any]) -> tuple[int, Any]:
        return wanted[item[0]], decode(item[1], plan.plan(looks[wanted[item[0]]], halves))

    with quiet():
        for i, found in track(threaded(work, source.stream(wanted)), "decoding pictures", len(wanted)):
            if found.pixels is None:
                broken[i] = found.reason
            else:
                pictures[i] = found.pixels
    return pictures, broken


def _without_tiny(source: Encoded, layout: Layout, pictures: dict[int, Array], secret: bool) -> list[str]:
    """A note: takes a few pictures out of `pictures` that are too small to be cut; DataError where they are many."""
    sides = {i: (p.shape[1], p.shape[2] // (2 if layout.halves else 1)) for i, p in pictures.items()}
    inputs = set(layout.source) if layout.scale > 1 else set[int]()
    tiny = [i for i, side in sides.items() if min(side) < (LEAST // layout.scale if i in inputs else LEAST)]
    if not tiny:
        return []
    shown = some([f"{source.rows.name(i)} ({sides[i][0]}x{sides[i][1]})" for i in tiny], 3)
    lost = len(tiny)
    if layout.kind == "pairs" and layout.source:  # whose partner is too small is lost too
        small = set(tiny)
        lost = 2 * sum(t in small or s in small for t, s in zip(layout.target, layout.source, strict=True))
    if 2 * lost > len(pictures):
        what = "" if secret else f", for example {shown}"
        raise DataError(f"{count(len(tiny), 'picture')} of {source.where} are smaller than {LEAST} pixels a side{what}; remove them, or give --size")
    for i in tiny:
        del pictures[i]
    return [f"{count(len(tiny), 'picture')} smaller than {LEAST} pixels a side: left out" + ("" if secret else f" ({shown})")]


def _whole(
    source: Encoded, layout: Layout, pictures: dict[int, Array], broken: dict[int, str]
) -> tuple[Rows, list[Array], list[Array], list[str]]:
    """(rows of the targets, targets, partners, notes) of what could be read; of two sets the partners are other pictures."""
    notes = [f"{count(len(broken), 'picture')} of {len(source.rows):,} cannot be read: left out; `rivalry data inspect` names them"] if broken else []
    if layout.kind == "pairs" and layout.source:
        both = [(t, s) for t, s in zip(layout.target, layout.source, strict=True) if t in pictures and s in pictures]
        target, partner = [pictures[t] for t, _ in both], [pictures[s] for _, s in both]
        kept = np.array([t for t, _ in both], dtype=np.int64)
        left = len(source.rows) - 2 * len(layout.target)
        notes += [f"{count(left, 'file')} without a partner: left out"] if left else []
    else:
        kept = np.array([i for i in layout.target if i in pictures], dtype=np.int64)
        target, partner = [pictures[i] for i in kept.tolist()], [pictures[i] for i in layout.source if i in pictures]
    if layout.halves:
        target, partner = zip(*((p[:, :, p.shape[2] // 2 :], p[:, :, : p.shape[2] // 2]) for p in target), strict=True)  # type: ignore[assignment]
        target, partner = [np.ascontiguousarray(p) for p in target], [np.ascontiguousarray(p) for p in partner]
    if len(broken) * 2 > len(source.rows) or not target:
        raise DataError(f"only {len(pictures):,} of the {count(len(source.rows), 'picture')} in {source.where} can be read; replace or remove the broken ones")
    return replace(source.rows.take(kept), codes=None, classes=()), target, partner, notes


def _check_sizes(rows: Rows, target: list[Array], partner: list[Array], layout: Layout, where: str) -> None:
    """DataError unless partners are of equal size, or all smaller by one scale."""
    if layout.kind != "pairs":
        return
    unlike = [i for i, (t, p) in enumerate(zip(target, partner, strict=True)) if t.shape[1:] != tuple(layout.scale * s for s in p.shape[1:])]
    if unlike:
        t, p = target[unlike[0]].shape, partner[unlike[0]].shape
        raise DataError(
            f"{count(len(unlike), 'pair')} of {where} differ in size, for example {rows.name(unlike[0])}: {p[1]}x{p[2]} and {t[1]}x{t[2]}; "
            "bring them to one size, or give --size (to learn enlarging, all must be 2, 3 or 4 times as large as their partners)"
        )


def _split(
    rows: Rows, strangers: Flags | None, target: list[Array], partner: list[Array], layout: Layout, options: ReadOptions, where: str
) -> tuple[Split, Split | None]:
    """(the split of the targets, that of the other set, whose official one is `strangers`)."""
    same = np.unique(np.array([hashlib.blake2b(p.tobytes(), digest_size=16).digest() for p in target]), return_inverse=True)[1].reshape(-1)
    mine = split(rows, same, options, where)
    if layout.kind != "unpaired":
        return mine, None
    others = Rows(len(partner), held=strangers)
    return mine, split(others, np.arange(len(partner)), options, f"{where}/{layout.names[0]}")


def _patch(pictures: list[Array], options: ReadOptions, wanted: str, layout: Layout, where: str) -> tuple[int, int]:
    """The size of squares: what was asked for, else PATCH, or all of smaller pictures of one size; pictures that are to be named are
    seen whole.  Of pairs of two sizes it is a multiple of their scale."""
    lowest = min(p.shape[1] for p in pictures), min(p.shape[2] for p in pictures)
    if TASKS[wanted].labelled:
        if len({p.shape[1:] for p in pictures}) > 1 or options.patch is not None:
            raise DataError(f"pictures that are to be named are seen whole, so those of {where} must be of one size; give --size, such as --size 32, and no --patch")
        return lowest
    if options.patch is not None:
        if options.patch > min(lowest):
            raise DataError(f"--patch {options.patch} is larger than the smallest picture ({lowest[0]}x{lowest[1]}); ask for less")
        if options.patch % layout.scale:
            raise DataError(f"--patch {options.patch} is no multiple of {layout.scale}, by which partners are smaller; say --patch {options.patch // layout.scale * layout.scale}")
        return options.patch, options.patch
    unit = lcm(4, layout.scale)
    alike = len({p.shape[1:] for p in pictures}) == 1
    largest = PATCH if TASKS[wanted].layout == "patches" else 256
    if alike and max(lowest) <= largest:
        return lowest[0] // unit * unit, lowest[1] // unit * unit
    side = min(PATCH if TASKS[wanted].layout == "patches" else 128, *lowest) // unit * unit
    return side, side


def _stores(
    target: list[Array], partner: list[Array], layout: Layout, parts: tuple[Split, Split | None], size: tuple[int, int], modality: Any,
    classes: torch.Tensor | None,
) -> tuple[Mosaic, Mosaic]:  # fmt: skip
    pile = Pile.of(target)
    source = Pile.of(partner) if layout.kind == "pairs" else None
    strangers = Pile.of(partner) if layout.kind == "unpaired" else None
    step = max(1, min(size) // 16 // layout.scale) * layout.scale

    def store(which: Ints, others: Ints | None, step: int) -> Mosaic:
        other = None if strangers is None or others is None else (strangers, places(strangers, others, size, step))
        return Mosaic(pile, places(pile, which, size, step), modality.encode, source, other, classes, layout.scale)

    mine, theirs = parts
    return (
        store(mine.train, None if theirs is None else theirs.train, step),
        store(mine.held, None if theirs is None else theirs.held, min(size)),
    )


def _hash(target: list[Array], partner: list[Array], parts: tuple[Split, Split | None], size: tuple[int, int], layout: Layout, wanted: str) -> str:
    hashed = hashlib.sha256(repr(("rivalry changed pictures 1", size, layout.kind, wanted)).encode())
    for picture in (*target, *partner):
        hashed.update(repr(picture.shape).encode())
        hashed.update(picture.tobytes())
    if layout.classes:
        hashed.update(repr((layout.classes, layout.codes)).encode())
    for part in parts:
        hashed.update(b"" if part is None else np.ascontiguousarray(part.held).tobytes())
    return hashed.hexdigest()


def _told(layout: Layout, wanted: str, parts: tuple[Split, Split | None], size: tuple[int, int], squares: int, plan: _Common) -> list[str]:
    mine, theirs = parts
    if plan.longest < LARGEST and layout.scale == 1:
        return [f"they are many: longer sides are brought to {plan.longest} pixels, so that all fit into memory", *_told(layout, wanted, parts, size, squares, replace(plan, longest=LARGEST))]
    square = f"squares of {size[0]}x{size[1]} are cut out of them ({squares:,} places)"
    if layout.kind == "patches":
        return [f"{len(mine.train):,} pictures to train on, {len(mine.held):,} held back; {square}"]
    how = f"{layout.names[0]!r} is made into {layout.names[1]!r}"
    if layout.scale > 1:
        how += f", {layout.scale} times as large a side"
    if TASKS[wanted].layout == "patches":
        how += f", as task {wanted!r} learns it from true pairs (for bad twins made on the fly name the folder {layout.names[1]!r} alone)"
    if theirs is None:
        return [f"{len(mine.train):,} pairs to train on, {len(mine.held):,} held back: {how}; {square}"]
    if layout.classes:
        how = f"{len(layout.classes)} classes of {layout.names[0]!r} are learned; {how}"
    return [f"{how}, without pairs: {len(theirs.train):,} and {len(mine.train):,} to train on, {len(theirs.held):,} and {len(mine.held):,} held back; {square}"]
