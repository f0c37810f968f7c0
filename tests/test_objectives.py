"""Objectives against their papers' formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rivalry.catalogue import build, dump
from rivalry.errors import RecipeError
from rivalry.objectives import (
    BEGAN,
    GAN,
    BoundarySeeking,
    Energy,
    Hinge,
    LeastSquares,
    Null,
    Relativistic,
    RelativisticAverage,
    Softmax,
    TopK,
    Wasserstein,
)
from rivalry.parts import Objective

REAL = torch.tensor([1.3, -0.4, 2.0, 0.1, -3.0], dtype=torch.float64)
FAKE = torch.tensor([-1.1, 0.6, -0.2, 1.7, 0.9], dtype=torch.float64)
R, F = REAL.numpy(), FAKE.numpy()
ALL: list[Objective] = [
    GAN(),
    GAN("minimax", 0.1),
    GAN("linear"),
    LeastSquares(),
    Wasserstein(),
    Hinge(),
    Relativistic(),
    RelativisticAverage(Hinge()),
    Energy(),
    BEGAN(),
    BoundarySeeking(),
    Softmax(),
    TopK(),
    Null(),
]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def near(found: Tensor | None, wanted: np.ndarray) -> None:
    assert found is not None
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-14)


def test_gan_is_cross_entropy() -> None:
    on_real, on_fake = GAN().discriminator(REAL, FAKE, {})
    near(on_real, -np.log(sigmoid(R)))
    near(on_fake, -np.log(1 - sigmoid(F)))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("minimax", np.log(1 - sigmoid(F))),
        ("non-saturating", -np.log(sigmoid(F))),
        ("linear", -sigmoid(F)),
    ],
)
def test_gan_generator(kind: str, wanted: np.ndarray) -> None:
    near(GAN(generator_loss=kind).generator(None, FAKE, {})[1], wanted)  # type: ignore[arg-type]


def test_label_smoothing_is_one_sided() -> None:
    on_real, on_fake = GAN(label_smoothing=0.1).discriminator(REAL, FAKE, {})
    near(on_real, -0.9 * np.log(sigmoid(R)) - 0.1 * np.log(1 - sigmoid(R)))
    near(on_fake, -np.log(1 - sigmoid(F)))


def test_value_at_equilibrium_is_minus_log_4() -> None:
    zero = torch.zeros(7, dtype=torch.float64)
    on_real, on_fake = GAN().discriminator(zero, zero, {})
    assert on_real is not None
    assert on_fake is not None
    assert -(on_real.mean() + on_fake.mean()).item() == pytest.approx(-math.log(4), abs=1e-15)


def slope(objective: Objective, score: float) -> float:
    s = torch.tensor([score], dtype=torch.float64, requires_grad=True)
    objective.generator(None, s, {})[1].sum().backward()
    assert s.grad is not None
    return s.grad.item()


def test_minimax_saturates_where_non_saturating_does_not() -> None:
    for score in (-30.0, -2.0, 0.0, 3.0):
        d = float(sigmoid(np.array(score)))
        assert slope(GAN("minimax"), score) == pytest.approx(-d, rel=1e-9)
        assert slope(GAN("non-saturating"), score) == pytest.approx(-(1 - d), rel=1e-9, abs=1e-12)
        assert slope(GAN("linear"), score) == pytest.approx(-d * (1 - d), rel=1e-9, abs=1e-15)
    assert abs(slope(GAN("minimax"), -30.0)) < 1e-12
    assert slope(GAN("non-saturating"), -30.0) == pytest.approx(-1.0)


def test_extreme_scores_stay_finite() -> None:
    wild = torch.tensor([-1e4, 1e4], dtype=torch.float32)
    for objective in ALL:
        s = wild.clone().requires_grad_()
        loss = objective.generator(wild, s, {})[1].sum() + 0 * s.sum()
        loss.backward()
        assert torch.isfinite(loss)
        assert s.grad is not None
        assert torch.isfinite(s.grad).all()


def test_least_squares() -> None:
    on_real, on_fake = LeastSquares(a=-1, b=1, c=0).discriminator(REAL, FAKE, {})
    near(on_real, 0.5 * (R - 1) ** 2)
    near(on_fake, 0.5 * (F + 1) ** 2)
    near(LeastSquares(a=-1, b=1, c=0).generator(None, FAKE, {})[1], 0.5 * F**2)
    near(LeastSquares().generator(None, FAKE, {})[1], 0.5 * (F - 1) ** 2)


def test_wasserstein_hinge_and_energy() -> None:
    near(Wasserstein().discriminator(REAL, FAKE, {})[0], -R)
    near(Wasserstein().discriminator(REAL, FAKE, {})[1], F)
    near(Hinge().discriminator(REAL, FAKE, {})[0], np.maximum(0, 1 - R))
    near(Hinge().discriminator(REAL, FAKE, {})[1], np.maximum(0, 1 + F))
    energy_real, energy_fake = torch.tensor([0.2, 0.9]), torch.tensor([0.5, 3.0])
    on_real, on_fake = Energy(margin=2.0).discriminator(-energy_real, -energy_fake, {})
    near(on_real, energy_real.numpy())
    near(on_fake, np.array([1.5, 0.0], dtype=np.float32))
    near(Energy().generator(None, -energy_fake, {})[1], energy_fake.numpy())
    for objective in (Wasserstein(), Hinge()):
        near(objective.generator(None, FAKE, {})[1], -F)


def test_relativistic_pairs_one_by_one() -> None:
    on_real, on_fake = Relativistic().discriminator(REAL, FAKE, {})
    near(on_real, np.log1p(np.exp(-(R - F))))
    assert on_fake is None
    near(Relativistic().generator(REAL, FAKE, {})[1], np.log1p(np.exp(-(F - R))))
    near(Relativistic(Hinge()).discriminator(REAL, FAKE, {})[0], np.maximum(0, 1 - (R - F)))
    with pytest.raises(RecipeError, match="one by one"):
        Relativistic().discriminator(REAL, FAKE[:3], {})


def test_relativistic_average() -> None:
    on_real, on_fake = RelativisticAverage().discriminator(REAL, FAKE[:3], {})
    near(on_real, -np.log(sigmoid(R - F[:3].mean())))
    near(on_fake, -np.log(1 - sigmoid(F[:3] - R.mean())))
    g_real, g_fake = RelativisticAverage().generator(REAL, FAKE, {})
    near(g_fake, -np.log(sigmoid(F - R.mean())))
    near(g_real, -np.log(1 - sigmoid(R - F.mean())))
    least = RelativisticAverage(LeastSquares(a=-1, b=1))
    near(least.discriminator(REAL, FAKE, {})[0], 0.5 * (R - F.mean() - 1) ** 2)
    near(least.discriminator(REAL, FAKE, {})[1], 0.5 * (F - R.mean() + 1) ** 2)


def test_relativistic_average_takes_patches_one_by_one() -> None:
    real, fake = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    whole = RelativisticAverage().discriminator(real, fake, {})[0]
    alone = RelativisticAverage().discriminator(real[:, 1], fake[:, 1], {})[0]
    assert whole is not None
    assert alone is not None
    torch.testing.assert_close(whole[:, 1], alone)


def test_began_and_boundary_seeking() -> None:
    on_real, on_fake = BEGAN().discriminator(-REAL.abs(), -FAKE.abs(), {"began.k": torch.tensor(0.3).double()})
    near(on_real, np.abs(R))
    near(on_fake, -0.3 * np.abs(F) * np.float64(np.float32(0.3)) / 0.3)
    d = sigmoid(F)
    near(BoundarySeeking().generator(None, FAKE, {})[1], 0.5 * (np.log(d) - np.log(1 - d)) ** 2)
    near(BoundarySeeking().discriminator(REAL, FAKE, {})[0], -np.log(sigmoid(R)))


def test_softmax_gan() -> None:
    fake = FAKE[:3]
    z = np.exp(R).sum() + np.exp(F[:3]).sum()
    on_real, on_fake = Softmax().discriminator(REAL, fake, {})
    near(on_real, -np.log(np.exp(R) / z))
    assert on_fake is None
    g_real, g_fake = Softmax().generator(REAL, fake, {})
    assert g_real is not None
    every = np.concatenate([R, F[:3]])
    wanted = -(np.log(np.exp(every) / z)).mean()
    assert (g_real.mean() + g_fake.mean()).item() == pytest.approx(wanted, rel=1e-12)


def test_top_k_keeps_the_best_of_the_batch() -> None:
    loss = TopK(Wasserstein(), share=0.4).generator(None, FAKE, {})[1]
    best = np.sort(F)[::-1][:2]
    assert loss.mean().item() == pytest.approx(-best.mean())
    assert (loss == 0).sum() == 3
    whole = TopK(Wasserstein()).generator(None, FAKE, {"topk": torch.tensor(1.0)})[1]
    near(whole, -F)
    one = TopK(Wasserstein()).generator(None, FAKE, {"topk": 1e-9})[1]
    assert one.mean().item() == pytest.approx(-F.max())
    patches = TopK(Wasserstein(), share=0.5).generator(None, torch.randn(6, 3), {})[1]
    assert ((patches != 0).all(1).sum(), (patches == 0).all(1).sum()) == (3, 3)


def test_bases_must_be_elementwise() -> None:
    for wrong in (lambda: TopK(Softmax()), lambda: Relativistic(RelativisticAverage()), lambda: TopK(share=0.0)):
        with pytest.raises(RecipeError):
            wrong()


@pytest.mark.parametrize("objective", ALL, ids=lambda o: dump(o)["part"])
def test_losses_have_the_scores_shape_and_parts_round_trip(objective: Objective) -> None:
    for shape in ((5,), (1,), (4, 3)):
        real, fake = torch.randn(shape), torch.randn(shape)
        losses = (*objective.discriminator(real, fake, {}), *objective.generator(real, fake, {}))
        assert {tuple(v.shape) for v in losses if v is not None} == {shape}
    assert build(Objective, dump(objective)) == objective


def test_null_is_zero() -> None:
    assert not any(v.any() for v in Null().discriminator(REAL, FAKE, {}) if v is not None)
