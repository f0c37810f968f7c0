"""What augmentations share: who is chosen, shapes, colours."""

from __future__ import annotations

import torch
from torch import Tensor

from rivalry.errors import RecipeError
from rivalry.streams import Draw


def idle(p: float | Tensor) -> bool:
    """Whether nothing is to happen at all; a knob on the device is never read for it."""
    return not isinstance(p, Tensor) and p <= 0


def chosen(draw: Draw, name: str, n: int, p: float | Tensor) -> Tensor:
    """[n] bool: each true with chance p."""
    return draw.uniform(name, n) < p


def column(v: Tensor, x: Tensor) -> Tensor:
    """[N] -> [N, 1, ...], to go with x [N, ...]."""
    return v.reshape(-1, *[1] * (x.dim() - 1))


def images(x: Tensor, what: str) -> tuple[int, int, int]:
    """(N, H, W) of pictures [N, C, H, W]; raises on anything else."""
    if x.dim() != 4:
        raise RecipeError(f"augmentation {what!r} is for pictures, not for data of shape {tuple(x.shape[1:])}")
    return x.shape[0], x.shape[2], x.shape[3]


def hues(x: Tensor) -> int:
    """How many of x's channels are colours: all but the alpha of grey-alpha (2) and RGBA (4)."""
    return {2: 1, 4: 3}.get(x.shape[1], x.shape[1])


def with_alpha(colour: Tensor, x: Tensor) -> Tensor:
    """The changed colours, and x's alpha channel (if there is one) as it was."""
    k = colour.shape[1]
    return colour if k == x.shape[1] else torch.cat([colour, x[:, k:]], 1)
