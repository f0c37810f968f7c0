"""Patient records, a row of one's own and a series of visits at irregular times: the modality 'records'."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rivalry.data import record_files, table_look
from rivalry.data.base import Dataset, Plain
from rivalry.data.columns import fit
from rivalry.data.columns.cells import Cells, Index, Numbers, spelled
from rivalry.data.columns.codes import NumberCode
from rivalry.data.columns.detect import coarser, detect, measured
from rivalry.data.columns.fit import Column
from rivalry.data.columns.people import GROUP
from rivalry.data.columns.schema import Field, Schema
from rivalry.data.defences import refuse
from rivalry.data.inspection import Inspection
from rivalry.data.options import ReadOptions
from rivalry.data.record_codes import Bag
from rivalry.data.record_fit import FIRST, VISIT, outcome, shares, survival
from rivalry.data.record_rules import Fitted, RecordRules, View, admitted, proposals, restored, time_column
from rivalry.data.record_store import ALIVE, RecordCoder, RecordRows
from rivalry.data.record_tables import MOST, Layout, Records, assemble
from rivalry.data.rows import Rows, choose
from rivalry.data.rules.text import PROPOSED
from rivalry.data.sources import Columns, Source, Tables
from rivalry.data.split import share_held, split
from rivalry.data.words import count
from rivalry.errors import DataError
from rivalry.types import Block, Outcome, Spec

SLACK = 1e-9


@dataclass(frozen=True)
class RecordModality:
    """Records of patients.

    Raw and encoded records are laid out as `record_store` says.  static: the patient's columns, also those that are not
    learned, the time of the first visit last; gap, dynamic: of visits.  time, key, visit: columns as they are written.
    shares: of patients that have a first visit, a second ...  bags: code counts among the columns.  ends: no visit comes after the survival
    time, since none did in training.  rules: the constraints on them.  Nothing here is a row, an exact quantile or an extreme.
    """

    static: tuple[Column, ...] = ()
    gap: Column | None = None
    dynamic: tuple[Column, ...] = ()
    time: Column | None = None
    key: Column | None = None
    visit: Column | None = None
    shares: tuple[float, ...] = ()
    layouts: tuple[Layout, ...] = ()
    bags: tuple[Bag, ...] = ()
    survival: Outcome | None = None
    ends: bool = False
    seed: int = 0
    rules: RecordRules | None = None
    kind: ClassVar[str] = "records"

    @cached_property
    def own(self) -> tuple[Column, ...]:
        """The learned static columns."""
        return tuple(c for c in self.static if c.code is not None)

    @cached_property
    def changing(self) -> tuple[Column, ...]:
        """The gap and the learned columns of visits."""
        assert self.gap is not None
        return (self.gap, *(c for c in self.dynamic if c.code is not None))

    @cached_property
    def view(self) -> View:
        """What constraints are said of."""
        assert self.gap is not None
        assert self.time is not None
        return View((self.gap, *self.dynamic), self.static, self.time, tuple(c for c in (self.key, self.visit) if c is not None))

    @cached_property
    def coder(self) -> RecordCoder:
        static, visit = ([c.code for c in side if c.code is not None] for side in (self.own, self.changing))
        plans = () if self.rules is None else (self.rules.own, self.rules.visit)
        return RecordCoder(static, visit, len(self.shares), self.seed, *plans)

    @cached_property
    def spec(self) -> Spec:
        made, own, visit, columns = list[Block](), self.own, self.changing, tuple[tuple[str, str], ...]()
        if self.rules is not None:
            columns = tuple((c.name, "number" if isinstance(c.code, NumberCode) and c.code.knots else "category") for c in (*own, *visit))
            own, visit = (side if plan is None else plan.inner for side, plan in ((own, self.rules.own), (visit, self.rules.visit)))
        for column in own:
            made += column.blocks(_end(made))
        static = _end(made)
        for share in self.shares:
            made.append(Block(VISIT, "choice", _end(made), ALIVE, (share, 1 - share)))
            for column in visit:
                made += column.blocks(_end(made))
        return Spec(
            "records", (_end(made),), blocks=tuple(made), columns=columns, static=static, visits=len(self.shares), survival=self.survival
        )

    def sniff(self, source: Source) -> bool:
        """Several tables that share a key; a single one is taken for records only where a key is named."""
        return isinstance(source, Tables)

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Raises DataError for keys, times and visits that do not fit together."""
        if options.reading > 4:
            refuse(options, "patient records", ())
        found, fields = self._found(source, options)
        told = _told(found, False)
        patients = choose(Rows(len(found.names)), options)
        found = found.take(patients) if len(patients) < len(found.names) else found
        rows = Rows(len(found.names), held=found.held, groups=_groups(found, options))
        parts = split(rows, np.arange(len(rows)), options, f"the patients of {found.where}")
        longest = _longest(found, parts.train, options)
        lost = bool((found.position >= longest).any())  # how many would tell how often the patient of most visits came
        cut = (f"visits after the {longest}th, which fewer than {GROUP} patients have, are left out",) if lost else ()
        found = found.first(longest)
        made = admitted(_asked(found, fields, options), found, fields, parts, options.seed)
        (modality, raw), parts = _modality(made, longest, options.seed), made.parts
        sides = [RecordRows(modality.coder, raw[torch.from_numpy(i)]) for i in (parts.train, parts.held)]
        hashed = hashlib.sha256(b"rivalry records 1")
        hashed.update(repr((modality.state(), options.content())).encode())
        for values in (raw.numpy(), parts.train, parts.held):
            hashed.update(np.ascontiguousarray(values).tobytes())
        said = (*found.notes, *told, *(n for f in fields.values() for n in f.notes), *made.notes, *cut, *(n.replace("rows", "patients") for n in parts.notes))
        return Dataset(found.name, modality.spec, modality, sides[0], sides[1], hashed.hexdigest(), notes=said)

    def _found(self, source: Source, options: ReadOptions) -> tuple[Records, dict[str, Field]]:
        """(the records, with numbers that are written with units and the like as plain ones; what each column means)."""
        if not isinstance(source, Columns | Tables):
            raise DataError(f"{source.where} is no table, so it holds no records; name a CSV or Parquet file, or a folder of them")
        schema = Schema() if options.schema is None else Schema.read(options.schema.expanduser())
        tables = source.tables if isinstance(source, Tables) else (source,)
        every = tuple(dict.fromkeys(n for t in tables for n in t.names))
        schema.check_columns(every, source.where)
        public = next((f.name for f in schema.fields if f.declared.public), None)
        if public is not None:
            raise DataError(
                f"the schema says that {public!r} is public, and of patient records visits are read off the rows in any case; take public, "
                "shares and quantiles out (levels = [...] may stay)"
            )
        found = assemble(source, options, schema)
        read = measured if options.reading > 2 else _detected
        told = {n: read(n, c, schema.get(n), found.where, options.reading > 2) for n, c in _columns(found)}
        static, dynamic = (tuple((n, told[n][1]) for n, _ in side) for side in (found.static, found.dynamic))
        fields = {n: replace(f, by_rows=options.reading < 2) for n, (f, _) in told.items()}
        if options.reading > 3:
            fields = {n: coarser(f, told[n][1], schema.get(n)) for n, f in fields.items()}
            when = coarser(found.when, Numbers(found.times, dtype="timestamp[s]"), schema.get(found.roles.time))
            found = replace(found, when=when, notes=(*found.notes, *when.notes[len(found.when.notes) :]))
        return replace(found, static=static, dynamic=dynamic), fields

    def schema(self, source: Source, options: ReadOptions) -> Schema:
        """What each column is taken for, and what it does in a record."""
        found, fields = self._found(source, options)
        bags = {name for bag in found.bags for name in bag.names()}
        counted = tuple(bag.column for bag in found.bags)
        static, dynamic = (tuple(n for n, _ in side if n not in bags) for side in (found.static, found.dynamic))
        roles = replace(found.roles, static=static, dynamic=dynamic, codes=counted)
        texts = _asked(found, fields, options)
        proposed = tuple(p.text for p in proposals(found, fields, options.seed) if p.text not in texts)
        return Schema(tuple(f for f in fields.values() if f.name not in bags), texts, proposed, roles)

    def inspect(self, source: Source, options: ReadOptions) -> Inspection:
        found, fields = self._found(source, options)
        n = len(found.names)
        back = round(share_held(n, options.holdout) * n)
        learned = sum(f.learned for f in fields.values())
        return Inspection(
            found.name,
            found.where,
            "records",
            total=n,
            whole=n,
            columns=tuple(table_look.column(fields[n], c) for n, c in _columns(found)),
            proposal={"columns to learn": learned, "patients held back": back},
            notes=(*found.notes, *_told(found, True), *(s for f in fields.values() for s in f.notes)),
            constraints={p.text: p.why for p in proposals(found, fields, options.seed)},
        )

    def encode(self, raw: Tensor) -> Tensor:
        """[N, R] raw -> [N, D] float32."""
        return self.coder.encode(raw)

    def decode(self, x: Tensor) -> Tensor:
        """[N, D], any scores in the places of choices -> [N, R] float64 raw records."""
        raw = self.coder.decode(x)
        if self.rules is not None:
            static, visits = self.coder.raw_parts(raw)
            raw = torch.cat([static, self.rules.made(static, visits, self.view).flatten(1)], 1)
        return self._ended(raw) if self.ends else raw

    def holds(self, raw: Tensor, made: bool = True) -> Tensor:
        """[N, R] raw records -> [N] bool: which meet all constraints (without `made`, those that records do not meet by how they are made),
        at every visit."""
        if self.rules is None:
            return torch.ones(len(raw), dtype=torch.bool)
        return self.rules.hold(*self.coder.raw_parts(raw.cpu()), self.view, made)

    def _ended(self, raw: Tensor) -> Tensor:
        """Without visits after the end of follow-up, but for the first."""
        static, visits = self.coder.raw_parts(raw)
        late = self._late(static, visits)
        return torch.cat([static, torch.where(late[:, :, None], torch.nan, visits).flatten(1)], 1)

    def _late(self, static: Tensor, visits: Tensor) -> Tensor:
        """[N, L]: is the visit, not the first, later than the survival time?  Times as numbers count from where they do, dates from the
        first visit."""
        assert self.survival is not None
        at = {c.name: i for i, c in enumerate(self.own)}
        began = static[:, at[FIRST]] if FIRST in at and self.time is not None and self.time.type == "number" else torch.zeros(len(static))
        when = began.nan_to_num(0.0)[:, None] + visits[:, :, 0].nan_to_num(0.0).cumsum(1)
        late = when > static[:, at[self.survival.time]][:, None] + SLACK
        late[:, 0] = False
        return late

    def _raw(self, x: Tensor) -> Tensor:
        return x if x.dtype == torch.float64 else self.decode(x)

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """x [N, D] encoded (or [N, R] float64 raw) -> the tables that were read, with new keys that join: a folder, or for a
        single table a .csv, .tsv or .parquet.  Raises DataError for other endings."""
        return record_files.write(self, self._raw(x).cpu(), out)

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """The distributions of at most twelve columns of visits as a PNG, beside the reference's if there is one."""
        sides = [None if side is None else self.rows(self._raw(side).cpu())[2] for side in (x, reference)]
        assert sides[0] is not None
        table_look.marginals((*self.changing, *self.own), sides[0], path, sides[1])

    def rows(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Raw records -> of their V visits the patient [V], the place among the patient's [V], and the values [V, 1 + V + S]:
        gap (NaN for first visits), columns, and the patient's own."""
        static, visits = self.coder.raw_parts(raw)
        who, which = (~visits[:, :, 0].isnan()).nonzero(as_tuple=True)
        values = visits[who, which]
        values[which == 0, 0] = torch.nan
        return who, which, torch.cat([values, static[who]], 1)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, D] twice -> [N]: the mean difference of the encoded entries."""
        return (a - b).abs().mean(1)

    def augments(self) -> tuple[str, ...]:
        """None: a changed cell is another patient."""
        return ()

    def extractors(self) -> tuple[str, ...]:
        """Records are measured as they are."""
        return ("records",)

    def state(self) -> dict[str, object]:
        singles = {k: c.state() for k in ("gap", "time", "key", "visit") if (c := getattr(self, k)) is not None}
        ended = {} if self.survival is None else {"survival": [*self.survival[:3], list(self.survival.after)]}
        said = {} if self.rules is None else {"constraints": self.rules.state()}
        return singles | ended | said | {
            "static": [c.state() for c in self.static],
            "dynamic": [c.state() for c in self.dynamic],
            "shares": list(self.shares),
            "layouts": [asdict(x) | {"columns": list(x.columns)} for x in self.layouts],
            "bags": [asdict(b) | {"codes": list(b.codes)} for b in self.bags],
            "seed": self.seed,
            "ends": self.ends,
        }

    def restored(self, state: Plain) -> RecordModality:
        try:
            lists = {k: _list(state, k) for k in ("static", "dynamic", "shares", "layouts", "bags")}
            found = RecordModality(
                static=tuple(fit.restored(c) for c in lists["static"]),
                dynamic=tuple(fit.restored(c) for c in lists["dynamic"]),
                gap=fit.restored(state["gap"]),
                time=fit.restored(state["time"]),
                key=fit.restored(state["key"]),
                visit=fit.restored(state["visit"]) if "visit" in state else None,
                shares=tuple(float(str(s)) for s in lists["shares"]),
                layouts=tuple(Layout(p["file"], p["kind"], tuple(p["columns"])) for p in lists["layouts"] if isinstance(p, Mapping)),
                bags=tuple(
                    Bag(p["file"], p["column"], tuple(p["codes"]), bool(p["visit"]))
                    for p in lists["bags"]
                    if isinstance(p, Mapping)
                ),
                survival=outcome(state.get("survival")),
                seed=int(str(state.get("seed", 0))),
                ends=bool(state.get("ends", False)),
            )
            rules = state.get("constraints")
            return found if not isinstance(rules, Mapping) else replace(found, rules=restored(rules, found.view))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the state of the records is not whole ({error}); restore the run's run.toml") from error


def _asked(found: Records, fields: Mapping[str, Field], options: ReadOptions) -> tuple[str, ...]:
    """The constraints that are asked for, those proposed written out."""
    schema = Schema() if options.schema is None else Schema.read(options.schema.expanduser())
    asked = [*schema.constraints, *options.constraints]
    if PROPOSED in asked:
        asked += [p.text for p in proposals(found, fields, options.seed)]
    return tuple(t for t in dict.fromkeys(asked) if t != PROPOSED)


def _list(state: Plain, key: str) -> list[object]:
    values = state.get(key, [])
    if not isinstance(values, list | tuple):
        raise TypeError(f"{key} is no list")
    return list(values)


def _end(blocks: list[Block]) -> int:
    return blocks[-1].start + blocks[-1].width if blocks else 0


def _detected(name: str, cells: Cells, asked: Field | None, where: str, wide: bool) -> tuple[Field, Cells]:
    """As runs of earlier readings have it."""
    return detect(name, cells, asked, where, wide), cells


def _columns(found: Records) -> list[tuple[str, Cells]]:
    return [*found.static, *found.dynamic]


def _groups(found: Records, options: ReadOptions) -> np.ndarray[tuple[int], np.dtype[np.str_]] | None:
    """[N] the patients' groups, where a static column is to keep them on one side."""
    if options.group is None or options.group == found.roles.key:
        return None
    cells = dict(found.static).get(options.group)
    if cells is None:
        raise DataError(f"group {options.group!r} must be a column that does not change within patients of {found.where}")
    words = spelled(cells)
    return np.array([*words.words.to_pylist(), ""], dtype=np.str_)[words.codes]


def _longest(found: Records, train: Index, options: ReadOptions) -> int:
    """The number of visits that at least five training patients have, at most MOST; to runs of earlier readings, of few patients the most
    there are."""
    visits = np.sort(np.diff(found.starts)[train])
    place = 1 if options.reading < 5 and len(visits) < 10 * GROUP else min(GROUP, len(visits))
    return int(max(1, min(visits[-place], MOST)))


def _told(found: Records, ends: bool) -> list[str]:
    """What does what.  ends: with the fewest and the most visits that a patient has, which are for the screen, and recorded nowhere."""
    visits = np.diff(found.starts)
    r = found.roles
    static, dynamic = (", ".join(n for n, _ in side) or "none" for side in (found.static, found.dynamic))
    said = [
        f"{count(len(visits), 'patient')} by {r.key!r}, {count(len(found.owner), 'visit')} by {r.time!r}"
        + (f", {visits.min():,} to {visits.max():,} each" if ends else ""),
        f"columns of patients: {static}",
        f"columns of visits: {dynamic}",
    ]
    if r.event:
        said.append(f"survival: {r.survival!r} until {r.event!r} or the end of follow-up")
    return said


def _modality(made: Fitted, longest: int, seed: int) -> tuple[RecordModality, Tensor]:
    """(modality, raw records [N, R])."""
    found, parts = made.found, made.parts
    static, gap, dynamic = made.columns
    modality = RecordModality(
        static=static,
        gap=gap,
        dynamic=dynamic,
        time=time_column(found),
        key=fit.fit(Field(found.roles.key, "identifier"), found.keys, parts.train, seed).column,
        visit=None if found.visit is None else fit.fit(Field(found.roles.visit, "identifier"), found.visit, parts.train, seed).column,
        shares=shares(found, parts.train, longest),
        layouts=found.layouts,
        bags=found.bags,
        survival=survival(found, static),
        seed=seed,
        rules=made.rules,
    )  # fmt: skip
    visits = torch.full((len(found.names), longest, len(modality.changing)), torch.nan, dtype=torch.float64)
    visits[torch.from_numpy(found.owner), torch.from_numpy(found.position)] = made.visits
    raw = torch.cat([made.own, visits.flatten(1)], 1)
    return replace(modality, ends=_all_end(modality, raw[torch.from_numpy(parts.train)])), raw


def _all_end(modality: RecordModality, raw: Tensor) -> bool:
    """Does no training visit come after its patient's survival time?"""
    if modality.survival is None or modality.survival.time not in {c.name for c in modality.own}:
        return False
    return not bool(modality._late(*modality.coder.raw_parts(raw)).any())
