"""Penalties on the slope of the score, d(sum of an example's scores)/dx [N, ...]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rivalry.catalogue import name_of, register
from rivalry.errors import RecipeError
from rivalry.parts import Contest, Turn
from rivalry.penalties.common import Charge, Which, first, norm, slope_of
from rivalry.types import Match, Point, square_norm


@register("penalty", "r1")
@dataclass(frozen=True)
class R1(Charge):
    """Mescheder et al. 2018, eq. 9: |grad D(x)|^2 / 2 at real x; weight is their gamma."""

    slopes: ClassVar[frozenset[str]] = frozenset({"real"})
    needs: ClassVar[frozenset[str]] = frozenset({"real"})

    def __call__(self, contest: Contest) -> Tensor:
        judged = self.judged(contest, "real")
        return 0.5 * square_norm(slope_of(judged)[: self.rows(len(judged.point.x))])


@register("penalty", "r2")
@dataclass(frozen=True)
class R2(Charge):
    """Mescheder et al. 2018, eq. 10: |grad D(G(z))|^2 / 2 at generated x; weight is their gamma."""

    slopes: ClassVar[frozenset[str]] = frozenset({"fake"})
    needs: ClassVar[frozenset[str]] = frozenset({"fake"})

    def __call__(self, contest: Contest) -> Tensor:
        judged = self.judged(contest, "fake")
        return 0.5 * square_norm(slope_of(judged)[: self.rows(len(judged.point.x))])


@dataclass(frozen=True)
class _Between(Charge):
    """Asks at x + u (G(z) - x), u uniform in [0, 1] per example, conditions those of the real one."""

    slopes: ClassVar[frozenset[str]] = frozenset({"asked"})

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        real, fake = self.point(match, "real"), self.point(match, "fake")
        n = self.rows(min(len(real.x), len(fake.x)))
        real, fake = first(real, n).detach(), first(fake, n).detach()
        if real.x.shape != fake.x.shape or not real.x.is_floating_point():
            raise RecipeError(
                f"penalty {name_of(self)!r} interpolates between real {tuple(real.x.shape)} and fake "
                f"{tuple(fake.x.shape)}; they must be numbers of one shape"
            )
        u = turn.draw.at(name_of(self), self.match).uniform("between", n, *[1] * (real.x.dim() - 1))
        return (Point(real.x + u.to(real.x.dtype) * (fake.x - real.x), real.cond),)


@register("penalty", "gp")
@dataclass(frozen=True)
class GP(_Between):
    """WGAN-GP, Gulrajani et al. 2017, eq. 3: (|grad D| - centre)^2 on interpolates of real and generated.

    one_sided: only slopes above the centre are charged (their section 4).
    """

    weight: float = 10.0
    centre: float = 1.0
    one_sided: bool = False

    def __call__(self, contest: Contest) -> Tensor:
        excess = norm(slope_of(contest.asked[0])) - self.centre
        return (excess.clamp_min(0) if self.one_sided else excess).square()


@register("penalty", "gp0")
@dataclass(frozen=True)
class GP0(_Between):
    """Thanh-Tung et al. 2019 (0-GP): |grad D|^2 on interpolates of real and generated."""

    weight: float = 10.0

    def __call__(self, contest: Contest) -> Tensor:
        return square_norm(slope_of(contest.asked[0]))


@register("penalty", "div")
@dataclass(frozen=True)
class Div(_Between):
    """WGAN-DIV, Wu et al. 2018: |grad D|^p on interpolates, p = power; weight is their k."""

    weight: float = 2.0
    power: float = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power < 2:
            raise RecipeError(f"power of penalty 'div' must be at least 2, not {self.power}")

    def __call__(self, contest: Contest) -> Tensor:
        return square_norm(slope_of(contest.asked[0])) ** (self.power / 2)


@register("penalty", "max-gradient")
@dataclass(frozen=True)
class MaxGradient(_Between):
    """LGAN, Zhou et al. 2019: the largest |grad D|^2 among interpolates, [1]: the squared Lipschitz constant seen."""

    couples: ClassVar[bool] = True
    weight: float = 10.0

    def __call__(self, contest: Contest) -> Tensor:
        return square_norm(slope_of(contest.asked[0])).amax(0, keepdim=True)


@register("penalty", "dragan")
@dataclass(frozen=True)
class DRAGAN(Charge):
    """Kodali et al. 2017: (|grad D| - centre)^2 around the data, at x + a delta: delta uniform in [0, noise s], s the
    batch's standard deviation, a uniform in [0, 1] per example (as their code draws them)."""

    slopes: ClassVar[frozenset[str]] = frozenset({"asked"})
    couples: ClassVar[bool] = True
    weight: float = 10.0
    centre: float = 1.0
    noise: float = 0.5

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        whole = self.point(match, "real").detach()
        scale = self.noise * whole.x.std(correction=0)
        real = first(whole, self.rows(len(whole.x)))
        draw = turn.draw.at("dragan", self.match)
        delta = draw.uniform("delta", *real.x.shape).to(real.x.dtype)
        along = draw.uniform("along", len(real.x), *[1] * (real.x.dim() - 1)).to(real.x.dtype)
        return (Point(real.x + along * scale * delta, real.cond),)

    def __call__(self, contest: Contest) -> Tensor:
        return (norm(slope_of(contest.asked[0])) - self.centre).square()


@dataclass(frozen=True)
class _Finite(Charge):
    """(D(x) - D(x + sigma eps))^2 / (2 sigma^2), eps of N(0, 1), an example's scores summed: no second derivative."""

    exact: ClassVar[bool] = True
    sigma: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma <= 0:
            raise RecipeError(f"sigma of penalty {name_of(self)!r} must be above 0, not {self.sigma}")

    def near(self, match: Match, turn: Turn, which: Which) -> tuple[Point, ...]:
        whole = self.point(match, which).detach()
        point = first(whole, self.rows(len(whole.x)))
        eps = turn.draw.at(name_of(self), self.match).normal("eps", *point.x.shape).to(point.x.dtype)
        return (point._replace(x=point.x + self.sigma * eps, latent=None),)

    def difference(self, contest: Contest, which: Which) -> Tensor:
        moved = contest.asked[0].score
        here = self.judged(contest, which).score[: len(moved)]
        return 0.5 * ((moved - here).reshape(len(moved), -1).sum(1) / self.sigma).square()


@register("penalty", "approximate-r1")
@dataclass(frozen=True)
class ApproximateR1(_Finite):
    """Lin et al. 2025 (APT): (D(x) - D(x + sigma eps))^2 / (2 sigma^2) at real x, scores of an example summed.

    Scaled so that it tends to R1 in the mean as sigma goes to 0: weight is the same gamma.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"real"})

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        return self.near(match, turn, "real")

    def __call__(self, contest: Contest) -> Tensor:
        return self.difference(contest, "real")


@register("penalty", "approximate-r2")
@dataclass(frozen=True)
class ApproximateR2(_Finite):
    """As 'approximate-r1', at generated x: tends to R2 in the mean as sigma goes to 0."""

    needs: ClassVar[frozenset[str]] = frozenset({"fake"})

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        return self.near(match, turn, "fake")

    def __call__(self, contest: Contest) -> Tensor:
        return self.difference(contest, "fake")
