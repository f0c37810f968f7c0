"""What a trained run does with the user's own files: the missing cells of a table are filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rivalry.data import filling
from rivalry.data.asking import asked
from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.fit import Column
from rivalry.data.rules.grid import snapped
from rivalry.data.rules.kinds import MissingIf, Rule, Sum
from rivalry.data.table import TableModality
from rivalry.errors import DataError
from rivalry.sampling import Tick, filled, silent
from rivalry.stats.imputing import Pool, Ways, fill
from rivalry.streams import key

POOL = 50_000
"""Generated rows among which neighbours are looked for."""
NEAR, WIDE = 30, 60
"""Neighbours that are drawn from, and those that means are taken of (docs/lab/tables.md)."""


@dataclass(frozen=True)
class Filled:
    """written: the files; cells: how many were filled, by column; left: how many could not be; notes: what else there is
    to say."""

    written: tuple[Path, ...]
    cells: dict[str, int]
    left: dict[str, int]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        total, shown = sum(self.cells.values()), ", ".join(f"{k} {n:,}" for k, n in self.cells.items())
        lines = [f"{total:,} cells filled: {shown}" if total else "no cell of a learned column is missing: nothing to fill"]
        if self.left:
            lines.append("left missing, as constraints ask or for want of a value that fits: " + ", ".join(f"{k} {n:,}" for k, n in self.left.items()))
        return "\n".join([*lines, *self.notes, *map(str, self.written)])


def fill_table(
    modality: TableModality, sampler: Callable[[int, int], Tensor], table: Path, out: Path, *, draws: int = 1,
    likely: bool = False, pool: int = POOL, seed: int = 0, tick: Tick = silent,
) -> Filled:  # fmt: skip
    """Fills the missing cells of `table` by drawing from the model given what is known of their row; see
    `rivalry.stats.imputing`.  All other cells, columns and the rows' order stay.  No training data are read.

    sampler: (n, seed) -> encoded rows.  draws: that many files, OUT-1.csv and so on, if more than one.  likely: the most
    likely value in place of a draw.  Raises DataError for tables that do not fit the run.
    """
    if draws < 1 or pool < 100:
        raise DataError(f"draws must be 1 or more and the pool 100 rows or more, not {draws} and {pool}")
    if likely and draws > 1:
        raise DataError("the most likely values are the same in every draw; leave --draws or --likely out")
    sheet = filling.read(table, modality.learned)
    filling.check_ending(sheet.comma, out)
    names = filling.numbered(out, draws)
    for name in names:
        filling.check_apart(table, name)
    rows = _pool(modality, sampler, pool, key(seed, "pool"), tick)
    kinds = ["number" if isinstance(c.code, NumberCode) else "category" for c in modality.learned]
    donors, rules = Pool.of(rows, kinds), () if modality.plan is None else modality.plan.rules
    written = list[Path]()
    left = torch.zeros_like(sheet.gaps)

    def told(what: str, share: float) -> None:
        tick(what, (len(written) + share) / draws)

    ways = Ways(
        WIDE if likely else NEAR, likely, allowed=lambda r, t: allowed(rules, r, t), derive=lambda r, gaps: derived(rules, modality.learned, r, gaps),
        settle=lambda column, values: settled(modality.learned, column, values), tick=told,
    )  # fmt: skip
    for number, name in enumerate(names):
        made, left = fill(sheet.raw, sheet.gaps, donors, filling_order(sheet.gaps, rules), key(seed, "fill", number), ways)
        written.append(filling.write(sheet, modality.learned, made, sheet.gaps & ~left, name))
    columns = [c.name for c in modality.learned]
    return Filled(tuple(written), _counts(columns, sheet.gaps & ~left), _counts(columns, left), _notes(sheet))


def _pool(modality: TableModality, sampler: Callable[[int, int], Tensor], n: int, seed: int, tick: Tick) -> Tensor:
    wanted = asked(modality)
    if not wanted:
        return modality.decode(sampler(n, seed).cpu())
    return filled(lambda m, s: modality.decode(sampler(m, s).cpu()), wanted.group, (n,), seed, tick)


def filling_order(gaps: Tensor, rules: Sequence[Rule]) -> list[int]:
    """Columns with gaps: the fewest first, but what a constraint empties after the columns that it goes by."""
    masked = {r.column for r in rules if isinstance(r, MissingIf)}
    counts = gaps.sum(0).tolist()
    return sorted((i for i, n in enumerate(counts) if n), key=lambda i: (i in masked, counts[i]))


def allowed(rules: Sequence[Rule], rows: Tensor, column: int) -> Tensor:
    """[n]: do the rows meet the constraints on the column, as far as their cells are known?"""
    keep = torch.ones(len(rows), dtype=torch.bool)
    for rule in rules:
        if column in rule.columns:
            keep &= rule.holds(rows) | rows[:, list(rule.columns)].isnan().any(1)
    return keep


def derived(rules: Sequence[Rule], learned: Sequence[Column], rows: Tensor, open_: Tensor) -> None:
    """The one cell of a sum that is to be filled follows from the others."""
    for rule in rules:
        if not isinstance(rule, Sum):
            continue
        places = torch.tensor(rule.columns)
        for at in (rule.total, *rule.parts):
            code = learned[at].code
            others = places[places != at]
            mine = open_[:, at] & ~rows[:, others].isnan().any(1) & isinstance(code, NumberCode)
            if not bool(mine.any()) or not isinstance(code, NumberCode):
                continue
            rows[mine, at] = snapped(rule.value(rows[mine], at), code.step)
            open_[mine, at] = False


def settled(learned: Sequence[Column], column: int, values: Tensor) -> Tensor:
    """Means of neighbours at multiples of the column's step."""
    code = learned[column].code
    return code.on_grid(values) if isinstance(code, NumberCode) and code.step else values


def _counts(names: Sequence[str], cells: Tensor) -> dict[str, int]:
    """How many of the cells [N, C] there are of each column that has any."""
    return {name: n for name, n in zip(names, cells.sum(0).tolist(), strict=True) if n}


def _notes(sheet: filling.Sheet) -> tuple[str, ...]:
    notes = [f"{n:,} cells of {name!r} say nothing to the model (an unknown level, or no number); they stay" for name, n in sheet.strange]
    notes += [f"the table lacks the column {name!r}, so nothing is known of it" for name in sheet.absent]
    return tuple(notes)
