"""Discriminators that judge patches: PatchGAN, at one or several scales, and the U-Net that judges every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.layers import Norm, normalise
from rivalry.nets.shapes import image_shape
from rivalry.nets.spectral import spectral
from rivalry.parts import Net, Wiring
from rivalry.types import Heads, Spec


def beside(x: Tensor, cond: tuple[Tensor, ...]) -> Tensor:
    """x with the pictures that it was made from, enlarged to its size, as further channels."""
    if not cond:
        return x
    source = cond[0]
    if source.shape[2:] != x.shape[2:]:
        source = F.interpolate(source, size=x.shape[2:], mode="nearest")
    return torch.cat([x, source.to(x.dtype)], 1)


def _inputs(spec: Spec, wiring: Wiring, conditional: bool, who: str) -> int:
    return image_shape(spec, who)[0] + (wiring.source[0] if conditional and wiring.source else 0)


@register("net", "patchgan")
@dataclass(frozen=True)
class PatchGAN(Net):
    """(x [N, C, H, W], source if conditional) -> Heads: 'score' [N, K], a logit for each patch; 'maps' [N, F], what all layers saw,
    for feature matching (Isola et al. 2017; Wang et al. 2018, pix2pixHD).

    layers: times it halves; 3 judges patches of 70 pixels.  scales: so many judges, each at half the size of the one before.
    conditional: sees what the picture was made from.  spectral: normalises every layer's weights.  classes: also says 'class' [N, classes],
    from the mean over places of the first judge's last layer (Choi et al. 2018, StarGAN).
    """

    width: int = 64
    layers: int = 3
    scales: int = 1
    norm: Norm = "instance"
    conditional: bool = False
    spectral: bool = False
    cap: int = 512
    classes: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        inputs = _inputs(spec, wiring, self.conditional, "patchgan")
        if self.classes and not wiring.classes:
            raise RecipeError("this judge tells classes apart, and the game has none; give labelled pictures (sub-folders are classes)")
        head = nn.Linear(min(self.cap, self.width << self.layers), wiring.classes) if self.classes else None
        module = PatchModule([Patch(self, inputs) for _ in range(self.scales)], self.conditional, head)
        return spectral(module) if self.spectral else module


class Patch(nn.Module):
    def __init__(self, s: PatchGAN, inputs: int) -> None:
        super().__init__()
        widths = [min(s.cap, s.width << i) for i in range(s.layers + 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2 if i < s.layers else 1, 1) for i, (a, b) in enumerate(zip([inputs, *widths], widths, strict=False))
        )
        self.norms = nn.ModuleList(normalise(s.norm if i else "none", w, tracked=False) for i, w in enumerate(widths))
        self.score = nn.Conv2d(widths[-1], 1, 4, 1, 1)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, 0, 0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        seen = list[Tensor]()
        for conv, norm in zip(self.convs, self.norms, strict=True):
            # kernels of 4 want pictures of at least 3: small ones are grown
            grow = max(0, 3 - min(x.shape[2:]))
            x = F.leaky_relu(norm(conv(F.pad(x, (0, grow, 0, grow)) if grow else x)), 0.2)
            seen.append(x)
        grow = max(0, 3 - min(x.shape[2:]))
        return self.score(F.pad(x, (0, grow, 0, grow)) if grow else x), seen


class PatchModule(nn.Module):
    def __init__(self, judges: list[Patch], conditional: bool, classes: nn.Module | None) -> None:
        super().__init__()
        self.judges, self.conditional, self.classes = nn.ModuleList(judges), conditional, classes

    def forward(self, x: Tensor, *cond: Tensor) -> Heads:
        x = beside(x, cond) if self.conditional else x
        scores, maps, said = list[Tensor](), list[Tensor](), Heads()
        for i, judge in enumerate(self.judges):
            if i:
                x = F.avg_pool2d(x, 2)
            score, seen = judge(x)
            scores.append(score.flatten(1))
            maps += [m.flatten(1) for m in seen]
            if i == 0 and self.classes is not None:
                said["class"] = self.classes(seen[-1].mean((2, 3)))
        return {"score": torch.cat(scores, 1), "maps": torch.cat(maps, 1), **said}


@register("net", "unet-judge")
@dataclass(frozen=True)
class UNetJudge(Net):
    """(x [N, C, H, W], source if conditional) -> Heads: 'score' [N, H W], a logit for each pixel (Schoenfeld et al. 2020; as Real-ESRGAN,
    Wang et al. 2021, uses it, with spectral norm), and 'maps' [N, F]."""

    width: int = 64
    conditional: bool = False
    spectral: bool = True

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        module = UNetJudgeModule(_inputs(spec, wiring, self.conditional, "unet-judge"), self.width)
        return spectral(module) if self.spectral else module


class UNetJudgeModule(nn.Module):
    def __init__(self, inputs: int, w: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, w, 3, 1, 1)
        self.downs = nn.ModuleList(nn.Conv2d(w << i, w << (i + 1), 4, 2, 1, bias=False) for i in range(3))
        self.ups = nn.ModuleList(nn.Conv2d(w << (i + 1), w << i, 3, 1, 1, bias=False) for i in reversed(range(3)))
        self.lasts = nn.ModuleList((nn.Conv2d(w, w, 3, 1, 1, bias=False), nn.Conv2d(w, w, 3, 1, 1, bias=False)))
        self.score = nn.Conv2d(w, 1, 3, 1, 1)

    def forward(self, x: Tensor, *cond: Tensor) -> Heads:
        x = beside(x, cond)
        h, w = x.shape[2:]
        x = F.pad(x, (0, -w % 8, 0, -h % 8), mode="replicate")
        seen = [F.leaky_relu(self.first(x), 0.2)]
        for down in self.downs:
            seen.append(F.leaky_relu(down(seen[-1]), 0.2))
        x = seen[-1]
        for up, beside_ in zip(self.ups, reversed(seen[:-1]), strict=True):
            large = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(large), 0.2) + beside_
        for last in self.lasts:
            x = F.leaky_relu(last(x), 0.2)
        score = self.score(x)[:, :, :h, :w]
        return {"score": score.flatten(1), "maps": torch.cat([m.flatten(1) for m in seen[1:]], 1)}
