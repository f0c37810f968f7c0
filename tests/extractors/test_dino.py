"""DINOv2: the published keys, and blocks against PyTorch's own transformer layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from extractors.shared import as_tensor, photographs, users_weights
from rivalry.errors import WeightsError
from rivalry.extractors import dino, extractor
from rivalry.extractors.dino import Block, VisionTransformer


def small_state(dim: int = 384, depth: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(0)
    net = VisionTransformer(dim, depth, 1 + 37 * 37)
    state = {name: torch.randn_like(value) * 0.05 for name, value in net.state_dict().items()}
    return state | {"mask_token": torch.zeros(1, dim)}


def test_keys_and_size_of_vit_b_are_those_published() -> None:
    with torch.device("meta"):
        net = VisionTransformer(768, 12, 1370)
    assert sum(p.numel() for p in net.parameters()) + 768 == 86_580_480, "with the mask token that the file has"
    shapes = {
        "cls_token": (1, 1, 768),
        "pos_embed": (1, 1370, 768),
        "patch_embed.proj.weight": (768, 3, 14, 14),
        "blocks.0.norm1.weight": (768,),
        "blocks.3.attn.qkv.weight": (2304, 768),
        "blocks.3.attn.proj.bias": (768,),
        "blocks.5.ls1.gamma": (768,),
        "blocks.11.mlp.fc1.weight": (3072, 768),
        "blocks.11.mlp.fc2.bias": (768,),
        "norm.bias": (768,),
    }
    for name, shape in shapes.items():
        assert tuple(net.state_dict()[name].shape) == shape
    assert len(net.state_dict()) == 4 + 12 * 14 + 2


def test_a_block_is_pytorchs_pre_norm_layer() -> None:
    torch.manual_seed(0)
    ours = Block(128).eval()
    theirs = nn.TransformerEncoderLayer(
        128, 2, 512, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    ).eval()
    pairs = {
        "self_attn.in_proj_weight": ours.attn.qkv.weight,
        "self_attn.in_proj_bias": ours.attn.qkv.bias,
        "self_attn.out_proj.weight": ours.attn.proj.weight,
        "self_attn.out_proj.bias": ours.attn.proj.bias,
        "linear1.weight": ours.mlp.fc1.weight,
        "linear1.bias": ours.mlp.fc1.bias,
        "linear2.weight": ours.mlp.fc2.weight,
        "linear2.bias": ours.mlp.fc2.bias,
        "norm1.weight": ours.norm1.weight,
        "norm1.bias": ours.norm1.bias,
        "norm2.weight": ours.norm2.weight,
        "norm2.bias": ours.norm2.bias,
    }
    theirs.load_state_dict(pairs)
    x = torch.randn(2, 5, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
        ours.ls1.gamma.zero_()
        ours.ls2.gamma.zero_()
        assert torch.equal(ours(x), x), "layer scale is on both branches"


def test_positions_are_kept_at_their_own_size_and_shrunk_else() -> None:
    net = VisionTransformer(64, 1, 1 + 37 * 37)
    grid = torch.arange(37.0).expand(37, 37)
    with torch.no_grad():
        net.pos_embed[0, 1:, 0] = grid.flatten()
        net.pos_embed[0, 1:, 1] = grid.T.flatten()
    assert net._positions(37, 37) is net.pos_embed
    small = net._positions(16, 16)
    assert small.shape == (1, 257, 64)
    across, down = small[0, 1:17, 0], small[0, 1::16, 1]
    # PyTorch's bicubic bends a straight line by .05.  Places are sampled every 37 / 16.1 positions, half a step in: the published offset of .1.
    expected = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    for places in (across, down):
        torch.testing.assert_close(places[1:-1], expected[1:-1], rtol=0, atol=0.06)


def test_the_output_is_the_normed_class_token() -> None:
    net = VisionTransformer(64, 1, 1 + 16 * 16).eval()
    with torch.inference_mode():
        out = net(torch.randn(2, 3, 224, 224))
    assert out.shape == (2, 64)
    torch.testing.assert_close(out.mean(1), torch.zeros(2), atol=1e-5, rtol=0)


def test_loading_and_names() -> None:
    space = dino.load(small_state())
    assert (space.name, space.dim, space.size) == ("DINOv2-S", 384, (224, 224))
    pictures = torch.randint(256, (2, 3, 40, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = space(pictures)
    assert features.shape == (2, 384)
    torch.testing.assert_close(space(pictures[1:]), features[1:], rtol=1e-3, atol=1e-4)
    assert dino.NAMES == {384: "DINOv2-S", 768: "DINOv2-B", 1024: "dinov2"}, "published FD-DINOv2 is ViT-L"


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="registers"):
        dino.load(small_state() | {"register_tokens": torch.zeros(1, 4, 384)})
    with pytest.raises(WeightsError, match="not weights of DINOv2 ViT"):
        dino.load({"a": torch.zeros(1)})
    broken = small_state()
    del broken["blocks.1.mlp.fc2.bias"]
    with pytest.raises(WeightsError, match=r"lacks blocks\.1\.mlp\.fc2\.bias"):
        dino.load(broken)


def test_the_users_weights() -> None:
    space = extractor(users_weights("RIVALRY_DINOV2"))
    assert space.name in dino.NAMES.values()
    features = space(
        torch.cat([as_tensor(i.resize((200, 200))) for kind in ("laptop", "cup") for i in photographs(kind, 8)])
    )
    gaps = torch.cdist(features, features)
    assert float(gaps[:8, :8].sum() / 56) < float(gaps[:8, 8:].mean())
