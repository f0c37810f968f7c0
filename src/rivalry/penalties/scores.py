"""Penalties on scores: drift, LeCam's anchors, consistency under augmentation and in the latent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from rivalry.augment import Compose, Flip, Translate
from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.parts import Augment, Contest, Turn
from rivalry.penalties.common import Charge, Which, first, total
from rivalry.types import Match, Point, per_example


@register("penalty", "drift")
@dataclass(frozen=True)
class Drift(Charge):
    """ProGAN, Karras et al. 2017, appendix A.1: D(x)^2 on reals keeps a critic's scores from wandering off."""

    needs: ClassVar[frozenset[str]] = frozenset({"real"})
    weight: float = 0.001

    def __call__(self, contest: Contest) -> Tensor:
        return per_example(self.head(contest, "real", "score").square())


@register("penalty", "lecam")
@dataclass(frozen=True)
class LeCam(Charge):
    """Tseng et al. 2021: (D(x) - a_F)^2 + (D(G(z)) - a_R)^2, with the running means a_R, a_F of the scores on
    real and fake: knobs 'lecam.real' and 'lecam.fake', which the controller 'lecam' turns.

    one_sided: charged only where a real scores above a_F or a fake below a_R, as in the authors' code.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
    weight: float = 0.1
    one_sided: bool = False

    def __call__(self, contest: Contest) -> Tensor:
        knobs = contest.turn.knobs
        if "lecam.real" not in knobs or "lecam.fake" not in knobs:
            raise RecipeError("penalty 'lecam' needs the controller 'lecam', which tracks the scores; add it")
        real = self.head(contest, "real", "score") - knobs["lecam.fake"]
        fake = knobs["lecam.real"] - self.head(contest, "fake", "score")
        if self.one_sided:
            real, fake = relu(real), relu(fake)
        return total([per_example(real.square()), per_example(fake.square())])


@register("penalty", "consistency")
@dataclass(frozen=True)
class Consistency(Charge):
    """(D(x) - D(T(x)))^2 for an augmentation T: CR (Zhang et al. 2020) on real, bCR (Zhao et al. 2020) on both.

    For the judging side.  transform: T, always applied (p = 1); on: ('real',) is CR, ('real', 'fake') bCR.
    """

    weight: float = 10.0
    transform: Augment = field(default_factory=lambda: Compose((Flip(), Translate())))
    on: tuple[Which, ...] = ("real",)
    needs: ClassVar[frozenset[str]] = frozenset({"real", "fake"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.on:
            raise RecipeError("penalty 'consistency' must be charged on 'real', 'fake' or both")

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        def changed(which: Which) -> Point:
            point = self.point(match, which).detach()
            point = first(point, self.rows(len(point.x)))
            x = self.transform(point.x, turn.draw.at("consistency", self.match, which), 1.0)
            return Point(x, point.cond)

        return tuple(changed(which) for which in self.on)

    def __call__(self, contest: Contest) -> Tensor:
        pairs = zip(self.on, contest.asked, strict=True)
        return total([per_example((self.head(contest, w, "score") - a.score).square()) for w, a in pairs])


@register("penalty", "latent-consistency")
@dataclass(frozen=True)
class LatentConsistency(Charge):
    """The judging side's half of zCR (ICR = bCR + zCR, Zhao et al. 2020): (D(G(z)) - D(G(z + eps)))^2.

    The game offers pair 'latent-neighbour' = (G(z), G(z + eps)).  The generator's half, -|G(z) - G(z + eps)|^2, is
    the term 'l2' on that pair with a negative weight (-0.5).
    """

    weight: float = 5.0

    def __call__(self, contest: Contest) -> Tensor:
        here, near = contest.play.pair("latent-neighbour")
        n = self.rows(len(here))
        cond = tuple(c[:n] for c in self.point(contest.match, "fake").cond)
        scores = [contest.judge(x[:n].detach(), *cond)["score"] for x in (here, near)]
        return per_example((scores[0] - scores[1]).square())
