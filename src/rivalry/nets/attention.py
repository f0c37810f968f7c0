"""Self-attention over the pixels of a feature map (Zhang et al. 2019, SAGAN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """[N, C, H, W] -> the same: x + gamma o(sum_j softmax_j(f(x_i) . g(x_j)) h(x_j)), gamma starting at 0.

    f, g have C/8 channels and h C/2; keys and values are max-pooled by 2 as in the authors' code.  Written out
    as two matrix products, since fused attention kernels have no second derivative.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner, middle = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, middle, 1, bias=False)
        self.out = nn.Conv2d(middle, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        key, value = self.key(x), self.value(x)
        if min(x.shape[2:]) >= 2:
            key, value = F.max_pool2d(key, 2), F.max_pool2d(value, 2)
        logits = self.query(x).flatten(2).transpose(1, 2) @ key.flatten(2)  # [N, HW, H'W']
        mixed = value.flatten(2) @ logits.softmax(2).transpose(1, 2)  # [N, C/2, HW]
        out: Tensor = self.out(mixed.reshape(*mixed.shape[:2], *x.shape[2:]))
        return torch.addcmul(x, out, self.gamma)
