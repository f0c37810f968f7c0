"""DiffAugment: colour, translation and cutout, for pictures in [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rivalry.augment.common import chosen, column, hues, idle, images, with_alpha
from rivalry.augment.light import Cutout, Translate
from rivalry.catalogue import register
from rivalry.parts import Augment
from rivalry.streams import Draw


@dataclass(frozen=True)
class _Colour(Augment):
    """Brightness + U(-.5, .5), saturation x U(0, 2), contrast x U(.5, 1.5), each with chance p."""

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        n, _, _ = images(x, "diffaugment")
        u = draw.uniform("colour", n, 3).to(x.dtype)
        on = torch.stack([chosen(draw, name, n, p) for name in ("brightness", "saturation", "contrast")], 1)
        add = column(torch.where(on[:, 0], u[:, 0] - 0.5, 0.0), x)
        saturation = column(torch.where(on[:, 1], u[:, 1] * 2, 1.0), x)
        contrast = column(torch.where(on[:, 2], u[:, 2] + 0.5, 1.0), x)
        c = x[:, : hues(x)] + add
        if c.shape[1] == 3:
            c = c.lerp(c.mean(1, keepdim=True).expand_as(c), 1 - saturation)
        c = c.lerp(c.mean((1, 2, 3), keepdim=True).expand_as(c), 1 - contrast)
        return with_alpha(c, x)


@register("augment", "diffaugment")
@dataclass(frozen=True)
class DiffAugment(Augment):
    """Zhao et al. 2020: colour, translation (up to 1/8, zeros come in), cutout (half of each side), in this order.

    policy: which of them; theirs applies each to every example (p = 1).
    """

    policy: tuple[Literal["colour", "translation", "cutout"], ...] = ("colour", "translation", "cutout")

    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        images(x, "diffaugment")
        if idle(p):
            return x
        for name in self.policy:
            x = _POLICIES[name](x, draw.at(name), p)
        return x


_POLICIES: dict[str, Augment] = {"colour": _Colour(), "translation": Translate(), "cutout": Cutout()}
