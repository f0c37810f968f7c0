"""What penalties share: their common settings, the rows they are computed on, safe norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rivalry.catalogue import name_of
from rivalry.errors import RecipeError
from rivalry.parts import Contest, Penalty
from rivalry.types import Judged, Match, Point, square_norm

Which = Literal["real", "fake"]


@dataclass(frozen=True)
class Charge(Penalty):
    """The settings all penalties have (see `Penalty`)."""

    weight: float = 1.0
    every: int = 1
    match: str = "main"
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise RecipeError(f"share of penalty {name_of(self)!r} must lie in (0, 1], not {self.share}")
        if self.every < 1:
            raise RecipeError(f"every of penalty {name_of(self)!r} must be at least 1, not {self.every}")

    def rows(self, n: int) -> int:
        """How many of n rows it is computed on; batches are drawn at random, so the first will do."""
        return max(1, min(n, round(n * self.share)))

    def point(self, match: Match, which: Which) -> Point:
        """The match's real or fake point."""
        point = match.real if which == "real" else match.fake
        if point is None:
            raise RecipeError(f"penalty {name_of(self)!r} needs {which} examples; match {self.match!r} has none")
        return point

    def judged(self, contest: Contest, which: Which) -> Judged:
        """What the judge said of real or of fake."""
        judged = contest.real if which == "real" else contest.fake
        if judged is None:
            raise RecipeError(
                f"penalty {name_of(self)!r} needs the {which} examples judged, which they are not on this side's turn"
            )
        return judged

    def head(self, contest: Contest, which: Which, name: str) -> Tensor:
        """A head of the judge by name, [N, ...] on the penalty's share of rows."""
        heads = self.judged(contest, which).heads
        if name not in heads:
            raise RecipeError(
                f"penalty {name_of(self)!r} needs a head {name!r} of the discriminator, which has {', '.join(heads)}"
            )
        return heads[name][: self.rows(len(heads[name]))]

    def label(self, contest: Contest, which: Which) -> Tensor:
        """[N] int64: the first condition of the match's point, on the penalty's share of rows."""
        point = self.point(contest.match, which)
        if not point.cond:
            raise RecipeError(f"penalty {name_of(self)!r} needs labels: a conditional game and labelled data")
        return point.cond[0][: self.rows(len(point.x))]


def first(point: Point, n: int) -> Point:
    """The point's first n rows."""
    latent = None if point.latent is None else point.latent[:n]
    return Point(point.x[:n], tuple(c[:n] for c in point.cond), latent)


def norm(slope: Tensor) -> Tensor:
    """[N, ...] -> [N]: Euclidean norms whose gradient at zero is zero, not NaN."""
    square = square_norm(slope)
    zero = square == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, square).sqrt())


def slope_of(judged: Judged) -> Tensor:
    assert judged.slope is not None, "the contest was asked for slopes and has none"
    return judged.slope


def total(parts: Sequence[Tensor]) -> Tensor:
    """Charges on different examples as one: its mean is the sum of their means, [N] where they are of one length."""
    if len(parts) == 1:
        return parts[0]
    if len({len(p) for p in parts}) == 1:
        return torch.stack(list(parts)).sum(0)
    n = sum(len(p) for p in parts)
    return torch.cat([p * (n / len(p)) for p in parts])
