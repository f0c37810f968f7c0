"""Discriminators and encoders: a trunk with heads, settings on top of any trunk in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.batchwise import MinibatchDiscrimination, MinibatchStd
from rivalry.nets.heads import Head, LinearHead, make_head, score_head
from rivalry.nets.layers import JoinPlanes
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.types import Heads, Spec


@register("net", "discriminator")
@dataclass(frozen=True)
class Discriminator(Net):
    """(x [N, *shape], *cond) -> Heads, always with 'features' [N, F].

    heads: of 'score', 'class' (or 'class+1', 'class*2', which fill 'class' too), 'twin', 'rotation', 'code',
    'embedding', 'infomax' (see `heads.py`), besides those the trunk fills itself.  score: how the score comes about, 'linear' in the
    features or 'logsumexp' of the class logits.  condition: what labels (cond[0]) do to the score: 'none',
    'concat' (planes joined to x) or 'projection'.  spectral: normalises every layer of trunk and heads.
    condition_width: label planes; embedding: width of 'embedding' and 'infomax'; hidden: of 'code'.
    minibatch: lets the heads see the batch, by the 'std' of its features (Karras et al. 2018) or by minibatch
    'discrimination' (Salimans et al. 2016).
    """

    trunk: Trunk
    heads: tuple[str, ...] = ("score",)
    score: Literal["linear", "logsumexp"] = "linear"
    condition: Literal["none", "concat", "projection"] = "none"
    spectral: bool = False
    condition_width: int = 8
    embedding: int = 128
    hidden: int = 128
    minibatch: Literal["none", "std", "discrimination"] = "none"

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        join = None
        if self.condition == "concat":
            join = _planes(wiring, self.condition_width)
        seen = packed(beside(spec, wiring), wiring.pack, self.condition_width if join else 0)
        trunk = self.trunk.build(seen, replace(wiring, pack=1))
        if self.minibatch != "none":
            trunk = WithMinibatch(trunk, self.minibatch)
        module = DiscriminatorModule(trunk, self._heads(trunk, wiring), join)
        return spectral(module) if self.spectral else module

    def _heads(self, trunk: TrunkModule, wiring: Wiring) -> list[Head]:
        if self.score == "logsumexp" and "class" not in self.heads:
            raise RecipeError("score = 'logsumexp' is made of class logits; add 'class' to heads")
        if self.condition == "projection" and self.score != "linear":
            raise RecipeError("condition = 'projection' has no place beside a score made of class logits")
        names = [n for n in self.heads if n not in ("score", "features") and n not in trunk.says]
        heads = [make_head(n, trunk, wiring, self.embedding, self.hidden) for n in names]
        if "score" in self.heads and ("score" not in trunk.says or self.condition == "projection"):
            heads.append(score_head(self.score, trunk, wiring, self.condition == "projection"))
        return heads


class DiscriminatorModule(nn.Module):
    """A trunk, its heads, and what joins labels to the input (None: nothing does)."""

    def __init__(self, trunk: TrunkModule, heads: list[Head], join: nn.Module | None) -> None:
        super().__init__()
        self.trunk, self.heads, self.join = trunk, nn.ModuleList(heads), join

    def forward(self, x: Tensor, *cond: Tensor) -> Heads:
        seen = self.trunk(x if self.join is None else self.join(x, *cond))
        said: Heads = {"features": seen.features, **seen.said}
        for head in self.heads:
            said.update(head(seen, said, *cond))
        return said


class WithMinibatch(TrunkModule):
    """A trunk whose features also tell how the example stands to the rest of its batch."""

    def __init__(self, trunk: TrunkModule, how: Literal["std", "discrimination"]) -> None:
        super().__init__()
        self.trunk, self.maps, self.says = trunk, trunk.maps, trunk.says
        self.layer = MinibatchStd() if how == "std" else MinibatchDiscrimination(trunk.features)
        self.features = trunk.features + self.layer.more

    def forward(self, x: Tensor) -> Seen:
        seen: Seen = self.trunk(x)
        return replace(seen, features=self.layer(seen.features))

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return self.trunk.dense(inputs, outputs, bias)


@register("net", "joint")
@dataclass(frozen=True)
class JointDiscriminator(Net):
    """(x [N, *shape], z [N, latent]) -> Heads with 'score' [N] and the joint 'features' [N, F]: judges pairs of
    an example and its latent (BiGAN, Donahue et al. 2017; ALI, Dumoulin et al. 2017).

    latent_sizes: hidden layers that see z alone; joint_sizes: those that see both.
    """

    trunk: Trunk
    latent_sizes: tuple[int, ...] = (512, 512)
    joint_sizes: tuple[int, ...] = (1024,)
    slope: float = 0.2
    spectral: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if not wiring.latent:
            raise RecipeError("a joint discriminator judges latents too, but the game has none")
        trunk = self.trunk.build(packed(spec, wiring.pack, 0), replace(wiring, pack=1))
        module = JointModule(trunk, wiring.latent * wiring.pack, self)
        return spectral(module) if self.spectral else module


class JointModule(nn.Module):
    def __init__(self, trunk: TrunkModule, latent: int, settings: JointDiscriminator) -> None:
        super().__init__()
        self.trunk, self.slope = trunk, settings.slope
        self.latent = _hidden((latent, *settings.latent_sizes), trunk)
        both = trunk.features + (latent, *settings.latent_sizes)[-1]
        self.joint = _hidden((both, *settings.joint_sizes), trunk)
        self.score = trunk.dense((both, *settings.joint_sizes)[-1], 1)

    def forward(self, x: Tensor, z: Tensor) -> Heads:
        for layer in self.latent:
            z = F.leaky_relu(layer(z), self.slope)
        features = torch.cat([self.trunk(x).features, z], 1)
        for layer in self.joint:
            features = F.leaky_relu(layer(features), self.slope)
        return {"features": features, "score": self.score(features).squeeze(1)}


@register("net", "encoder")
@dataclass(frozen=True)
class Encoder(Net):
    """(x [N, *shape], *cond) -> (mean, logvar), each [N, latent], or (z,) where `gaussian` is off: the way back
    for VAE, AAE, BiGAN.  condition = 'concat' joins label planes to x (conditional VAE)."""

    trunk: Trunk
    gaussian: bool = True
    condition: Literal["none", "concat"] = "none"
    condition_width: int = 8

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if not wiring.latent:
            raise RecipeError("an encoder needs a latent to encode to, but the game has none")
        join = _planes(wiring, self.condition_width) if self.condition == "concat" else None
        seen = packed(spec, 1, self.condition_width if join else 0)
        trunk = self.trunk.build(seen, replace(wiring, pack=1))
        return EncoderModule(trunk, wiring.latent, self.gaussian, join)


class EncoderModule(nn.Module):
    def __init__(self, trunk: TrunkModule, latent: int, gaussian: bool, join: nn.Module | None) -> None:
        super().__init__()
        self.trunk, self.join = trunk, join
        self.mean = LinearHead("mean", trunk, latent)
        self.logvar = LinearHead("logvar", trunk, latent) if gaussian else None

    def forward(self, x: Tensor, *cond: Tensor) -> tuple[Tensor, ...]:
        seen = self.trunk(x if self.join is None else self.join(x, *cond))
        mean: Tensor = self.mean.linear(seen.features)
        if self.logvar is None:
            return (mean,)
        return mean, self.logvar.linear(seen.features)


def beside(spec: Spec, wiring: Wiring) -> Spec:
    """The Spec of an example with what the game joins to it."""
    first, *rest = spec.shape
    return replace(spec, shape=(first + wiring.beside, *rest)) if wiring.beside else spec


def packed(spec: Spec, pack: int, more: int) -> Spec:
    """The Spec of what a trunk sees: `pack` examples and `more` label planes joined along the first axis."""
    first, *rest = spec.shape
    return replace(spec, shape=(first * pack + more, *rest))


def _planes(wiring: Wiring, width: int) -> JoinPlanes:
    if not wiring.classes:
        raise RecipeError("condition = 'concat' needs labels, but the game has none; use labelled data")
    return JoinPlanes(wiring.classes, width)


def _hidden(sizes: tuple[int, ...], trunk: TrunkModule) -> nn.ModuleList:
    return nn.ModuleList(trunk.dense(a, b) for a, b in pairwise(sizes))
