"""Faults against Pillow, closed forms and what was asked for."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from rivalry.degrade import TASKS, Blur, Down, Dull, Grey, Jpeg, LowLight, Masked, Noise, Outline, Realistic, task
from rivalry.degrade.jpeg import jpeg
from rivalry.degrade.kernels import blurred, gaussian, motion, sinc
from rivalry.degrade.resize import bicubic, resize_each
from rivalry.errors import RecipeError, UnknownName
from rivalry.streams import Draw

DRAW = Draw(0, ("test",))
ALL = (Down(2), Down(4), Noise(), Blur(), Jpeg(), LowLight(), Dull(), Grey(), Outline(), Masked(), Realistic(1), Realistic(4))


def scenes(n: int = 4, side: int = 64, channels: int = 3) -> Tensor:
    """Smooth shapes with edges, in [-1, 1], on 256 levels."""
    g = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    waves = torch.rand(n, channels, 4, generator=g) * 9
    out = torch.stack([torch.sin(waves[..., i, None, None] * (x if i % 2 else y) + i) for i in range(4)]).mean(0)
    disc = ((x - 0.4) ** 2 + (y - 0.6) ** 2 < 0.06).float()
    return ((out + 0.5 * disc).clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1


def levels(x: Tensor) -> np.ndarray:
    return ((x + 1) * 127.5).round().numpy().astype(np.uint8)


@pytest.mark.parametrize("fault", ALL, ids=repr)
def test_shape_range_and_draws(fault) -> None:  # type: ignore[no-untyped-def]
    x = scenes()
    y = fault(x, DRAW)
    assert tuple(y.shape) == (4, *fault.shape((3, 64, 64)))
    assert bool(torch.isfinite(y).all())
    assert torch.equal(y, fault(x, DRAW))
    if not isinstance(fault, Noise):
        assert float(y.min()) >= -1.001
        assert float(y.max()) <= 1.001
    if not isinstance(fault, Down | Grey):
        same = fault(x[:1].expand(4, -1, -1, -1), DRAW)
        assert not torch.equal(same[0], same[1]), "choices are drawn per example"


def test_down_is_pillows_bicubic() -> None:
    x = scenes(1)
    theirs = np.stack([np.asarray(Image.fromarray(p).resize((16, 16), Image.Resampling.BICUBIC)) for p in levels(x[0])])
    assert int(np.abs(levels(Down(4)(x, DRAW)[0]).astype(int) - theirs).max()) <= 1


@pytest.mark.parametrize("quality", [15, 50, 90])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(quality: int, channels: int) -> None:
    x = scenes(1, 60, channels)
    plain = levels(x[0])
    picture = Image.fromarray(plain[0] if channels == 1 else plain.transpose(1, 2, 0))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=2)
    theirs = np.asarray(Image.open(file)).reshape(60, 60, channels).transpose(2, 0, 1).astype(float)
    ours = levels(jpeg(x, torch.tensor([float(quality)]))[0]).astype(float)
    damage = np.abs(theirs - plain).mean()
    assert np.abs(ours - theirs).mean() < 0.35 * damage + 0.3


def test_jpeg_quality_is_each_ones_own() -> None:
    x = scenes(1).expand(2, -1, -1, -1)
    both = jpeg(x, torch.tensor([10.0, 90.0]))
    assert torch.allclose(both[1], jpeg(x[:1], torch.tensor([90.0]))[0], atol=1e-6)
    assert float((both[0] - x[0]).abs().mean()) > 3 * float((both[1] - x[1]).abs().mean())


def test_noise_has_the_deviation_asked_for() -> None:
    x = torch.zeros(64, 1, 32, 32)
    y = Noise(25, 25)(x, DRAW)
    assert float(y.std()) == pytest.approx(25 * 2 / 255, rel=0.02)
    spread = Noise(0, 50)(x, DRAW).flatten(1).std(1) * 255 / 2
    assert 0 < float(spread.min()) < 8
    assert 42 < float(spread.max()) < 52


def test_gaussian_kernel_blurs_as_scipy() -> None:
    one = torch.ones(1)
    kernel = gaussian(21, one * 1.7, one * 1.7, one * 0, one, one < 0)
    x = scenes(1, 40, 1)
    theirs = gaussian_filter(x[0, 0].double().numpy(), 1.7, mode="mirror", truncate=10 / 1.7)
    assert np.abs(blurred(x, kernel)[0, 0].numpy() - theirs).max() < 1e-3


def test_kernels_sum_to_one_and_keep_their_form() -> None:
    n = torch.ones(1)
    flat = gaussian(21, n * 3, n * 3, n * 0, n, n > 0)
    assert float(flat[0, 10, 13]) == pytest.approx(float(flat[0, 10, 10]) / 2, rel=1e-4)  # 1 / (1 + q) at q = 1
    low = sinc(21, torch.tensor([math.pi / 3]))
    line = motion(21, torch.tensor([9.0]), torch.tensor([0.0]))
    assert int((line[0, 10] > 1e-6).sum()) == 9
    for kernel in (flat, low, line):
        assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)


def test_resizing_each_is_resizing_alone() -> None:
    x = scenes(2, 32, 1)
    old = torch.tensor([[32, 32], [32, 32]])
    new = torch.tensor([[16, 16], [20, 12]])
    got = resize_each(x, old, new, torch.tensor([2, 2]), (24, 24))
    for i, (h, w) in enumerate(new.tolist()):
        alone = bicubic(x[i : i + 1], (h, w))
        assert torch.allclose(got[i, :, :h, :w], alone[0], atol=2e-4)
    assert torch.equal(got[0, :, 20, :16], got[0, :, 15, :16]), "what is outside continues the border"
    back = resize_each(got, new, old, torch.tensor([2, 2]), (32, 32))
    assert float((back[0] - x[0]).abs().mean()) < 0.05


def test_masks_are_holes_of_a_sensible_size() -> None:
    y = Masked()(scenes(64, 32), DRAW)
    mask = y[:, 3:]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert float((y[:, :3] * mask).abs().max()) == 0
    share = mask.flatten(1).mean(1)
    assert 0.05 < float(share.mean()) < 0.5
    assert float(share.max()) < 0.9


def test_realistic_damage_grows_with_strength() -> None:
    x = scenes(16)
    damage = [float((Realistic(1, s)(x, DRAW) - x).abs().mean()) for s in (0.2, 1.0)]
    assert damage[0] < 0.6 * damage[1]


def test_dull_pictures_have_less_contrast_anywhere_in_the_range() -> None:
    x = scenes(1).expand(256, -1, -1, -1)
    y = Dull()(x, DRAW).flatten(1)
    spread = (y.quantile(0.95, 1) - y.quantile(0.05, 1)) / (x[0].quantile(0.95) - x[0].quantile(0.05))
    assert float((spread < 1).float().mean()) > 0.95
    assert float(y.mean(1).min()) < -0.3 < 0.3 < float(y.mean(1).max())
    only = Dull(stops=0, thinnest=1, least=0.5, most=0.5, noise=0)(x[:4], DRAW)
    slope = (only - only.flatten(1).mean(1).view(-1, 1, 1, 1)) / (x[:4] - x[:4].flatten(1).mean(1).view(-1, 1, 1, 1)).clamp_min(0.2)
    bright = x[:4] - x[:4].mean() > 0.2
    assert slope[bright].median() == pytest.approx(0.5, abs=0.02)  # squeezed into half of the range


def test_haze_is_what_comes_through_and_airlight() -> None:
    """He et al. 2009: I = J t + A (1 - t) in light; black becomes A (1 - t), and nothing is darker."""
    black = -torch.ones(128, 1, 8, 8)
    y = ((Dull(stops=0, least=1, most=1, noise=0, thinnest=0.3)(black, DRAW)[:, 0, 0, 0] + 1) / 2) ** 2.2
    assert 0.35 < float((y < 1e-3).float().mean()) < 0.65  # half have no haze
    assert float(y.max()) < 0.7 + 1e-2


def test_low_light_is_darker() -> None:
    x = scenes(8)
    assert float(LowLight()(x, DRAW).mean()) < float(x.mean()) - 0.3


def test_what_cannot_be_done_says_so() -> None:
    with pytest.raises(RecipeError, match="multiple of 4"):
        Down(4).shape((3, 30, 30))
    with pytest.raises(RecipeError, match="colours are learned"):
        Grey().shape((1, 8, 8))
    with pytest.raises(UnknownName, match="denoise"):
        task("denoize")
    for one in TASKS.values():
        assert (one.degradation is None) == (one.layout != "patches")


def test_outlines_are_lines_whatever_the_grey() -> None:
    """Even areas stay white; a step gives a dark line on its darker side, and nothing far from it."""
    greys = torch.linspace(-1, 1, 9).view(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    assert Outline()(greys, Draw(0, ("even",))).min() > 0.99
    step = torch.full((4, 3, 32, 32), -0.9)
    step[..., 16:] = 0.1
    drawn = Outline()(step, Draw(0, ("step",)))
    assert (drawn[..., 13:16].amin((1, 2, 3)) < -0.8).all()
    assert drawn[..., :8].min() > 0.95
    assert drawn[..., 17:].min() > 0.95
