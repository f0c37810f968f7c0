"""SqueezeNet: real weights tell real photographs, and perceptual distances behave."""

from __future__ import annotations

import pytest
import torch

from extractors.shared import as_tensor, data_file, photographs
from rivalry.errors import DataError, WeightsError
from rivalry.extractors import Perceptual, SqueezeNet, squeezenet
from rivalry.extractors.squeezenet import LAYERS, SIDE, prepare

WEIGHTS = "w_squeezenet10_imagenet/squeezenet10_imagenet_decoded.npz"


def test_shapes() -> None:
    net = SqueezeNet().eval()
    assert sum(p.numel() for p in net.parameters()) == 1_248_424
    with torch.inference_mode():
        layers = net.layers(torch.randn(1, 3, SIDE, SIDE))
        assert net(torch.randn(2, 3, SIDE, SIDE)).shape == (2, 512)
        assert net.layers(torch.randn(1, 3, 66, 66))["fire2"].shape[-2:] == (15, 15), "pools take in the edge"
    sides = {name: tuple(value.shape[1:]) for name, value in layers.items()}
    assert sides["conv1"] == (96, 111, 111)
    assert sides["fire2"] == sides["fire3"] == (128, 55, 55)
    assert sides["fire5"] == (256, 27, 27)
    assert sides["fire9"] == (512, 13, 13)
    assert set(LAYERS) <= layers.keys()


def test_input_is_blue_first_and_centred() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 300, 300)
    assert prepare(red)[0, :, 0, 0].tolist() == [-104.0, -117.0, 132.0]


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"not weights of SqueezeNet 1\.0"):
        squeezenet.load({"conv1.weight": torch.zeros(96, 3, 7, 7)})


def test_photographs_are_recognised() -> None:
    """The README beside the weights says 34 and 35 of 40 within the best five; ours must be no worse than 30."""
    net, sha = squeezenet.load_network(data_file(WEIGHTS))
    assert len(sha) == 64
    for kind, wanted in (("laptop", (620, 681)), ("cup", (504, 968, 899, 725, 463, 849))):
        x = torch.cat([prepare(as_tensor(image)) for image in photographs(kind, 40)])
        with torch.inference_mode():
            best = net.eval().logits(x).topk(5).indices
        hits = torch.isin(best, torch.tensor(wanted)).any(1).sum()
        assert int(hits) >= 30, kind


def test_features_and_perceptual_distance() -> None:
    path = data_file(WEIGHTS)
    space = squeezenet.load(path)
    x = torch.cat([as_tensor(image.resize((96, 96))) for image in photographs("cup", 4)])
    features = space(x, batch=3)
    assert features.shape == (4, 512)
    assert float(features.min()) >= 0
    distance = Perceptual.load(path)
    pictures = x.float() / 127.5 - 1
    other = pictures.roll(1, 0)
    mild = (pictures + 0.05 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    assert torch.equal(distance(pictures, pictures), torch.zeros(4))
    torch.testing.assert_close(distance(pictures, other), distance(other, pictures))
    assert (distance(pictures, mild) < distance(pictures, other)).all()
    grey = torch.rand(2, 1, 64, 64) * 2 - 1
    assert distance(grey, -grey).shape == (2,)


def test_perceptual_distance_has_a_finite_slope_also_at_black_and_at_equality() -> None:
    torch.manual_seed(0)
    distance = Perceptual(SqueezeNet())
    a = torch.zeros(2, 3, 64, 64, requires_grad=True)
    distance(a, torch.zeros(2, 3, 64, 64)).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    distance(a, torch.rand(2, 3, 64, 64)).sum().backward()
    assert float(a.grad.abs().sum()) > 0
    with pytest.raises(DataError, match="of one shape"):
        distance(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 32, 32))
