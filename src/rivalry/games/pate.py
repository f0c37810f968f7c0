"""PATE-GAN: teachers judge parts of the data, a student learns from their noisy votes on generated rows only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.data.order import batch_index
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, latent, lazy
from rivalry.games.sample import truncate
from rivalry.parts import Game, Play, Sampler, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec


@register("sampler", "partitioned")
@dataclass(frozen=True)
class Partitioned(Sampler):
    """Row i belongs to part i modulo `parts`, whatever it holds; the stream 'parts' draws turn.batch rows of every part,
    part by part: [parts * turn.batch].  Rows that are left over when all parts are of one size are never drawn."""

    parts: int = 10

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        if rows < self.parts:
            raise RecipeError(f"{rows} rows cannot be shared out among {self.parts} teachers; set fewer")
        within = batch_index(rows // self.parts, turn.position, turn.batch, turn.draw.seed)
        return (within[None] * self.parts + torch.arange(self.parts)[:, None]).flatten()


@register("game", "pate")
@dataclass(frozen=True)
class Pate(Game):
    """PATE-GAN, Jordon et al. 2019.  Nets 'generator', 'student' and 'teachers'; sampler 'partitioned' with as many parts.

    Pair 'teachers' = (scores [k, n] of each teacher's own rows, scores [k, n] of the same fakes), for term 'teachers'; pair
    'votes' = (the student's scores [n] of fakes, noisy majority votes [n], 0 or 1), for term 'votes'; match 'student': what
    the generator fools.  Under the accounting of `privacy.votes`, the votes are all that leaves the teachers.

    latent: length of the noise.  teachers: k.  epsilon, delta: what all votes may spend; delta 0 is N^-1.1 of N training
    rows.  scale: b, of the Laplace noise on the number of teachers that say 'real'; 0 is the least that keeps within
    epsilon, found once the number of votes is known (and no noise where nothing is accounted for, in trials).
    """

    secret: ClassVar[frozenset[str]] = frozenset({"teachers"})
    latent: int = 64
    teachers: int = 10
    epsilon: float = 8.0
    delta: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.teachers < 1 or not self.epsilon > 0 or not 0 <= self.delta < 1 or self.scale < 0:
            raise RecipeError(
                "the game 'pate' wants at least one teacher, epsilon above 0, delta between 0 and 1, and scale at least 0"
            )

    def wiring(self, spec: Spec) -> Wiring:
        return Wiring(latent=self.latent)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        fake = lazy(lambda: nets["generator"](latent(turn.draw, turn.batch, self.latent, "normal")))

        def taught() -> tuple[Tensor, ...]:
            rows = source.batch("parts", turn).x
            with torch.no_grad():
                made = fake()
            return nets["teachers"](rows.view(self.teachers, -1, *rows.shape[1:])), nets["teachers"](made[None])

        def votes() -> tuple[Tensor, ...]:
            with torch.no_grad():
                made = fake()
                yes = (nets["teachers"](made[None]) > 0).sum(0)
                chance = vote_chance(yes, self.teachers, self.scale)
                voted = fine_uniform(turn.draw, "votes", len(made)) < chance
            return nets["student"](made)["score"], voted.float()

        student = lazy(lambda: Match("student", None, Point(fake())))
        return LazyPlay(nets, {"student": student}, {"teachers": lazy(taught), "votes": lazy(votes)})

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        return self.from_latent(nets, truncate(latent(draw, n, self.latent, "normal"), truncation), ())

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        x: Tensor = nets["generator"](z, *cond)
        return x


def vote_chance(yes: Tensor, teachers: int, scale: float) -> Tensor:
    """P(yes + L > teachers / 2), L of Laplace(scale): [n] votes counted -> [n] float64.  Only this coin is tossed, so
    that no floating-point noise is there to be looked through."""
    over = yes.double() - teachers / 2
    if not scale:
        return (over > 0).double()
    tail = 0.5 * torch.exp(-over.abs() / scale)
    return torch.where(over >= 0, 1 - tail, tail)


def fine_uniform(draw: Draw, name: str, n: int) -> Tensor:
    """[n] float64 of U[0, 1) in steps of 2^-48: two draws of 24 bits each."""
    high, low = (draw.uniform(f"{name}.{part}", n).double() for part in ("high", "low"))
    return (high * 2**24).floor() * 2.0**-24 + (low * 2**24).floor() * 2.0**-48
