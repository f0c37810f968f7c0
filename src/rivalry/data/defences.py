"""What is done to rows before anybody learns from them: copies dropped, rare levels merged, extremes brought in.

Asked for by `ReadOptions` (dedupe, k_anonymous, quasi, clip).  All of it is fitted to the training rows and done to both
sides of the split alike, so that an audit compares like with like.  What was done is told in counts, never in values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Floats, Index, spelled
from rivalry.data.columns.codes import GROUP
from rivalry.data.columns.detect import SPIKE, detect
from rivalry.data.columns.people import Owners
from rivalry.data.columns.schema import Field
from rivalry.data.generalise import Quasi, merged, quasi_anonymous, values_of, with_values
from rivalry.data.options import ReadOptions
from rivalry.data.sources import Columns
from rivalry.data.split import Split
from rivalry.data.words import count, some
from rivalry.errors import DataError


def refuse(options: ReadOptions, kind: str, known: Sequence[str]) -> None:
    """DataError where a defence was asked for that is none for this kind of data."""
    asked = {"--clip": bool(options.clip), "--k-anonymous": options.k_anonymous is not None, "--dedupe": options.dedupe}
    for flag, there in asked.items():
        if there and flag not in known:
            what = "rows of tables, pictures, points and lines of text" if flag == "--dedupe" else "the columns of tables"
            raise DataError(f"{flag} is for {what}, and these data are {kind}; leave it out")


def bounds(values: Floats, clip: tuple[float, float], step: float = 0.0) -> tuple[float, float]:
    """(low, high): these quantiles of values [N], each the mean of five order statistics around it, rounded to two
    digits of the reach between them and to multiples of the step: no exact quantile of anybody's."""
    rows = np.sort(values)
    reached = [_near(rows, share) for share in clip]
    reach = (reached[1] - reached[0]) or abs(reached[1]) or 1.0
    unit = float(10.0 ** (np.floor(np.log10(reach)) - 1))
    if step:
        unit = step * max(1.0, np.round(unit / step))
    low, high = (float(np.round(v / unit) * unit) for v in reached)
    return low, max(high, low + unit)


def _near(rows: Floats, share: float) -> float:
    first = int(np.clip(round(share * len(rows) - GROUP / 2), 0, max(0, len(rows) - GROUP)))
    return float(rows[first : first + GROUP].mean())


def ordinary(values: Floats, rows: int) -> Floats:
    """The values [n] that are no spikes: none that more than 3 % of the rows have."""
    found, inverse, times = np.unique(values, return_inverse=True, return_counts=True)
    del found
    return values[(times <= SPIKE * rows)[inverse.reshape(-1)]]


def defended(
    table: Columns, fields: list[Field], parts: Split, asked: dict[str, Field], options: ReadOptions, owners: Owners | None = None
) -> tuple[Columns, list[Field], Split, tuple[str, ...]]:
    """The table, its fields and its split under --clip and --k-anonymous, and what was done, in sentences.

    asked: what a schema says of columns, by name; owners: of rows, who are counted in their place.  DataError for quasi-identifiers that are no learned columns.
    """
    told = list[str]()
    cells = list(table.cells)
    if options.clip is not None:
        told.append(_clip(fields, cells, parts.train, options.clip))
    if options.k_anonymous is not None:
        told.append(_merge(fields, cells, parts.train, options.k_anonymous, owners)[1])
        if options.quasi:
            found = quasi_anonymous(
                fields, cells, parts, options.k_anonymous, options.quasi, table.where, None if owners is None else owners.of
            )
            told.append(found.told)
            cells, table, parts = _without(found, cells, table)
            # Rows that were left out may have left levels rare; to merge those of quasi-identifiers makes no combination rarer.
            left = None if owners is None else owners.take(found.kept)
            levels, said = _merge(fields, cells, parts.train, options.k_anonymous, left) if options.reading > 4 else (0, "")
            told += [said] if levels else []
    if not told:
        return table, fields, parts, ()
    anew = [
        f if new is old else _again(f, new, asked.get(f.name), table.where)
        for f, new, old in zip(fields, cells, table.cells, strict=True)
    ]
    return replace(table, cells=tuple(cells)), anew, parts, tuple(told)


def _without(found: Quasi, cells: list[Cells], table: Columns) -> tuple[list[Cells], Columns, Split]:
    """Rows that are left out are taken out of everything, so that nothing of them is fitted to."""
    new = [found.cells.get(name, c).take(found.kept) for name, c in zip(table.names, cells, strict=True)]
    old = tuple(c.take(found.kept) for c in table.cells)
    return new, replace(table, rows=table.rows.take(found.kept), cells=old), found.parts


def _again(field: Field, cells: Cells, asked: Field | None, where: str) -> Field:
    """What is known of a column whose cells have changed: its type stays, unless one value is all that is left."""
    words = len(np.unique(fit.identity(field, cells)[~cells.missing]))
    if not words or (words == 1 and not cells.missing.any()):
        return Field(field.name, "constant", notes=(f"after the defences {field.name!r} has one value: it is repeated",))
    said = asked if asked is not None else Field(field.name, field.type, format=field.format)
    low, high = (None, None) if asked is None else (asked.low, asked.high)
    said = replace(said, step=field.step, low=low, high=high, spikes=None, by_rows=field.by_rows)
    return detect(field.name, cells, said, where)


def once_more(
    table: Columns, fields: list[Field], parts: Split, asked: dict[str, Field], options: ReadOptions, owners: Owners | None
) -> tuple[Columns, list[Field], Split, tuple[str, ...]]:
    """As `defended` under --k-anonymous, of a defended table of which constraints have left only the rows of `parts`: what they left may be
    rare."""
    kept = np.sort(np.concatenate([parts.train, parts.held]))
    table = replace(table, rows=table.rows.take(kept), cells=tuple(c.take(kept) for c in table.cells))
    parts = replace(parts, train=np.searchsorted(kept, parts.train), held=np.searchsorted(kept, parts.held))
    left = None if owners is None else owners.take(kept)
    table, fields, parts, told = defended(table, fields, parts, asked, replace(options, clip=None), left)
    return table, fields, parts, tuple(line.replace(": ", ": once more, for constraints left rows out: ", 1) for line in told)


# -- clip -------------------------------------------------------------------------------------------------------------


def _clip(fields: Sequence[Field], cells: list[Cells], train: Index, clip: tuple[float, float]) -> str:
    """Changes `cells` in place."""
    moved, changed = 0, list[str]()
    for i, field in enumerate(fields):
        if field.type not in ("number", "date") or field.declared.public:
            continue
        values = values_of(field, cells[i])
        mine = values[train][~np.isnan(values[train])]
        inner = ordinary(mine, len(train))
        if len(inner) < 2 * GROUP:
            continue
        low, high = bounds(inner, clip, field.step or 0.0)
        spiked = np.setdiff1d(mine, inner)
        low, high = min(low, float(spiked.min(initial=low))), max(high, float(spiked.max(initial=high)))
        beyond = (values < low) | (values > high)
        if beyond.any():
            cells[i] = with_values(field, cells[i], np.clip(values, low, high))
            moved += int(beyond.sum())
            changed.append(field.name)
    shares = " to ".join(f"{100 * c:g} %" for c in clip)
    return (
        f"--clip: {count(moved, 'cell')} beyond the range of {shares} of the training rows were brought to its rounded ends"
        + (f", in {some(changed, 8)}" if changed else "")
    )


# -- rare levels ------------------------------------------------------------------------------------------------------


def _merge(fields: Sequence[Field], cells: list[Cells], train: Index, k: int, owners: Owners | None) -> tuple[int, str]:
    """Changes `cells` in place; (how many levels were merged, that in a sentence)."""
    levels, rows, changed = 0, 0, list[str]()
    for i, field in enumerate(fields):
        if field.type not in ("category", "boolean") or field.declared.levels is not None:
            continue
        found = merged(spelled(cells[i]), train, k, None if owners is None else owners.of)
        if found.levels:
            cells[i] = found.words
            levels, rows = levels + found.levels, rows + found.rows
            changed.append(field.name)
    return levels, (
        f"--k-anonymous {k}: {count(levels, 'level')} that fewer than {k} {'training rows' if owners is None else f'{owners.called} in training'} have were merged "
        f"({count(rows, 'cell')})" + (f", in {some(changed, 8)}" if changed else "")
    )


# -- copies -----------------------------------------------------------------------------------------------------------

CLOSE = 0.005
"""Numbers of near copies differ by so much of the column's ranks at most."""
GRIDS, WIDTH = 6, 0.02
"""Near copies are looked for among rows in one cell of a grid of ranks: so many grids, at random offsets, so wide."""
BY_CHANCE = 0.05
"""Equal partners a row may have if columns had nothing to do with one another, before equality says nothing."""


def without_copies(table: Columns, fields: Sequence[Field], same: Index) -> tuple[Columns, tuple[str, ...]]:
    """The table without rows that repeat another (`same` [N] equal numbers), nor those that nearly do: all levels and
    gaps equal, numbers within CLOSE in ranks.  Of copies on both sides of an official split training keeps its own.

    DataError where so few columns make equal rows likely among different people.
    """
    n = len(same)
    kinds = [(f, fit.identity(f, c)) for f, c in zip(fields, table.cells, strict=True) if f.learned]
    equal = [_agree(values) for _, values in kinds]
    if n * float(np.prod(equal)) > BY_CHANCE:
        raise DataError(
            f"with columns as few as those of {table.where} a row has about {n * float(np.prod(equal)):.2g} equal ones by "
            "chance alone, so equal rows are no copies; leave --dedupe out"
        )
    order = np.arange(n) if table.rows.held is None else np.argsort(table.rows.held, kind="stable")
    first = np.zeros(n, dtype=bool)
    first[order[np.unique(same[order], return_index=True)[1]]] = True
    left = order[first[order]]
    alike = [max(e, 2 * CLOSE) if f.type in ("number", "date") else e for (f, _), e in zip(kinds, equal, strict=True)]
    near = np.zeros(0, dtype=np.int64)
    if n * float(np.prod(alike)) <= BY_CHANCE:
        near = _near_copies([(f.type in ("number", "date"), values[left]) for f, values in kinds])
    keep = np.sort(np.delete(left, near))
    told = f"--dedupe: {count(n - len(left), 'row')} that repeat another and {len(near):,} that nearly do were left out"
    taken = replace(table, rows=table.rows.take(keep), cells=tuple(c.take(keep) for c in table.cells))
    return (taken if len(keep) < n else table), (told,)


def _agree(values: Floats) -> float:
    """The chance that two rows agree in a column."""
    _, times = np.unique(values, return_counts=True, equal_nan=True)
    return float(np.square(times / len(values)).sum())


def _near_copies(columns: Sequence[tuple[bool, Floats]]) -> Index:
    """Places of the rows that nearly repeat an earlier one; (whether it is a number, values [N]) of each column."""
    n = len(columns[0][1])
    ranks = [_ranks(values) for number, values in columns if number]
    if not ranks or n < 2:
        return np.zeros(0, dtype=np.int64)
    ranked = np.stack(ranks, 1)
    exact = [np.isnan(v) if number else np.nan_to_num(v, nan=-1.0) for number, v in columns]
    base = np.unique(np.stack([e.astype(np.float64) for e in exact], 1), axis=0, return_inverse=True)[1].reshape(-1)
    rng = np.random.default_rng(0)
    copies = np.zeros(n, dtype=bool)
    for _ in range(GRIDS):
        cells = np.floor(ranked / WIDTH + rng.random(ranked.shape[1])).astype(np.int64)
        group = np.unique(np.column_stack([base, cells]), axis=0, return_inverse=True)[1].reshape(-1)
        order = np.lexsort((np.arange(n), group))
        starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
        first = np.repeat(order[starts], np.diff(np.r_[starts, n]))
        before = np.r_[order[:1], order[:-1]]
        before = np.where(group[before] == group[order], before, first)
        for other in (first, before):
            close = (np.abs(ranked[order] - ranked[other]) <= CLOSE).all(1) & (other < order)
            copies[order[close]] = True
    return np.flatnonzero(copies)


def _ranks(values: Floats) -> Floats:
    """[N] mean ranks in (0, 1), .5 where missing."""
    found, inverse, times = np.unique(values, return_inverse=True, return_counts=True)
    del found
    shares = (np.cumsum(times) - times / 2) / len(values)
    ranks: Floats = np.where(np.isnan(values), 0.5, shares[inverse.reshape(-1)])
    return ranks
