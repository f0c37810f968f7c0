"""EfficientNet-lite0 from its packages, and the sentence where they are missing."""

from __future__ import annotations

import sys

import pytest
import torch

from extractors.shared import as_tensor, photographs
from rivalry.errors import MissingExtra
from rivalry.extractors import efficientnet, extractor
from rivalry.extractors.efficientnet import prepare


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(MissingExtra, match=r"rivalry\[efficientnet\]"):
        extractor("efficientnet-lite0")


def test_preparation() -> None:
    out = prepare(torch.tensor([0, 127, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 20, 20))
    assert out.shape == (3, 3, 224, 224)
    assert out[:, 0, 100, 100].tolist() == [-127 / 128, 0.0, 1.0]


def test_photographs_are_recognised() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra `efficientnet`")
    space = efficientnet.load()
    assert (space.name, space.dim, space.size) == ("efficientnet-lite0", 1280, (224, 224))
    x = torch.cat([as_tensor(image.resize((224, 224))) for image in photographs("laptop", 20)])
    assert space(x[:2]).shape == (2, 1280)
    with torch.inference_mode():
        best = space.net.net(prepare(x)).topk(5).indices  # type: ignore[operator, union-attr]
    assert int(torch.isin(best, torch.tensor([620, 681])).any(1).sum()) >= 17
