"""What a run has spent of its privacy: privacy.jsonl in its folder, written before what it stands for.

The first line holds the terms; each further one says how many turns have been paid for by then.  Lines are only ever
added, and each is on the disk before its turns are taken: what a crash loses has been paid for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rivalry.errors import RunError
from rivalry.privacy.accounting import accountant, epsilon_of
from rivalry.privacy.counts import COUNTS, CountTerms
from rivalry.privacy.votes import MECHANISM, VoteTerms

FILE = "privacy.jsonl"
BLOCKS = 200
"""A run's turns are paid for in about so many payments, so that a crash costs half a per cent."""


@dataclass(frozen=True)
class Terms:
    """What was asked for, and the mechanism that keeps it.

    epsilon, delta: asked for.  sigma: noise over clip.  rate: the chance of a row to be drawn in a turn.  turns: how
    many the budget was made for.  rows: in the training set.  batch: expected size, rate times rows.  before: noise of a
    preparation of the columns that is paid for too (0: none); names_delta: the part of delta it used up besides.
    """

    epsilon: float
    delta: float
    sigma: float
    clip: float
    rate: float
    turns: int
    rows: int
    batch: int
    before: float = 0.0
    names_delta: float = 0.0

    def epsilon_after(self, turns: int) -> float:
        return epsilon_of(self.sigma, self.delta - self.names_delta, self.rate, turns, before=self.before)


AnyTerms = Terms | VoteTerms | CountTerms


@dataclass(frozen=True)
class Account:
    """What has been spent: epsilon of the turns paid for, by `accountant`."""

    epsilon: float
    turns: int
    accountant: str


class Ledger:
    """Pays for turns, in blocks, ahead of them.  Whatever was paid for before this sitting counts as taken."""

    def __init__(self, path: Path, terms: AnyTerms, paid: int = 0) -> None:
        self.path, self.terms, self.paid = path, terms, paid
        self.block = max(1, terms.turns // BLOCKS)
        self._left = 0

    @classmethod
    def create(cls, path: Path, terms: AnyTerms) -> Ledger:
        """A new ledger; RunError if there is one already."""
        if path.exists():
            raise RunError(f"{path} exists already; what it says is spent cannot be unsaid, so name another run")
        ledger = cls(path, terms)
        ledger._write({"kind": "terms", **asdict(terms)})
        _sync_folder(path.parent)
        return ledger

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """The ledger as a run left it; RunError if it is missing or its terms cannot be read."""
        lines = _lines(path)
        if not lines or lines[0].get("kind") != "terms":
            raise RunError(
                f"{path} does not tell what this run has spent of its privacy, so it cannot go on within its budget; "
                "restore the file, or start a new run"
            )
        kinds: dict[object, type[AnyTerms]] = {MECHANISM: VoteTerms, COUNTS: CountTerms}
        kind = kinds.get(lines[0].get("mechanism"), Terms)
        terms = kind(**{k: v for k, v in lines[0].items() if k != "kind"})
        paid = max((int(r["total"]) for r in lines if r["kind"] == "paid"), default=0)
        return cls(path, terms, paid)

    def affords(self, turns: int) -> bool:
        """Whether so many more turns stay within the budget."""
        return self._left + self.terms.turns - self.paid >= turns

    def spend(self) -> None:
        """To be called before every turn; RunError, before anything is taken, where the budget is spent."""
        if not self._left:
            block = min(self.block, self.terms.turns - self.paid)
            if block < 1:
                raise RunError(f"the privacy budget of {self.path.parent} is spent; no further turn may be taken")
            self._write({"kind": "paid", "turns": block, "total": self.paid + block})
            self.paid += block
            self._left = block
        self._left -= 1

    def settle(self) -> Account:
        """What has been spent by now, also noted in the ledger."""
        found = Account(self.terms.epsilon_after(self.paid), self.paid, accountant())
        self._write({"kind": "account", **asdict(found)})
        return found

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
            with open(self.path, "a", encoding="utf-8") as out:
                out.write("\n" * torn + json.dumps(record) + "\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise RunError(
                f"cannot write {self.path} ({error.strerror}), and no turn is taken that is not paid for; free some "
                "space and go on with: rivalry resume"
            ) from error


def _sync_folder(folder: Path) -> None:
    """A new file's name is on the disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines.  One cut short by a kill paid for turns that were never taken, and totals count from the
    beginning, so it may be left out."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def read_account(folder: Path) -> tuple[AnyTerms, Account] | None:
    """The terms of a run and what it has spent; None for a run without differential privacy."""
    path = folder / FILE
    if not path.exists():
        return None
    ledger = Ledger.open(path)
    known = [r for r in _lines(path) if r["kind"] == "account" and r["turns"] == ledger.paid]
    if known:
        last = known[-1]
        return ledger.terms, Account(float(last["epsilon"]), int(last["turns"]), str(last["accountant"]))
    return ledger.terms, Account(ledger.terms.epsilon_after(ledger.paid), ledger.paid, accountant())
