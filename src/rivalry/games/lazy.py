"""The lazy Play that games hand out, and the latents they draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from rivalry.errors import RecipeError, UnknownName
from rivalry.parts import Wiring
from rivalry.streams import Draw
from rivalry.types import Match

T = TypeVar("T")


def lazy(thunk: Callable[[], T]) -> Callable[[], T]:
    """The thunk, computed at most once: for what matches and pairs of one play share."""
    return cache(thunk)


@dataclass
class LazyPlay:
    """Matches and pairs by name; each is computed when it is first asked for."""

    nets: Mapping[str, nn.Module]
    matches: Mapping[str, Callable[[], Match]] = field(default_factory=dict)
    pairs: Mapping[str, Callable[[], tuple[Tensor, ...]]] = field(default_factory=dict)

    def match(self, name: str) -> Match:
        if name not in self.matches:
            raise UnknownName("match of this game", name, self.matches)
        return self.matches[name]()

    def pair(self, name: str) -> tuple[Tensor, ...]:
        if name not in self.pairs:
            raise UnknownName("pair of this game", name, self.pairs)
        return self.pairs[name]()


def latent(draw: Draw, n: int, size: int, distribution: str, name: str = "latent") -> Tensor:
    """[n, size] from 'normal', 'uniform' on [-1, 1], or 'sphere' (radius sqrt(size))."""
    if distribution == "normal":
        return draw.normal(name, n, size)
    if distribution == "uniform":
        return draw.uniform(name, n, size) * 2 - 1
    if distribution == "sphere":
        direction: Tensor = normalize(draw.normal(name, n, size), dim=1)
        return direction * math.sqrt(size)
    raise UnknownName("latent distribution", distribution, ("normal", "uniform", "sphere"))


def draw_codes(draw: Draw, n: int, wiring: Wiring) -> tuple[Tensor, Tensor]:
    """InfoGAN's codes: categories [n, len(codes)] int64 and reals [n, code_reals] of U[-1, 1]."""
    columns = [draw.integers(f"code{i}", size, n) for i, size in enumerate(wiring.codes)]
    categories = torch.stack(columns, 1) if columns else torch.zeros(n, 0, dtype=torch.long, device=draw.device)
    reals = draw.uniform("code_reals", n, wiring.code_reals) * 2 - 1
    return categories, reals


def join_codes(noise: Tensor, categories: Tensor, reals: Tensor, wiring: Wiring) -> Tensor:
    """[n, noise + sum(codes) + code_reals]: noise, one-hot categories, reals."""
    hot = [one_hot(categories[:, i], size).to(noise.dtype) for i, size in enumerate(wiring.codes)]
    return torch.cat([noise, *hot, reals], 1)


def need_label(label: Tensor | None, what: str) -> Tensor:
    if label is None:
        raise RecipeError(
            f"{what} is conditional, but the data have no labels; pick an unconditional recipe or label them"
        )
    return label
