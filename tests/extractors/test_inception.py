"""Inception-v3 of FID: the published keys, shapes, and the graph's own ways."""

from __future__ import annotations

import pytest
import torch

from extractors.shared import photographs, users_weights
from rivalry.errors import WeightsError
from rivalry.extractors import extractor, inception
from rivalry.extractors.inception import DIM, InceptionV3, Mixed, prepare


@pytest.fixture(scope="module")
def net() -> InceptionV3:
    torch.manual_seed(0)
    made = InceptionV3().eval()
    with torch.no_grad():
        for layer in made.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return made


def test_keys_and_size_are_those_published(net: InceptionV3) -> None:
    names = {name for name in net.state_dict() if not name.endswith("num_batches_tracked")}
    assert len(names) == 94 * 5, "94 convolutions, each with a batch norm"
    assert sum(p.numel() for p in net.parameters()) == 21_785_568
    shapes = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch_pool.conv.weight": (64, 288, 1, 1),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6e.branch7x7dbl_2.conv.weight": (192, 192, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch3x3dbl_3a.bn.bias": (384,),
        "Mixed_7c.branch1x1.conv.weight": (320, 2048, 1, 1),
    }
    for name, shape in shapes.items():
        assert tuple(net.state_dict()[name].shape) == shape


def test_shapes_along_the_way(net: InceptionV3) -> None:
    seen: dict[str, tuple[int, ...]] = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])}))
        for name, layer in net.named_children()
    ]
    with torch.inference_mode():
        features = net(torch.randn(1, 3, 299, 299))
    for hook in hooks:
        hook.remove()
    assert features.shape == (1, DIM)
    expected = {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2b_3x3": (64, 147, 147),
        "Conv2d_4a_3x3": (192, 71, 71),
        "Mixed_5b": (256, 35, 35),
        "Mixed_5d": (288, 35, 35),
        "Mixed_6a": (768, 17, 17),
        "Mixed_6e": (768, 17, 17),
        "Mixed_7a": (1280, 8, 8),
        "Mixed_7c": (2048, 8, 8),
    }
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.parametrize("by_maximum", [False, True])
def test_pools_in_blocks_are_the_graphs_own(by_maximum: bool) -> None:
    """With an identity after the pool: means do not count padding, so a constant stays one in the corners."""
    block = Mixed(1, ((("branch1x1", 1, 1),),), 1, by_maximum=by_maximum).eval()
    with torch.no_grad():
        block.branch_pool.conv.weight.fill_(1)
    ramp = torch.arange(9.0).view(1, 1, 3, 3)
    scale = (1 + 1e-3) ** -0.5
    with torch.inference_mode():
        constant, pooled = block(torch.ones(1, 1, 4, 4))[:, 1], block(ramp)[:, 1]
    torch.testing.assert_close(constant, torch.full((1, 4, 4), scale))
    corner = 4.0 if by_maximum else (0 + 1 + 3 + 4) / 4
    assert float(pooled[0, 0, 0]) == pytest.approx(corner * scale)


def test_only_the_last_block_pools_by_maximum(net: InceptionV3) -> None:
    blocks = {name: layer for name, layer in net.named_children() if isinstance(layer, Mixed)}
    assert [name for name, layer in blocks.items() if layer.by_maximum] == ["Mixed_7c"]


def test_preparation() -> None:
    x = torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 32, 32)
    out = prepare(x)
    assert out.shape == (3, 3, 299, 299)
    assert out.amax((1, 2, 3)).tolist() == out.amin((1, 2, 3)).tolist() == [-1.0, 0.0, 127 / 128]


def test_loading(net: InceptionV3, tmp_path: object) -> None:
    state = net.state_dict() | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    space = inception.load(state)
    assert (space.name, space.dim, space.size) == ("inception", 2048, (299, 299))
    assert len(space.sha) == 64
    pictures = torch.randint(256, (3, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = space(pictures, batch=2)
    assert features.shape == (3, 2048)
    assert features.dtype == torch.float32
    torch.testing.assert_close(space(pictures.float() / 127.5 - 1, batch=3), features, rtol=1e-4, atol=1e-4)
    del state["Mixed_7c.branch1x1.bn.weight"]
    with pytest.raises(WeightsError, match=r"lacks Mixed_7c\.branch1x1\.bn\.weight"):
        inception.load(state)


def test_the_users_weights() -> None:
    space = extractor(users_weights("RIVALRY_INCEPTION"))
    assert space.name == "inception"
    one = torch.cat([torch.as_tensor(_pixels(kind)) for kind in ("laptop", "cup")])
    features = space(one)
    assert features.shape == (2 * 8, 2048)
    assert float(features.min()) >= 0
    gaps = torch.cdist(features, features)
    assert float(gaps[:8, :8].sum() / 56) < float(gaps[:8, 8:].mean())


def _pixels(kind: str) -> torch.Tensor:
    from extractors.shared import as_tensor

    return torch.cat([as_tensor(image.resize((200, 200))) for image in photographs(kind, 8)])
