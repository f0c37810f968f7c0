"""Tiles: together they are the whole picture."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from changing.cases import Halving, Pooled, restorer, scene, seeded
from rivalry.changing import Changer, Ways, change
from rivalry.changing.model import Model, seen, unseen
from rivalry.changing.resample import enlarged
from rivalry.changing.source import TensorSource
from rivalry.changing.tiles import SEAM, Tiling, cuts, ramp
from rivalry.changing.trained import views_of
from rivalry.changing.whole import Statistics
from rivalry.errors import RecipeError
from rivalry.games.change import Turned, turned
from rivalry.nets.filling import filled
from rivalry.streams import Draw

LEVEL = 1 / 255


def picture(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.from_numpy(scene(height, width, channels).transpose(2, 0, 1) / np.float32(255))


def whole(changer: Changer, x: Tensor) -> Tensor:
    """The network's own answer to the whole picture."""
    with torch.inference_mode():
        y: Tensor = changer.net(x[None] * 2 - 1)
    return ((y[0] + 1) / 2).clamp(0, 1)


@pytest.mark.parametrize(("length", "side", "multiple"), [(1, 64, 16), (64, 64, 1), (65, 64, 1), (1000, 64, 16), (33, 16, 16), (40, 16, 1), (257, 100, 32)])
@pytest.mark.parametrize("scale", [1, 3])
def test_cores_cover_the_line_once_and_weights_add_up_to_one(length: int, side: int, multiple: int, scale: int) -> None:
    found = cuts(length, side, 5, multiple)
    assert found[0].first == 0
    assert found[-1].last == length
    assert all(a.last == b.first for a, b in pairwise(found))
    total = torch.zeros(length * scale)
    for cut in found:
        assert cut.start % multiple == 0
        assert cut.stop % multiple == 0 or cut.stop == length
        at, weights = ramp(cut, length, scale)
        total[at : at + len(weights)] += weights
        assert cut.start * scale <= at
        assert at + len(weights) <= cut.stop * scale
        assert cut.first == 0 or cut.first - cut.start >= 5 + SEAM
    assert torch.allclose(total, torch.ones_like(total))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(70, 131), (1, 1), (1, 90), (200, 17)])
def test_tiles_of_a_local_network_are_the_whole_picture(scale: int, size: tuple[int, int]) -> None:
    changer, x = restorer(scale=scale), picture(*size)
    assert (change(changer, x, Ways(tile=32)) - whole(changer, x)).abs().max() < LEVEL / 100


def test_tiles_fill_a_hole_wider_than_they_are_by_what_is_known_of_the_whole_picture() -> None:
    x, hole = picture(192, 192)[None] * 2 - 1, torch.zeros(1, 1, 192, 192)
    hole[:, :, 20:172, 10:190] = 1
    statistics = Statistics()
    with statistics.taking():
        wanted = filled(x, hole, 3)
    with statistics.using():
        tile = filled(x[..., 64:], hole[..., 64:], 3)
    inside = slice(64 + 40, 192)
    torch.testing.assert_close(tile[..., 40:], wanted[..., inside], atol=LEVEL, rtol=0)


def test_tiles_of_any_picture_are_filled_as_the_whole_is() -> None:
    """Sizes that halve to odd ones: 181, 91, 46, 23.  Enlarged by their ratio, a tile would be enlarged otherwise than the whole."""
    x, hole = picture(181, 235)[None] * 2 - 1, torch.zeros(1, 1, 181, 235)
    hole[:, :, 60:130, 90:170] = 1
    statistics = Statistics()
    with statistics.taking():
        wanted = filled(x, hole, 4)
    with statistics.using():
        tile = filled(x[..., 16:144, 32:], hole[..., 16:144, 32:], 4)
    torch.testing.assert_close(tile[..., 40:-40, 50:], wanted[..., 56:104, 82:], atol=LEVEL / 4, rtol=0)


def test_tiles_begin_at_multiples_of_the_stride() -> None:
    x = picture(121, 175)
    changer = Changer(seeded(Halving), 3, 3, context=16, multiple=4)
    assert (change(changer, x, Ways(tile=40)) - whole(changer, x)).abs().max() < LEVEL / 100


@pytest.mark.parametrize(
    "norm",
    [partial(nn.InstanceNorm2d, affine=True), nn.InstanceNorm2d, partial(nn.GroupNorm, 3), Pooled, partial(nn.BatchNorm2d)],
    ids=["instance", "plain", "group", "pooled", "batch"],
)  # fmt: skip
def test_statistics_of_the_whole_picture_hold_in_every_tile(norm: type[nn.Module]) -> None:
    x = picture(96, 160)
    x[:, :, 80:] *= 0.3  # so that tiles differ
    changer = restorer(norm=norm)
    assert (change(changer, x, Ways(tile=48)) - whole(changer, x)).abs().max() < LEVEL / 10


def test_the_networks_that_look_at_the_whole_are_told_apart() -> None:
    assert Model(restorer(norm=nn.InstanceNorm2d)).looks_at_the_whole()
    assert Model(restorer(norm=Pooled)).looks_at_the_whole()
    assert not Model(restorer(norm=nn.BatchNorm2d)).looks_at_the_whole()
    assert not Model(restorer(norm=lambda c: nn.InstanceNorm2d(c, track_running_stats=True))).looks_at_the_whole()


def test_statistics_of_a_large_picture_come_from_a_smaller_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then tiles agree with one another, and nearly with the whole."""
    monkeypatch.setattr("rivalry.changing.tiles.STATISTICS_PIXELS", 1 << 16)
    changer, x = restorer(norm=nn.InstanceNorm2d), picture(500, 700)
    small, large = (change(changer, x, Ways(tile=tile)) for tile in (64, 200))
    assert (small - large).abs().max() < LEVEL / 10
    smooth = F.interpolate(torch.rand(1, 3, 12, 17), size=(500, 700), mode="bicubic")[0].clamp(0, 1)
    assert (change(changer, smooth, Ways(tile=200)) - whole(changer, smooth)).abs().mean() < LEVEL  # it loses nothing by being made smaller
    exact = change(changer, x, Ways(tile=700))  # one tile is the whole picture
    assert (exact - whole(changer, x)).abs().max() < LEVEL / 10


def test_views_are_undone() -> None:
    x = torch.rand(1, 2, 5, 7)
    views = [seen(x, v) for v in range(8)]
    assert all(torch.equal(unseen(v, i), x) for i, v in enumerate(views))
    assert len({(*v.shape, *v.flatten().tolist()) for v in views}) == 8


@pytest.mark.parametrize("norm", [None, nn.InstanceNorm2d], ids=["local", "global"])
def test_the_ensemble_is_the_mean_over_eight_views(norm: type[nn.Module] | None) -> None:
    changer, x = restorer(scale=2, norm=norm), picture(40, 90)
    with torch.inference_mode():
        expected = torch.stack([unseen(changer.net(seen(x[None] * 2 - 1, v)), v) for v in range(8)]).mean(0)[0]
    made = change(changer, x, Ways(self_ensemble=True, tile=32))
    assert (made - ((expected + 1) / 2).clamp(0, 1)).abs().max() < LEVEL / 10


def test_a_network_is_asked_only_about_views_that_training_knew() -> None:
    changer, x = replace(restorer(), views=(0, 4)), picture(40, 90)
    with torch.inference_mode():
        expected = torch.stack([unseen(changer.net(seen(x[None] * 2 - 1, v)), v) for v in (0, 4)]).mean(0)[0]
    made = change(changer, x, Ways(self_ensemble=True, tile=32))
    assert (made - ((expected + 1) / 2).clamp(0, 1)).abs().max() < LEVEL / 10
    with pytest.raises(RecipeError, match="neither turned nor mirrored"):
        Ways(self_ensemble=True).check(replace(changer, views=(0,)))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlarging_is_pillows_bicubic(scale: int) -> None:
    x = torch.rand(1, 1, 20, 31)
    expected = np.asarray(Image.fromarray(x[0, 0].numpy()).resize((31 * scale, 20 * scale), Image.Resampling.BICUBIC))
    inner = slice(3 * scale, -3 * scale)
    assert np.abs(enlarged(x, scale)[0, 0].numpy() - expected)[inner, inner].max() < 1e-5


def test_noise_is_one_draw_for_all_tiles_and_a_function_of_the_seed() -> None:
    changer, x = restorer(latent=4), picture(60, 100)
    first = change(changer, x, Ways(tile=32))
    assert torch.allclose(first, change(changer, x, Ways(tile=1000)), atol=LEVEL / 100)
    assert (first - change(changer, x, Ways(tile=32), draw=1)).abs().max() > LEVEL
    assert (first - change(changer, x, Ways(tile=32, seed=1))).abs().max() > LEVEL


class Layout(nn.Module):
    """Notes whether it is given channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = list[bool]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return x


def test_convolutions_are_given_the_layout_that_they_are_fast_at() -> None:
    layout = Layout()
    change(Changer(layout, 3, 3, context=0, multiple=1), picture(70, 90), Ways(tile=32, self_ensemble=True))
    assert all(layout.seen)


def test_deep_networks_get_windows_that_fit_into_memory() -> None:
    """A reach of hundreds of pixels is cut where memory decides, and not where the user does."""
    source, deep = TensorSource(torch.zeros(3, 2000, 3000)), Changer(nn.Identity(), 3, 3, context=512, multiple=128)
    for side, exact, most in ((0, True, 1100), (0, False, 1100), (256, True, 256 + 2 * 520 + 256)):
        tiling = Tiling.of(source, deep, side, 512.0, exact)
        assert max(c.stop - c.start for c in (*tiling.rows, *tiling.columns)) <= most
        assert all(c.start % 128 == 0 for c in (*tiling.rows, *tiling.columns))


@pytest.mark.parametrize("how", ["no", "mirrored", "all"])
@pytest.mark.parametrize("size", [(6, 6), (4, 6)])
def test_the_views_are_those_that_training_shows(how: Turned, size: tuple[int, int]) -> None:
    x = torch.arange(size[0] * size[1]).float().view(1, 1, *size)
    shown = turned((x.expand(256, -1, -1, -1),), how, Draw(0, ("views",)))[0]
    asked = {tuple(seen(x, view).flatten().tolist()) for view in views_of(how, *size)}
    assert {tuple(one.flatten().tolist()) for one in shown} == asked
