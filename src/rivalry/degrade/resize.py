"""Resizing by matrices: each example by a factor and a filter of its own, in two batched products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

FILTERS = ("box", "linear", "cubic")


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, C, H, W] -> [N, C, *size]: bicubic (Keys 1981, a = -1/2) with antialiasing, as Pillow and MATLAB resize."""
    if x.shape[2:] == size:
        return x
    return interpolate(x, size=size, mode="bicubic", align_corners=False, antialias=True)


def filtered(distance: Tensor, kind: Tensor) -> Tensor:
    """The filter's weight at a distance in (shrunken) pixels; kind: a number of FILTERS, broadcast."""
    t = distance.abs()
    box = (t <= 0.5).to(t)
    linear = (1 - t).clamp_min(0)
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    cubic = torch.where(t <= 1, near, torch.where(t < 2, far, torch.zeros_like(t)))
    return torch.where(kind == 0, box, torch.where(kind == 1, linear, cubic))


def matrices(old: Tensor, new: Tensor, kind: Tensor, rows: int, columns: int) -> Tensor:
    """[N, rows, columns]: row o of example n weighs the first old[n] pixels for pixel o of the new[n] that are made; rows
    beyond repeat the last one, so what is outside an example continues its border.

    old, new: [N] sizes, at most `columns` and `rows`.  kind: [N], numbers of FILTERS.  Antialiased: where a picture
    shrinks the filter widens.
    """
    old, new = old.float(), new.float()
    scale = (old / new)[:, None, None]
    out = torch.minimum(torch.arange(rows, device=old.device)[None].float(), new[:, None] - 1)[..., None]
    at = torch.arange(columns, device=old.device)[None, None].float()
    centre = (out + 0.5) * scale - 0.5
    weight = filtered((at - centre) / scale.clamp_min(1.0), kind[:, None, None])
    weight = weight * (at < old[:, None, None])
    nearest = (at == centre.round().clamp_min(0).minimum(old[:, None, None] - 1)).to(weight)
    total = weight.sum(2, keepdim=True)
    return torch.where(total.abs() > 1e-6, weight / total.where(total.abs() > 1e-6, torch.ones_like(total)), nearest)


def resize_each(x: Tensor, old: Tensor, new: Tensor, kind: Tensor, side: tuple[int, int]) -> Tensor:
    """[N, C, H, W], of which the first old[n] = (h, w) pixels count -> [N, C, *side], of which new[n] count.

    old, new: [N, 2] int64.  kind: [N].
    """
    down = matrices(old[:, 0], new[:, 0], kind, side[0], x.shape[2])
    across = matrices(old[:, 1], new[:, 1], kind, side[1], x.shape[3])
    return down[:, None] @ x @ across[:, None].transpose(2, 3)
