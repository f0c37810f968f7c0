"""What a guarantee covers of the preparation of columns: which were declared, which were paid for, which were read off the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Preparation:
    """Names of columns: declared public, measured under differential privacy, and read off the rows without noise.  rules: whether
    constraints were fitted to the rows too; defended: whether flags such as --clip changed rows by what others hold; known: whether
    the data are a table, of whose columns all this is known.  unit: what is there in one of two neighbouring data sets, and missing in
    the other."""

    declared: tuple[str, ...] = ()
    paid: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    rules: bool = False
    defended: bool = False
    known: bool = False
    unit: str = "row"

    @property
    def whole(self) -> bool:
        """Is nothing read off the rows without noise?"""
        return self.known and not (self.read or self.rules or self.defended)


UNKNOWN = Preparation()
UNITS = {"records": "patient", "image": "picture"}
"""What a row is, by kinds of data."""


def preparation(kind: str, state: Mapping[str, object], defences: Sequence[str] = ()) -> Preparation:
    """Of data of this kind and state (`Modality.state`), whose rows were defended so.  Columns of free text are left out of
    everything, so nothing of them is read."""
    columns = state.get("columns")
    if kind != "table" or not isinstance(columns, list | tuple):
        return replace(UNKNOWN, unit=UNITS.get(kind, UNKNOWN.unit))
    names: dict[object, list[str]] = {"declared": [], "paid": [], "": []}
    for column in columns:
        if isinstance(column, Mapping) and column.get("type") != "text":
            names[column.get("public", "")].append(str(column.get("name")))
    return Preparation(
        tuple(names["declared"]), tuple(names["paid"]), tuple(names[""]), "constraints" in state, bool(defences), known=True
    )


def told(columns: Preparation, begins: str = "") -> str:
    """What of the preparation no guarantee covers, and the remedy, in sentences."""
    if not columns.known:
        return (
            f"{begins}types, bounds, quantiles, names of levels and shares (of classes too) were taken from the raw rows without noise, and "
            "samples are set right by them; what `--dedupe`, `--k-anonymous` and `--clip` did to a row hangs on others. Unless all that is "
            "public, epsilon is not that of the whole pipeline."
        )
    if columns.whole:
        return f"{begins}nothing of any column is read off the rows without noise; types and formats of columns are taken for public."
    found = []
    if columns.read:
        found.append(
            f"names of levels, bounds, quantiles and shares of {', '.join(columns.read)} were read off the rows without noise, and samples "
            "are set right by them"
        )
    if columns.rules:
        found.append("constraints were fitted to the rows (which combinations there are, how large gaps and totals get)")
    if columns.defended:
        found.append("what `--dedupe`, `--k-anonymous` and `--clip` did to a row hangs on others")
    return (
        f"{begins}{'; '.join(found)}. Epsilon is not that of the whole pipeline: declare what is public in a schema (public = true), or "
        "measure it under differential privacy with `rivalry data prepare`."
    )
