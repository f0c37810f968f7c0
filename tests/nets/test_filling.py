"""Holes filled smoothly, and U-Nets that begin there."""

from __future__ import annotations

import pytest
import torch

from rivalry.errors import RecipeError
from rivalry.nets import UNet
from rivalry.nets.filling import filled
from rivalry.parts import Wiring
from rivalry.types import Spec


def box(size: int = 32) -> torch.Tensor:
    hole = torch.zeros(1, 1, size, size)
    hole[..., 10:20, 8:22] = 1
    return hole


def test_what_is_known_stays_and_a_flat_picture_is_whole_again() -> None:
    x, hole = torch.randn(1, 3, 32, 32), box()
    made = filled(x * (1 - hole), hole, 4)
    assert torch.equal(made * (1 - hole), x * (1 - hole))
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(filled(flat * (1 - hole), hole, 4), flat)


def test_a_slope_goes_on_through_a_hole_and_never_beyond_its_ends() -> None:
    """Near to the membrane, which for a slope is the slope; far better than grey."""
    slope = torch.linspace(-1, 1, 33).expand(1, 1, 33, 33)
    hole = torch.zeros(1, 1, 33, 33)
    hole[..., 9:25, 9:25] = 1
    made = filled(slope * (1 - hole), hole, 5)
    wrong = (made - slope).abs()
    assert float(wrong.max()) < 0.15
    assert float(made.min()) >= -1
    assert float(made.max()) <= 1
    grey = (slope * hole).abs()
    assert float(wrong.mean()) < 0.25 * float(grey.mean())


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 40)])
def test_any_size_and_a_picture_that_is_all_hole(size: tuple[int, int]) -> None:
    hole = torch.ones(2, 1, *size)
    assert torch.equal(filled(torch.zeros(2, 3, *size), hole, 5), torch.zeros(2, 3, *size))


def test_a_near_u_net_begins_as_its_source_or_as_the_smooth_fill() -> None:
    spec = Spec("image", (3, 32, 32), (-1.0, 1.0))
    grey = UNet(8, near=True).build(spec, Wiring(source=(1, 32, 32)))
    x = torch.rand(2, 1, 32, 32) * 2 - 1
    torch.testing.assert_close(grey(x), x.expand(-1, 3, -1, -1))
    holed = UNet(8, near=True, holes=True, depth=3).build(spec, Wiring(source=(4, 32, 32)))
    hole = box().expand(2, -1, -1, -1)
    x = (torch.rand(2, 3, 32, 32) * 2 - 1) * (1 - hole)
    torch.testing.assert_close(holed(torch.cat([x, hole], 1)), filled(x, hole, 3))
    holed(torch.cat([x, hole], 1)).square().mean().backward()
    with pytest.raises(RecipeError, match="needs a mask"):
        UNet(8, holes=True).build(spec, Wiring(source=(1, 32, 32)))
