"""What pictures are: sizes, modes, classes, broken files, copies, near copies, pictures of one colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rivalry.data import frames
from rivalry.data.containers import Content
from rivalry.data.inspection import Inspection
from rivalry.data.likeness import MOST, SIDE, Thumbs, near_pairs, thumb, thumbs_of
from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Look, digest, look_whole, quiet
from rivalry.data.plan import choose_plan
from rivalry.data.progress import threaded, track
from rivalry.data.rows import Flags, Rows, balance, choose, group_by_name
from rivalry.data.sources import Array, Arrays, Encoded
from rivalry.data.split import foreseen


@dataclass(frozen=True)
class Seen:
    """One picture: its header, a hash of its pixels, a small grey version, and whether it is of one colour."""

    look: Look
    digest: bytes = b""
    small: Thumbs | None = None
    constant: bool = False


@dataclass(frozen=True)
class Survey:
    """All pictures: looks [N]; of the K whole ones digests [K], thumbs [K, 16, 16] and constant [K]."""

    rows: Rows
    looks: tuple[Look, ...]
    digests: Array
    thumbs: Thumbs
    constant: Flags


def see(content: Content) -> Seen:
    """Decodes a picture in full; never raises, but says in `look.reason` why it cannot."""
    found, picture = look_whole(content)
    if picture is None:
        return Seen(found)
    colours = picture.convert("RGBA") if found.alpha else picture
    values = np.asarray(colours.convert("RGB") if colours.mode in ("P", "PA") else colours)
    return Seen(found, digest(values, shaped=True), thumb(picture), bool((values == values[:1, :1]).all()))


def inspect_files(source: Encoded, options: ReadOptions) -> Inspection:
    """Of a folder, archive or Parquet file; decodes every picture once and keeps none."""
    chosen = choose(source.rows, options)
    seen = [Seen(Look(reason="not there"))] * len(chosen)
    work = threaded(lambda item: (item[0], see(item[1])), source.stream(chosen.tolist()))
    with quiet():
        for place, found in track(work, "looking at pictures", len(chosen)):
            seen[place] = found
    whole = [s for s in seen if not s.look.reason]
    survey = Survey(
        source.rows.take(chosen).compact(),
        tuple(s.look for s in seen),
        np.array([np.void(s.digest) for s in whole], dtype="V16"),
        np.array([s.small for s in whole], dtype=np.float32).reshape(-1, SIDE, SIDE),
        np.array([s.constant for s in whole], dtype=bool),
    )
    return _report(source, survey, options, source.left_out)


def inspect_array(source: Arrays, options: ReadOptions) -> Inspection:
    """Of an array of pictures."""
    every, note = frames.as_frames(source.x, source.where)
    chosen = choose(source.rows, options)
    x = every[chosen]
    scale, meaning = frames.scale_of(x, source.where)
    pictures = frames.stored(x, scale)
    survey = Survey(
        source.rows.take(chosen).compact().noted(note, meaning),
        (frames.look_of(x, scale),) * len(x),
        np.array([np.void(digest(p)) for p in pictures], dtype="V16"),
        thumbs_of(pictures.transpose(0, 3, 1, 2), scale.high),
        (pictures == pictures[:, :1, :1]).reshape(len(x), -1).all(1),
    )
    return _report(source, survey, options, ())


def _report(source: Encoded | Arrays, survey: Survey, options: ReadOptions, left_out: tuple[str, ...]) -> Inspection:
    rows, whole = survey.rows, [i for i, found in enumerate(survey.looks) if not found.reason]
    looks = [survey.looks[i] for i in whole]
    same = np.unique(survey.digests, return_inverse=True)[1].reshape(-1)
    near = near_pairs(survey.thumbs[:MOST], same[:MOST])
    plan, notes = choose_plan(looks, options) if looks else (None, [])
    proposal: dict[str, object] = {}
    if plan is not None:
        grouped = group_by_name(rows.take(np.array(whole)).compact(), options.group)
        held, why = foreseen(grouped, same, options, source.where)
        notes = [*notes, why]
        proposal = {
            "size": f"{plan.height}x{plan.width}",
            "channels": plan.channels,
            "bits": plan.bits,
            "held back": held,
        }
    return Inspection(
        source.name,
        source.where,
        "image",
        total=len(rows),
        whole=len(whole),
        held=None if rows.held is None else int(rows.held.sum()),
        sizes=_times(f"{found.height}x{found.width}" for found in looks),
        modes=_times(found.mode + (" with alpha" if found.alpha else "") for found in looks),
        depths=_times(str(found.bits) for found in looks),
        classes=balance(rows),
        broken=tuple((rows.name(i), found.reason) for i, found in enumerate(survey.looks) if found.reason),
        duplicates=_copies(same, [rows.name(i) for i in whole]),
        near=tuple((rows.name(whole[i]), rows.name(whole[j])) for i, j in near),
        near_checked=min(MOST, len(whole)),
        constant=tuple(rows.name(whole[i]) for i in np.flatnonzero(survey.constant).tolist()),
        left_out=left_out,
        proposal=proposal,
        notes=(*rows.notes, *(n for n in notes if n), *_alone(rows)),
    )


def _times(what: Iterable[str]) -> dict[str, int]:
    return dict(Counter(what).most_common())


def _copies(same: Array, names: list[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of two or more names of equal content."""
    order = np.argsort(same, kind="stable")
    edges = np.flatnonzero(np.diff(same[order])) + 1
    return tuple(tuple(names[i] for i in group.tolist()) for group in np.split(order, edges) if len(group) > 1)


def _alone(rows: Rows) -> list[str]:
    """Notes on classes of a single picture."""
    return [
        f"class {name!r} has a single picture, so none can be held back: add pictures or leave the class out"
        for name, n in balance(rows).items()
        if n == 1
    ]
