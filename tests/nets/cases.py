"""Small settings of every generator and trunk, and helpers the tests of networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rivalry.nets import (
    BEGAN,
    DCGAN,
    MLP,
    Autoencoder,
    BEGANTrunk,
    BigGAN,
    BigGANTrunk,
    DCGANTrunk,
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
    Trunk,
)
from rivalry.parts import Net, Refreshes, Wiring
from rivalry.types import Spec

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 48), (4, 40, 36)]
WIRING = Wiring(latent=12)
LABELLED = Wiring(latent=12, classes=3)

GENERATORS: dict[str, Net] = {
    "mlp": MLP(sizes=(16, 24)),
    "mlp-residual": MLP(sizes=(16, 16), residual=True, norm="batch"),
    "dcgan": DCGAN(width=4),
    "dcgan-resize": DCGAN(width=4, upsample="resize", norm="none"),
    "dcgan-norm": DCGAN(width=4, condition="norm"),
    "dcgan-spectral": DCGAN(width=4, norm="layer", spectral=True),
    "resnet": ResNet(width=6, cap=8, attention=16),
    "resnet-spectral": ResNet(width=4, cap=8, norm="none", condition="concat", spectral=True),
    "resnet3": ResNet3(width=4, cap=8, per_group=4),
    "stylegan2": StyleGAN2(style=8, depth=2, width=4, cap=8),
    "began": BEGAN(width=4),
    "biggan": BigGAN(width=4, cap=8, label_width=5, attention=16),
    "biggan-deep": BigGAN(width=4, cap=8, label_width=5, deep=True, attention=16),
    "fastgan": FastGAN(width=4, cap=8),
}
TRUNKS: dict[str, Trunk] = {
    "mlp": MLPTrunk(sizes=(16, 16), norm="layer", residual=True),
    "mlp-fourier": MLPTrunk(sizes=(16,), fourier=5),
    "dcgan": DCGANTrunk(width=4, norm="none", init="he"),
    "dcgan-batch": DCGANTrunk(width=4),
    "dcgan-instance": DCGANTrunk(width=4, norm="instance"),
    "resnet": ResNetTrunk(width=4, cap=8, attention=16),
    "resnet-layer": ResNetTrunk(width=4, cap=16, plain=0, smallest=2, norm="layer", pool="mean"),
    "resnet3": ResNet3Trunk(width=4, cap=8, per_group=4),
    "stylegan2": StyleGAN2Trunk(width=4, cap=8),
    "stylegan2-alone": StyleGAN2Trunk(width=4, cap=8, group=0),
    "autoencoder": Autoencoder(DCGANTrunk(width=4, norm="none"), DCGAN(width=4, norm="none"), code=5),
    "autoencoder-batch": Autoencoder(DCGANTrunk(width=4), DCGAN(width=4), code=5, error="l1"),
    "began": BEGANTrunk(width=4),
    "biggan": BigGANTrunk(width=4, cap=8, attention=16),
    "biggan-deep": BigGANTrunk(width=4, cap=8, deep=True, attention=16),
    "fastgan": FastGANTrunk(width=4, cap=8),
    "fastgan-alone": FastGANTrunk(width=4, cap=8, norm="none", patches=False, decode=0),
    "projected": Projected(RandomPyramid(width=4), channels=4, norm="group"),
    "projected-batch": Projected(RandomPyramid(width=4), channels=4, cap=8),
}


def image(shape: tuple[int, ...], classes: int = 0) -> Spec:
    return Spec("image", shape, class_names=tuple(map(str, range(classes))))


def points(dimensions: int = 2, classes: int = 0) -> Spec:
    return Spec("points", (dimensions,), class_names=tuple(map(str, range(classes))))


def labels(n: int, classes: int = 3) -> Tensor:
    return torch.arange(n) % classes


def shake(module: nn.Module) -> nn.Module:
    """Every parameter moved a little, so that what starts at zero takes part."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return refreshed(module, 5)


def refreshed(module: nn.Module, times: int) -> nn.Module:
    for m in module.modules():
        if isinstance(m, Refreshes):
            for _ in range(times):
                m.refresh()
    return module


def all_finite(module: nn.Module) -> bool:
    """Every parameter has a gradient and it is finite."""
    grads = [p.grad for p in module.parameters()]
    return all(g is not None and bool(g.isfinite().all()) for g in grads)
