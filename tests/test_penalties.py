"""Penalties on slopes against linear and quadratic judges, whose slopes are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contests import charge, hold, linear, points, quadratic, turn
from rivalry.catalogue import build, dump
from rivalry.errors import RecipeError
from rivalry.parts import Penalty
from rivalry.penalties import (
    DRAGAN,
    GP,
    GP0,
    R1,
    R2,
    ApproximateR1,
    ApproximateR2,
    Div,
    MaxGradient,
)
from rivalry.types import Match, Point

N, D = 6, 4
REAL, FAKE = points(N, D, 1), points(N, D, 2)
A = torch.tensor([2.0, -1.0, 0.5, 3.0], dtype=torch.float64)
SQUARE = A.square().sum().item()
SLOPES = [R1(), R2(), GP(), GP0(), Div(), MaxGradient(), DRAGAN(), ApproximateR1(), ApproximateR2()]


def constant(value: float, n: int = N) -> Tensor:
    return torch.full((n,), value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("penalty", "wanted"),
    [
        (R1(), SQUARE / 2),
        (R2(), SQUARE / 2),
        (GP(), (SQUARE**0.5 - 1) ** 2),
        (GP(centre=5.0, one_sided=True), 0.0),
        (GP0(), SQUARE),
        (Div(), SQUARE**3),
        (DRAGAN(), (SQUARE**0.5 - 1) ** 2),
    ],
)
def test_linear_judge(penalty: Penalty, wanted: float) -> None:
    torch.testing.assert_close(charge(linear(A), penalty, Point(REAL), Point(FAKE)), constant(wanted))


def test_linear_judges_largest_slope_is_its_only_one() -> None:
    torch.testing.assert_close(charge(linear(A), MaxGradient(), Point(REAL), Point(FAKE)), constant(SQUARE, 1))


def test_r1_and_r2_look_at_real_and_at_fake() -> None:
    torch.testing.assert_close(
        charge(quadratic, R1(), Point(REAL), Point(FAKE)), 0.5 * REAL.square().sum(1)
    )
    torch.testing.assert_close(
        charge(quadratic, R2(share=0.5), Point(REAL), Point(FAKE)), 0.5 * FAKE.square().sum(1)[:3]
    )


def test_interpolates_lie_on_the_segments() -> None:
    contest = hold(quadratic, GP(), Point(REAL), Point(FAKE))
    x = contest.asked[0].point.x
    u = ((x - REAL) / (FAKE - REAL)).mean(1)
    assert ((u >= 0) & (u <= 1)).all()
    assert u.std() > 0.1
    torch.testing.assert_close(x, REAL + u[:, None] * (FAKE - REAL))
    torch.testing.assert_close(GP()(contest), (x.norm(dim=1) - 1).square())
    largest = hold(quadratic, MaxGradient(), Point(REAL), Point(FAKE))
    torch.testing.assert_close(MaxGradient()(largest), largest.asked[0].point.x.square().sum(1).max()[None])


def test_interpolates_carry_the_real_conditions_and_no_graph() -> None:
    label = torch.arange(N)
    fake = Point(FAKE.clone().requires_grad_() * 1.0, (label.flip(0),))
    (asked,) = GP(share=0.5).ask(Match("d", Point(REAL, (label,)), fake), turn())
    assert asked.cond[0].tolist() == [0, 1, 2]
    assert not asked.x.requires_grad
    with pytest.raises(RecipeError, match="one shape"):
        GP().ask(Match("d", Point(REAL), Point(FAKE[:, :2])), turn())
    with pytest.raises(RecipeError, match="has none"):
        GP().ask(Match("d", None, Point(FAKE)), turn())


def test_dragan_stays_near_the_data() -> None:
    real = torch.randn(500, 3, dtype=torch.float64)
    (asked,) = DRAGAN().ask(Match("d", Point(real), None), turn())
    moved = (asked.x - real) / (0.5 * real.std(correction=0))
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert moved.mean().item() == pytest.approx(0.25, abs=0.03)


def test_approximate_r1_tends_to_r1() -> None:
    n = 20_000
    real = REAL[:1].expand(n, D)
    for sigma in (0.1, 0.01):
        found = charge(linear(A), ApproximateR1(sigma=sigma), Point(real), None)
        assert found.mean().item() == pytest.approx(SQUARE / 2, rel=0.04)
    found = charge(quadratic, ApproximateR2(), None, Point(real))
    assert found.mean().item() == pytest.approx(0.5 * REAL[0].square().sum().item(), rel=0.04)


def test_approximate_r1_exactly() -> None:
    contest = hold(quadratic, ApproximateR1(sigma=0.3), Point(REAL), None)
    eps = (contest.asked[0].point.x - REAL) / 0.3
    wanted = 0.5 * (((REAL * eps).sum(1) * 0.3 + 0.5 * 0.09 * eps.square().sum(1)) / 0.3).square()
    torch.testing.assert_close(ApproximateR1(sigma=0.3)(contest), wanted)


@pytest.mark.parametrize("penalty", SLOPES, ids=lambda p: dump(p)["part"])
def test_flat_judges_have_finite_gradients(penalty: Penalty) -> None:
    """sqrt at zero: a judge that ignores x must not turn its parameters to NaN."""
    a = torch.zeros(D, dtype=torch.float64, requires_grad=True)
    charge(linear(a), penalty, Point(REAL), Point(FAKE)).mean().backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("penalty", SLOPES, ids=lambda p: dump(p)["part"])
def test_gradients_against_finite_differences_and_round_trip(penalty: Penalty) -> None:
    def of(a: Tensor) -> Tensor:
        return charge(lambda x: {"score": torch.tanh(x @ a)}, penalty, Point(REAL), Point(FAKE)).mean()

    assert torch.autograd.gradcheck(of, (A.clone().mul_(0.2).requires_grad_(),))
    assert build(Penalty, dump(penalty)) == penalty


@pytest.mark.parametrize("penalty", SLOPES, ids=lambda p: dump(p)["part"])
def test_batches_of_one_and_pictures(penalty: Penalty) -> None:
    real, fake = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    judge = linear(torch.randn(60))
    assert charge(judge, penalty, Point(real), Point(fake)).shape == (1,)


def test_settings_are_checked() -> None:
    for wrong in (lambda: R1(share=0.0), lambda: GP(every=0), lambda: ApproximateR1(sigma=0), lambda: Div(power=1)):
        with pytest.raises(RecipeError):
            wrong()
