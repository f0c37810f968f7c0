"""Augmentations: identity at p = 0, what they do at p = 1, chances in between, and two derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rivalry.augment import ADA, Compose, Cutout, DiffAugment, Flip, Jitter, Noise, Translate
from rivalry.augment.ada import _hue, _quarter_turns, _scaling, _shifting, _turning, warp
from rivalry.augment.light import shifted
from rivalry.catalogue import build, dump
from rivalry.errors import RecipeError
from rivalry.parts import Augment
from rivalry.streams import Draw
from rivalry.types import constant

DRAW = Draw(3, ("augment",))
ALL: list[Augment] = [
    ADA(),
    ADA(blit=False, colour=False),
    Compose((Flip(), Translate(), Cutout())),
    Cutout(),
    DiffAugment(),
    Flip(),
    Jitter(),
    Noise(),
    Translate(),
    Translate(reflect=True),
]
NAMES = [f"{dump(a)['part']}-{i}" for i, a in enumerate(ALL)]
every = pytest.mark.parametrize("augment", ALL, ids=NAMES)


def pictures(n: int = 4, c: int = 3, h: int = 6, w: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(1), dtype=dtype)


@every
def test_nothing_happens_at_p_0(augment: Augment) -> None:
    for c in (1, 2, 3, 4):
        x = pictures(c=c)
        assert torch.equal(augment(x, DRAW, 0.0), x)
        assert torch.equal(augment(x, DRAW, torch.tensor(0.0)), x)


@every
def test_shapes_types_and_sizes(augment: Augment) -> None:
    for n, c, h, w in ((1, 1, 1, 1), (1, 3, 5, 9), (3, 4, 8, 4), (2, 2, 7, 7), (2, 5, 4, 6)):
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            out = augment(pictures(n, c, h, w, dtype), DRAW, torch.tensor(0.9))
            assert out.shape == (n, c, h, w)
            assert out.dtype == dtype
            assert torch.isfinite(out).all()


@every
def test_a_draw_says_all(augment: Augment) -> None:
    x = pictures()
    assert torch.equal(augment(x, DRAW, 0.7), augment(x, DRAW, 0.7))
    assert not torch.equal(augment(x, DRAW, 1.0), augment(x, DRAW.at("other"), 1.0))


@every
def test_two_derivatives(augment: Augment) -> None:
    x = pictures(2, 3, 5, 4, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: augment(v, DRAW, 0.9), (x,))
    assert torch.autograd.gradgradcheck(lambda v: augment(v, DRAW, 0.9).pow(3), (x,))


@every
def test_slopes_through_it_can_be_penalised(augment: Augment) -> None:
    """R1 with the augmentation inside the judge, as torch.func takes it."""
    weight = torch.randn(60, dtype=torch.float64)

    def r1(a: Tensor) -> Tensor:
        slope = torch.func.grad(lambda v: torch.tanh(augment(v, DRAW, 1.0).flatten(1) @ a).sum())
        return slope(pictures(2, 3, 5, 4, torch.float64)).square().sum()

    found = torch.func.grad(r1)(weight)
    assert torch.isfinite(found).all()
    assert found.any()


@every
def test_round_trip(augment: Augment) -> None:
    assert build(Augment, dump(augment)) == augment


def changed(augment: Augment, p: float | Tensor, n: int = 4000) -> float:
    x = torch.randn(n, 1, 4, 5)
    return (augment(x, DRAW, p) != x).flatten(1).any(1).float().mean().item()


@pytest.mark.parametrize(
    ("augment", "share"),
    [
        (Flip(), 0.5),
        (Translate(0.5), 1 - 1 / 25),
        (Jitter(), 1.0),
        (DiffAugment(policy=("colour",)), None),
        (ADA(blit=False, colour=False, scale=0.0, fraction=0.0), 1.0),
        (ADA(geometry=False, colour=False, quarter_turns=False, shift=0.0), 0.5),
    ],
)
def test_chances(augment: Augment, share: float | None) -> None:
    for p in (0.3, torch.tensor(0.3), 1.0):
        # of the colours, grey pictures feel brightness and contrast
        wanted = float(p) * share if share is not None else 1 - (1 - float(p)) ** 2
        assert changed(augment, p) == pytest.approx(wanted, abs=0.03)


def test_flipped_twice_is_as_before() -> None:
    x = pictures()
    assert torch.equal(Flip()(Flip()(x, DRAW, 1.0), DRAW, 1.0), x)


def test_shifts_bring_in_grey_or_the_reflection() -> None:
    x = torch.arange(1.0, 13.0).view(1, 1, 3, 4)
    down, right = torch.tensor([1]), torch.tensor([-2])
    wanted = [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0]]
    assert shifted(x, down, right, reflect=False)[0, 0].tolist() == wanted
    wanted = [[7, 8, 7, 6], [3, 4, 3, 2], [7, 8, 7, 6]]
    assert shifted(x, down, right, reflect=True)[0, 0].tolist() == wanted


def test_translations_are_uniform_within_their_reach() -> None:
    x = torch.zeros(6000, 1, 1, 16)
    x[..., 8] = 1
    place = Translate(0.125)(x, DRAW, 1.0)[:, 0, 0].argmax(1) - 8
    counts = torch.bincount(place + 2, minlength=5) / 6000
    assert counts.tolist() == [pytest.approx(0.2, abs=0.02)] * 5


def test_cutout_covers_a_quarter_where_it_lies_within() -> None:
    out = Cutout()(torch.ones(3000, 1, 8, 8), DRAW, 1.0)
    holes = (out == 0).flatten(1).sum(1)
    assert holes.max() == 16
    assert holes.float().mean().item() == pytest.approx(((2 + 3 + 5 * 4 + 3 + 2) / 9) ** 2, rel=0.03)


def test_noise_is_annealed_by_p() -> None:
    x = torch.zeros(50_000, 2)
    assert Noise(0.4)(x, DRAW, 0.5).std().item() == pytest.approx(0.2, rel=0.02)


def test_diffaugment_colour_by_hand() -> None:
    x = pictures(3, 3, 2, 2, torch.float64)
    draw = DRAW.at("colour")
    u = draw.uniform("colour", 3, 3).double()
    wanted = x + (u[:, 0] - 0.5).view(-1, 1, 1, 1)
    grey = wanted.mean(1, keepdim=True)
    wanted = (wanted - grey) * (2 * u[:, 1]).view(-1, 1, 1, 1) + grey
    mean = wanted.mean((1, 2, 3), keepdim=True)
    wanted = (wanted - mean) * (u[:, 2] + 0.5).view(-1, 1, 1, 1) + mean
    torch.testing.assert_close(DiffAugment(policy=("colour",))(x, DRAW, 1.0), wanted)
    rgba = pictures(c=4)
    assert torch.equal(DiffAugment(policy=("colour",))(rgba, DRAW, 1.0)[:, 3], rgba[:, 3])
    assert torch.equal(ADA(blit=False, geometry=False)(rgba, DRAW, 1.0)[:, 3], rgba[:, 3])


def test_warps_by_whole_pixels_flips_and_quarter_turns_are_exact() -> None:
    x = pictures(3, 2, 5, 7)
    by = torch.tensor([[2.0, -1.0], [0.0, 0.0], [-9.0, 3.0]])
    torch.testing.assert_close(warp(x, _shifting(by)), shifted(x, by[:, 1].long(), by[:, 0].long(), reflect=True))
    one = torch.ones(3)
    torch.testing.assert_close(warp(x, _scaling(-one, one)), x.flip(-1))
    assert torch.equal(warp(x, _scaling(one, one)), x)
    square = pictures(4, 1, 6, 6)
    turns = _quarter_turns(torch.tensor([0.0, 0.3, 0.5, 0.9]), torch.ones(4, dtype=torch.bool))
    turned = warp(square, turns)
    for k in range(4):
        assert min((turned[k] - square[k].rot90(s * k, (1, 2))).abs().max() for s in (1, -1)) < 1e-5
    quarter = _quarter_turns(torch.tensor([0.3]), torch.tensor([True]))
    torch.testing.assert_close(quarter, _turning(torch.tensor([math.pi / 2])))


def test_scaling_keeps_linear_ramps_linear() -> None:
    """Bilinear resampling is exact on ramps: enlarged twice, the slope is halved."""
    x = torch.linspace(-1, 1, 9, dtype=torch.float64).expand(1, 1, 9, 9)
    half = torch.tensor([0.5])
    torch.testing.assert_close(warp(x, _scaling(half, half)), x * 0.5)


def test_hue_turns_about_the_luma_axis() -> None:
    one = torch.ones(1)
    red = torch.tensor([1.0, 0.0, 0.0])
    third = _hue(torch.tensor([2 * math.pi / 3]), one, one, one)[0]
    torch.testing.assert_close(third @ red, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6, rtol=0)
    m = _hue(torch.tensor([0.7]), one, one, one)[0]
    torch.testing.assert_close(m @ m.T, torch.eye(3))
    grey = _hue(torch.tensor([0.7]), 0 * one, one, one)[0]
    torch.testing.assert_close(grey @ red, torch.full((3,), 1 / 3))
    flipped = _hue(torch.tensor([0.0]), one, -one, one)[0]
    torch.testing.assert_close(flipped, torch.eye(3) - 2 / 3)


def test_adas_statistics() -> None:
    x = torch.ones(20_000, 1, 1, 1)
    colour = ADA(blit=False, geometry=False, luma_flip=False)
    out = colour(x, DRAW, 1.0).flatten()
    # E (1 + b) 2^z = exp((.5 ln 2)^2 / 2), b of mean 0, z of N(0, .5)
    assert out.mean().item() == pytest.approx(math.exp((0.5 * math.log(2)) ** 2 / 2), rel=0.02)
    flipped = ADA(blit=False, geometry=False, brightness=0, contrast=0)(x, DRAW, 1.0)
    assert (flipped < 0).float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_geometry_keeps_what_has_no_structure() -> None:
    flat = torch.full((64, 3, 7, 5), 0.3)
    torch.testing.assert_close(ADA(colour=False)(flat, DRAW, 1.0), flat)


def test_points_jitter_and_pictures_only() -> None:
    x = torch.zeros(20_000, 2)
    assert Jitter(0.1)(x, DRAW, 1.0).std().item() == pytest.approx(0.1, rel=0.02)
    for augment in (Flip(), Translate(), Cutout(), DiffAugment(), ADA()):
        with pytest.raises(RecipeError, match="pictures"):
            augment(x, DRAW, 0.5)


def test_constants_that_were_first_asked_for_while_sampling_serve_training_too() -> None:
    constant.cache_clear()
    with torch.inference_mode():
        constant((2.0, 3.0), torch.device("cpu"))
    x = torch.ones(2, requires_grad=True)
    (x * constant((2.0, 3.0), torch.device("cpu"))).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 3.0]
