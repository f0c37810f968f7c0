"""Small networks that change pictures, and pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.changing import Changer


class Restorer(nn.Module):
    """Three convolutions, enlarged by sub-pixels, beside the input."""

    def __init__(self, inputs: int, outputs: int, scale: int = 1, norm: Callable[[int], nn.Module] | None = None, latent: int = 0) -> None:
        super().__init__()
        self.scale, self.outputs = scale, outputs
        self.first = nn.Conv2d(inputs, 12, 3, padding=1)
        self.norm = norm(12) if norm else nn.Identity()
        self.middle = nn.Conv2d(12, 12, 3, padding=1)
        self.last = nn.Conv2d(12, outputs * scale**2, 3, padding=1)
        self.latent = nn.Linear(latent, 12) if latent else None

    def forward(self, x: Tensor, *noise: Tensor) -> Tensor:
        h = self.norm(self.first(x))
        if self.latent is not None:
            h = h + self.latent(noise[0])[:, :, None, None]
        return F.pixel_shuffle(self.last(F.relu(self.middle(F.relu(h)))), self.scale)


class Halving(nn.Module):
    """A small U-Net of stride 4 that pads at the right and the bottom."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(channels, 12, 3, 2, 1), nn.Conv2d(12, 12, 3, 2, 1)
        self.up1, self.up2 = nn.Conv2d(12, 12, 3, 1, 1), nn.Conv2d(24, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        a = F.relu(self.down1(F.pad(x, (0, -w % 4, 0, -h % 4), mode="replicate")))
        b = F.relu(self.up1(F.interpolate(F.relu(self.down2(a)), scale_factor=2)))
        y: Tensor = self.up2(F.interpolate(torch.cat([a, b], 1), scale_factor=2))[:, :, :h, :w]
        return y


class Pooled(nn.Module):
    """Channel attention by the mean over the whole picture, said in two ways."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        whole = F.adaptive_avg_pool2d(x, 1) + x.mean((-2, -1), keepdim=True)
        return x * torch.sigmoid(self.gate(whole))


def seeded(build: Callable[[], nn.Module], seed: int = 0, gain: float = 2.0) -> nn.Module:
    torch.manual_seed(seed)
    net = build().eval().requires_grad_(False)
    for p in net.parameters():
        p.mul_(gain)
    return net


def restorer(
    inputs: int = 3, outputs: int = 3, scale: int = 1, norm: Callable[[int], nn.Module] | None = None, latent: int = 0, **more: bool | str
) -> Changer:
    net = seeded(lambda: Restorer(inputs + int(bool(more.get("mask"))), outputs, scale, norm, latent))
    return Changer(net, inputs, outputs, scale, context=3, multiple=1, latent=latent, **more)  # type: ignore[arg-type]


class Same(nn.Module):
    """The input itself; `outputs` channels of it, each pixel repeated."""

    def __init__(self, outputs: int = 3, scale: int = 1) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, scale

    def forward(self, x: Tensor) -> Tensor:
        y = x[:, :1].expand(-1, self.outputs, -1, -1) if x.shape[1] < self.outputs else x[:, : self.outputs]
        return y.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


class Negative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return -x


def same(channels: int = 3, scale: int = 1) -> Changer:
    return Changer(Same(channels, scale), channels, channels, scale, context=0, multiple=1)


def negative(channels: int = 3, **more: bool) -> Changer:
    return Changer(Negative(), channels, channels, 1, context=0, multiple=1, **more)


def scene(height: int, width: int, channels: int = 3, bits: int = 8, seed: int = 0) -> npt.NDArray[np.uint8 | np.uint16]:
    """[H, W, C]: soft waves and some noise, with every level used."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / (5 + c) + c) * np.cos(y / (7 - c)) + 0.2 * g.standard_normal((height, width)) for c in range(channels)]
    values = np.clip(np.stack(planes, 2) / 2.5 + 0.5, 0, 1)
    return np.rint(values * (255 if bits == 8 else 65535)).astype(np.uint8 if bits == 8 else np.uint16)
