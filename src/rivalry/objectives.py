"""Objectives: what the two players want of the scores.

Scores are logits, [N] or [N, K] (K patches, tokens or critics); losses have their scores' shape, to be averaged by
whoever charges them.  `base` fields make an objective out of another one (relativistic, top-k).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.parts import Objective
from rivalry.types import Knobs

Losses = tuple[Tensor | None, Tensor | None]


def _minimax(fake: Tensor) -> Tensor:
    """log(1 - D): what the discriminator maximises; its slope vanishes where the discriminator wins."""
    return logsigmoid(-fake)


def _non_saturating(fake: Tensor) -> Tensor:
    """-log D: the same fixed point, a slope of -1 where the discriminator wins."""
    return softplus(-fake)


def _linear(fake: Tensor) -> Tensor:
    """-D, the probability itself."""
    return -torch.sigmoid(fake)


_GENERATORS = {"minimax": _minimax, "non-saturating": _non_saturating, "linear": _linear}


@register("objective", "gan")
@dataclass(frozen=True)
class GAN(Objective):
    """Goodfellow et al. 2014, eq. 1, D = sigmoid(score): D minimises -log D(x) - log(1 - D(G(z))).

    generator: 'minimax' log(1 - D(G(z))), 'non-saturating' -log D(G(z)), 'linear' -D(G(z)).  label_smoothing s:
    real ones count as real with 1 - s (one-sided, Salimans et al. 2016).
    """

    generator_loss: Literal["minimax", "non-saturating", "linear"] = "non-saturating"
    label_smoothing: float = 0.0

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        s = self.label_smoothing
        on_real = None if real is None else softplus(-real) + (s * real if s else 0.0)
        return on_real, None if fake is None else softplus(fake)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, _GENERATORS[self.generator_loss](fake)


@register("objective", "least-squares")
@dataclass(frozen=True)
class LeastSquares(Objective):
    """LSGAN, Mao et al. 2016, eq. 2: D: (D(x) - b)^2 / 2 + (D(G(z)) - a)^2 / 2; G: (D(G(z)) - c)^2 / 2.

    (a, b, c) = (0, 1, 1) is their eq. 9; (-1, 1, 0), eq. 8, minimises a Pearson chi^2 divergence.
    """

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        on_real = None if real is None else 0.5 * (real - self.b).square()
        return on_real, None if fake is None else 0.5 * (fake - self.a).square()

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, 0.5 * (fake - self.c).square()


@register("objective", "wasserstein")
@dataclass(frozen=True)
class Wasserstein(Objective):
    """WGAN, Arjovsky et al. 2017, eq. 3: the critic minimises f(G(z)) - f(x), the generator -f(G(z)).

    Needs a critic held Lipschitz: after 'clip', or the penalties 'gp' or 'div'.
    """

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        return None if real is None else -real, fake

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, -fake


@register("objective", "hinge")
@dataclass(frozen=True)
class Hinge(Objective):
    """Lim & Ye 2017 (Geometric GAN: the soft margin of an SVM), Miyato et al. 2018 (SNGAN), eq. 16 and 17:
    D: [m - D(x)]_+ + [m + D(G(z))]_+; G: -D(G(z))."""

    margin: float = 1.0

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        on_real = None if real is None else relu(self.margin - real)
        return on_real, None if fake is None else relu(self.margin + fake)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, -fake


def _elementwise(base: Objective, what: str) -> None:
    if base.couples or base.paired:
        raise RecipeError(f"{what} needs an elementwise base, such as 'gan', 'hinge' or 'least-squares'")


def _both(real: Tensor | None, fake: Tensor | None, what: str) -> tuple[Tensor, Tensor]:
    if real is None or fake is None:
        raise RecipeError(f"{what} compares real with fake scores, but one of them was not judged in this match")
    return real, fake


def _aligned(real: Tensor | None, fake: Tensor | None) -> tuple[Tensor, Tensor]:
    real, fake = _both(real, fake, "the objective 'relativistic'")
    if real.shape != fake.shape:
        raise RecipeError(
            f"the objective 'relativistic' pairs scores one by one, but there are {tuple(real.shape)} real and "
            f"{tuple(fake.shape)} fake ones; use 'relativistic-average' or equal batches"
        )
    return real, fake


@register("objective", "relativistic")
@dataclass(frozen=True)
class Relativistic(Objective):
    """RpGAN, Jolicoeur-Martineau 2018, as in R3GAN (Huang et al. 2024, eq. 2): D: softplus(-(D(x) - D(G(z))));
    G: softplus(-(D(G(z)) - D(x))), pairs taken one by one.

    base: whose loss on reals is applied to the difference (GAN: softplus).  D's loss all stands on the real ones.
    """

    paired: ClassVar[bool] = True
    base: Objective = field(default_factory=GAN)

    def __post_init__(self) -> None:
        _elementwise(self.base, "the objective 'relativistic'")

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        real, fake = _aligned(real, fake)
        return self.base.discriminator(real - fake, None, knobs)[0], None

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        real, fake = _aligned(real, fake)
        loss = self.base.discriminator(fake - real, None, knobs)[0]
        assert loss is not None
        return None, loss


@register("objective", "relativistic-average")
@dataclass(frozen=True)
class RelativisticAverage(Objective):
    """RaGAN, Jolicoeur-Martineau 2018: D: f1(D(x) - E D(G(z))) + f2(D(G(z)) - E D(x)); G: the same with real
    and fake changing places; f1, f2 are the base's losses on real and on fake.

    base: 'gan' (RaSGAN), 'hinge' (RaHingeGAN), 'least-squares' with a = -1 (RaLSGAN, half of theirs).
    """

    paired: ClassVar[bool] = True
    couples: ClassVar[bool] = True
    base: Objective = field(default_factory=GAN)

    def __post_init__(self) -> None:
        _elementwise(self.base, "the objective 'relativistic-average'")

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        real, fake = _both(real, fake, "the objective 'relativistic-average'")
        return self.base.discriminator(real - fake.mean(0), fake - real.mean(0), knobs)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        real, fake = _both(real, fake, "the objective 'relativistic-average'")
        on_fake, on_real = self.base.discriminator(fake - real.mean(0), real - fake.mean(0), knobs)
        assert on_fake is not None
        return on_real, on_fake


@register("objective", "energy")
@dataclass(frozen=True)
class Energy(Objective):
    """EBGAN, Zhao et al. 2016, eq. 1 and 2, with the energy E = -score (an autoencoder's reconstruction error):
    D: E(x) + [m - E(G(z))]_+; G: E(G(z))."""

    margin: float = 1.0

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        return None if real is None else -real, None if fake is None else relu(self.margin + fake)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, -fake


@register("objective", "began")
@dataclass(frozen=True)
class BEGAN(Objective):
    """BEGAN, Berthelot et al. 2017, with the autoencoder's loss L = -score: D: L(x) - k L(G(z)); G: L(G(z)).

    k is the knob 'began.k', which the controller 'began' turns.
    """

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        k = knobs.get("began.k", 0.0)
        return None if real is None else -real, None if fake is None else k * fake

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, -fake


@register("objective", "boundary-seeking")
@dataclass(frozen=True)
class BoundarySeeking(Objective):
    """BGAN, Hjelm et al. 2017 (continuous data): G: (log D - log(1 - D))^2 / 2 = score^2 / 2; D as in GAN."""

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        return None if real is None else softplus(-real), None if fake is None else softplus(fake)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, 0.5 * fake.square()


@register("objective", "softmax")
@dataclass(frozen=True)
class Softmax(Objective):
    """Softmax-GAN, Lin 2017, energy mu = -score, Z the sum of exp(score) over real and fake alike:
    D: mean of mu over real + ln Z; G: mean of mu over all + ln Z."""

    paired: ClassVar[bool] = True
    couples: ClassVar[bool] = True

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        real, fake = _both(real, fake, "the objective 'softmax'")
        return torch.logsumexp(torch.cat([real, fake]), 0) - real, None

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        real, fake = _both(real, fake, "the objective 'softmax'")
        every = torch.cat([real, fake])
        n, m, total = len(real), len(fake), len(every)
        return -real * (n / total), torch.logsumexp(every, 0) - fake * (m / total)


@register("objective", "top-k")
@dataclass(frozen=True)
class TopK(Objective):
    """Sinha et al. 2020: the generator learns only from the share of its samples that the discriminator likes best.

    share: of the batch kept; the knob 'topk', where it is set, takes its place.  The rest have loss 0 and the kept
    ones are scaled up, so that the mean over the batch is the mean over the kept.  base: any elementwise objective.
    """

    couples: ClassVar[bool] = True
    base: Objective = field(default_factory=GAN)
    share: float = 0.5

    def __post_init__(self) -> None:
        _elementwise(self.base, "the objective 'top-k'")
        if not 0 < self.share <= 1:
            raise RecipeError(f"share of 'top-k' must lie in (0, 1], not {self.share}")

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        return self.base.discriminator(real, fake, knobs)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        liked = fake.detach() if fake.dim() == 1 else fake.detach().flatten(1).mean(1)
        rank = liked.argsort(descending=True, stable=True).argsort()
        kept = (rank < knobs.get("topk", self.share) * len(fake)).to(fake.dtype)
        scale = len(fake) * kept / kept.sum().clamp_min(1)
        loss = self.base.generator(None, fake, knobs)[1]
        return None, loss * scale.reshape(-1, *[1] * (fake.dim() - 1))


@register("objective", "null")
@dataclass(frozen=True)
class Null(Objective):
    """No contest: zeros, for recipes whose sides live by their terms alone (VAE, maximum likelihood)."""

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        return (
            None if real is None else torch.zeros_like(real),
            None if fake is None else torch.zeros_like(fake),
        )

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None, torch.zeros_like(fake)


@register("objective", "two-way")
@dataclass(frozen=True)
class TwoWay(Objective):
    """BiGAN, Donahue et al. 2016, eq. 3, and ALI: generator and encoder want pairs (G(z), z) taken for real and pairs
    (x, E(x)) taken for fake: -log D on the former, -log(1 - D) on the latter."""

    paired: ClassVar[bool] = True

    def discriminator(self, real: Tensor | None, fake: Tensor | None, knobs: Knobs) -> Losses:
        return None if real is None else softplus(-real), None if fake is None else softplus(fake)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        return None if real is None else softplus(real), softplus(-fake)
