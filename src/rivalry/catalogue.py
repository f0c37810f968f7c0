"""One catalogue of named parts; built-ins and plug-ins enter by the same door.

A part is a frozen dataclass registered under (kind, name).  Its fields are its settings, so that any part,
however nested, turns into a plain dictionary (for TOML) and back without loss:

    @register("penalty", "r1")
    @dataclass(frozen=True)
    class R1(Penalty): weight: float = 1.0
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar, get_args, get_origin

from rivalry.errors import RecipeError, UnknownName

T = TypeVar("T", bound=type)
_PARTS: dict[tuple[str, str], type] = {}
_NAMES: dict[type, tuple[str, str]] = {}
ENTRY_POINTS = "rivalry.parts"
BUILT_INS = (
    "rivalry.objectives",
    "rivalry.penalties",
    "rivalry.terms",
    "rivalry.augment",
    "rivalry.degrade",
    "rivalry.optimisers",
    "rivalry.schedules",
    "rivalry.controllers",
    "rivalry.afters",
    "rivalry.nets",
    "rivalry.games",
    "rivalry.recipe",
    "rivalry.baselines",
)


def register(kind: str, name: str) -> Callable[[T], T]:
    """Enters a frozen dataclass into the catalogue."""

    def enter(cls: T) -> T:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__} must be a dataclass to be a part")
        other = _PARTS.get((kind, name))
        if other is not None and other.__qualname__ != cls.__qualname__:
            raise RecipeError(f"two parts want to be the {kind} {name!r}: {other.__qualname__}, {cls.__qualname__}")
        _PARTS[kind, name] = cls
        _NAMES[cls] = (kind, name)
        return cls

    return enter


@cache
def load_all() -> None:
    """Imports the built-in parts, then whatever installed packages offer under the entry point group."""
    for module in BUILT_INS:
        import_module(module)
    for point in entry_points(group=ENTRY_POINTS):
        point.load()


def part(kind: str, name: str) -> type:
    """The part's class; raises UnknownName with the nearest name."""
    load_all()
    if (kind, name) not in _PARTS:
        raise UnknownName(kind, name, names(kind))
    return _PARTS[kind, name]


def names(kind: str) -> list[str]:
    load_all()
    return sorted(n for k, n in _PARTS if k == kind)


def name_of(value: object) -> str:
    """The name under which the value's class is known ('' if it is no part)."""
    return _NAMES.get(type(value), ("", ""))[1]


@dataclass(frozen=True)
class Plain:
    """Marks dataclasses that are always of one class where they stand: written without a part name."""


def dump(value: Any) -> Any:
    """A part, tuple, mapping or plain value as TOML-ready data; None-valued fields are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        if type(value) in _NAMES:
            out["part"] = _NAMES[type(value)][1]
        elif not isinstance(value, Plain):
            raise RecipeError(f"{type(value).__name__} is not in the catalogue, so it cannot be written to TOML")
        for f in dataclasses.fields(value):
            item = getattr(value, f.name)
            if item is not None:
                out[f.name] = dump(item)
        return out
    if isinstance(value, tuple | list):
        return [dump(v) for v in value]
    if isinstance(value, Mapping):
        return {k: dump(v) for k, v in value.items()}
    return value


def build(hint: Any, data: Any, where: str = "recipe") -> Any:
    """The inverse of `dump`: data read as the type `hint`, errors naming the place and the nearest key."""
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _build_union(get_args(hint), data, where)
    if origin is tuple:
        if not isinstance(data, list | tuple):
            raise RecipeError(f"{where} must be a list, not {data!r}")
        inner = get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(build(inner[0], v, f"{where}[{i}]") for i, v in enumerate(data))
        if len(inner) != len(data):
            raise RecipeError(f"{where} must have {len(inner)} entries, not {len(data)}")
        return tuple(build(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(inner, data, strict=True)))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(data, Mapping):
            raise RecipeError(f"{where} must be a table, not {data!r}")
        return {k: build(get_args(hint)[1], v, f"{where}.{k}") for k, v in data.items()}
    if isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hint in _kinds()):
        return _build_part(hint, data, where)
    return _build_plain(hint, data, where)


def _build_union(options: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in options:
        return None
    errors: list[RecipeError] = []
    plain = [o for o in options if o is not type(None)]
    for option in sorted(plain, key=lambda o: 0 if o is type(data) else 1):
        try:
            return build(option, data, where)
        except RecipeError as error:
            errors.append(error)
    raise errors[0]


@cache
def _kinds() -> Mapping[type, str]:
    """Abstract part classes by the kind they stand for (their `kind` class attribute)."""
    load_all()
    found: dict[type, str] = {}
    for cls, (kind, _) in _NAMES.items():
        for base in cls.__mro__[:-1]:
            if base not in _NAMES and base.__dict__.get("KIND") == kind:
                found[base] = kind
    return found


def _build_part(hint: type, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        if isinstance(data, str) and hint in _kinds():  # `objective = "hinge"` is short for a part at its defaults
            data = {"part": data}
        else:
            raise RecipeError(f"{where} must be a table of settings, not {data!r}")
    cls = hint
    settings = dict(data)
    if hint in _kinds():
        if "part" not in settings:
            raise RecipeError(f'{where} must say which {_kinds()[hint]} it is: part = "..."')
        cls = part(_kinds()[hint], str(settings.pop("part")))
    elif hint in _NAMES:
        settings.pop("part", None)
    hints = field_types(cls)
    for k in settings:
        if k not in hints:
            raise UnknownName(f"setting of {where}", str(k), hints)
    values = {k: build(hints[k], v, f"{where}.{k}") for k, v in settings.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {error}") from error


@cache
def field_types(cls: type) -> Mapping[str, Any]:
    """The settings of a part: field name -> type."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def _build_plain(hint: Any, data: Any, where: str) -> Any:
    if hint is Any:
        return data
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if get_origin(hint) is typing.Literal:
        if data not in get_args(hint):
            raise UnknownName(where, str(data), map(str, get_args(hint)))
        return data
    if hint is float and isinstance(data, float) and math.isnan(data):
        raise RecipeError(f"{where} must be a number, not NaN")
    if hint in (int, float, str, bool) and type(data) is not hint:
        raise RecipeError(f"{where} must be {'a number' if hint in (int, float) else hint.__name__}, not {data!r}")
    return data


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All parts inside a value, with their dotted places."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield path, value
        for f in dataclasses.fields(value):
            yield from walk(getattr(value, f.name), f"{path}.{f.name}" if path else f.name)
    elif isinstance(value, tuple | list):
        for i, v in enumerate(value):
            yield from walk(v, f"{path}[{i}]")
    elif isinstance(value, Mapping):
        for k, v in value.items():
            yield from walk(v, f"{path}.{k}" if path else k)
