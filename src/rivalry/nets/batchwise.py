"""Layers through which a discriminator sees the whole batch at once; they mark themselves as coupling it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rivalry.parts import Couples


class MinibatchStd(nn.Module, Couples):
    """[N, C, ...] -> [N, C + channels, ...]: the standard deviation over a group of examples, averaged over
    pixels and over the features of one part of the channels, as constant planes (Karras et al. 2018, 2020).

    Groups have `group` examples, or the next smaller number that divides N; example i is in the group of
    i + N/group, as in StyleGAN2.  At N = 1 the planes are sqrt(eps).
    """

    def __init__(self, group: int = 4, channels: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.group, self.channels, self.eps = group, channels, eps
        self.more = channels

    def forward(self, x: Tensor) -> Tensor:
        n, _, *pixels = x.shape
        group = next(g for g in range(min(self.group, n), 0, -1) if n % g == 0)
        y = x.reshape(group, n // group, self.channels, -1)
        y = (y - y.mean(0)).square().mean(0)  # [n / group, channels, c / channels * pixels]
        y = (y + self.eps).sqrt().mean(2)  # [n / group, channels]
        y = y.repeat(group, 1).reshape(n, self.channels, *[1] * len(pixels)).expand(-1, -1, *pixels)
        return torch.cat([x, y], 1)


class MinibatchDiscrimination(nn.Module, Couples):
    """[N, F] -> [N, F + kernels]: o_b(x_i) = sum over j != i of exp(-|M_ib - M_jb|_1), M = x T
    (Salimans et al. 2016, section 3.2)."""

    def __init__(self, features: int, kernels: int = 50, dim: int = 5) -> None:
        super().__init__()
        self.projection = nn.Linear(features, kernels * dim, bias=False)
        self.kernels = self.more = kernels

    def forward(self, x: Tensor) -> Tensor:
        m = self.projection(x).reshape(x.shape[0], self.kernels, -1)
        closeness = (-(m[:, None] - m[None, :]).abs().sum(3)).exp()  # [N, N, kernels]
        return torch.cat([x, closeness.sum(1) - 1], 1)
