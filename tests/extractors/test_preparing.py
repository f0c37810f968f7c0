"""Bytes, colour and size on the way into a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from rivalry.errors import DataError
from rivalry.extractors.preparing import (
    as_bytes,
    as_rgb,
    on_white,
    resized,
    resized_as_tensorflow_1,
    standardised,
)


def noise(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_floats_and_bytes_are_the_same_picture() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(as_bytes(every.float() / 127.5 - 1), every.float())
    assert torch.equal(as_bytes(every), every.float())
    assert as_bytes(torch.tensor([[[[-1.5, 1.5, 0.0012]]]])).tolist() == [[[[0.0, 255.0, 128.0]]]]


def test_grey_is_repeated_and_transparency_is_white() -> None:
    grey = noise(2, 1, 3, 3)
    assert torch.equal(as_rgb(grey), grey.float().expand(2, 3, 3, 3))
    clear = torch.cat([noise(1, 3, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.uint8)], dim=1)
    assert (as_rgb(clear) == 255).all()
    image = Image.fromarray(noise(5, 5, 4).numpy(), "RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    ours = as_rgb(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None])
    assert (ours[0].permute(1, 2, 0).numpy() - np.array(expected, dtype=np.float32)).__abs__().max() <= 1
    assert torch.equal(on_white(grey), grey)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 30), (224, 224)])
def test_resizing_is_pillows_to_one_level(mode: str, size: tuple[int, int]) -> None:
    """Antialiased; `interpolate` without it is off by tens of levels when shrinking."""
    x = noise(1, 3, 64, 48)
    ours = resized(x.float(), size, mode)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    image = Image.fromarray(x[0].permute(1, 2, 0).numpy(), "RGB")
    narrow = image.resize((size[1], image.height), filters[mode])
    theirs = np.array(narrow.resize(size[::-1], filters[mode]), dtype=np.float32)
    assert np.abs(ours[0].permute(1, 2, 0).numpy() - theirs).max() <= 1
    assert torch.equal(ours, ours.round())
    if size == (20, 30):
        aliased = torch.nn.functional.interpolate(x.float(), size, mode=mode, align_corners=False)
        assert np.abs(aliased[0].permute(1, 2, 0).numpy() - theirs).max() > 20


def test_tensorflow_1_bilinear_by_its_own_formula() -> None:
    x = noise(1, 1, 5, 7).float()
    out = resized_as_tensorflow_1(x, (8, 3))
    for i in range(8):
        for j in range(3):
            row, column = i * 5 / 8, j * 7 / 3
            top, left = int(row), int(column)
            bottom, right = min(top + 1, 4), min(left + 1, 6)
            down, across = row - top, column - left
            one = x[0, 0, top, left] * (1 - across) + x[0, 0, top, right] * across
            two = x[0, 0, bottom, left] * (1 - across) + x[0, 0, bottom, right] * across
            assert float(out[0, 0, i, j]) == pytest.approx(float(one * (1 - down) + two * down), abs=1e-3)
    assert torch.equal(resized_as_tensorflow_1(x, (5, 7)), x)
    halved = torch.nn.functional.interpolate(x, (8, 3), mode="bilinear", align_corners=False)
    assert not torch.allclose(halved, out, atol=1), "half-pixel centres are another ruler"


def test_standardising() -> None:
    x = torch.tensor([2.0, 4.0]).view(1, 2, 1, 1)
    assert standardised(x, (1.0, 2.0), (1.0, 4.0)).flatten().tolist() == [1.0, 0.5]


def test_errors_are_sentences() -> None:
    with pytest.raises(DataError, match="NaN"):
        as_bytes(torch.full((1, 1, 2, 2), torch.nan))
    with pytest.raises(DataError, match=r"\[N, C, H, W\]"):
        as_bytes(noise(3, 4, 4))
    with pytest.raises(DataError, match=r"not torch\.int64"):
        as_bytes(torch.zeros(1, 1, 2, 2, dtype=torch.int64))
    with pytest.raises(DataError, match="7 channels"):
        as_rgb(noise(1, 7, 2, 2))
