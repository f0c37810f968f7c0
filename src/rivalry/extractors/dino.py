"""DINOv2's vision transformer (Oquab et al. 2023; Dosovitskiy et al. 2021), from the user's weights.

    x = [cls; patches] + positions;   x += g1 * attention(norm(x));   x += g2 * mlp(norm(x));   feature = norm(x)[cls]

State-dict keys are those of the published files (`dinov2_vits14_pretrain.pth`, b, l).  Depth and width are read from
the weights.  What is published as FD-DINOv2 (Stein et al. 2023; Karras et al. 2024) uses ViT-L/14, so only that one
is called plain "dinov2"; the smaller ones carry their letter.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import WeightsError
from rivalry.extractors.base import NetworkExtractor
from rivalry.extractors.preparing import as_rgb, resized, standardised
from rivalry.extractors.weights import State, fitted, read_state

SIDE = 224
PATCH = 14
HEAD = 64
"""Width of an attention head in all of DINOv2's sizes."""
MARK = "patch_embed.proj.weight"
"""An entry by which these weights are known."""

NAMES = {384: "DINOv2-S", 768: "DINOv2-B", 1024: "dinov2"}
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""ImageNet's, on a scale of 0..255."""


class Attention(nn.Module):
    """Multi-head self-attention: [N, T, D] -> [N, T, D]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, dim = x.shape
        query, key, value = self.qkv(x).view(n, tokens, 3, dim // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, dim))
        return out


class Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Scale(nn.Module):
    """A learned factor for each feature (Touvron et al. 2021, LayerScale)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = nn.LayerNorm(dim, eps=1e-6), Attention(dim), Scale(dim)
        self.norm2, self.mlp, self.ls2 = nn.LayerNorm(dim, eps=1e-6), Mlp(dim), Scale(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class Patches(nn.Module):
    """[N, 3, H, W] -> [N, H/14 * W/14, D]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """[N, 3, H, W], H and W multiples of 14 -> class tokens [N, dim].  places: positions trained, 1 + side^2."""

    def __init__(self, dim: int, depth: int, places: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, places, dim))
        self.patch_embed = Patches(dim)
        self.blocks = nn.ModuleList([Block(dim) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2] // PATCH, x.shape[-1] // PATCH
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], dim=1) + self._positions(rows, columns)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens[:, 0])
        return out

    def _positions(self, rows: int, columns: int) -> Tensor:
        """[1, 1 + rows * columns, D]: trained positions, bicubic, without antialiasing.

        The published model scales by (rows + .1) / side rather than to `rows` exactly, which moves the sampled places a
        little; features agree with published ones only if that is kept.
        """
        side = round((self.pos_embed.shape[1] - 1) ** 0.5)
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        if (rows, columns) == (side, side):
            return self.pos_embed
        grid = rest.unflatten(1, (side, side)).permute(0, 3, 1, 2)
        factors = ((rows + 0.1) / side, (columns + 0.1) / side)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic", align_corners=False)
        return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)


def prepare(x: Tensor) -> Tensor:
    """Pictures as `as_rgb` takes them -> [N, 3, 224, 224], standardised: what dgm-eval does through Pillow."""
    return standardised(resized(as_rgb(x), (SIDE, SIDE), "bicubic"), MEAN, DEVIATION)


def load(weights: str | Path | State, device: torch.device | str = "cpu") -> NetworkExtractor:
    """FD-DINOv2's feature space from the user's weights; WeightsError where they are none of ViT-S, B or L/14."""
    state = dict(weights) if isinstance(weights, dict) else read_state(weights)
    if "register_tokens" in state:
        raise WeightsError(
            "these DINOv2 weights have registers, which published FD-DINOv2 has not; take the plain ones"
        )
    token, places = state.get("cls_token"), state.get("pos_embed")
    if token is None or places is None or token.ndim != 3 or places.ndim != 3 or token.shape[-1] not in NAMES:
        raise WeightsError("these are not weights of DINOv2 ViT-S/14, ViT-B/14 or ViT-L/14")
    dim = token.shape[-1]
    depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    net = VisionTransformer(dim, depth, places.shape[1])
    sha = fitted(net, state, "DINOv2", unused=("mask_token",))
    way = f"8 bits, then antialiased bicubic to {SIDE}x{SIDE}, 8 bits"
    return NetworkExtractor(NAMES[dim], dim, sha, (SIDE, SIDE), way, net, prepare, torch.device(device))
