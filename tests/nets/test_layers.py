"""Layers against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rivalry.errors import RecipeError
from rivalry.nets.attention import SelfAttention
from rivalry.nets.batchwise import MinibatchDiscrimination, MinibatchStd
from rivalry.nets.inits import dcgan_, he_, msr_, orthogonal_
from rivalry.nets.layers import (
    BatchNorm,
    EqualConv2d,
    EqualLinear,
    FourierFeatures,
    InstanceNorm,
    LabelBatchNorm,
    PixelNorm,
    VectorBatchNorm,
    untrack,
)
from rivalry.nets.resample import Resample, axis_map
from rivalry.nets.shapes import crop, grid_of, pad
from rivalry.nets.spectral import SNConv2d, SNConvTranspose2d, SNEmbedding, SNLinear, spectral

from .cases import refreshed

D = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def largest(matrix: Tensor) -> Tensor:
    return torch.linalg.svdvals(matrix)[0]


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (partial(nn.Linear, 7, 5), SNLinear),
        (partial(nn.Conv2d, 3, 6, 3, 2, 1), SNConv2d),
        (partial(nn.ConvTranspose2d, 3, 6, 4, 2, 1), SNConvTranspose2d),
        (partial(nn.Embedding, 5, 8), SNEmbedding),
    ],
)
def test_spectral_norm_divides_by_the_largest_singular_value(make: Callable[[], nn.Module], kind: type) -> None:
    torch.manual_seed(0)  # two largest values that are nearly alike want more than 300 rounds
    layer = make()
    before = layer.weight
    module = spectral(nn.Sequential(layer)).double()
    twin = module[0]
    assert isinstance(twin, kind)
    refreshed(module, 300)
    weight = twin.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else twin.weight
    torch.testing.assert_close(twin.sigma(), largest(weight.flatten(1)))
    x = torch.tensor([1, 3]) if isinstance(layer, nn.Embedding) else torch.randn(2, *_input(layer), dtype=D)
    layer = layer.double()
    with torch.no_grad():
        layer.weight.div_(twin.sigma().detach())
    expected = layer(x)
    if layer.weight is twin.weight:  # shared: the twin has been scaled as well, so refresh what it knows
        refreshed(module, 300)
    torch.testing.assert_close(module(x), expected)
    assert before.shape == twin.weight.shape


def _input(layer: nn.Module) -> tuple[int, ...]:
    return (7,) if isinstance(layer, nn.Linear) else (3, 8, 8)


def test_sigma_s_slope_is_the_outer_product_of_its_vectors() -> None:
    twin = spectral(nn.Sequential(nn.Linear(4, 3)))[0]
    twin.sigma().backward()
    torch.testing.assert_close(twin.weight.grad, torch.outer(twin.u, twin.v))


def test_spectral_norm_refuses_what_it_cannot_see() -> None:
    with pytest.raises(RecipeError, match="no plain layer"):
        spectral(nn.Sequential(nn.ReLU()))


def test_batch_norm_of_one_value_per_channel_is_affine_only() -> None:
    norm = BatchNorm(3, tracked=False)
    x = torch.randn(1, 3, requires_grad=True)
    torch.testing.assert_close(norm(x), x)
    tracked = BatchNorm(3)
    assert tracked(x).isfinite().all()
    assert tracked.running_mean.eq(0).all()
    y = torch.randn(8, 3, 4, 4)
    torch.testing.assert_close(norm(y), nn.BatchNorm2d(3)(y))
    assert untrack(nn.Sequential(tracked))[0].running_mean is None


def test_label_batch_norm_scales_by_class() -> None:
    norm = LabelBatchNorm(2, classes=3)
    with torch.no_grad():
        norm.gain.weight.copy_(torch.arange(6.0).reshape(3, 2))
        norm.bias.weight.fill_(0.5)
    x, label = torch.randn(4, 2, 3, 3), torch.tensor([0, 1, 2, 1])
    plain = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    gain = torch.arange(6.0).reshape(3, 2)[label][:, :, None, None]
    torch.testing.assert_close(norm(x, label), plain * gain + 0.5)
    with pytest.raises(RecipeError, match="labels"):
        norm(x)


def test_vector_batch_norm_starts_from_a_gain_of_one() -> None:
    norm, x, v = VectorBatchNorm(2, 5), torch.randn(4, 2, 3, 3), torch.randn(4, 5)
    plain = norm.norm(x)
    expected = plain * (1 + v @ norm.gain.weight.T)[:, :, None, None] + (v @ norm.bias.weight.T)[:, :, None, None]
    torch.testing.assert_close(norm(x, v), expected)


def test_pixel_norm_has_unit_mean_square() -> None:
    y = PixelNorm()(torch.randn(2, 8, 3, 3, dtype=D))
    torch.testing.assert_close(y.square().mean(1), torch.ones(2, 3, 3, dtype=D), rtol=1e-6, atol=1e-6)
    x = torch.zeros(1, 4, requires_grad=True)
    PixelNorm()(x).sum().backward()
    assert x.grad.isfinite().all()


def test_equalised_layers_scale_by_fan_in() -> None:
    linear, x = EqualLinear(50, 4, lr_scale=0.01, bias_start=1).double(), torch.randn(3, 50, dtype=D)
    torch.testing.assert_close(linear(x), x @ (linear.weight * 0.01 / math.sqrt(50)).T + 1)
    assert 60 < linear.weight.std() < 140
    conv, y = EqualConv2d(8, 5, 3, padding=1).double(), torch.randn(2, 8, 6, 6, dtype=D)
    torch.testing.assert_close(conv(y), nn.functional.conv2d(y, conv.weight / math.sqrt(72), padding=1))


@pytest.mark.parametrize("n", [1, 4, 6, 8])
def test_minibatch_std_agrees_with_numpy(n: int) -> None:
    x = torch.randn(n, 6, 2, 3, dtype=D)
    y = MinibatchStd(group=4, channels=2)(x).numpy()
    group = {1: 1, 4: 4, 6: 3, 8: 4}[n]
    a = x.numpy().reshape(group, n // group, 2, 3, 2, 3)
    std = np.sqrt(a.var(0) + 1e-8).mean((2, 3, 4))
    for i in range(n):
        for k in range(2):
            np.testing.assert_allclose(y[i, 6 + k], std[i % (n // group), k])
    flat = torch.ones(4, 2, 2, 2, requires_grad=True)
    MinibatchStd()(flat).sum().backward()
    assert flat.grad.isfinite().all()


def test_minibatch_discrimination_sums_closeness_to_the_others() -> None:
    layer = MinibatchDiscrimination(4, kernels=3, dim=2).double()
    x = torch.randn(5, 4, dtype=D)
    m = (x @ layer.projection.weight.T).reshape(5, 3, 2)
    for i in range(5):
        others = [j for j in range(5) if j != i]
        expected = sum(torch.exp(-(m[i] - m[j]).abs().sum(1)) for j in others)
        torch.testing.assert_close(layer(x)[i, 4:], expected)
    torch.testing.assert_close(layer(x[:1])[0, 4:], torch.zeros(3, dtype=D))


def test_attention_is_a_softmax_over_pixels() -> None:
    layer = SelfAttention(8).double()
    with torch.no_grad():
        layer.gamma.fill_(0.7)
    x = torch.randn(2, 8, 4, 6, dtype=D)
    key, value = (nn.functional.max_pool2d(f(x), 2) for f in (layer.key, layer.value))
    query, out = layer.query(x), x.clone()
    for n in range(2):
        for i in range(4):
            for j in range(6):
                weights = torch.softmax((query[n, :, i, j, None] * key[n].flatten(1)).sum(0), 0)
                mixed = (value[n].flatten(1) * weights).sum(1)
                out[n, :, i, j] += 0.7 * (layer.out.weight[:, :, 0, 0] @ mixed)
    torch.testing.assert_close(layer(x), out)


@pytest.mark.parametrize("step", ["up", "down", "join"])
def test_resampling_keeps_constants(step: str) -> None:
    x = torch.full((1, 2, 6, 8), 3.0)
    y = Resample((6, 8), step)(x)  # type: ignore[arg-type]
    torch.testing.assert_close(y, torch.full_like(y, 3.0))
    assert y.shape[2:] == {"up": (12, 16), "down": (3, 4), "join": (5, 7)}[step]


def test_resampling_is_the_triangle_filter_inside() -> None:
    taps = torch.tensor([1.0, 3, 3, 1])
    kernel = torch.outer(taps, taps)
    x = torch.randn(2, 3, 8, 8)
    flat = x.reshape(6, 1, 8, 8)
    down = nn.functional.conv2d(flat, kernel[None, None] / 64, stride=2, padding=1).reshape(2, 3, 4, 4)
    torch.testing.assert_close(Resample((8, 8), "down")(x)[..., 1:-1, 1:-1], down[..., 1:-1, 1:-1])
    up = nn.functional.conv_transpose2d(flat, kernel[None, None] / 16, stride=2, padding=1).reshape(2, 3, 16, 16)
    torch.testing.assert_close(Resample((8, 8), "up")(x)[..., 1:-1, 1:-1], up[..., 1:-1, 1:-1])
    assert axis_map(4, "up").shape == (8, 4)


def test_resampling_keeps_channels_last() -> None:
    x, resample = torch.randn(2, 3, 8, 6), Resample((8, 6), "down")
    y = resample(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, resample(x))
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_fourier_features_keep_the_input_beside_waves() -> None:
    layer, x = FourierFeatures(2, 3, 1.0), torch.randn(4, 2)
    angle = 2 * math.pi * x @ layer.directions.T
    torch.testing.assert_close(layer(x), torch.cat([x, angle.sin(), angle.cos()], 1))


@pytest.mark.parametrize("side", [28, 32, 48, 64, 96, 128, 256])
def test_grids_cover_the_picture(side: int) -> None:
    grid = grid_of((side, side))
    assert grid.full == (side, side)
    assert 4 <= grid.base[0] < 8


def test_odd_sizes_are_padded_and_cropped() -> None:
    grid = grid_of((45, 30))
    assert grid.full[0] >= 45
    assert grid.full[1] >= 30
    x = torch.randn(1, 2, 45, 30)
    assert pad(x, grid.full).shape[2:] == grid.full
    torch.testing.assert_close(crop(pad(x, grid.full), (45, 30)), x)


def test_initialisers() -> None:
    conv = nn.Conv2d(64, 64, 3)
    assert abs(dcgan_(conv).weight.std() - 0.02) < 1e-3
    assert abs(he_(conv, 0.2).weight.std() - math.sqrt(2 / 1.04 / 576)) < 2e-3
    assert abs(msr_(conv, 2.0).weight.std() - 2 / 24) < 2e-3
    assert not msr_(conv, 0.0).weight.any()
    w = orthogonal_(nn.Linear(6, 4)).weight
    torch.testing.assert_close(w @ w.T, torch.eye(4))


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (5, 4)])
def test_instance_norm_is_group_norm_by_channel(size: tuple[int, int]) -> None:
    """Values, slopes and slopes of slopes, channels last or not."""
    ours, theirs = InstanceNorm(3).double(), torch.nn.GroupNorm(3, 3).double()
    torch.nn.init.normal_(ours.weight)
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, *size, dtype=torch.float64).to(memory_format=torch.channels_last).requires_grad_()
    target = torch.randn_like(x)
    found = []
    for norm in (ours, theirs):
        y = norm(x)
        (slope,) = torch.autograd.grad((y * target).square().sum(), x, create_graph=True)
        (again,) = torch.autograd.grad(slope.square().sum(), x)
        found.append((y, slope, again))
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-7)
