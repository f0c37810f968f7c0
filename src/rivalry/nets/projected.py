"""Projected discriminators (Sauer et al. 2021): small critics on randomly mixed features of a frozen network."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.backbones import Backbone, BackboneModule, RandomPyramid, random_conv
from rivalry.nets.inits import he_
from rivalry.nets.layers import Norm, normalise
from rivalry.nets.shapes import image_shape
from rivalry.nets.spectral import spectral
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Wiring
from rivalry.types import Spec


@register("trunk", "projected")
@dataclass(frozen=True)
class Projected(Trunk):
    """x [N, C, H, W] -> 'score' [N, K]: all patch logits of four critics, one per map of the backbone; features
    [N, F]: the means of the critics' last maps.

    channels: of the mixed maps, doubling from the finest to the coarsest.  norm: inside the critics ('batch' as
    published couples the batch; 'group' does not).  seed: of the fixed random mixing.
    """

    backbone: Backbone = field(default_factory=RandomPyramid)
    channels: int = 64
    cap: int = 512
    norm: Norm = "batch"
    slope: float = 0.2
    seed: int = 0

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return ProjectedModule(self, self.backbone.build(spec), spec)


class ProjectedModule(TrunkModule):
    says = frozenset({"score"})

    def __init__(self, settings: Projected, backbone: BackboneModule, spec: Spec) -> None:
        super().__init__()
        s = settings
        self.backbone = backbone
        g = torch.Generator().manual_seed(s.seed)
        widths = [s.channels << i for i in range(len(backbone.channels))]
        self.mix = nn.ModuleList(random_conv(a, b, 1, g) for a, b in zip(backbone.channels, widths, strict=True))
        self.down = nn.ModuleList(random_conv(b, a, 3, g) for a, b in pairwise(widths))
        with torch.no_grad():
            sizes = [m.shape[2:] for m in backbone(torch.zeros(1, *image_shape(spec, "projected")))]
        self.critics = nn.ModuleList(
            spectral(Critic(w, (h, v), s)) for w, (h, v) in zip(widths, sizes, strict=True)
        )
        self.features = sum(c.outputs for c in self.critics if isinstance(c, Critic))

    def mixed(self, x: Tensor) -> list[Tensor]:
        """The backbone's maps mixed across channels (1x1) and, from the coarsest up, across scales (3x3)."""
        maps = [mix(m) for mix, m in zip(self.mix, self.backbone(x), strict=True)]
        for i in range(len(maps) - 2, -1, -1):
            size = list(maps[i].shape[2:])
            maps[i] = maps[i] + F.interpolate(self.down[i](maps[i + 1]), size, mode="bilinear", align_corners=False)
        return maps

    def forward(self, x: Tensor) -> Seen:
        judged = [critic(m) for critic, m in zip(self.critics, self.mixed(x), strict=True)]
        features = torch.cat([last.mean((2, 3)) for last, _ in judged], 1)
        return Seen(features, None, {"score": torch.cat([logits for _, logits in judged], 1)})


class Critic(nn.Module):
    """[N, C, h, w] -> (last maps, logits [N, patches]): strided 4x4 convolutions while the shorter side exceeds
    8, then one 4x4 (or smaller) convolution; all with spectral norm."""

    def __init__(self, channels: int, size: tuple[int, int], settings: Projected) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        height, width = size
        while min(height, width) > 8:
            outputs = max(channels, min(2 * channels, settings.cap))
            layers += [
                nn.Conv2d(channels, outputs, 4, 2, 1),
                normalise(settings.norm, outputs, tracked=False),
                nn.LeakyReLU(settings.slope),
            ]
            channels, height, width = outputs, height // 2, width // 2
        self.body, self.outputs = he_(nn.Sequential(*layers), settings.slope), channels
        self.last = nn.Conv2d(channels, 1, (min(4, height), min(4, width)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return x, self.last(x).flatten(1)
