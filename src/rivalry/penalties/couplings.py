"""Penalties on heads that compare the examples of a batch with one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.parts import Contest
from rivalry.penalties.common import Charge, Which


def _off_diagonal(n: int, like: Tensor) -> Tensor:
    return ~torch.eye(n, dtype=torch.bool, device=like.device)


def _only(similarity: Tensor, where: Tensor) -> Tensor:
    """Logits of 0 probability outside `where`."""
    return similarity.masked_fill(~where, -math.inf)


@dataclass(frozen=True)
class _Contrast(Charge):
    """Cosines by heads 'embedding' [N, E] and 'proxy' [N, E], the embedding of each example's label."""

    couples: ClassVar[bool] = True
    on: Which = "real"

    def cosines(self, contest: Contest) -> tuple[Tensor, Tensor, Tensor]:
        """(each with its proxy [N, 1], with one another [N, N], who has whose label [N, N])."""
        embedding = normalize(self.head(contest, self.on, "embedding"), dim=1)
        proxy = normalize(self.head(contest, self.on, "proxy"), dim=1)
        label = self.label(contest, self.on)
        return (embedding * proxy).sum(1, keepdim=True), embedding @ embedding.T, label[:, None] == label


@register("penalty", "contrastive-2c")
@dataclass(frozen=True)
class Contrastive2C(_Contrast):
    """ContraGAN, Kang & Park 2020, eq. 8: -log of the share of exp(cos / t) that falls on the own proxy and on
    others of the same label, among those and all others; on real for the judging side, on fake for the other."""

    temperature: float = 1.0

    def __call__(self, contest: Contest) -> Tensor:
        proxy, other, same = self.cosines(contest)
        others = _off_diagonal(len(other), other)
        logits = torch.cat([proxy, _only(other, others)], 1) / self.temperature
        kin = torch.cat([proxy, _only(other, others & same)], 1) / self.temperature
        return logits.logsumexp(1) - kin.logsumexp(1)


@register("penalty", "d2d-ce")
@dataclass(frozen=True)
class D2DCE(_Contrast):
    """ReACGAN, Kang et al. 2021, data-to-data cross-entropy: the cosine with the own proxy, counted up to the margin
    `positive`, against those with examples of other labels, counted from the margin `negative`; over temperature."""

    weight: float = 0.5
    temperature: float = 0.5
    positive: float = 0.98
    negative: float = 0.02

    def __call__(self, contest: Contest) -> Tensor:
        proxy, other, same = self.cosines(contest)
        attract = -relu(self.positive - proxy) / self.temperature
        repel = relu(other - self.negative) / self.temperature
        return torch.cat([attract, _only(repel, ~same)], 1).logsumexp(1) - attract[:, 0]


@register("penalty", "infomax")
@dataclass(frozen=True)
class InfoMax(Charge):
    """InfoMax-GAN, Lee et al. 2020: -log of the share of exp(<local, global>) that falls on an example's own place,
    among that and all places of other examples, averaged over its places.

    Heads 'local' [N, R, ...places] and 'global' [N, R]; on real for the judging side, on fake for the fooling one.
    """

    couples: ClassVar[bool] = True
    weight: float = 0.2
    on: Which = "real"

    def __call__(self, contest: Contest) -> Tensor:
        local = self.head(contest, self.on, "local").flatten(2)
        whole = self.head(contest, self.on, "global")
        score = torch.einsum("ir,jrl->ijl", whole, local)
        own = score.diagonal().T
        apart = _off_diagonal(len(score), score)
        others = score.masked_fill(~apart[:, :, None], torch.finfo(score.dtype).min / 2).flatten(1).logsumexp(1)
        return (torch.logaddexp(own, others[:, None]) - own).mean(1)


@register("penalty", "feature-matching")
@dataclass(frozen=True)
class FeatureMatching(Charge):
    """Salimans et al. 2016, section 3.1: |E f(x) - E f(G(z))|^2, [1], of a head [N, ...]; for the fooling side."""

    couples: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
    head_name: str = "features"

    def __call__(self, contest: Contest) -> Tensor:
        real = self.head(contest, "real", self.head_name).detach()
        fake = self.head(contest, "fake", self.head_name)
        return (real.mean(0) - fake.mean(0)).square().sum().reshape(1)


@register("penalty", "pull-away")
@dataclass(frozen=True)
class PullAway(Charge):
    """EBGAN, Zhao et al. 2016, eq. 4: mean squared cosine between a fake's features and those of the others, so that
    they spread out; head 'features' [N, ...]; for the fooling side."""

    couples: ClassVar[bool] = True
    weight: float = 0.1
    head_name: str = "features"

    def __call__(self, contest: Contest) -> Tensor:
        features = self.head(contest, "fake", self.head_name)
        if features.dim() < 2:
            raise RecipeError(f"penalty 'pull-away' needs a head [N, F], not {tuple(features.shape)}")
        unit = normalize(features.flatten(1), dim=1)
        square = (unit @ unit.T).square() * _off_diagonal(len(unit), unit)
        return square.sum(1) / max(1, len(unit) - 1)
