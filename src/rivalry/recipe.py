"""The Recipe: a GAN as a row.  Frozen, typed, written to TOML and read back without loss."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from typing import Any

import tomli_w
from torch import nn

from rivalry.catalogue import Plain, build, dump, field_types, name_of, register, walk
from rivalry.errors import RecipeError, UnknownName
from rivalry.games.samplers import IID
from rivalry.optimisers import Adam
from rivalry.parts import (
    After,
    Augment,
    Controller,
    Game,
    Net,
    Objective,
    Optimiser,
    Penalty,
    Sampler,
    Schedule,
    Term,
)
from rivalry.types import Spec


@register("private", "gaussian")
@dataclass(frozen=True)
class Private:
    """The side learns under differential privacy (Abadi et al. 2016): the gradient of every row is cut to norm `clip`,
    and to their sum noise of N(0, (noise clip)^2) is added, over rows drawn by the sampler 'poisson'.

    epsilon, delta: what all of the side's turns may spend together; delta 0 is N^-1.1 of N training rows.  noise: sigma,
    in units of `clip`; 0 is the least that keeps within epsilon, found once the number of steps is known.
    """

    epsilon: float = 3.0
    delta: float = 0.0
    clip: float = 1.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < math.inf:
            raise RecipeError(f"epsilon must be a number above 0, for example 3, not {self.epsilon}")
        if not 0 <= self.delta < 1:
            raise RecipeError(f"delta must lie between 0 and 1, well below one over the number of rows, not {self.delta}")
        if not 0 < self.clip < math.inf or not 0 <= self.noise < math.inf:
            raise RecipeError(f"clip must be above 0 and noise at least 0, not {self.clip} and {self.noise}")


@register("pool", "history")
@dataclass(frozen=True)
class Pool:
    """The side's judges see earlier fakes among the fresh ones (Shrivastava et al. 2017, section 2.3): once `size` fakes of a match are
    stored, each fresh one is with chance 1/2 exchanged for a stored one.  The pool is part of the checkpoint, and in the run's private
    folder, since fakes may be changed training pictures."""

    size: int = 50

    def __post_init__(self) -> None:
        if self.size < 1:
            raise RecipeError(f"a pool holds at least one fake, not {self.size}; leave it out for none")


@dataclass(frozen=True)
class Side(Plain):
    """Modules that move together: what they judge, whom they fool, what they are charged besides.

    turns: how often it plays per step (WGAN's five critic turns).  unroll: look so many of the opponent's steps
    ahead (Metz et al. 2016), each of size unroll_lr.  clip_gradient: largest norm of its gradient, 0 for none.
    private: learn under differential privacy; then no other side sees real rows (docs/privacy.md).  pool: judge earlier
    fakes too.
    """

    name: str
    modules: tuple[str, ...]
    judges: tuple[str, ...] = ()
    fools: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    turns: int = 1
    optimiser: Optimiser = field(default_factory=Adam)
    after: tuple[After, ...] = ()
    unroll: int = 0
    unroll_lr: float = 0.05
    clip_gradient: float = 0.0
    private: Private | None = None
    pool: Pool | None = None


@dataclass(frozen=True)
class Stage(Plain):
    """Which sides play, in which order, for which share of the training.

    fresh: a side that played in an earlier stage starts with a new optimiser.  together: the n-th turns of all sides
    share one play, so that fakes are generated once per step (the judge sees them detached); else every turn draws
    its own batch and noise.
    """

    sides: tuple[Side, ...]
    name: str = "main"
    share: float = 1.0
    fresh: bool = False
    together: bool = False


@dataclass(frozen=True)
class EMA(Plain):
    """Running average of the named modules, used for sampling.  halflife: in examples seen; early on it is held
    to `ramp` times the examples seen so far (0: no ramp)."""

    modules: tuple[str, ...] = ("generator",)
    halflife: float = 10_000.0
    ramp: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.halflife < math.inf or not 0 <= self.ramp < math.inf:
            raise RecipeError(
                f"ema.halflife and ema.ramp must be numbers from 0, not {self.halflife:g} and {self.ramp:g}"
            )


@dataclass(frozen=True)
class About(Plain):
    """Where a recipe comes from and what is distinctive about it; `search` reads all of it."""

    title: str = ""
    paper: str = ""
    year: int = 0
    group: str = ""
    distinctive: str = ""
    applications: tuple[str, ...] = ()
    failing: str = ""


@dataclass(frozen=True)
class Recipe(Plain):
    """data x networks x game x objective x penalties x terms x augmentation x schedule.

    batch: examples per turn, over all processes and micro-batches (`accumulate` of them).  steps: the published
    length; a budget may shorten or lengthen it.  schedules: knob -> schedule; 'lr', 'lr.<side>', 'penalty',
    'penalty.<part>', 'term.<part>', 'augment' and 'ema' are factors, 'beta2' and 'batch' are set outright.
    """

    name: str
    nets: Mapping[str, Net]
    game: Game
    stages: tuple[Stage, ...]
    objective: Objective
    about: About = field(default_factory=About)
    sampler: Sampler = field(default_factory=IID)
    augment: Augment | None = None
    controllers: tuple[Controller, ...] = ()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    ema: EMA = field(default_factory=EMA)
    batch: int = 64
    accumulate: int = 1
    steps: int = 10_000

    def __post_init__(self) -> None:
        check(self)

    def sides(self) -> Iterator[Side]:
        for stage in self.stages:
            yield from stage.sides

    def private_sides(self) -> list[Side]:
        """The sides that learn under differential privacy."""
        return [side for side in self.sides() if side.private is not None]

    def judging(self) -> set[str]:
        """The names of the networks that score what they see."""
        return {name for side in self.sides() if side.judges for name in side.modules}

    @property
    def private(self) -> bool:
        """Whether it is trained under differential privacy."""
        return bool(self.private_sides()) or bool(self.game.secret) or any(net.private for net in self.nets.values())

    def build(self, spec: Spec) -> dict[str, nn.Module]:
        """The networks for the data, in the order of their names' appearance."""
        wiring = self.game.wiring(spec)
        return {name: net.build(spec, wiring) for name, net in self.nets.items()}

    def to_toml(self) -> str:
        return tomli_w.dumps(dump(self))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        recipe: Recipe = build(cls, data)
        return recipe

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        try:
            data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"the recipe is not valid TOML: {error}") from error
        needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
        lacking = [name for name in needed if name not in data]
        if lacking:
            raise RecipeError(
                f"the recipe lacks {', '.join(lacking)}; a whole one to start from is printed by: rivalry zoo show NAME"
            )
        return cls.from_dict(data)


NAME = re.compile(r"[^./\\\0\s][^/\\\0]*")
"""Of recipes: runs are called by them."""


def check(recipe: Recipe) -> None:
    """Raises RecipeError where the recipe contradicts itself; runs on every construction."""
    if not NAME.fullmatch(recipe.name):
        raise RecipeError(f"the recipe's name {recipe.name!r} has to do for a folder: no / or \\ in it, and no dot at its beginning")
    if recipe.batch < 1 or recipe.steps < 1 or recipe.accumulate < 1:
        raise RecipeError("batch, steps and accumulate must be at least 1")
    if recipe.batch % recipe.accumulate:
        raise RecipeError(f"batch {recipe.batch} does not divide into {recipe.accumulate} micro-batches")
    if not recipe.stages:
        raise RecipeError(f"recipe {recipe.name!r} has no stages")
    for side in recipe.sides():
        for module in side.modules:
            if module not in recipe.nets:
                raise UnknownName(f"network of side {side.name!r}", module, recipe.nets)
        if side.turns < 1:
            raise RecipeError(f"side {side.name!r} must play at least one turn")
        if side.pool is not None and (side.fools or not side.judges or side.private is not None):
            raise RecipeError(f"side {side.name!r} has a pool of fakes, which is for sides that only judge, and not under differential privacy; leave it out")
    for module in recipe.ema.modules:
        if module not in recipe.nets:
            raise UnknownName("network to average (ema.modules)", module, recipe.nets)


def setting(line: str) -> tuple[str, str]:
    """'batch=32' -> ('batch', '32'); RecipeError for what is no such pair."""
    key, sign, value = line.partition("=")
    if not sign:
        raise RecipeError(f"--set takes KEY=VALUE, for example batch=32, not {line!r}")
    return key, value


def set_value(recipe: Recipe, path: str, text: str) -> Recipe:
    """`--set path=text`: the recipe with one setting changed.

    Sides are reached by name ('discriminator.optimiser.lr'), nets by 'nets.generator.width' or, where no side
    is meant, 'generator.width'; lists by number ('stages.0.share').  The text is read as TOML, else as a word.
    """
    changed: Recipe = _set(recipe, _resolve(recipe, path.split(".")), _parse(text), path)
    return changed


NUMBER = re.compile(r"[+-]?(\d+\.|\.\d+)([eE][+-]?\d+)?")
"""Numbers that TOML does not know as such."""


def _parse(text: str) -> Any:
    """As TOML has it; numbers also as people write them (.3, 5.), the rest as words."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return float(text) if NUMBER.fullmatch(text) else text


def _resolve(recipe: Recipe, keys: list[str]) -> list[str]:
    """Shortcuts: side names and net names stand for their places."""
    if keys[0] in {f.name for f in fields(recipe)}:
        return keys
    for i, stage in enumerate(recipe.stages):
        for j, side in enumerate(stage.sides):
            if side.name == keys[0] and len(keys) > 1 and keys[1] in {f.name for f in fields(side)}:
                return ["stages", str(i), "sides", str(j), *keys[1:]]
    if keys[0] in recipe.nets:
        if len(keys) > 1 and keys[0] in {s.name for s in recipe.sides()}:
            settings = field_types(type(recipe.nets[keys[0]]))
            if keys[1] not in settings:
                raise UnknownName(f"setting of {keys[0]}", keys[1], {*settings, *(f.name for f in fields(Side))})
        return ["nets", *keys]
    known = {f.name for f in fields(recipe)} | {s.name for s in recipe.sides()} | set(recipe.nets)
    raise UnknownName("setting", keys[0], known)


def _set(value: Any, keys: list[str], new: Any, path: str) -> Any:
    key, rest = keys[0], keys[1:]
    if is_dataclass(value) and not isinstance(value, type):
        hints = field_types(type(value))
        if key not in hints:
            raise UnknownName(f"setting of {name_of(value) or type(value).__name__.lower()}", key, hints)
        old = getattr(value, key)
        changed = _set(old, rest, new, path) if rest else build(hints[key], new, path)
        return replace(value, **{key: changed})
    if isinstance(value, Mapping):
        key, rest = _entry(value, keys, new)
        if key not in value and rest:
            raise UnknownName(f"entry of {path}", key, value)
        if not rest:
            return {**value, key: _rebuild_entry(value, key, new, path)}
        return {**value, key: _set(value[key], rest, new, path)}
    if isinstance(value, tuple):
        index = _index(value, key, path)
        item = _set(value[index], rest, new, path) if rest else build(type(value[index]), new, path)
        return (*value[:index], item, *value[index + 1 :])
    raise RecipeError(f"{path}: {key!r} goes deeper than the setting does")


def _entry(value: Mapping[str, Any], keys: list[str], new: Any) -> tuple[str, list[str]]:
    """(entry, what is left of the path): entries may have dots in their names ('lr.generator').  Meant is the longest
    that is there and knows the next key; else, for a whole new part, one named by all of the path."""
    for n in range(len(keys), 0, -1):
        entry, rest = ".".join(keys[:n]), keys[n:]
        kind: Any = type(value.get(entry))
        if entry in value and (not rest or rest[0] in field_types(kind)):
            return entry, rest
    return (".".join(keys), []) if isinstance(new, Mapping) else (keys[0], keys[1:])


def _rebuild_entry(value: Mapping[str, Any], key: str, new: Any, path: str) -> Any:
    if isinstance(new, int | float | str) and key not in value:
        raise RecipeError(f'{path}: give a part, for example {{part = "cosine", end = 0.1}}')
    kinds: list[type] = [Schedule, Net]
    for kind in kinds:
        if key in value and isinstance(value[key], kind):
            return build(kind, new, path)
    return build(Schedule, new, path)


def _index(value: tuple[Any, ...], key: str, path: str) -> int:
    """A number, or the name of a side, part or stage in the list."""
    names = [v.name if isinstance(v, Side | Stage) else name_of(v) for v in value]
    if key.isdigit() and int(key) < len(value):
        return int(key)
    if key in names:
        return names.index(key)
    raise UnknownName(f"entry of {path}", key, [*names, *map(str, range(len(value)))])


def coupled_parts(recipe: Recipe) -> list[str]:
    """The places of parts that couple examples of a batch: what differential privacy has to refuse."""
    kinds = (Objective, Penalty, Term, Augment)
    return [path for path, part in walk(recipe) if isinstance(part, kinds) and part.couples]
