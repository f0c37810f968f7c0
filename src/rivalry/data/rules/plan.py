"""The plan of a table with constraints: which columns are learned in place of its own, and how rows come back from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from rivalry.data.columns import fit
from rivalry.data.columns.codes import Code
from rivalry.data.columns.fit import Column
from rivalry.data.rules.kinds import MissingIf, Rule, Together, all_hold
from rivalry.data.rules.steps import Gap, Joint, Mask, Own, Step, Total, emptied
from rivalry.data.rules.text import rules as parsed
from rivalry.errors import DataError

KINDS: Mapping[str, Callable[..., Own | Gap | Total]] = {"own": Own, "gap": Gap, "total": Total}


@dataclass(frozen=True)
class Plan:
    """rules: all constraints.  steps: in the order in which raw rows are made; learned: the column that each learns, None
    for totals that follow.  aside: numbers of the rules that nothing but drawing anew can meet."""

    rules: tuple[Rule, ...]
    steps: tuple[Step, ...]
    learned: tuple[Column | None, ...]
    width: int
    aside: tuple[int, ...] = ()

    @cached_property
    def inner(self) -> tuple[Column, ...]:
        """The columns that are encoded."""
        return tuple(c for c in self.learned if c is not None)

    @cached_property
    def codes(self) -> tuple[Code, ...]:
        return tuple(c.code for c in self.inner if c.code is not None)

    @property
    def rejected(self) -> tuple[Rule, ...]:
        return tuple(self.rules[i] for i in self.aside)

    @cached_property
    def masks(self) -> tuple[Mask, ...]:
        return tuple(Mask(r) for r in self.rules if isinstance(r, MissingIf))

    def inward(self, raw: Tensor) -> Tensor:
        """Raw rows [N, C] -> the columns that are encoded [N, I]."""
        made = [s.inward(raw) for s, c in zip(self.steps, self.learned, strict=True) if c is not None]
        return torch.stack(made, 1)

    def outward(self, inner: Tensor) -> Tensor:
        """[N, I] -> raw rows [N, C] that meet every constraint but those aside."""
        raw = inner.new_full((len(inner), self.width), torch.nan)
        at = 0
        for step, column in zip(self.steps, self.learned, strict=True):
            if isinstance(step, Total):
                step.outward(None if column is None else inner[:, at], raw)
            else:
                step.outward(inner[:, at], raw)
            at += column is not None
        emptied(self.masks, raw)
        return raw

    def holds(self, raw: Tensor) -> Tensor:
        """[N, C] -> [N] bool: which rows meet all constraints."""
        return all_hold(self.rules, raw)

    def state(self) -> dict[str, object]:
        """Plain values for TOML; combinations as numbers of levels, -1 for missing cells."""
        known = {r.text: r.known for r in self.rules if isinstance(r, Together) and r.known is not None}
        return {
            "rules": list(dict.fromkeys(r.text for r in self.rules)),
            "aside": list(self.aside),
            "steps": [_plain(s, c, self.rules) for s, c in zip(self.steps, self.learned, strict=True)],
            "combinations": {k: v.nan_to_num(-1.0).long().tolist() for k, v in known.items()},
        }


def _plain(step: Step, column: Column | None, rules: Sequence[Rule]) -> dict[str, object]:
    learned = {} if column is None else {"learned": column.state()}
    if isinstance(step, Joint):
        return {"kind": "joint", "rule": rules.index(step.rule), **learned}
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(step).items() if v is not None}
    return {"kind": type(step).__name__.lower(), **values, **learned}


def restored(state: Mapping[str, Any], columns: Sequence[Column], asked: Sequence[Rule] | None = None) -> Plan:
    """The inverse of `Plan.state`.  asked: its rules, where their words name other columns too.  Raises DataError for what it never wrote."""
    try:
        known = state["combinations"]
        rules = tuple(with_known(r, known.get(r.text)) for r in (parsed(state["rules"], columns) if asked is None else asked))
        steps, learned = list[Step](), list[Column | None]()
        for plain in state["steps"]:
            learned.append(fit.restored(plain["learned"]) if "learned" in plain else None)
            steps.append(_step(plain, rules))
        width = sum(c.code is not None for c in columns)
        return Plan(rules, tuple(steps), tuple(learned), width, tuple(state["aside"]))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"the constraints of the table are not whole ({error!r}); restore the run's run.toml") from error


def _step(plain: Mapping[str, Any], rules: Sequence[Rule]) -> Step:
    if plain["kind"] != "joint":
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items() if k not in ("kind", "learned")}
        return KINDS[plain["kind"]](**values)
    rule = rules[int(plain["rule"])]
    if not isinstance(rule, Together):
        raise TypeError(rule.text)
    return Joint(rule)


def with_known(rule: Rule, known: Sequence[Sequence[int]] | None) -> Rule:
    """A constraint on combinations with those that are known, others as they are."""
    if not isinstance(rule, Together) or known is None:
        return rule
    rows = torch.tensor(known, dtype=torch.float64).reshape(-1, len(rule.columns))
    return Together(rule.text, rule.columns, rule.least, torch.where(rows < 0, torch.nan, rows))
