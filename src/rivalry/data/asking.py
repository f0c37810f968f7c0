"""What is asked of a table's rows when they are drawn: conditions, shares of levels, and constraints that are met only by
drawing anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.data.columns.cells import name_order
from rivalry.data.columns.codes import LevelCode
from rivalry.data.columns.fit import Column
from rivalry.data.conditions import COMMA, PART, Condition, met, parse
from rivalry.data.record_fit import FIRST
from rivalry.data.records import RecordModality
from rivalry.data.rules.kinds import Rule
from rivalry.data.table import TableModality
from rivalry.data.words import some
from rivalry.errors import DataError, UnknownName


@dataclass(frozen=True)
class Balance:
    """column: its place among the raw rows' columns.  shares [K]: of its levels, by number; they add up to 1."""

    column: int
    shares: tuple[float, ...]

    def counts(self, n: int) -> tuple[int, ...]:
        """How many of n rows each level gets: rounded down, what is left over to the largest remainders.

        >>> Balance(0, (0.5, 0.3, 0.2)).counts(9)
        (4, 3, 2)
        """
        exact = torch.tensor(self.shares, dtype=torch.float64) * n
        whole = (exact + 1e-9).floor()
        rest = (exact - whole).argsort(descending=True, stable=True)
        whole[rest[: n - int(whole.sum())]] += 1
        return tuple(whole.long().tolist())


@dataclass(frozen=True)
class Holding:
    """The constraints on patients that only drawing them anew can meet, as one rule of raw records [N, R]."""

    modality: RecordModality

    def holds(self, raw: Tensor) -> Tensor:
        return self.modality.holds(raw, made=False)


@dataclass(frozen=True)
class Asked:
    """Which rows are wanted: those that meet all conditions and rules, by the balance's shares if there is one."""

    conditions: tuple[Condition, ...] = ()
    rules: tuple[Rule | Holding, ...] = ()
    balance: Balance | None = None

    def __bool__(self) -> bool:
        return bool(self.conditions or self.rules) or self.balance is not None

    def group(self, raw: Tensor) -> Tensor:
        """[N, C] raw rows -> [N] int64: the level of the balanced column (0 without one), -1 for rows not wanted."""
        keep = met(raw, self.conditions)
        for rule in self.rules:
            keep = keep & rule.holds(raw).cpu()
        level = torch.zeros(len(raw), dtype=torch.int64)
        if self.balance is not None:
            level = raw[:, self.balance.column].cpu().nan_to_num(-1.0).long()
        return torch.where(keep, level, -1)

    def counts(self, n: int) -> tuple[int, ...]:
        """How many rows of each group make n rows."""
        return (n,) if self.balance is None else self.balance.counts(n)


def asked(modality: TableModality, where: str = "", balance: str = "") -> Asked:
    """From words; see `rivalry.data.conditions` and `balanced`."""
    rules = () if modality.plan is None else modality.plan.rejected
    return Asked(parse(where, modality.columns), rules, balanced(balance, modality.columns) if balance else None)


def asked_of_patients(modality: RecordModality, where: str = "", balance: str = "") -> Asked:
    """The same of patient records, by the columns that are a patient's own.  DataError for those that change from visit to visit."""
    changing = [c.name for c in (modality.time, modality.visit, *modality.dynamic) if c is not None]
    named = [m["column"] for part in COMMA.split(where) if (m := PART.match(part)) is not None] + [balance.partition("=")[0].strip()]
    wrong = next((n for n in named if n in changing), None)
    if wrong is not None:
        own = some([c.name for c in modality.own if c.name != FIRST], 8)
        raise DataError(
            f"{wrong!r} changes from visit to visit, and patients are drawn whole: ask by their own columns ({own}), or choose among the "
            "visits once they are written"
        )
    again = modality.rules is not None and modality.rules.rejected(modality.view)
    return Asked(parse(where, modality.static), (Holding(modality),) if again else (), balanced(balance, modality.static) if balance else None)


def balanced(text: str, columns: Sequence[Column]) -> Balance:
    """'income' (equal shares), 'income=0.3,0.7' (in the order of the levels' names) or
    'income=>50K:0.3,<=50K:0.7' (others get none).

    Raises DataError for shares that make none, UnknownName for columns and levels that are not there.
    """
    learned = [c for c in columns if c.code is not None]
    names = [c.name for c in learned]
    name, _, told = (text, "", "") if text in names else text.partition("=")
    name = name.strip()
    if name not in names:
        if any(c.name == name for c in columns):
            raise DataError(f"the column {name!r} is not learned, so rows cannot be balanced by it")
        raise UnknownName("column", name, names)
    code = learned[names.index(name)].code
    if not isinstance(code, LevelCode):
        raise DataError(f"{name!r} has no levels to balance, but numbers; name a category, or choose rows with --where")
    if not told.strip():
        return Balance(names.index(name), (1 / len(code.levels),) * len(code.levels))
    return Balance(names.index(name), _shares(name, [w.strip() for w in told.split(",")], code.levels))


def _shares(name: str, words: Sequence[str], levels: Sequence[str]) -> tuple[float, ...]:
    shares = dict.fromkeys(levels, 0.0)
    told = [w.rpartition(":") for w in words]
    if not any(colon for _, colon, _ in told) and len(words) != len(levels):
        raise DataError(
            f"--balance gives {len(words)} shares for the {len(levels)} levels of {name!r}; write LEVEL:SHARE for those that are "
            f"meant, for example {name}={levels[0]}:0.5,{levels[-1]}:0.5"
        )
    named = [levels[i] for i in name_order(levels)]
    for i, (level, colon, number) in enumerate(told):
        level = level.strip() if colon else named[i]
        if level not in shares:
            raise UnknownName(f"level of {name!r}", level, levels)
        shares[level] = _share(name, number)
    total = sum(shares.values())
    if not total > 0:
        raise DataError(f"--balance gives no level of {name!r} a share; give at least one")
    return tuple(v / total for v in shares.values())


def _share(name: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise DataError(f"--balance: {word.strip()!r} is no share of {name!r}; give numbers such as 0.3")
    return value
