"""The zoo: every named GAN is a row, in its published setting and in a small one for two cores.

A recipe is named 'dcgan' (published) or 'dcgan-small'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from importlib import import_module

from rivalry.catalogue import name_of
from rivalry.errors import UnknownName
from rivalry.recipe import Recipe
from rivalry.zoo.rows import MAKERS, Row

GROUPS = (
    "losses", "latent", "conditional", "backbones", "stabilisers", "house", "changing", "translating", "points", "tables", "conditional_tables", "records",
    "text", "dialogue", "styles",
)  # fmt: skip
SMALL = "-small"

__all__ = ["Row", "get", "names", "row", "search"]


@cache
def _load() -> None:
    for group in GROUPS:
        import_module(f"rivalry.zoo.{group}")


def names() -> list[str]:
    """The rows, sorted."""
    _load()
    return sorted(MAKERS)


@cache
def row(name: str) -> Row:
    """Both settings of a row; UnknownName with the nearest name."""
    _load()
    if name not in MAKERS:
        raise UnknownName("recipe", name, names())
    return MAKERS[name]()


def get(name: str) -> Recipe:
    """The recipe 'NAME' (published setting) or 'NAME-small', in capitals or not."""
    _load()
    name = name.lower()
    if name not in MAKERS and name.endswith(SMALL):
        return row(name.removesuffix(SMALL)).small
    if name not in MAKERS:
        raise UnknownName("recipe", name, [*names(), *(n + SMALL for n in names())])
    return row(name).published


def search(words: str) -> list[str]:
    """Rows whose name, paper, group, applications, description, parts or settings have a word that begins so, for every word; a number of
    four digits is a year.  The name of a setting counts where it is set to something else than usual."""
    found = []
    for name in names():
        recipe = row(name).published
        recipe = replace(recipe, about=replace(recipe.about, failing=""))
        text = " ".join((name, *_words(recipe))).lower()
        if all(_has(recipe.about.year, text, word) for word in words.lower().split()):
            found.append(name)
    return found


def _words(value: object) -> Iterator[str]:
    """Names of parts, words that settings hold, and names of settings that are not as usual."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield str(name)
            yield from _words(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _words(one)
    elif is_dataclass(value) and not isinstance(value, type):
        yield name_of(value)
        for field in fields(value):
            one = getattr(value, field.name)
            usual = field.default_factory() if field.default_factory is not MISSING else field.default
            if one != usual:
                yield field.name
            yield from _words(one)


def _has(year: int, text: str, word: str) -> bool:
    if re.fullmatch(r"(19|20)\d\d", word):
        return int(word) == year
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}", text) is not None
