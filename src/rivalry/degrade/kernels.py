"""Blur kernels, one per example, and the convolution with them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad


def grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """([size, size] x, y): places relative to the middle, in pixels; size is odd."""
    at = torch.arange(size, device=device, dtype=torch.float32) - size // 2
    return at[None, :].expand(size, size), at[:, None].expand(size, size)


def gaussian(size: int, wide: Tensor, narrow: Tensor, angle: Tensor, shape: Tensor, plateau: Tensor) -> Tensor:
    """[N, size, size], each of sum 1: exp(-q^shape / 2), or 1 / (1 + q^shape) where plateau [N] is true, for the quadratic
    form q of an ellipse with deviations wide, narrow [N] at angle [N]; shape 1 is the Gaussian (Wang et al. 2021,
    Real-ESRGAN, section 3.1)."""
    x, y = (g[None] for g in grid(size, wide.device))
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    u, v = (x * c + y * s) / wide[:, None, None], (y * c - x * s) / narrow[:, None, None]
    q = (u.square() + v.square()).clamp_min(1e-12) ** shape[:, None, None]
    kernel = torch.where(plateau[:, None, None], 1 / (1 + q), torch.exp(-0.5 * q))
    return kernel / kernel.sum((1, 2), keepdim=True)


def sinc(size: int, cutoff: Tensor) -> Tensor:
    """[N, size, size], each of sum 1: the circular low-pass filter cutoff J1(cutoff r) / (2 pi r) (Real-ESRGAN, eq. 6)."""
    x, y = grid(size, cutoff.device)
    r = (x.square() + y.square()).sqrt()[None]
    w = cutoff[:, None, None]
    kernel = torch.where(r > 0, w * torch.special.bessel_j1(w * r.clamp_min(1e-6)) / (2 * math.pi * r.clamp_min(1e-6)), w.square() / (4 * math.pi))
    return kernel / kernel.sum((1, 2), keepdim=True)


def motion(size: int, length: Tensor, angle: Tensor) -> Tensor:
    """[N, size, size], each of sum 1: a straight line of `length` pixels [N] at angle [N], one pixel thick."""
    x, y = (g[None] for g in grid(size, length.device))
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = (x * c + y * s).abs(), (y * c - x * s).abs()
    kernel = ((length[:, None, None] + 1) / 2 - along).clamp(0, 1) * (1 - across).clamp_min(0)
    return kernel / kernel.sum((1, 2), keepdim=True)


def blurred(x: Tensor, kernel: Tensor) -> Tensor:
    """[N, C, H, W] convolved with kernel [N, k, k], each with its own; borders are mirrored, or repeated where the picture
    is smaller than the kernel."""
    n, c, h, w = x.shape
    k = kernel.shape[-1]
    mode = "reflect" if k // 2 < min(h, w) else "replicate"
    wide = pad(x, (k // 2,) * 4, mode=mode).reshape(1, n * c, h + k - 1, w + k - 1)
    return conv2d(wide, kernel.repeat_interleave(c, 0)[:, None], groups=n * c).view(n, c, h, w)
