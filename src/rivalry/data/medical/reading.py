"""Scans as pictures to be learned: grouped by patient, windowed, brought to one size, in 16 bits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from rivalry.data.cache import Kept, Shelf, entry_path, find
from rivalry.data.medical import survey as surveys
from rivalry.data.medical.parts import Header, Part
from rivalry.data.medical.survey import Chosen, Survey
from rivalry.data.medical.windows import Window
from rivalry.data.options import ReadOptions
from rivalry.data.pixels import Look, Plan, digest, quiet, render, render_deep
from rivalry.data.plan import choose_plan
from rivalry.data.reading import Pictures, Scale
from rivalry.data.rows import Ints, Rows, choose, classify
from rivalry.data.sources import Array, Scans
from rivalry.data.split import share_held
from rivalry.data.words import count
from rivalry.errors import DataError

DEEP = 65535
GAP = 10
"""Slices left out between those learned and those held back, where there is one patient only: neighbours are near copies."""
STUDIES = 4
"""From so many studies of one patient on it is more likely that names were replaced by one word."""
SERIES = 8
"""Volumes of fewer slices are no volumes but single images, which follow one another in the order of their files."""
NONE: Mapping[str, str] = {}
PERSONAL = re.compile(r"^(sub|subject|pat|patient|case|study|series|ser|s|p|id)?[-_ ]?\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Slices:
    """What is to be read.  files: of the source; index: [N] slices of the survey; rows: of those."""

    files: tuple[int, ...]
    found: Survey
    chosen: Chosen
    index: Ints
    rows: Rows
    notes: tuple[str, ...]


def from_scans(source: Scans, options: ReadOptions) -> Pictures:
    """Pictures of all slices that show something.  Raises DataError (or MissingExtra) as `survey` does, and where nothing is left."""
    slices = gather(source, options)
    plan, sizing = plan_of(slices.found, options)
    kept = _decoded(source, slices, options, plan)
    flat = np.array(kept.meta["flat"], dtype=np.int64)
    whole = np.setdiff1d(np.arange(len(slices.rows)), flat)
    if not len(whole):
        raise DataError(f"all slices of {source.where} are of one value within the window; choose another one with --window")
    sizing += [f"{count(len(flat), 'slice')} of one value within the window: left out"] if len(flat) else []
    scale, window = scale_of(slices.chosen.fixed, plan)
    axis = (options.axis or "axial") if any(h.kind == "NIfTI" for h in slices.found.whole) else ""
    notes = (*slices.notes, *sizing)
    return Pictures(kept.data, whole, slices.rows.take(whole), kept.digests[whole], plan, scale, kept.mapped, notes, window, axis)


def _decoded(source: Scans, slices: Slices, options: ReadOptions, plan: Plan) -> Kept:
    """The slices decoded, or found so in the cache folder."""
    size = len(slices.rows) * int(np.prod(plan.shape)) * plan.dtype.itemsize
    entry = entry_path(*entry_of(source, slices, options, plan))
    kept = find(entry, options.resident_bytes)
    if kept is not None:
        return kept
    path = entry if options.cache or size > options.resident_bytes else None
    with Shelf(path, (len(slices.rows), *plan.shape), plan.dtype) as shelf:
        with quiet():
            digests, flat = _fill(shelf.rows, source, slices, options, plan)
        return shelf.finish(digests, {"flat": flat}, options.resident_bytes)


def scale_of(fixed: Window | None, plan: Plan) -> tuple[Scale, str]:
    """What stored numbers stand for, and the window in the modality's words."""
    if plan.bits == 8:
        return Scale(), ""
    if fixed is None:
        return Scale(16, DEEP, 0.0, 1 / DEEP), "volume"
    return Scale(16, DEEP, fixed.low, (fixed.high - fixed.low) / DEEP), "fixed"


def gather(source: Scans, options: ReadOptions, patients: Mapping[str, str] = NONE) -> Slices:
    """Surveys the files and decides on windows, classes, groups, and the slices to be read.  patients: a word for whose a file
    is, by its name, where that is known better than from its header."""
    files = tuple(choose(source.rows, replace(options, limit=None, only=() if options.labels_from else options.only)).tolist())
    if not files:
        raise DataError(f"no scan of {source.where} is left to read; choose other classes or labels")
    found = surveys.survey(source, files, options)
    notes = surveys.broken_note(found, source, files)
    if options.axis not in (None, "axial") and any(h.kind == "DICOM" for h in found.whole):
        raise DataError("--axis turns NIfTI volumes; DICOM slices are taken as they were stored: leave it out, or convert the series to NIfTI")
    chosen = surveys.choose_windows(found, source, options)
    rows, classed = _rows(source.rows.take(np.array(files)), found, options, patients)
    index = np.flatnonzero(~chosen.empty)
    if not len(index):
        raise DataError(f"all slices of {source.where} are empty or of one value; there is nothing to learn from them")
    dropped = int(chosen.empty.sum())
    emptied = f"{count(dropped, 'slice')} of {len(chosen.empty):,} show next to nothing: left out" if dropped else ""
    index = index[choose(rows.take(index), options)]
    rows = rows.take(index)
    rows, blocked = _blocks(rows, found, index, options)
    index, rows = (index, rows) if blocked is None else (index[blocked], rows.take(blocked))
    every = (*notes, *chosen.notes, *classed, *_spacing_notes(found, options), emptied, _grouped_note(rows, blocked, options))
    return Slices(files, found, chosen, index, rows, tuple(n for n in every if n))


def _rows(files: Rows, found: Survey, options: ReadOptions, patients: Mapping[str, str]) -> tuple[Rows, list[str]]:
    """Rows of files as rows of slices [S], grouped by patient, and what there is to say of their classes."""
    headers = found.headers
    notes = list[str]()
    if options.labels_from:
        labels = [h.label if h is not None else "" for h in headers]
        codes, classes, unused = classify(np.array(labels))
        files, notes = replace(files, codes=codes, classes=classes), [unused, *_unlabelled(labels, found, options.labels_from)]
    elif options.labels is None and files.codes is not None and (why := _not_classes(files, found)):
        files, notes = replace(files, codes=None, classes=()), [why]
    names = tuple(
        files.name(f) if headers[f] is None or headers[f].slices == 1 else f"{files.name(f)}#{p}"  # type: ignore[union-attr]
        for f, p in zip(found.file.tolist(), found.place.tolist(), strict=True)
    )
    rows = replace(files.take(found.file), names=names)
    if options.group is None:
        whose, said = _whose(files, found, patients)
        rows, notes = replace(rows, groups=found.per_slice(whose)), [*notes, said]
    return rows, notes


def _unlabelled(labels: Sequence[str], found: Survey, tag: str) -> list[str]:
    """What there is to say of files without the tag that gives classes; DataError where none has it."""
    readable = len(found.whole)
    known = [label for label in labels if label]
    if not known:
        raise DataError(f"no file has the tag {tag}, so --labels-from gives no classes; leave it out, or put files into sub-folders by class")
    if len(set(known)) == 1:
        return [f"all files have the same {tag}, so --labels-from gives no classes"]
    return [f"{count(readable - len(known), 'file')} of {readable:,} have no {tag}, so their class is not known"] if len(known) < readable else []


def _whose(files: Rows, found: Survey, patients: Mapping[str, str]) -> tuple[list[str], str]:
    """A word for the patient of each file, and a note where studies stand for patients."""
    whose = [patients.get(files.name(i), h.patient) if h is not None else "" for i, h in enumerate(found.headers)]
    studies = {h.study for h in found.whole if h.study}
    if len({h.patient for h in found.whole}) == 1 and len(studies) >= STUDIES:
        note = f"all files name one patient in {len(studies):,} studies, as if names had been taken out: studies are kept together instead"
        return [h.study if h is not None else "" for h in found.headers], note
    return whose, ""


def _not_classes(files: Rows, found: Survey) -> str:
    """Why sub-folders are no classes, '' if they are: folders of patients must not become names of classes."""
    assert files.codes is not None
    pairs = {(int(c), h.patient) for c, h in zip(files.codes, found.headers, strict=True) if h is not None and c >= 0}
    per_class = np.bincount([c for c, _ in pairs], minlength=len(files.classes))
    secrets = {s.casefold() for h in found.whole for s in h.identifiers}
    named = any(s in c.casefold() for s in secrets for c in files.classes)
    numbered = all(PERSONAL.match(c) for c in files.classes)
    if named or numbered or (per_class <= 1).all():
        return "sub-folders hold one patient or study each, so they are no classes: name classes with --labels or --labels-from"
    return ""


def _blocks(rows: Rows, found: Survey, index: Ints, options: ReadOptions) -> tuple[Rows, Ints | None]:
    """Where there is one patient only: the slices in the middle of every volume are a group of their own, and their
    neighbours are left out.

    Returns rows with such groups and the numbers of the rows that stay, None where there is nothing to do.
    """
    if options.group is not None or rows.groups is None or len(np.unique(rows.groups)) > 1 or rows.held is not None:
        return rows, None
    rank, size = (x[index] for x in _ranks(found))
    half = np.maximum(1.0, size * share_held(len(index), options.holdout)) / 2
    away = np.abs(rank + 0.5 - size / 2) - half
    gap = np.minimum(GAP, (size / 2 - half) // 4)
    return replace(rows, groups=np.where(away <= 0, "held", "learned")), np.flatnonzero((away <= 0) | (away > gap))


def _ranks(found: Survey) -> tuple[Array, Array]:
    """[S] the place of each slice in its volume, in space, and [S] how many that has."""
    along = np.array([0.0 if h is None else h.along for h in found.headers])[found.file]
    order = np.lexsort((found.place, along, found.volume))
    size = np.bincount(found.volume)
    rank = np.empty(len(order))
    if size.max(initial=0) < SERIES:
        return np.arange(len(order), dtype=np.float64), np.full(len(order), float(len(order)))
    rank[order] = np.arange(len(order)) - (np.cumsum(size) - size)[found.volume[order]]
    return rank, size[found.volume].astype(np.float64)


def _grouped_note(rows: Rows, blocked: Ints | None, options: ReadOptions) -> str:
    if options.group is not None or rows.groups is None:
        return ""
    if blocked is not None:
        return (
            f"there is one patient (or volume) only: a block of neighbouring slices is held back, {GAP} slices away from the others "
            "where there are enough; scores say nothing of other patients"
        )
    return f"{count(len(np.unique(rows.groups)), 'patient')} (or volumes, where files name none): all slices of one stay on one side of the split"


def _spacing_notes(found: Survey, options: ReadOptions) -> list[str]:
    """What pixels measure, and whether that differs."""
    planes = {(round(h.spacing[1], 2), round(h.spacing[2], 2)) for h in found.whole if h.spacing[1] and h.spacing[2]}
    unknown = sum(not (h.spacing[1] and h.spacing[2]) for h in found.whole)
    notes = []
    if options.spacing is not None:
        notes.append(f"pixels are brought to {options.spacing:g} mm; pictures are cut or padded in the middle, not scaled to fit")
    elif len(planes) > 1:
        low, high = min(min(p) for p in planes), max(max(p) for p in planes)
        notes.append(f"pixel spacing differs, {low:g} to {high:g} mm: --spacing MM would bring all to one")
    elif planes and (pair := next(iter(planes)))[0] != pair[1]:
        notes.append(f"pixels are not square ({pair[0]:g} x {pair[1]:g} mm): --spacing MM would make them so")
    if unknown and unknown < len(found.whole):
        notes.append(f"{count(unknown, 'file')} do not say how large a pixel is")
    return notes


def plan_of(found: Survey, options: ReadOptions) -> tuple[Plan, list[str]]:
    """The size of all pictures; 16 bits, or 8 for colour."""
    mode, bits = ("RGB", 8) if found.colour else ("I;16", 16)
    looks = []
    for h in found.whole:
        height, width = size_at(h, options.spacing)
        looks.append(Look(width, height, mode, bits))
    return choose_plan(looks, options)


def size_at(header: Header, wanted: float | None) -> tuple[int, int]:
    """(height, width) of a slice whose pixels are brought to so many mm; its own where either is not known."""
    _, down, across = header.spacing
    if wanted is None or not (down and across):
        return header.height, header.width
    return max(1, round(header.height * down / wanted)), max(1, round(header.width * across / wanted))


def _fill(out: Array, source: Scans, slices: Slices, options: ReadOptions, plan: Plan) -> tuple[Array, list[int]]:
    """Decodes the slices into out [N, C, H, W]; returns digests [N] of 16 bytes, and which are of one value.  A file is read
    once, and then let go."""
    found, index = slices.found, slices.index
    digests, flat = np.zeros(len(out), dtype="V16"), list[int]()
    wanted = found.file[index]
    used = np.unique(wanted)
    starts = np.searchsorted(wanted, used), np.searchsorted(wanted, used, side="right")
    for i, part in surveys.parts(source, [slices.files[f] for f in used.tolist()], options, "decoding scans"):
        if isinstance(part, str):
            raise DataError(f"a scan of {source.where} changed while it was being read ({part}); run again when it is at rest")
        rows = range(int(starts[0][i]), int(starts[1][i]))
        places = found.place[index[rows.start : rows.stop]]
        window = slices.chosen.of(int(found.volume[index[rows.start]]))
        for row, picture in zip(rows, pictures(part, places, window, plan, options.spacing), strict=True):
            out[row], digests[row] = picture, np.void(digest(picture))
            if picture.min() == picture.max():
                flat.append(row)
    return digests, flat


def pictures(part: Part, places: Ints, window: Window | None, plan: Plan, spacing: float | None) -> list[Array]:
    """These slices of a file as planned: [C, H, W] uint16, or uint8 in colour.  Small numbers are dark, whatever the file has."""
    header, frames = part.header, part.frames[places]
    if header.colour:
        return [render(Image.fromarray(np.ascontiguousarray(f)), plan) for f in frames]
    assert window is not None
    shown = window.unit(frames)
    deep = np.round((1 - shown if header.inverted else shown) * DEEP).astype(np.uint16)
    size = size_at(header, spacing)
    if spacing is not None:
        return [render_deep(_placed(_scaled(f, size), plan)[..., None], plan) for f in deep]
    return [render_deep(f[..., None], plan) for f in deep]


def _scaled(frame: Array, size: tuple[int, int]) -> Array:
    """[h, w] uint16 at another size, by area where it shrinks."""
    if frame.shape == size:
        return frame
    method = Image.Resampling.LANCZOS if size[0] < frame.shape[0] else Image.Resampling.BICUBIC
    values = np.asarray(Image.fromarray(frame.astype(np.float32)).resize((size[1], size[0]), method))
    return np.clip(np.round(values), 0, DEEP).astype(np.uint16)


def _placed(frame: Array, plan: Plan) -> Array:
    """The middle of [h, w] at the planned size, without scaling; black around it where it is smaller."""
    out = np.zeros((plan.height, plan.width), frame.dtype)
    height, width = min(plan.height, frame.shape[0]), min(plan.width, frame.shape[1])
    top, left = (plan.height - height) // 2, (plan.width - width) // 2
    high, far = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    out[top : top + height, left : left + width] = frame[high : high + height, far : far + width]
    return out


def entry_of(source: Scans, slices: Slices, options: ReadOptions, plan: Plan) -> tuple[str, ...]:
    """What decoded slices depend on."""
    shown = (slices.chosen.fixed, slices.chosen.windows, options.axis, options.spacing, plan)
    index = hashlib.sha256(slices.index.tobytes()).hexdigest()
    files = hashlib.sha256(repr(slices.files).encode()).hexdigest()
    return "scans", source.identity, repr(shown), index, files
