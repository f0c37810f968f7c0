"""Errors that say what, where and the remedy.

RivalryError                     exit code 2 on the command line
├── DataError                    the user's data cannot be read or used
├── RecipeError                  a recipe, part or setting makes no sense
│   └── UnknownName              a name nobody knows, with the nearest one that is known
├── RunError                     a run folder or checkpoint is missing, broken or of another recipe
├── WeightsError                 a weights file is missing, unsafe or does not fit
├── RulerMismatch                scores of different rulers were about to be compared
├── MissingExtra                 an optional dependency is not installed
└── Diverged                     training went to NaN or exploded and could not be mended
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RivalryError(Exception):
    """Base of all errors a user can mend; its text is one sentence that names the remedy."""


class DataError(RivalryError):
    """The data cannot be read or used as asked."""


class RecipeError(RivalryError):
    """A recipe, a part or a setting makes no sense."""


class RunError(RivalryError):
    """A run folder or a checkpoint is missing, broken, or belongs to another recipe."""


class WeightsError(RivalryError):
    """A weights file is missing, unsafe, or does not fit."""


class RulerMismatch(RivalryError):
    """Scores measured by different rulers were about to be compared."""


class Diverged(RivalryError):
    """Training went to NaN or exploded, and going back did not help."""


class UnknownName(RecipeError):
    """`name` is no known `kind`; suggests the nearest known name and lists the others if they are few."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        few = 0 < len(self.known) <= 40
        near = difflib.get_close_matches(name, self.known, n=1, cutoff=0.6 if few else 0.5)  # few are rather listed than guessed at
        if near:
            hint = f"did you mean {near[0]!r}?"
        elif few:
            hint = "known: " + ", ".join(self.known)
        else:
            hint = "nothing by a similar name is known"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class MissingExtra(RivalryError):
    """An optional dependency is needed: `extra` is the one to install, `what` the thing that needs it."""

    def __init__(self, extra: str, what: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional package; install it with: pip install 'rivalry[{extra}]'")
