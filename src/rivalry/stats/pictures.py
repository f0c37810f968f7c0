"""How far a picture is from the one it should be: PSNR, SSIM, MS-SSIM, each [N] for pictures [N, C, H, W].

Values are in [0, peak] or [-1, 1]; `span` says how far they reach (2 for encoded pictures).  Float64 inside.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales of MS-SSIM (Wang, Simoncelli & Bovik 2003)."""
WINDOW, DEVIATION = 11, 1.5
SMALLEST = 16 * WINDOW
"""Pixels a side that MS-SSIM takes: its window must fit whole after four halvings."""
STUDIO = (65.481, 128.553, 24.966)


def luma(x: Tensor) -> Tensor:
    """[N, 3, H, W] in [-1, 1] -> [N, 1, H, W], Y of BT.601 in 16..235, brought to units of 1/255 and then to [-1, 1]: as published
    tables of super-resolution measure it.  One channel stays as it is; of four the first three count."""
    if x.shape[1] == 1:
        return x
    weights = torch.tensor(STUDIO, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    return (16 + ((x[:, :3] + 1) / 2 * weights).sum(1, keepdim=True)) / 127.5 - 1


def shaved(x: Tensor, border: int) -> Tensor:
    """Without `border` pixels on every side, where enough are left."""
    if border < 1 or min(x.shape[2:]) <= 2 * border:
        return x
    return x[:, :, border:-border, border:-border]


def psnr(a: Tensor, b: Tensor, span: float = 2.0) -> Tensor:
    """[N] dB: 10 log10(span^2 / mean (a - b)^2); equal pictures give 100."""
    error = (a.double() - b.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(span**2 / error.clamp_min(span**2 * 1e-10))


def _window(dtype: torch.dtype, device: torch.device) -> Tensor:
    at = torch.arange(WINDOW, dtype=dtype, device=device) - WINDOW // 2
    line = torch.exp(-0.5 * (at / DEVIATION).square())
    return line / line.sum()


def _blurred(x: Tensor) -> Tensor:
    """[M, 1, H, W] through the Gaussian window, only where it fits whole."""
    line = _window(x.dtype, x.device)
    return conv2d(conv2d(x, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))


def _parts(a: Tensor, b: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """[N] each: the means of luminance x contrast-structure, and of contrast-structure alone."""
    n, c = a.shape[:2]
    x, y = (p.double().reshape(n * c, 1, *p.shape[2:]) for p in (a, b))
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x.square(), _blurred(y * y) - mean_y.square()
    both = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    structure = (2 * both + c2) / (var_x + var_y + c2)
    light = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return (light * structure).reshape(n, -1).mean(1), structure.reshape(n, -1).mean(1)


def ssim(a: Tensor, b: Tensor, span: float = 2.0) -> Tensor:
    """[N]: mean structural similarity (Wang et al. 2004), an 11x11 Gaussian window of deviation 1.5, K = (.01, .03), over channels.

    Encoded pictures are moved to [0, span] first, as the formula supposes.  NaN below 11 pixels a side."""
    if min(a.shape[2:]) < WINDOW:
        return torch.full((len(a),), torch.nan, dtype=torch.float64, device=a.device)
    return _parts(a + span / 2, b + span / 2, span)[0]


def ms_ssim(a: Tensor, b: Tensor, span: float = 2.0) -> Tensor:
    """[N]: SSIM over five scales (Wang, Simoncelli & Bovik 2003, eq. 7); NaN below 176 pixels a side."""
    if min(a.shape[2:]) < SMALLEST:
        return torch.full((len(a),), torch.nan, dtype=torch.float64, device=a.device)
    x, y = a.double() + span / 2, b.double() + span / 2
    total = torch.ones(len(a), dtype=torch.float64, device=a.device)
    for i, weight in enumerate(WEIGHTS):
        whole, structure = _parts(x, y, span)
        total = total * (whole if i == len(WEIGHTS) - 1 else structure).clamp_min(0) ** weight
        if i < len(WEIGHTS) - 1:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return total
