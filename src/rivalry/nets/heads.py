"""What a discriminator says, head by head: small modules that stand on a trunk's features.

Each maps (seen, said so far, *cond) to further entries of Heads; the first axis of every entry is the example.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import RecipeError, UnknownName
from rivalry.nets.layers import need_label
from rivalry.nets.trunk import Seen, TrunkModule
from rivalry.parts import Wiring
from rivalry.types import Heads


class Head(nn.Module, ABC):
    """forward(seen, said, *cond) -> Heads to be added."""

    @abstractmethod
    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads: ...


class LinearHead(Head):
    """`name`: [N, outputs] linear in the features; [N] for the score."""

    def __init__(self, name: str, trunk: TrunkModule, outputs: int) -> None:
        super().__init__()
        self.name, self.linear = name, trunk.dense(trunk.features, outputs)

    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads:
        out: Tensor = self.linear(seen.features)
        return {self.name: out.squeeze(1) if self.name == "score" else out}


class ProjectionScore(Head):
    """'score' [N] = psi(features) + <embedding of the label, features> (Miyato & Koyama 2018, equation 5); where
    the trunk scores by itself, [N] or [N, K], its score takes the place of psi."""

    def __init__(self, trunk: TrunkModule, classes: int) -> None:
        super().__init__()
        self.linear = None if "score" in trunk.says else trunk.dense(trunk.features, 1)
        self.embed = nn.Embedding(classes, trunk.features)
        nn.init.zeros_(self.embed.weight)  # labels come in as they prove useful

    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads:
        inner = (self.embed(need_label(cond)) * seen.features).sum(1)
        if self.linear is not None:
            return {"score": self.linear(seen.features).squeeze(1) + inner}
        score = said["score"]
        return {"score": score + inner.reshape(-1, *[1] * (score.dim() - 1))}


class LogSumExpScore(Head):
    """'score' [N] = log sum_k exp(class logit k): the K-logit form of K + 1 classes (Salimans et al. 2016, 5)."""

    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads:
        return {"score": said["class"].logsumexp(1)}


class CodeHead(Head):
    """'code' [N, sum of code sizes + reals]: categorical logits side by side, then the means of the real codes,
    after one hidden layer (InfoGAN, Chen et al. 2016, appendix C: Q's own 128 units)."""

    def __init__(self, trunk: TrunkModule, outputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden, self.linear = trunk.dense(trunk.features, hidden), trunk.dense(hidden, outputs)

    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads:
        return {"code": self.linear(F.leaky_relu(self.hidden(seen.features), 0.1))}


class EmbeddingHead(Head):
    """'embedding' [N, E] of length one and 'proxy' [N, E], the unit proxy of each example's own label
    (ContraGAN 2020, ReACGAN 2021); 'proxy' is left out where no labels are passed."""

    def __init__(self, trunk: TrunkModule, classes: int, width: int) -> None:
        super().__init__()
        self.linear = trunk.dense(trunk.features, width)
        self.proxies = nn.Embedding(classes, width)

    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads:
        out = {"embedding": unit(self.linear(seen.features))}
        if cond:
            out["proxy"] = unit(self.proxies(cond[0]))
        return out


class LocalHead(Head):
    """'local' [N, E, h w] of the trunk's maps and 'global' [N, E] of its features, each a
    two-layer map with a linear shortcut (InfoMax-GAN, Lee et al. 2021)."""

    def __init__(self, trunk: TrunkModule, width: int) -> None:
        super().__init__()
        if not trunk.maps:
            raise RecipeError("the head 'infomax' needs a trunk with local feature maps, such as 'resnet' or 'dcgan'")
        self.local = _Lift(nn.Conv1d(trunk.maps, trunk.maps, 1), nn.Conv1d(trunk.maps, width, 1),
                           nn.Conv1d(trunk.maps, width, 1))  # fmt: skip
        f = trunk.features
        self.whole = _Lift(nn.Linear(f, f), nn.Linear(f, width), nn.Linear(f, width))

    def forward(self, seen: Seen, said: Heads, *cond: Tensor) -> Heads:
        if seen.maps is None:
            raise RecipeError("the trunk promised local feature maps but gave none")
        return {
            "local": self.local(seen.maps.flatten(2)),
            "global": self.whole(seen.features),
        }


class _Lift(nn.Module):
    def __init__(self, first: nn.Module, second: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.shortcut = first, second, shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.first(x).relu()) + self.shortcut(x)
        return out


def unit(x: Tensor) -> Tensor:
    """[N, E] scaled to length one; differentiable at zero."""
    return x * (x.square().sum(1, keepdim=True) + 1e-12).rsqrt()


Sizes = Callable[[Wiring], int]
LINEAR: dict[str, Sizes] = {
    "class": lambda w: w.classes,  # ACGAN, SGAN
    "twin": lambda w: w.classes,  # TAC-GAN's second classifier
    "class+1": lambda w: w.classes + 1,  # the last one stands for fake: MHGAN, SGAN's other form
    "class*2": lambda w: 2 * w.classes,  # real and fake of each class: ADCGAN
    "rotation": lambda w: 4,  # SSGAN
}
"""Heads that are one linear layer, with their number of outputs."""
OTHERS = ("score", "features", "code", "embedding", "infomax")


def make_head(name: str, trunk: TrunkModule, wiring: Wiring, width: int, hidden: int) -> Head:
    """The head of that name (other than 'score'); RecipeError if the wiring has nothing for it to say."""
    if name in LINEAR:
        if name != "rotation":
            _need_classes(name, wiring)
        return LinearHead("class" if name.startswith("class") else name, trunk, LINEAR[name](wiring))
    if name == "code":
        size = sum(wiring.codes) + wiring.code_reals
        if not size:
            raise RecipeError("the head 'code' needs latent codes; set the game's codes, e.g. codes = [10]")
        return CodeHead(trunk, size, hidden)
    if name == "embedding":
        _need_classes(name, wiring)
        return EmbeddingHead(trunk, wiring.classes, width)
    if name == "infomax":
        return LocalHead(trunk, width)
    raise UnknownName("head", name, (*LINEAR, *OTHERS))


def _need_classes(name: str, wiring: Wiring) -> None:
    if not wiring.classes:
        raise RecipeError(f"{name!r} needs labels, but the game has none; use labelled data or another recipe")


def score_head(how: str, trunk: TrunkModule, wiring: Wiring, projection: bool) -> Head:
    """The head that fills 'score'."""
    if how == "logsumexp":
        return LogSumExpScore()
    if projection:
        _need_classes("projection", wiring)
        return ProjectionScore(trunk, wiring.classes)
    return LinearHead("score", trunk, 1)
