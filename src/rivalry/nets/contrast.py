"""Contrastive learning of patches (CUT): what stands at a place of a made picture is to be known as what stood there before."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.translators import ResNetTranslatorModule
from rivalry.parts import Net, Play, Term, Turn, Wiring
from rivalry.types import Spec


@register("net", "patch-projector")
@dataclass(frozen=True)
class PatchProjector(Net):
    """One small network per layer: features [M, widths[i]] -> unit vectors [M, size] (Park et al. 2020, CUT, section 3)."""

    widths: tuple[int, ...] = (64, 128, 256, 256, 256)
    size: int = 256

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return PatchProjectorModule(self.widths, self.size)


class PatchProjectorModule(nn.Module):
    def __init__(self, widths: tuple[int, ...], size: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nn.Sequential(nn.Linear(w, size), nn.ReLU(), nn.Linear(size, size)) for w in widths)

    def forward(self, features: Tensor, layer: int) -> Tensor:
        return normalize(self.nets[layer](features), dim=-1)


def contrast(query: Tensor, key: Tensor, tau: float) -> Tensor:
    """[N]: -log of the softmax over places of query . key / tau at the place itself, a mean over places; query, key [N, S, D] of unit
    length (Park et al. 2020, eq. 2-3, negatives from the same picture)."""
    scores = query @ key.transpose(1, 2) / tau
    n, s, _ = scores.shape
    place = torch.arange(s, device=scores.device).expand(n, s)
    return cross_entropy(scores.transpose(1, 2), place, reduction="none").mean(1)


@register("term", "patch-contrast")
@dataclass(frozen=True)
class PatchContrast(Term):
    """PatchNCE: of the pair (made, source), at `patches` places of `layers` of the network `generator`, a 'resnet-translator', through
    the network 'projector'; summed over layers, divided by their number."""

    weight: float = 1.0
    every: int = 1
    pair: str = "made"
    layers: tuple[int, ...] = (0, 1, 2, 5, 8)
    patches: int = 256
    tau: float = 0.07

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        net, projector = play.nets["generator"], play.nets.get("projector")
        if not isinstance(net, ResNetTranslatorModule) or not isinstance(projector, PatchProjectorModule):
            raise RecipeError("term 'patch-contrast' needs the nets 'resnet-translator' as generator and 'patch-projector' as projector")
        made, source = play.pair(self.pair)[:2]
        queries, keys = net.features(made, self.layers), net.features(source, self.layers)
        charges = list[Tensor]()
        for i, (q, k) in enumerate(zip(queries, keys, strict=True)):
            places = turn.draw.permutation(f"places-{self.pair}-{i}", q.shape[2] * q.shape[3])[: self.patches]
            here, there = (projector(f.flatten(2)[:, :, places].transpose(1, 2), i) for f in (q, k.detach()))
            charges.append(contrast(here.float(), there.float().detach(), self.tau))
        return torch.stack(charges).mean(0)
