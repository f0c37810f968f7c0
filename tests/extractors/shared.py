"""Real data and weights, where they are; tests that need them skip with a word elsewhere."""

from __future__ import annotations

import io
import os
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

DATA = Path("/work/shared/data")


def data_file(relative: str) -> Path:
    path = DATA / relative
    if not path.exists():
        pytest.skip(f"needs {path}, which is only on the developers' machine")
    return path


def users_weights(variable: str) -> Path:
    """The file that an environment variable names."""
    if variable not in os.environ:
        pytest.skip(f"set {variable} to a file of weights to run this")
    return Path(os.environ[variable])


@cache
def digits() -> tuple[Tensor, Tensor]:
    """10,000 MNIST digits in random order: uint8 [N, 1, 28, 28], labels [N]."""
    with np.load(data_file("img_mnist10k/mnist_cazala_10k.npz")) as arrays:
        x, y = torch.from_numpy(arrays["x"])[:, None], torch.from_numpy(arrays["y"]).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order], y[order]


def photographs(kind: str, count: int) -> list[Image.Image]:
    """The first `count` Caltech-101 photographs of a kind."""
    found: list[Image.Image] = []
    with tarfile.open(data_file("img_caltech101_subset/caltech101_7classes.tar.xz")) as archive:
        for member in archive:
            if f"/{kind}/" in f"/{member.name}" and member.name.endswith(".jpg") and len(found) < count:
                file = archive.extractfile(member)
                assert file is not None
                found.append(Image.open(io.BytesIO(file.read())).convert("RGB"))
    assert len(found) == count
    return found


def as_tensor(image: Image.Image) -> Tensor:
    """uint8 [1, 3, H, W]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
