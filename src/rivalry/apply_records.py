"""What a run on patient records does with the user's own: missing cells of patients and of visits are filled.

Patients' own cells go by what is known of them and of their first and last visit; those of a visit by what else it holds, by the patient,
and by the visits before and after, from the first visit on, so that later ones go by what was filled before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rivalry.apply import NEAR, POOL, WIDE, Filled, allowed, derived, filling_order, settled
from rivalry.data import record_filling
from rivalry.data.asking import asked_of_patients
from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.fit import Column
from rivalry.data.filling import numbered
from rivalry.data.record_filling import Sheets
from rivalry.data.record_rules import moved
from rivalry.data.records import RecordModality
from rivalry.data.rules.kinds import Rule
from rivalry.errors import DataError
from rivalry.sampling import Tick, filled, silent
from rivalry.stats.imputing import Allowed, Pool, Ways, fill
from rivalry.streams import key

FEWEST = 100


@dataclass(frozen=True)
class _Side:
    """What is filled together: rows of patients or of visits, those of the pool, and the constraints on their columns.

    learned: the columns that begin a row; what else it has is only gone by."""

    learned: tuple[Column, ...]
    pool: Pool
    rules: tuple[Rule, ...]

    def fill(self, rows: Tensor, gaps: Tensor, seed: int, likely: bool, tick: Tick, also: Allowed | None = None) -> Tensor:
        """rows [n, W], gaps [n, C] of the first C columns -> rows; cells for which no value was allowed (`also` by another rule) stay missing."""

        def may(some: Tensor, column: int) -> Tensor:
            fine = allowed(self.rules, some, column)
            return fine if also is None else fine & also(some, column)

        ways = Ways(
            WIDE if likely else NEAR, likely, allowed=may,
            derive=lambda r, open_: derived(self.rules, self.learned, r, open_), settle=lambda column, values: settled(self.learned, column, values),
            tick=tick,
        )  # fmt: skip
        wide = torch.zeros(rows.shape, dtype=torch.bool)
        wide[:, : gaps.shape[1]] = gaps
        return fill(rows, wide, self.pool, filling_order(wide, self.rules), seed, ways)[0]


@dataclass(frozen=True)
class _Seen:
    """The known visits of patients, [V, W] in places of `View.columns` and sorted by patient, and the constraints between the two.

    begin, width: the place of the patients' first column, and how many those are; starts, many [N]: where each patient's visits begin, and how many there are."""

    rules: tuple[Rule, ...]
    rows: Tensor
    begin: int
    width: int
    starts: Tensor
    many: Tensor

    def allowed(self, patients: Tensor, column: int) -> Tensor:
        """patients [n, W'], their number last -> [n]: do they meet the constraints on the column at each of their visits, as far as is known?"""
        place, own = self.begin + column, patients[:, -1].long()
        keep = torch.ones(len(patients), dtype=torch.bool)
        for rule in self.rules:
            if place not in rule.columns:
                continue
            names = tuple(dict.fromkeys(rule.columns))
            narrow, of_own = moved(rule, names.index), [p - self.begin for p in names]
            for visit in range(int(self.many[own].max()) if len(own) else 0):
                there = (self.many[own] > visit).nonzero()[:, 0]
                rows = self.rows[self.starts[own[there]] + visit][:, list(names)]
                for i, p in enumerate(of_own):
                    if 0 <= p < self.width:
                        rows[:, i] = patients[there, p]
                keep[there] &= narrow.holds(rows) | rows.isnan().any(1)
        return keep


def fill_records(
    modality: RecordModality, sampler: Callable[[int, int], Tensor], source: Path, out: Path, *, draws: int = 1, likely: bool = False,
    pool: int = POOL, seed: int = 0, tick: Tick = silent,
) -> Filled:  # fmt: skip
    """Fills the missing cells of the tables at `source` (a folder, or one long table, as the run was trained on) by drawing from the model
    given what is known of the patient.  All other cells, columns and the rows' order stay.  No training data are read.

    sampler: (n, seed) -> encoded records [n, D].  draws: that many results, OUT-1 and so on, if more than one.  likely: the most likely value
    in place of a draw.  pool: generated visits among which like ones are looked for.  Raises DataError for tables that do not fit the run.
    """
    if draws < 1 or pool < FEWEST:
        raise DataError(f"draws must be 1 or more and the pool {FEWEST} rows or more, not {draws} and {pool}")
    if likely and draws > 1:
        raise DataError("the most likely values are the same in every draw; leave --draws or --likely out")
    sheets = record_filling.read(source, modality)
    names = numbered(out, draws)
    for name in names:
        record_filling.check_out(sheets, source, name)
    patients, visits = _sides(modality, _pool(modality, sampler, pool, key(seed, "pool"), tick))
    paths, last = list[Path](), record_filling.Written()
    for number, name in enumerate(names):
        mine = key(seed, "fill", number)
        static = _patients(sheets, modality, patients, mine, likely, tick)
        last = record_filling.write(sheets, modality, static, _visits(sheets, static, visits, mine, likely, tick), name)
        paths += last.paths
    return Filled(tuple(paths), last.cells, last.left, sheets.notes)


def _pool(modality: RecordModality, sampler: Callable[[int, int], Tensor], visits: int, seed: int, tick: Tick) -> Tensor:
    """[N, R]: as many generated patients as have about so many visits."""
    n = max(FEWEST, round(visits / max(sum(modality.shares), 1e-3)))
    wanted = asked_of_patients(modality)
    if not wanted:
        return modality.decode(sampler(n, seed).cpu())
    return filled(lambda m, s: modality.decode(sampler(m, s).cpu()), wanted.group, (n,), seed, tick)


def _sides(modality: RecordModality, raw: Tensor) -> tuple[_Side, _Side]:
    """(of patients, of visits)."""
    static, visits = modality.coder.raw_parts(raw)
    who, place = (~visits[:, :, 0].isnan()).nonzero(as_tuple=True)
    if not len(who):
        raise DataError("none of the patients that the model made has a visit, so nothing is like yours; train it longer, or take the other checkpoint (--which)")
    values, gap = visits[who, place][:, 1:], torch.where(place > 0, visits[who, place][:, 0], torch.nan)
    time = modality.view.rows(static, visits)[2][:, -1]
    own, changing = modality.own, modality.changing[1:]
    rules, view = modality.rules, modality.view
    of_own = () if rules is None or rules.own is None else rules.own.rules
    of_visits = () if rules is None else (*(() if rules.visit is None else rules.visit.rules), *rules.between)
    gap_column = modality.changing[0]
    kinds = {side: _kinds(columns) for side, columns in (("own", own), ("visit", changing))}
    wide = (*_kinds((gap_column,)), *kinds["visit"], *kinds["own"], "number", *kinds["visit"], *kinds["visit"])
    patients = Pool.of(_of_patients(static, values, who, place), (*kinds["own"], *kinds["visit"], *kinds["visit"], "number"))
    among = Pool.of(_of_visits(static, values, who, place, gap, time), wide)
    return _Side(own, patients, of_own), _Side(tuple(c for c in view.columns if c.code is not None), among, of_visits)


def _kinds(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple("number" if isinstance(c.code, NumberCode) else "category" for c in columns)


def _of_patients(static: Tensor, values: Tensor, owner: Tensor, place: Tensor) -> Tensor:
    """[N, S + 2 C + 1]: what is known of patients beside their own columns: their first visit, their last, and how many they have."""
    first, last = (torch.full((len(static), values.shape[1]), torch.nan, dtype=torch.float64) for _ in range(2))
    first[owner[place == 0]] = values[place == 0]
    ends = torch.cat([owner[1:] != owner[:-1], torch.ones(min(len(owner), 1), dtype=torch.bool)])
    last[owner[ends]] = values[ends]
    many = owner.bincount(minlength=len(static)).double()[:, None]
    return torch.cat([static, first, last, many], 1)


def _of_visits(static: Tensor, values: Tensor, owner: Tensor, place: Tensor, gap: Tensor, time: Tensor) -> Tensor:
    """[V, 1 + C + S + 1 + 2 C]: visits in places of `View.columns`, and the visits before and after."""
    nothing = torch.full((1, values.shape[1]), torch.nan, dtype=torch.float64)
    before = torch.where(place[:, None] > 0, torch.cat([nothing, values[:-1]]), torch.nan)
    follows = torch.cat([place[1:] > 0, torch.zeros(1, dtype=torch.bool)])
    after = torch.where(follows[:, None], torch.cat([values[1:], nothing]), torch.nan)
    return torch.cat([gap[:, None], values, static[owner], time[:, None], before, after], 1)


def _patients(sheets: Sheets, modality: RecordModality, side: _Side, seed: int, likely: bool, tick: Tick) -> Tensor:
    """[N, S]: the patients' own columns, filled."""
    if not bool(sheets.static_gaps.any()):
        return sheets.static
    static, gaps, view = sheets.static, sheets.static_gaps, modality.view
    between = () if modality.rules is None else modality.rules.between
    visits = _of_visits(static, sheets.visits, sheets.owner, sheets.place, sheets.gap, sheets.time)
    own = slice(view.visit, view.when)
    open_ = torch.zeros(visits.shape, dtype=torch.bool)
    open_[:, own] = gaps[sheets.owner]
    derived(between, tuple(c for c in view.columns if c.code is not None), visits, open_)
    at, column = (gaps[sheets.owner] & ~open_[:, own]).nonzero(as_tuple=True)
    static = static.index_put((sheets.owner[at], column), visits[:, own][at, column])
    many = sheets.owner.bincount(minlength=len(static))
    seen = _Seen(between, visits, view.visit, len(modality.own), many.cumsum(0) - many, many)
    rows = _of_patients(static, sheets.visits, sheets.owner, sheets.place)
    rows = torch.cat([rows, torch.arange(len(rows), dtype=rows.dtype)[:, None]], 1)
    return side.fill(rows, gaps & static.isnan(), key(seed, "patients"), likely, tick, seen.allowed)[:, : len(modality.own)]


def _visits(sheets: Sheets, static: Tensor, side: _Side, seed: int, likely: bool, tick: Tick) -> Tensor:
    """[V, C]: the columns of visits, filled, a patient's first visit before the second."""
    values, width = sheets.visits.clone(), sheets.visits.shape[1]
    for place in range(int(sheets.place.max()) + 1):
        mine = (sheets.place == place) & sheets.visit_gaps.any(1)
        if not bool(mine.any()):
            continue
        rows = _of_visits(static, values, sheets.owner, sheets.place, sheets.gap, sheets.time)[mine]
        gaps = torch.cat([torch.zeros(len(rows), 1, dtype=torch.bool), sheets.visit_gaps[mine]], 1)
        values[mine] = side.fill(rows, gaps, key(seed, "visits", place), likely, tick)[:, 1 : 1 + width]
    return values


__all__ = ["fill_records"]
