"""Points, rows of two or more numbers: the modality 'points'."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rivalry.data import point_files, scatter, truths
from rivalry.data.base import Dataset, Plain
from rivalry.data.defences import bounds, refuse
from rivalry.data.inspection import Column, Inspection
from rivalry.data.options import ReadOptions
from rivalry.data.rows import Rows, balance, choose, group_by_name, unlabelled
from rivalry.data.sources import Array, Arrays, Columns, Drawn, Source
from rivalry.data.split import Split, foreseen, split
from rivalry.data.stores import both
from rivalry.data.words import count, some
from rivalry.errors import DataError
from rivalry.types import Spec

DRAWN = (100_000, 20_000)
AXES = ("x", "y")
LARGEST = 1e18
"""Larger numbers are refused: their squares are beyond single precision."""
COMMA = re.compile(r"\s*[+-]?\d+(,\d+)?\s*")
"""Numbers as many languages write them."""
ROUNDED = 0.01
"""Of a column's spread: coarser steps than this are refused."""


@dataclass(frozen=True)
class Table:
    """values [N, D] float64 under D names, and what is known of the rows."""

    values: Array
    names: tuple[str, ...]
    rows: Rows


@dataclass(frozen=True)
class PointsModality:
    """Points [D] of named columns.  Raw points are float32 in their own units, encoded ones (raw - mean) / deviation.

    truth: the name of the built-in density they come from, '' if they are the user's own.
    """

    columns: tuple[str, ...] = AXES
    mean: tuple[float, ...] = (0.0, 0.0)
    deviation: tuple[float, ...] = (1.0, 1.0)
    truth: str = ""
    kind: ClassVar[str] = "points"

    def sniff(self, source: Source) -> bool:
        if isinstance(source, Columns):
            return source.is_points
        return isinstance(source, Drawn) or (isinstance(source, Arrays) and source.x.ndim == 2)

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Raises DataError for columns that are not numbers, hold NaN, or are constant; and for too few rows."""
        if isinstance(source, Drawn):
            refuse(options, "drawn from a known density", ())
            return _draw(source, options)
        table = _table(source, options)
        _check(table, source.where)
        refuse(options, "points", ("--clip", "--dedupe"))
        table, told = _distinct(table) if options.dedupe else (table, ())
        rows, values = table.rows, table.values
        same = np.unique(values, axis=0, return_inverse=True)[1].reshape(-1)
        parts = split(rows, same, options, source.where)
        values, clipped = _clipped(values, parts, options)
        mean, deviation = values[parts.train].mean(0), values[parts.train].std(0)
        _check_spread(table, deviation, source.where)
        if told_far := _far(table.names, mean, deviation):
            raise DataError(f"{source.where}: {told_far}")
        modality = PointsModality(table.names, tuple(mean.tolist()), tuple(deviation.tolist()))
        points = torch.from_numpy(values.astype(np.float32))
        found = _dataset(source.name, modality, points, rows, parts, options)
        return replace(found, defences=(*told, *clipped))

    def inspect(self, source: Source, options: ReadOptions) -> Inspection:
        if isinstance(source, Drawn):
            train, held = _sizes(options)
            sample = source.truth.sample(train, options.seed).double().numpy()
            table = Table(sample, AXES, Rows(train + held))
            return _report(source, table, held, held, ("drawn from a density that is known",))
        table = _table(source, options)
        official = None if table.rows.held is None else int(table.rows.held.sum())
        whole = np.flatnonzero(np.isfinite(table.values).all(1))
        same = np.unique(table.values[whole], axis=0, return_inverse=True)[1].reshape(-1)
        back, why = foreseen(table.rows.take(whole), same, options, source.where) if len(whole) else (0, "")
        return _report(source, table, official, back, (*table.rows.notes, *([why] if why else [])))

    def encode(self, raw: Tensor) -> Tensor:
        """[N, D] in their own units -> standardised float32."""
        return (raw.float() - self._row(self.mean, raw.device)) / self._row(self.deviation, raw.device)

    def decode(self, x: Tensor) -> Tensor:
        """[N, D] standardised -> float32 in their own units."""
        return x.detach().float() * self._row(self.deviation, x.device) + self._row(self.mean, x.device)

    def _row(self, values: tuple[float, ...], device: torch.device) -> Tensor:
        return torch.tensor(values, device=device)

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """x [N, D] encoded -> a .csv, .tsv, .parquet, .npy or .npz in their own units (with a column 'label' where
        there are labels), or a .png of their first two columns.  Raises DataError for other endings."""
        points = self.decode(x).cpu()
        if out.suffix.lower() == ".png":
            return [scatter.save(points, out, self.columns)]
        return [point_files.write(points.numpy(), out, self.columns, None if labels is None else labels.cpu(), names)]

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """A scatter plot of encoded points, beside the reference if there is one, in their own units."""
        other = None if reference is None else self.decode(reference).cpu()
        scatter.save(self.decode(x).cpu(), path, self.columns, other)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, D] twice -> [N]: Euclidean distance between standardised points."""
        return (a.float() - b.float()).square().sum(1).sqrt()

    def augments(self) -> tuple[str, ...]:
        return ("jitter", "noise")

    def extractors(self) -> tuple[str, ...]:
        return ("identity",)

    def state(self) -> dict[str, object]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def restored(self, state: Plain) -> PointsModality:
        lists = {k: v if isinstance(v, list | tuple) else () for k, v in state.items() if k != "truth"}
        columns = tuple(str(c) for c in lists.get("columns", ()))
        mean, deviation = (tuple(float(v) for v in lists.get(k, ())) for k in ("mean", "deviation"))
        if not len(columns) == len(mean) == len(deviation) > 1:
            raise DataError("the state of points must name columns, mean and deviation of equal length")
        return PointsModality(columns, mean, deviation, str(state.get("truth", "")))


def _distinct(table: Table) -> tuple[Table, tuple[str, ...]]:
    """Each point once."""
    first = np.sort(np.unique(table.values, axis=0, return_index=True)[1])
    lost = len(table.values) - len(first)
    told = f"--dedupe: {count(lost, 'point')} that repeat another were left out"
    return Table(table.values[first], table.names, table.rows.take(first)), (told,)


def _clipped(values: Array, parts: Split, options: ReadOptions) -> tuple[Array, tuple[str, ...]]:
    if options.clip is None:
        return values, ()
    ends = np.array([bounds(column, options.clip) for column in values[parts.train].T])
    moved = int(((values < ends[:, 0]) | (values > ends[:, 1])).sum())
    told = f"--clip: {count(moved, 'cell')} beyond the range asked for were brought to its rounded ends"
    return np.clip(values, ends[:, 0], ends[:, 1]), (told,)


def _sizes(options: ReadOptions) -> tuple[int, int]:
    """How many built-in points are drawn to train on and to hold back."""
    train, held = DRAWN
    return (train, held) if options.limit is None else (min(train, options.limit), min(held, options.limit))


def _draw(source: Drawn, options: ReadOptions) -> Dataset:
    sizes, truth = _sizes(options), source.truth
    sides = [truth.sample(n, options.seed, side) for n, side in zip(sizes, ("train", "held"), strict=True)]
    modality = PointsModality(AXES, (0.0, 0.0), (truth.scale, truth.scale), truth.name)
    numbers = np.arange(sum(sizes))
    note = f"{sizes[0]:,} points drawn to train on and {sizes[1]:,} held back; their density is known"
    parts = Split(numbers[: sizes[0]], numbers[sizes[0] :], (note,))
    return _dataset(source.name, modality, torch.cat(sides), Rows(sum(sizes)), parts, options)


def _dataset(
    name: str, modality: PointsModality, points: Tensor, rows: Rows, parts: Split, options: ReadOptions
) -> Dataset:
    labels = None if rows.codes is None else torch.from_numpy(rows.codes)
    sides = torch.from_numpy(parts.train), torch.from_numpy(parts.held)
    train, held = both(points, sides, modality.encode, labels, streamed=False)
    encoded = modality.encode(points)
    # whole numbers beyond the ends: nobody's own extreme is written down
    reach = math.floor(float(encoded.min())) - 1.0, math.ceil(float(encoded.max())) + 1.0
    spec = Spec("points", (points.shape[1],), reach, rows.classes)
    hashed = hashlib.sha256(b"rivalry points 1")
    hashed.update(repr((modality, rows.classes, options.content())).encode())
    for values in (points.numpy(), parts.held, *([] if rows.codes is None else [rows.codes])):
        hashed.update(np.ascontiguousarray(values).tobytes())
    truth = truths.truth(modality.truth) if modality.truth else None
    notes = (*rows.notes, *parts.notes)
    return Dataset(name, spec, modality, train, held, hashed.hexdigest(), notes=notes, truth=truth)


def _table(source: Source, options: ReadOptions) -> Table:
    """The numeric columns asked for, of the rows chosen.  Raises DataError for unknown or non-numeric columns."""
    if isinstance(source, Arrays):
        width = source.x.shape[1]
        header = AXES if width == 2 else tuple(f"x{i + 1}" for i in range(width))
        table = Table(source.x.astype(np.float64), header, source.rows)
        text, commas = tuple[str, ...](), list[str]()
    else:
        assert isinstance(source, Columns)
        text = tuple(h for h, c in zip(source.header, source.columns, strict=True) if c.dtype.kind != "f")
        wanted = options.columns or source.header
        words = [(h, c) for h, c in zip(source.header, source.columns, strict=True) if h in text and h in wanted]
        commas = [h for h, c in words if all(COMMA.fullmatch(word) for word in c.tolist())]
        kept = [c for h, c in zip(source.header, source.columns, strict=True) if h in wanted and h not in text]
        names = tuple(h for h in source.header if h in wanted and h not in text)
        stacked = np.stack(kept, 1) if kept else np.zeros((len(source.rows), 0))
        table, header = Table(stacked, names, source.rows), source.header
    table = _picked(table, header, text, options, source.where, commas)
    rows = group_by_name(table.rows, options.group)
    chosen = choose(rows, options)
    rows = rows.noted(unlabelled(rows.codes, "point", source.where))
    return Table(table.values[chosen], table.names, rows.take(chosen).compact())


def _picked(
    table: Table, header: tuple[str, ...], text: tuple[str, ...], options: ReadOptions, where: str, commas: Sequence[str] = ()
) -> Table:
    """The columns that were asked for, in that order; all of them must be there and numeric."""
    for name in options.columns:
        if name not in header:
            raise DataError(f"{where} has no column {name!r}; it has {some(header, 12)}")
    words = [repr(name) for name in text if name in (options.columns or text)]
    if words:
        numeric = [h for h in header if h not in text]
        choice = f"its numeric columns are {some(numeric, 12)}" if numeric else "it has no numeric columns"
        if commas:
            raise DataError(f"the numbers of {commas[0]!r} in {where} have a decimal comma; write a point, or read them with --kind table")
        raise DataError(
            f"{where} has columns of words, not numbers: {some(words)}; choose others with columns=...: {choice}"
        )
    if options.columns:
        order = [table.names.index(name) for name in options.columns]
        table = Table(table.values[:, order], options.columns, table.rows)
    if len(table.names) < 2:
        raise DataError(f"{where} has {count(len(table.names), 'numeric column')}; points need two or more")
    return table


def _check(table: Table, where: str) -> None:
    """Raises DataError for NaN, infinity and numbers that are next to it."""
    if told := _huge(table.names, table.values):
        raise DataError(f"{where}: {told}")
    bad = ~np.isfinite(table.values)
    columns = np.flatnonzero(bad.any(0))
    if not len(columns):
        return
    first = columns[0]
    others = [table.names[i] for i in columns if not bad[:, i].all()]
    remedy = "remove those rows, or leave" if others else "leave"
    raise DataError(
        f"the column {table.names[first]!r} of {where} has empty, NaN or infinite cells: {int(bad[:, first].sum()):,} of "
        f"{len(bad):,}, the first in row {int(np.argmax(bad[:, first])) + 1}; {remedy} the column out with columns=..."
    )


def _huge(names: tuple[str, ...], values: Array) -> str:
    """A sentence on a column of numbers too large to reckon with, '' if there is none."""
    large = np.abs(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)).max(0, initial=0.0)
    if not (large > LARGEST).any():
        return ""
    first = int(np.argmax(large > LARGEST))
    return f"the column {names[first]!r} holds numbers up to {large[first]:.3g}, whose squares single precision cannot hold; divide them first"


def _check_spread(table: Table, deviation: Array, where: str) -> None:
    flat = [n for n, d in zip(table.names, deviation.tolist(), strict=True) if not d > 0]
    if flat:
        raise DataError(f"the column {flat[0]!r} of {where} has one value throughout; leave it out with columns=...")


def _far(names: tuple[str, ...], mean: Array, deviation: Array) -> str:
    """A sentence where float32, in which points are kept, would round a column to coarser steps than a hundredth of its spread; else ''."""
    coarse = np.spacing(np.abs(mean).astype(np.float32)) > ROUNDED * deviation
    if not coarse.any():
        return ""
    first = int(np.argmax(coarse))
    return (
        f"the column {names[first]!r} lies so far from 0 (about {mean[first]:.9g}) for its spread ({deviation[first]:.3g}) that single "
        f"precision would round it; subtract a constant, such as {mean[first]:.9g}, first"
    )


def _report(source: Source, table: Table, held: int | None, back: int, notes: tuple[str, ...]) -> Inspection:
    """held: rows of the official test side.  back: rows that training holds back."""
    values, rows = table.values, table.rows
    finite = np.isfinite(values)
    whole = values[finite.all(1)]
    copies = len(whole) - len(np.unique(whole, axis=0)) if len(whole) else 0
    columns = tuple(
        _column(n, values[:, i][finite[:, i]], int((~finite[:, i]).sum())) for i, n in enumerate(table.names)
    )
    said = f"rows that repeat an earlier one: {copies:,}" if copies else ""
    far = _huge(table.names, values) or (_far(table.names, whole.mean(0), whole.std(0)) if len(whole) else "")
    return Inspection(
        source.name,
        source.where,
        "points",
        total=len(rows),
        whole=len(whole) if held is None or len(values) == len(rows) else len(rows),
        held=held,
        classes=balance(rows),
        columns=columns,
        proposal={"columns": len(table.names), "held back": back},
        notes=(*notes, *(note for note in (said, far) if note)),
    )


def _column(name: str, cells: Array, missing: int) -> Column:
    if not len(cells):
        return Column(name, 0.0, 0.0, 0.0, 0.0, missing)
    with np.errstate(over="ignore", invalid="ignore"):
        return Column(name, float(cells.min()), float(cells.max()), float(cells.mean()), float(cells.std()), missing)
