"""What the columns of patient records are for, as a value and as the section [records] of a schema."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from rivalry.errors import DataError


@dataclass(frozen=True)
class Roles:
    """'' and (): to be found from the data, or not there.

    key: names patients.  time: when a visit was.  visit: names visits, where another table refers to them.  static,
    dynamic: columns that are the patient's, or the visit's, whatever they look like.  codes: columns of a table with a
    row for each code.  survival: static column with the time until an event or the end of follow-up; event: the column that
    says whether it was the event, with its level if it has more than two ('status=dead'); after: further columns that are
    known only after follow-up, from which survival is not to be predicted.
    """

    key: str = ""
    time: str = ""
    visit: str = ""
    static: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    survival: str = ""
    event: str = ""
    after: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that has a role."""
        single = (self.key, self.time, self.visit, self.survival, self.event_column)
        return tuple(n for n in (*single, *self.static, *self.dynamic, *self.codes, *self.after) if n)

    @property
    def event_column(self) -> str:
        """The event's column, without its level."""
        return self.event.split("=")[0].strip()

    def plain(self) -> dict[str, object]:
        """For TOML, without what is left open."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if v}

    @classmethod
    def read(cls, plain: object, where: str) -> Roles:
        """The inverse of `plain`.  Raises DataError for unknown keys, values of the wrong kind, and half a survival."""
        if not isinstance(plain, Mapping):
            raise DataError(f"{where} must hold its roles in a section [records]")
        known = {f.name: f.default for f in fields(cls)}
        for k, v in plain.items():
            if k not in known:
                near = difflib.get_close_matches(k, known, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise DataError(f"{where}, section [records], has the key {k!r}; {hint}")
            many = isinstance(known[k], tuple)
            fits = isinstance(v, list) and all(isinstance(w, str) for w in v) if many else isinstance(v, str)
            if not fits:
                raise DataError(f"{where}, section [records], has {k} = {v!r}; give {'a list of names' if many else 'a name'}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        roles = cls(**values)
        if bool(roles.survival) != bool(roles.event):
            raise DataError(f"{where}, section [records], must name both survival (a time) and event, or neither")
        twice = sorted(set(roles.static) & set(roles.dynamic))
        if twice:
            raise DataError(f"{where} says that {twice[0]!r} is both static and dynamic; keep one")
        return roles
