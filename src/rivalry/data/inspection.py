"""What `inspect` found: one value for every kind of data, as text for people and as a dictionary for --json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from rivalry.data.split import EITHER, FEWEST
from rivalry.data.words import count, some

SHOWN = 8


@dataclass(frozen=True)
class Column:
    """A column: the range and moments of its numbers over the cells that are there, and how many are missing.

    type, levels (distinct values), most (the most frequent, with their rows), step: of tables; low and high of dates
    are seconds since 1970 UTC, `reach` says them in words.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    missing: int = 0
    type: str = "number"
    levels: int = 0
    most: tuple[tuple[str, int], ...] = ()
    step: float = 0.0
    reach: str = ""

    def text(self) -> str:
        gaps = f", {count(self.missing, 'cell')} missing" if self.missing else ""
        if self.type == "number":
            unit = f", steps of {self.step:g}" if self.step else ""
            said = f"{self.low:.4g} to {self.high:.4g}, mean {self.mean:.4g}, deviation {self.deviation:.4g}{unit}"
            return f"column {self.name}: {said}{gaps}"
        named = ", ".join(f"{word} ({n:,})" for word, n in self.most)
        rest = self.levels - len(self.most)
        what = self.reach or (named + (f" and {rest:,} more" if named and rest > 0 else ""))
        return f"column {self.name}: {self.type}, {count(self.levels, 'value')}{': ' if what else ''}{what}{gaps}"


@dataclass(frozen=True)
class Inspection:
    """What the data are.

    kind: of the modality.  total: rows found; whole: rows that can be used; held: rows in the official test side,
    None without one.  sizes ('112x92': height x width), modes, depths (bits), classes: how many rows have each.
    broken: (name, reason).  duplicates: groups of names of equal content; near: pairs of names that look alike;
    near_checked: among how many rows near duplicates were looked for.  constant: pictures of one colour.
    columns: of points and tables.  proposal: what reading would decide on (size, channels, held-out rows ...).
    constraints: on rows of tables that the data suggest, and what speaks for each.  scans: of medical images, what there is
    to say of them, by its name.
    """

    name: str
    where: str
    kind: str
    total: int
    whole: int
    held: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    depths: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    broken: tuple[tuple[str, str], ...] = ()
    duplicates: tuple[tuple[str, ...], ...] = ()
    near: tuple[tuple[str, str], ...] = ()
    near_checked: int = 0
    constant: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    left_out: tuple[str, ...] = ()
    proposal: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)
    scans: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def text(self) -> str:
        """Lines for people."""
        what = {"image": "picture", "points": "point", "records": "patient", "text": "line", "dialogue": "conversation"}.get(self.kind, "row")
        lines = [f"{self.name}: {count(self.total, what)} in {self.where}"]
        if self.held is not None:
            lines.append(f"official split: {self.total - self.held:,} to train on, {self.held:,} held back")
        lines += [f"{what}: {said}" for what, said in self.scans.items()]
        lines += [self._counted(*item) for item in self._tables() if item[1]]
        lines += self._balance()
        lines += self._columns()
        lines += self._troubles()
        if self.proposal:
            lines.append("proposed: " + ", ".join(f"{k} {v}" for k, v in self.proposal.items()))
            lines += self._too_few()
        lines += [f"proposed constraint: {text}  ({why})" for text, why in self.constraints.items()]
        return "\n".join([*lines, *(f"note: {n}" for n in self.notes)])

    def _too_few(self) -> list[str]:
        """What training will refuse, said before."""
        back = self.proposal.get("held back")
        if self.kind not in ("image", "points", "table") or not isinstance(back, int):
            return []
        if self.whole >= FEWEST and min(back, self.whole - back) >= EITHER:
            return []
        return [f"too few to train on: {FEWEST} are needed at least, {EITHER} of them held back, so 20 without --holdout .5"]

    def _tables(self) -> list[tuple[str, Mapping[str, int]]]:
        return [("sizes (height x width)", self.sizes), ("modes", self.modes), ("bits", self.depths)]

    def _counted(self, what: str, counts: Mapping[str, int]) -> str:
        parts = [f"{k} ({n:,})" for k, n in sorted(counts.items(), key=lambda item: -item[1])]
        return f"{what}: {some(parts, SHOWN)}"

    def _balance(self) -> list[str]:
        if not self.classes:
            return ["classes: none"] if self.kind == "image" else []
        parts = [f"{k} {n:,}" for k, n in self.classes.items()]
        least, most = min(self.classes.values()), max(self.classes.values())
        ratio = (
            f"; the largest has {most / max(least, 1):.1f} times the smallest" if most > 1.5 * least else "; balanced"
        )
        return [f"classes: {len(parts)}: {some(parts, 12)}{ratio}"]

    def _columns(self) -> list[str]:
        return [c.text() for c in self.columns]

    def _troubles(self) -> list[str]:
        copies = sum(len(group) - 1 for group in self.duplicates)
        lines = []
        if self.broken:
            shown = [f"{name} ({reason})" for name, reason in self.broken]
            lines.append(f"broken: {count(len(shown), 'line' if self.kind in ('text', 'dialogue') else 'file')}: {some(shown, SHOWN)}")
        if copies:
            shown = [" = ".join(group[:3]) for group in self.duplicates]
            lines.append(f"exact copies: {copies:,}: {some(shown, SHOWN)}")
        if self.near:
            shown = [" ~ ".join(pair) for pair in self.near]
            lines.append(
                f"near copies: {count(len(shown), 'pair')} among {self.near_checked:,}: {some(shown, SHOWN)}"
            )
        if self.constant:
            lines.append(f"of one colour: {len(self.constant):,}: {some(self.constant, SHOWN)}")
        if self.left_out:
            lines.append(f"not pictures: {count(len(self.left_out), 'file')}: {some(self.left_out, SHOWN)}")
        return lines
