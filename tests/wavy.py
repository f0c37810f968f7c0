"""Pictures of waves, for tests of what changes pictures, and how such runs are made small."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from tiny import Rows


def waves(n: int = 64, side: int = 32) -> Rows:
    g = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 6, side), torch.linspace(0, 6, side), indexing="ij")
    f = torch.rand(n, 3, 1, 1, generator=g) * 3
    return Rows(0.6 * torch.sin(f * x + 2 * f.flip(1) * y))


SMALL = ("nets.generator.width=8", "nets.generator.blocks=2", "batch=4")


def quiet(line: str) -> None:
    """Says nothing."""


def photos(folder: Path, n: int = 12) -> None:
    folder.mkdir(parents=True)
    shown = ((waves(n, 48).x + 1) * 127.5).round().to(torch.uint8)
    for i, p in enumerate(shown):
        Image.fromarray(p.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
