"""A first look at all files of scans: headers, and a sample of every slice's pixels, from which windows follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rivalry.data.containers import Content
from rivalry.data.medical import dicom, windows
from rivalry.data.medical.parts import Broken, Header, Part, check_axis, read_part, require
from rivalry.data.medical.windows import Window
from rivalry.data.options import ReadOptions
from rivalry.data.pixels import quiet
from rivalry.data.progress import threaded, track
from rivalry.data.rows import Flags, Ints
from rivalry.data.sources import Array, Scans
from rivalry.data.words import count, some
from rivalry.errors import DataError

AHEAD_BYTES = 256 << 20
HOUNSFIELD_AIR = -300.0
"""A NIfTI volume does not say what it is; where its darkest parts are below this, its numbers are taken as Hounsfield units."""


@dataclass(frozen=True)
class Survey:
    """Of F files and their S slices.  headers: of each file, None where it is broken; broken: why, by file.
    file, place: [S] which slice of which file; volume: [S] equal for slices of one series; samples: [S, 512] of their pixels;
    low, high: [S] the least and the greatest number of each."""

    headers: tuple[Header | None, ...]
    broken: dict[int, str]
    file: Ints
    place: Ints
    volume: Ints
    samples: Array
    low: Array
    high: Array

    @property
    def whole(self) -> list[Header]:
        return [h for h in self.headers if h is not None]

    @property
    def colour(self) -> bool:
        return any(h.colour for h in self.whole)

    def per_slice(self, values: Sequence[str]) -> Array:
        """Words of files [F] as words of slices [S]."""
        return np.array(values, dtype=np.str_)[self.file]


def ahead(source: Scans) -> int:
    """How many files may be in work at a time: their slices are larger than the files, and all are in memory."""
    return max(1, min(32, AHEAD_BYTES // max(1, 8 * source.largest)))


def parts(source: Scans, files: Sequence[int], options: ReadOptions, what: str) -> Iterator[tuple[int, Part | str]]:
    """(position in `files`, the part or why it is broken) of each file, read once, a few at a time.  To be used within
    `quiet`: readers warn of odd headers, and might quote them."""
    axis, tag = options.axis or "axial", options.labels_from or ""

    def work(item: tuple[int, Content]) -> tuple[int, Part | str]:
        try:
            return item[0], read_part(source.rows.name(files[item[0]]), item[1], axis, tag)
        except Broken as error:
            return item[0], str(error)

    yield from track(threaded(work, source.stream(files), ahead=ahead(source)), what, len(files))


def survey(source: Scans, files: Sequence[int], options: ReadOptions) -> Survey:
    """Raises DataError for options that make no sense here, MissingExtra where a library is missing."""
    check_axis(options.axis)
    dicom.check_label(options.labels_from)
    require(tuple(source.rows.name(i) for i in files))
    headers: list[Header | None] = [None] * len(files)
    broken = dict.fromkeys(range(len(files)), "it is not there")
    samples, ends = [np.zeros((0, windows.SAMPLE), np.float32)] * len(files), [np.zeros((0, 2), np.float32)] * len(files)
    with quiet():
        for i, part in parts(source, files, options, "looking at scans"):
            if isinstance(part, str):
                broken[i] = part
                continue
            del broken[i]
            frames = part.frames.max(3) if part.header.colour else part.frames
            headers[i] = replace(part.header, slices=len(frames))
            samples[i] = windows.sample(frames)
            ends[i] = np.stack([frames.min((1, 2)), frames.max((1, 2))], 1).astype(np.float32)
    headers, broken = _of_one_kind(headers, broken)
    sizes = [h.slices if h is not None else 0 for h in headers]
    file = np.repeat(np.arange(len(files)), sizes)
    place = np.concatenate([np.arange(n) for n in sizes]) if sizes else np.zeros(0, np.int64)
    series = np.array([h.series if h is not None else "" for h in headers])[file]
    volume = np.unique(series, return_inverse=True)[1].reshape(-1)
    kept = [i for i, h in enumerate(headers) if h is not None]
    low_high = np.concatenate([np.zeros((0, 2), np.float32), *(ends[i] for i in kept)])
    every = np.concatenate([np.zeros((0, windows.SAMPLE), np.float32), *(samples[i] for i in kept)])
    return Survey(tuple(headers), broken, file, place.astype(np.int64), volume, every, low_high[:, 0], low_high[:, 1])


def _of_one_kind(headers: list[Header | None], broken: dict[int, str]) -> tuple[list[Header | None], dict[int, str]]:
    """Colour pictures among grey ones, or the reverse, count as broken: they cannot be windowed alike."""
    colours = Counter(h.colour for h in headers if h is not None)
    if len(colours) < 2:
        return headers, broken
    rare = colours.most_common()[-1][0]
    why = "it is in colour, and most are grey" if rare else "it is grey, and most are in colour"
    odd = {i for i, h in enumerate(headers) if h is not None and h.colour == rare}
    return [None if i in odd else h for i, h in enumerate(headers)], {**broken, **dict.fromkeys(odd, why)}


def modality_of(found: Survey, source: Scans, options: ReadOptions) -> str:
    """CT, MR ...: the one of all files.  Raises DataError where they are mixed, unless classes are made of it."""
    kinds = Counter(h.modality for h in found.whole if h.modality)
    if len(kinds) > 1 and options.labels_from != "Modality" and not found.colour:
        shown = some([f"{k} ({n:,})" for k, n in kinds.most_common()], 5)
        raise DataError(
            f"{source.where} holds images of several kinds: {shown}; their numbers mean different things, so name a folder of one "
            "of them, or learn them as classes with --labels-from Modality"
        )
    if kinds:
        return next(iter(kinds)) if len(kinds) == 1 else "mixed"
    dark = [float(np.percentile(found.samples[found.volume == v], 1)) for v in np.unique(found.volume)[:64]]
    return "CT" if dark and float(np.median(dark)) < HOUNSFIELD_AIR else ""


@dataclass(frozen=True)
class Chosen:
    """How slices are shown.  fixed: one window for all; None: each volume by its own, windows[volume], None where it is of one
    value.  empty: [S] slices that show next to nothing.  notes: what was decided."""

    fixed: Window | None
    windows: tuple[Window | None, ...]
    empty: Flags
    modality: str
    notes: tuple[str, ...] = ()

    def of(self, volume: int) -> Window | None:
        return self.fixed if self.fixed is not None else self.windows[volume]


def choose_windows(found: Survey, source: Scans, options: ReadOptions) -> Chosen:
    """Raises DataError for a window that does not fit."""
    asked = windows.parse(options.window) if options.window is not None else None
    modality = modality_of(found, source, options)
    order = np.argsort(found.volume, kind="stable")
    edges = np.flatnonzero(np.diff(found.volume[order])) + 1
    groups = np.split(order, edges) if len(order) else []
    own = tuple(windows.of_volume(found.samples[g]) for g in groups)
    empty = np.zeros(len(found.file), dtype=bool)
    for g, window in zip(groups, own, strict=True):
        empty[g] = windows.empty(found.samples[g], window)
    if found.colour:
        return Chosen(Window(0, 255), own, empty, modality, ("colour images are kept in 8 bits, without a window",))
    return replace(_decided(asked, modality, found, own, source, options), empty=empty)


def _decided(
    asked: Window | None, modality: str, found: Survey, own: tuple[Window | None, ...], source: Scans, options: ReadOptions
) -> Chosen:
    none = np.zeros(0, dtype=bool)
    by_volume = options.window is not None and options.window.strip().lower() == windows.VOLUME
    if asked is not None:
        if asked.name and modality not in ("CT", ""):
            raise DataError(
                f"the window {asked.name!r} is in Hounsfield units, and {source.where} holds {modality} images; give "
                "--window centre,width in their own numbers, or leave it out"
            )
        return Chosen(asked, own, none, modality, (f"window {asked.words('HU' if modality == 'CT' else '')}; what lies outside is clipped",))
    if modality == "CT" and not by_volume and len(found.samples):
        fixed = windows.of_all(found.samples)
        return Chosen(fixed, own, none, modality, (f"CT: one window for all, {fixed.words('HU')}; what lies outside is clipped",))
    what = modality or "volumes of unknown units"
    note = f"{what}: each volume is windowed by itself, from its .5 to its 99.5 percentile; what lies outside is clipped"
    return Chosen(None, own, none, modality, (note,))


def broken_note(found: Survey, source: Scans, files: Sequence[int]) -> list[str]:
    """A note on broken files; raises DataError if most are."""
    if not found.broken:
        return []
    total, broken = len(found.headers), len(found.broken)
    if broken * 2 > total:
        share = "none" if broken == total else f"only {total - broken:,}"
        examples = some([f"{name} ({why})" for name, why in named_broken(found, source, files, 2)], 2)
        raise DataError(f"{share} of the {count(total, 'scan file')} in {source.where} can be read: {examples}; replace or remove the broken ones")
    return [f"{count(broken, 'file')} of {total:,} cannot be read: left out; `rivalry data inspect` names them"]


def named_broken(found: Survey, source: Scans, files: Sequence[int], most: int | None = None) -> list[tuple[str, str]]:
    """(name, why) of broken files.  Pieces of a path that hold a name or a number of a patient, as headers have them, are
    starred."""
    secrets = {s.casefold() for h in found.whole for s in h.identifiers}
    broken = sorted(found.broken.items())[:most]
    return [(_masked(source.rows.name(files[i]), secrets), why) for i, why in broken]


def _masked(name: str, secrets: set[str]) -> str:
    return "/".join("***" if any(s in p.casefold() for s in secrets) else p for p in name.split("/"))
