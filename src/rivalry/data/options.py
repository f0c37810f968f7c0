"""How data are to be read: one frozen value, checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from rivalry.errors import DataError, UnknownName

Fit = Literal["crop", "pad", "stretch"]
Kind = Literal["points", "table", "records", "text", "dialogue"]
Tokenizer = Literal["bpe", "words"]
GIB = 1 << 30
GENERATE = "generate"
"""The task of learning pictures as they are, whatever their layout looks like."""
READING = 6


@dataclass(frozen=True)
class ReadOptions:
    """How data are to be read; every None means: decide from the data, and say so in the notes.

    size: pictures are resized to (H, W), or to a square for one number.
    fit: how other proportions are fitted in: cut the middle out, pad the border, or stretch.
    channels: 1 grey, 3 colour, 4 colour with alpha; None keeps what the files have.
    labels: a CSV file with the columns file and label, in place of class sub-folders.
    group: rows of one group stay on one side of the split: a column (of the labels file, the Parquet file or the
        table), "folder", or a regular expression with one group, searched in the file's name.
    columns: which columns of a table are used (all).
    kind: take a table of numbers as 'points' or as a 'table', or one of its columns as 'text'; None: points are two or three
        columns of numbers without missing cells.
    tokenizer: of text: 'bpe' (byte pairs, learned from the training lines) or 'words'.  vocabulary: at most so many tokens
        (None: by the amount of text).  tokens: longer lines are cut after so many (None: nearly all lines are whole, 128 at
        most); of dialogue: tokens of a reply (None: 32).  context: of dialogue, tokens of what is replied to (None: 48).
    schema: a TOML file that says what the columns of a table mean, where it is not as it looks.
    constraints: on the rows of a table, or on patients and their visits, such as 'discharge >= admission', beside those of the schema; 'proposed' stands for
        those that the data suggest.
    key: the column that names patients: the rows of one are a record, a row of its own and a series of visits.
    time: the column that says when a visit was; found by itself where only one column can be it.
    only: keep these classes.
    holdout: share of rows kept back for the rulers, 0.01 to 0.5; None: a tenth, up to a fifth of small sets, at
        most 20,000.  An official split (train and test) goes before it.
    limit: at most so many rows (of each side where there is an official split), chosen by the seed.
    seed: of the split, the limit, and the built-in points.
    resident_bytes: up to this size decoded data live as one tensor; larger ones stream from a memory-mapped file
        in the cache folder ($RIVALRY_CACHE or ~/.cache/rivalry).
    cache: keep a decoded copy of smaller data there as well, so that the next run starts at once.
    dedupe: leave out rows that repeat another, or nearly do.
    k_anonymous: levels of a table's columns that fewer training rows have are merged; None: those of fewer than five.
    quasi: columns whose combinations are made coarser until each is had by k_anonymous training rows.
    clip: numbers beyond these quantiles (two shares) of the training rows are brought to their rounded ends.
    window: of medical images: 'centre,width' in their units, a name (lung, bone, brain, soft, full), or 'volume': each by its
        own percentiles; None: one for all of CT, by volume for others.
    axis: along which NIfTI volumes are cut: axial (the default), coronal, sagittal.
    spacing: bring the pixels of medical images to so many mm; None keeps them.
    labels_from: a DICOM tag that gives classes, such as Modality or BodyPartExamined.
    task: what pictures are to be changed by (see `rivalry.degrade.TASKS`), or 'generate': they are learned as they are; None: the
        layout decides (two folders whose names say that one is made into the other, both halves side by side), and a note says so.
    reading: which edition of the rules the data are read by, so that a run's rows are always read as it learned them: 1 numbers
        levels by their training rows, 2 by their names, which tell nothing of the rows; 1 knows fewer layouts of pictures to change; 3 counts
        the groups of rows, where there are any, for what is rare, and reads times of day, dates with two-digit years, fractions of seconds and
        offsets, and exact decimals; 4 keeps times in the steps that they are in, such as quarters of an hour; 5 looks for
        what is rare again where constraints left rows out (--k-anonymous), counts a rare word of text once a line, and learns of few patients,
        too, as many visits as five have; 6 refuses options that the data have no use for.
    patch: side of the squares that are cut out of pictures for such a task.
    Raises DataError when a value makes no sense.
    """

    size: tuple[int, int] | int | None = None
    fit: Fit = "crop"
    channels: int | None = None
    labels: Path | None = None
    group: str | None = None
    columns: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    holdout: float | None = None
    limit: int | None = None
    seed: int = 0
    resident_bytes: int = 2 * GIB
    cache: bool = False
    kind: Kind | None = None
    schema: Path | None = None
    constraints: tuple[str, ...] = ()
    dedupe: bool = False
    k_anonymous: int | None = None
    quasi: tuple[str, ...] = ()
    clip: tuple[float, float] | None = None
    key: str | None = None
    time: str | None = None
    window: str | None = None
    axis: str | None = None
    spacing: float | None = None
    labels_from: str | None = None
    task: str | None = None
    patch: int | None = None
    tokenizer: Tokenizer = "bpe"
    vocabulary: int | None = None
    tokens: int | None = None
    context: int | None = None
    reading: int = READING

    def __post_init__(self) -> None:
        _check_size(self.size)
        if self.fit not in get_args(Fit):
            raise DataError(f"fit must be one of {', '.join(get_args(Fit))}, not {self.fit!r}")
        if self.kind not in (None, *get_args(Kind)):
            raise DataError(f"kind must be one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if self.channels not in (None, 1, 3, 4):
            raise DataError(f"channels must be 1 (grey), 3 (colour) or 4 (with alpha), not {self.channels}")
        if self.holdout is not None and not 0.01 <= self.holdout <= 0.5:
            raise DataError(f"holdout must be a share between 0.01 and 0.5, not {self.holdout}")
        if self.patch is not None and not 16 <= self.patch <= 512:
            raise DataError(f"patch must be between 16 and 512 pixels, not {self.patch}")
        if not 1 <= self.reading <= READING:
            raise DataError(f"data are read by edition {self.reading}, and this rivalry knows up to {READING}; bring rivalry up to date")
        if self.limit is not None and self.limit < 1:
            raise DataError(f"limit must be at least 1, not {self.limit}")
        if self.group is not None and "(" in self.group:
            _check_pattern(self.group)
        if self.spacing is not None and not 0.01 <= self.spacing <= 100:
            raise DataError(f"--spacing is the side of a pixel in mm, between .01 and 100, not {self.spacing:g}")
        _check_tokens(self.tokenizer, self.vocabulary, self.tokens)
        if self.context is not None and not 4 <= self.context <= 1024:
            raise DataError(f"context must be between 4 and 1,024 tokens, not {self.context}")
        _check_defences(self.k_anonymous, self.quasi, self.clip)

    @property
    def height_width(self) -> tuple[int, int] | None:
        """The size asked for as (H, W), None when it is to be chosen."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def as_dict(self) -> dict[str, object]:
        """Plain values for TOML; what is None is left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        for k, path in (("labels", self.labels), ("schema", self.schema)):
            plain[k] = None if path is None else str(path.expanduser().resolve())
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items() if v is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ReadOptions:
        """The inverse of `as_dict`; what says no `reading` was written before there was another than 1.  Raises UnknownName for
        a key that is no option."""
        known = {f.name for f in fields(cls)}
        for k in plain:
            if k not in known:
                raise UnknownName("data option", k, known)
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        for k in {"labels", "schema"} & set(values):
            values[k] = Path(values[k])
        return cls(**({"reading": 1} | values))

    def content(self) -> str:
        """What of the options bears on the decoded rows and their split: part of the fingerprint."""
        held = (self.fit, self.channels, self.group, self.columns, self.only, self.holdout, self.limit, self.seed)
        defended = (self.dedupe, self.k_anonymous, self.quasi, self.clip)
        records = (self.key, self.time)
        scans = (self.window, self.axis, self.spacing, self.labels_from)
        asked = [x for part in (defended, records, scans) if any(part) for x in part]
        return repr((self.height_width, *held, *asked))


def _check_size(size: tuple[int, int] | int | None) -> None:
    if size is None:
        return
    sides = (size, size) if isinstance(size, int) else size
    if len(sides) != 2 or not all(4 <= s <= 4096 for s in sides):
        raise DataError(f"size must be one number or (height, width), each between 4 and 4096, not {size}")


def _check_tokens(tokenizer: str, vocabulary: int | None, tokens: int | None) -> None:
    if tokenizer not in get_args(Tokenizer):
        raise DataError(f"tokenizer must be one of {', '.join(get_args(Tokenizer))}, not {tokenizer!r}")
    if vocabulary is not None and not 300 <= vocabulary <= 100_000:
        raise DataError(f"vocabulary must be between 300 and 100,000 tokens, not {vocabulary}")
    if tokens is not None and not 2 <= tokens <= 1024:
        raise DataError(f"tokens must be between 2 and 1,024 a line, not {tokens}")


def _check_defences(k: int | None, quasi: tuple[str, ...], clip: tuple[float, float] | None) -> None:
    if k is not None and k < 2:
        raise DataError(f"--k-anonymous must be at least 2, usual are 5 to 11, not {k}")
    if quasi and k is None:
        raise DataError("--quasi names columns for --k-anonymous, which says how many rows must agree in them; give both")
    if clip is not None and not (len(clip) == 2 and 0 <= clip[0] < 0.5 < clip[1] <= 1):
        raise DataError(f"--clip takes two shares of the rows on either side of the median, such as .5%,99.5%, not {clip}")


def _check_pattern(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise DataError(f"group {pattern!r} is no regular expression: {error}") from error
    if groups != 1:
        raise DataError(f"group {pattern!r} must have exactly one (group) that names what belongs together")
