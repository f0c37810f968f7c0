"""Penalties on a judge's other heads: classes, codes, rotations, reconstructions.

`on` says where they are charged: the judging side's turn has real and fake, the fooling side's fake alone.  `role`
tells apart parts that pull the two sides in opposite directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, relu

from rivalry.catalogue import name_of, register
from rivalry.errors import RecipeError
from rivalry.parts import Contest, Turn
from rivalry.penalties.common import Charge, Which, first, total
from rivalry.types import Match, Point, per_example

Role = Literal["judge", "fool"]


def _nll(logits: Tensor, target: Tensor) -> Tensor:
    """[N, K], [N] -> [N]: -log softmax at the target."""
    return cross_entropy(logits, target, reduction="none")


@register("penalty", "classification")
@dataclass(frozen=True)
class Classification(Charge):
    """ACGAN, Odena et al. 2016, eq. 3: -log P(C = c | x) by head 'class' [N, K]; c: a point's first condition.

    on: both for the judging side, ('fake',) for the fooling one.
    """

    on: tuple[Which, ...] = ("real", "fake")

    def __call__(self, contest: Contest) -> Tensor:
        return total([_nll(self.head(contest, w, "class"), self.label(contest, w)) for w in self.on])


@register("penalty", "semi-supervised")
@dataclass(frozen=True)
class SemiSupervised(Charge):
    """SGAN, Salimans et al. 2016, section 5: -log p(y | x, y < K + 1) on labelled reals, by head 'class' [N, K].

    Labels below 0 mean unlabelled and are charged 0; the mean is over the labelled, however few they are.  The K + 1st class is the score: a net whose score is the
    logsumexp of its class logits has D = Z / (Z + 1) as they do.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"real"})
    couples: ClassVar[bool] = True

    def __call__(self, contest: Contest) -> Tensor:
        label = self.label(contest, "real")
        loss, known = _nll(self.head(contest, "real", "class"), label.clamp_min(0)), label >= 0
        return torch.where(known, loss, 0.0) * (len(label) / known.sum().clamp_min(1))


@register("penalty", "twin")
@dataclass(frozen=True)
class Twin(Charge):
    """TAC-GAN, Gong et al. 2019: a twin classifier, head 'twin' [N, K], learns the labels of fakes ('judge'); the
    generator ('fool') makes it fail, beside 'classification' on fakes by the first classifier."""

    role: Role = "judge"

    def __call__(self, contest: Contest) -> Tensor:
        loss = _nll(self.head(contest, "fake", "twin"), self.label(contest, "fake"))
        return loss if self.role == "judge" else -loss


@register("penalty", "crammer-singer")
@dataclass(frozen=True)
class CrammerSinger(Charge):
    """MHGAN, Kavalerov et al. 2019: [margin + max over k != t of C_k - C_t]_+ by head 'class' [N, K + 1], whose
    last class is 'fake'.  Target t: the label for reals, 'fake' for fakes ('judge'); the label for fakes ('fool')."""

    role: Role = "judge"
    margin: float = 1.0

    def __call__(self, contest: Contest) -> Tensor:
        fake = self.head(contest, "fake", "class")
        if self.role == "fool":
            return self.hinge(fake, self.label(contest, "fake"))
        on_fake = self.hinge(fake, torch.full((len(fake),), fake.shape[1] - 1, device=fake.device))
        return total([self.hinge(self.head(contest, "real", "class"), self.label(contest, "real")), on_fake])

    def hinge(self, logits: Tensor, target: Tensor) -> Tensor:
        own = torch.nn.functional.one_hot(target, logits.shape[1]).bool()
        best_other = logits.masked_fill(own, -math.inf).amax(1)
        return relu(self.margin + best_other - logits.gather(1, target[:, None])[:, 0])


@register("penalty", "adc")
@dataclass(frozen=True)
class ADC(Charge):
    """ADCGAN, Hou et al. 2021: a discriminative classifier, head 'class' [N, 2K], tells real classes (y) from
    generated ones (K + y): 'judge' -log C+(x, y) - log C-(G, y); 'fool' log C-(G, y) - log C+(G, y)."""

    role: Role = "judge"

    def __call__(self, contest: Contest) -> Tensor:
        fake, label = self.head(contest, "fake", "class"), self.label(contest, "fake")
        k = fake.shape[1] // 2
        as_fake = _nll(fake, label + k)
        if self.role == "fool":
            return _nll(fake, label) - as_fake
        return total([_nll(self.head(contest, "real", "class"), self.label(contest, "real")), as_fake])


@register("penalty", "mutual-information")
@dataclass(frozen=True)
class MutualInformation(Charge):
    """InfoGAN, Chen et al. 2016, eq. 5: -log Q(c | G(z, c)), by head 'code' on fakes, for both sides.

    The game offers pair 'code' = (categories [N, n_cat] int64, reals [N, n_real]).  The head is [N, sum(codes) +
    n_real] or with log variances [N, sum(codes) + 2 n_real]: logits, means, log variances (else variance 1).
    categorical, real: factors of the two kinds of codes (theirs: 1 and .1).
    """

    codes: tuple[int, ...] = (10,)
    categorical: float = 1.0
    real: float = 0.1

    def __call__(self, contest: Contest) -> Tensor:
        head = self.head(contest, "fake", "code")
        categories, reals = (c[: len(head)] for c in contest.play.pair("code"))
        n_real = reals.shape[1]
        rest = head.shape[1] - sum(self.codes)
        if rest not in (n_real, 2 * n_real) or categories.shape[1] != len(self.codes):
            raise RecipeError(
                f"penalty 'mutual-information' has codes {self.codes}, but head 'code' is {head.shape[1]} wide and "
                f"the game draws {categories.shape[1]} categorical and {n_real} real codes"
            )
        logits, mean, logvar = head.split((sum(self.codes), n_real, rest - n_real), 1)
        loss = head.new_zeros(len(head))
        for i, part in enumerate(logits.split(self.codes, 1)):
            loss = loss + self.categorical * _nll(part, categories[:, i])
        square = (reals - mean).square()
        if logvar.shape[1]:
            square = square * torch.exp(-logvar) + logvar
        gaussian: Tensor = 0.5 * (square + math.log(2 * math.pi)).sum(1)
        return loss + self.real * gaussian


@register("penalty", "rotation")
@dataclass(frozen=True)
class Rotation(Charge):
    """SSGAN, Chen et al. 2018: -log Q(R = r | x^r) over the four quarter turns of square pictures, by head
    'rotation' [N, 4]; on real for the judging side (weight 1), on fake for the fooling one (theirs .2).

    share: of the batch that is turned; each of those is judged four times.
    """

    share: float = 0.25
    on: Which = "real"

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        point = self.point(match, self.on)
        if point.x.dim() != 4 or point.x.shape[2] != point.x.shape[3]:
            raise RecipeError(f"penalty 'rotation' is for square pictures, not for shape {tuple(point.x.shape[1:])}")
        point = first(point, self.rows(len(point.x)))
        turned = torch.cat([point.x.rot90(k, (2, 3)) for k in range(4)])
        return (Point(turned, tuple(c.repeat(4, *[1] * (c.dim() - 1)) for c in point.cond)),)

    def __call__(self, contest: Contest) -> Tensor:
        heads = contest.asked[0].heads
        if "rotation" not in heads:
            raise RecipeError(f"penalty 'rotation' needs a head 'rotation'; the discriminator has {', '.join(heads)}")
        logits = heads["rotation"]
        target = torch.arange(4, device=logits.device).repeat_interleave(len(logits) // 4)
        return _nll(logits, target).view(4, -1).mean(0)


@register("penalty", "reconstruction")
@dataclass(frozen=True)
class Reconstruction(Charge):
    """FastGAN, Liu et al. 2021: the discriminator as an autoencoder of reals; mean |a - b| between each of its
    heads [N, C, h, w] and the real picture, area-averaged to that size (theirs: a perceptual distance)."""

    needs: ClassVar[frozenset[str]] = frozenset({"real"})
    heads: tuple[str, ...] = ("reconstruction",)

    def __call__(self, contest: Contest) -> Tensor:
        x = self.point(contest.match, "real").x.detach()
        found = [self.head(contest, "real", name) for name in self.heads]
        for head in found:
            if head.dim() != 4 or head.shape[1] != x.shape[1]:
                raise RecipeError(f"{name_of(self)!r} compares {tuple(head.shape)} with pictures {tuple(x.shape)}")
        small = [adaptive_avg_pool2d(x[: len(h)], (h.shape[2], h.shape[3])) for h in found]
        return total([per_example((h - s).abs()) for h, s in zip(found, small, strict=True)])
