"""Holes filled smoothly: where a network that completes pictures begins."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

ROUNDS = 4
"""Rounds of smoothing at each size."""


def filled(x: Tensor, hole: Tensor, levels: int) -> Tensor:
    """x [N, C, H, W], hole [N, 1, H, W] of 0 and 1 -> x with its holes filled by what is about them; pixels outside keep their values.

    Known pixels are averaged by twos, `levels` times; then, from the coarsest size up, holes take what was enlarged and are
    smoothed by the mean of four neighbours (push and pull, Gortler et al. 1996, section 3.4; the rounds are Jacobi's for
    Laplace's equation, so that the fill comes near to a membrane).  A hole wider than 2^levels gets the mean of all that is known.
    """
    known = 1 - hole
    sizes, weights = [x * known], [known]
    for _ in range(levels):
        weight = F.avg_pool2d(weights[-1], 2, ceil_mode=True)
        sizes.append(F.avg_pool2d(sizes[-1] * weights[-1], 2, ceil_mode=True) / weight.clamp_min(1e-6))
        weights.append((weight > 0).to(x.dtype))
    # as means, which tiles of a picture share (rivalry.changing.whole); sums each tile would take of itself
    made = (x * known).mean((2, 3), keepdim=True) / known.mean((2, 3), keepdim=True).clamp_min(1e-9)
    for own, weight in zip(reversed(sizes), reversed(weights), strict=True):
        # by two, whatever is cut off then: by sizes, tiles of a picture would be enlarged otherwise than the whole
        twice = made if made.shape[2:] == (1, 1) else F.interpolate(made, scale_factor=2, mode="bilinear", align_corners=False)
        around = twice.expand_as(own) if twice.shape[2:] == (1, 1) else twice[:, :, : own.shape[2], : own.shape[3]]
        made = own * weight + around * (1 - weight)
        for _ in range(ROUNDS):
            wide = F.pad(made, (1, 1, 1, 1), mode="replicate")
            mean = (wide[:, :, :-2, 1:-1] + wide[:, :, 2:, 1:-1] + wide[:, :, 1:-1, :-2] + wide[:, :, 1:-1, 2:]) / 4
            made = own * weight + mean * (1 - weight)
    return made
