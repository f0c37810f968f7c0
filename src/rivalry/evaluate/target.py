"""When to stop: a target ("fd<20, coverage>.5, copies<.01", "fd<3x floor") and a budget ("10m", "500steps")."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rivalry.errors import RecipeError
from rivalry.evaluate.rulers import Score, metric, number

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CONDITION = re.compile(
    rf"(?P<name>[A-Za-z_]\w*)\s*(?P<sign><=|>=|<|>)\s*(?P<number>{NUMBER})\s*"
    r"(?P<unit>%|[x×*]\s*(?:the\s+)?floor)?",
    re.IGNORECASE,
)
_AMOUNT = re.compile(rf"(?P<number>{NUMBER})\s*(?P<unit>[A-Za-z]+)")
_EXAMPLES = "write a time (40s, 10m, 2h), steps (500steps) or samples (4096samples)"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_WORDS = {"sec": "s", "second": "s", "seconds": "s", "min": "m", "minute": "m", "minutes": "m"}
_WORDS |= {"hour": "h", "hours": "h", "day": "d", "days": "d"}
_COUNTS = {"step": ("steps", 1), "steps": ("steps", 1), "sample": ("samples", 1), "samples": ("samples", 1)}
_COUNTS |= {f"k{k}": (v[0], 1000) for k, v in list(_COUNTS.items())} | {"kimg": ("samples", 1000)}


@dataclass(frozen=True)
class Condition:
    """`metric` on the `sign` side ('<', '<=', '>', '>=') of `limit`, which is in floors if `in_floors`."""

    metric: str
    sign: str
    limit: float
    in_floors: bool = False

    def __str__(self) -> str:
        return f"{self.metric}{self.sign}{self.limit:g}{'x floor' if self.in_floors else ''}"

    def threshold(self, floor: float | None) -> float:
        """The limit in the metric's own units; RecipeError if it is in floors and there is none."""
        if not self.in_floors:
            return self.limit
        if floor is None:
            raise RecipeError(f"{self} cannot be judged: {self.metric} has no floor here; give the limit as a number")
        return self.limit * floor

    def holds(self, value: float, floor: float | None) -> bool:
        bound = self.threshold(floor)
        if math.isnan(value):
            return False
        if "=" in self.sign and value == bound:
            return True
        return value < bound if self.sign[0] == "<" else value > bound

    def met(self, score: Score) -> bool:
        return self.holds(score.value, score.floor)

    def says(self, score: Score) -> str:
        """'FD-local 45.2 (43.1 to 47.4), wanted < 20'."""
        wanted = f"{self.sign} {number(self.threshold(score.floor))}"
        if self.in_floors:
            wanted += f" ({self.limit:g}x the floor {number(score.floor)})"
        interval = f"({number(score.low)} to {number(score.high)})"
        return f"{score.ruler.name} {number(score.value)} {interval}, wanted {wanted}"


@dataclass(frozen=True)
class Target:
    """All conditions must hold.  The first is what is aimed at, the others guard it."""

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Target:
        """"fd<20, coverage>.5, copies<1%", "fd<3x floor".

        RecipeError on nonsense, on a limit in the wrong direction and on one metric twice; UnknownName, with the
        nearest, for an unknown metric.
        """
        pieces = [p.strip() for p in re.split(r",|;|\band\b|&", text)]
        if not any(pieces):
            raise RecipeError('a target is empty; say for example "fd<20" or "fd<3x floor, coverage>.5"')
        conditions = tuple(_condition(p, text) for p in pieces if p)
        names = [c.metric for c in conditions]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise RecipeError(f"the target {text!r} names {twice} twice; keep one of them")
        return cls(conditions)

    def __str__(self) -> str:
        return ", ".join(map(str, self.conditions))

    @property
    def goal(self) -> Condition:
        return self.conditions[0]

    @property
    def guards(self) -> tuple[Condition, ...]:
        return self.conditions[1:]

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(c.metric for c in self.conditions)

    def check(self, available: Collection[str], data: str = "these data") -> None:
        """RecipeError if a metric of the target cannot be measured here."""
        for c in self.conditions:
            if c.metric not in available:
                raise RecipeError(
                    f"the target {c} cannot be measured on {data}; what can be: {', '.join(sorted(available))}"
                )

    def met(self, scores: Mapping[str, Score]) -> bool:
        """RecipeError if a metric of the target is not among the scores."""
        self.check(scores)
        return all(c.met(scores[c.metric]) for c in self.conditions)

    def missed(self, scores: Mapping[str, Score]) -> list[str]:
        """A sentence for each condition that does not hold."""
        self.check(scores)
        return [c.says(scores[c.metric]) for c in self.conditions if not c.met(scores[c.metric])]


def _spelled(unit: str) -> str:
    return unit if unit in ("", "%") else "x floor"


def _condition(piece: str, whole: str) -> Condition:
    found = _CONDITION.fullmatch(piece)
    if found is None:
        raise RecipeError(
            f"{piece!r} in the target {whole!r} is not understood; write a metric, < or >, and a number, "
            'such as "fd<20", "coverage>.5" or "fd<3x floor"'
        )
    name, sign = found["name"].lower(), found["sign"]
    what, limit = metric(name), float(found["number"])
    unit = (found["unit"] or "").lower()
    if unit == "%":
        limit /= 100
    if what.better == "one":
        raise RecipeError(f"{name} is best at 1, not at an end, so it cannot be a target; aim at modes, hq or kl")
    right = "<" if what.better == "lower" else ">"
    if sign[0] != right:
        raise RecipeError(
            f"{piece!r} aims the wrong way: {name} is better when {what.better}; write {name}{right}{float(found['number']):g}{_spelled(unit)}"
        )
    if unit.endswith("floor") and not what.floored:
        raise RecipeError(f"{piece!r} has no unit: the floor of {name} is about 0; give the limit as a number")
    if limit < 0 and sign[0] == "<" and name != "kid":
        raise RecipeError(f"{piece!r} makes no sense: {name} is never below 0; write {name}{sign} and a number above 0")
    if unit.endswith("floor") and limit <= 0:
        raise RecipeError(f"{piece!r} can never hold: a multiple of the floor must be above 0")
    if unit.endswith("floor") and what.better == "higher" and limit > 1:
        raise RecipeError(f"{piece!r} can hardly hold: real data score 1x floor; write a factor below 1")
    return Condition(name, sign, limit, unit.endswith("floor"))


@dataclass(frozen=True)
class Budget:
    """How long training may last; where several are given, whichever is spent first; none means no limit of its own.

    seconds: of training.  steps: of the recipe.  samples: real examples shown to the discriminator.
    """

    seconds: float | None = None
    steps: int | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        given = [v for v in (self.seconds, self.steps, self.samples) if v is not None]
        if not all(v > 0 and math.isfinite(v) for v in given):
            raise RecipeError(f"a budget must be above 0, not {min(given):g}; {_EXAMPLES}")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """"10m", "40s", "1h30m", "500steps", "20ksteps", "4096samples", "10m, 5000steps"; RecipeError on nonsense."""
        if not isinstance(text, str):
            raise RecipeError(f"a budget is a text with its unit, not {text!r}; {_EXAMPLES}")
        rest, seconds, counts = text.strip(), 0.0, dict[str, int]()
        while rest:
            found = _AMOUNT.match(rest)
            if found is None:
                raise _nonsense(text)
            value, unit = float(found["number"]), found["unit"]
            unit = _WORDS.get(unit.lower(), unit)
            if unit in _SECONDS and value > 0:
                seconds += value * _SECONDS[unit]
            elif unit.lower() in _COUNTS and _COUNTS[unit.lower()][0] not in counts:
                what, factor = _COUNTS[unit.lower()]
                counts[what] = _whole(value * factor, text)
            else:
                raise _nonsense(text)
            rest = rest[found.end() :].lstrip(", ")
        if not seconds and not counts:
            raise _nonsense(text)
        return cls(seconds or None, counts.get("steps"), counts.get("samples"))

    def __str__(self) -> str:
        parts = [f"{self.steps}steps"] if self.steps is not None else []
        parts += [f"{self.samples}samples"] if self.samples is not None else []
        if self.seconds is not None:
            unit = next(u for u in ("h", "m", "s") if self.seconds % _SECONDS[u] == 0 or u == "s")
            parts.append(f"{self.seconds / _SECONDS[unit]:g}{unit}")
        return ", ".join(parts)


def _whole(value: float, text: str) -> int:
    if value < 1 or value != round(value):
        raise RecipeError(f"the budget {text!r} must be a whole number of at least 1 step or sample")
    return round(value)


def _nonsense(text: str) -> RecipeError:
    return RecipeError(f"the budget {text!r} is not understood; {_EXAMPLES}")
