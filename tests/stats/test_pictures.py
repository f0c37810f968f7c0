"""PSNR, SSIM and MS-SSIM against closed forms and an independent reading of the papers on scipy's filter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from rivalry.stats.pictures import luma, ms_ssim, psnr, shaved, ssim


def pair(side: int = 200, channels: int = 1) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(5)
    y, x = torch.meshgrid(torch.linspace(0, 9, side), torch.linspace(0, 7, side), indexing="ij")
    a = (torch.sin(x) * torch.cos(y) * 0.8).expand(2, channels, side, side).clone()
    return a, (a + 0.1 * torch.randn(a.shape, generator=g)).clamp(-1, 1)


def test_psnr_is_its_closed_form() -> None:
    a = torch.zeros(2, 3, 8, 8)
    b = a + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)
    assert psnr(a, b).tolist() == pytest.approx([10 * np.log10(4 / 0.01), 10 * np.log10(4 / 0.04)], rel=1e-5)
    assert psnr(a, a).tolist() == pytest.approx([100, 100])


def reference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Wang et al. 2004 on values in 0..1, an 11 x 11 window: (SSIM, mean of contrast-structure)."""

    def blur(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, 1.5, truncate=5 / 1.5, mode="constant")[5:-5, 5:-5]

    c1, c2 = 0.01**2, 0.03**2
    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    structure = (2 * cov + c2) / (va + vb + c2)
    return float(((2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * structure).mean()), float(structure.mean())


def test_ssim_is_the_papers() -> None:
    a, b = pair()
    plain = [((p[0, 0].double() + 1) / 2).numpy() for p in (a, b)]
    assert float(ssim(a, b)[0]) == pytest.approx(reference(*plain)[0], abs=1e-6)
    assert ssim(a, a).tolist() == pytest.approx([1, 1])


def test_ms_ssim_is_the_papers() -> None:
    a, b = pair()
    one, two = (((p[0, 0].double() + 1) / 2).numpy() for p in (a, b))
    total = 1.0
    for i, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        whole, structure = reference(one, two)
        total *= (whole if i == 4 else structure) ** weight
        half = [p[: p.shape[0] // 2 * 2, : p.shape[1] // 2 * 2] for p in (one, two)]
        one, two = (p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3)) for p in half)
    assert float(ms_ssim(a, b)[0]) == pytest.approx(total, abs=1e-6)
    assert bool(ms_ssim(a[..., :100, :100], b[..., :100, :100]).isnan().all())


def test_a_worse_picture_scores_worse() -> None:
    a, b = pair()
    worse = (a + 3 * (b - a)).clamp(-1, 1)
    for measure in (psnr, ssim, ms_ssim):
        good, bad = (float(measure(a, p).mean()) for p in (b, worse))
        assert good > bad
    flat = a.mean((2, 3), keepdim=True).expand_as(a)
    assert float(psnr(a, flat).mean()) < float(psnr(a, worse).mean())


def test_luma_is_studio_range_and_borders_are_left_out() -> None:
    white = torch.ones(1, 3, 30, 30)
    assert float((luma(white)[0, 0, 0, 0] + 1) * 127.5) == pytest.approx(235, abs=0.05)
    assert float((luma(-white)[0, 0, 0, 0] + 1) * 127.5) == pytest.approx(16, abs=0.05)
    assert shaved(white, 4).shape == (1, 3, 22, 22)
    assert shaved(white, 15).shape == white.shape
    assert torch.equal(luma(white[:, :1]), white[:, :1])
