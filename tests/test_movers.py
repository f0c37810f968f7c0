"""Optimisers, afters and controllers against what their papers say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from contests import turn
from rivalry.afters import Clip, HistoricalAveraging
from rivalry.catalogue import build, dump
from rivalry.controllers import ADA, BEGAN, LeCam, PathMean
from rivalry.errors import RecipeError
from rivalry.optimisers import SGD, Adam, RMSprop
from rivalry.parts import After, Controller, Optimiser
from rivalry.types import Knobs


def stepped(optimiser: Optimiser, gradients: list[float]) -> float:
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    built = optimiser.build([weight])
    for g in gradients:
        weight.grad = torch.tensor([g], dtype=torch.float64)
        built.step()
    return weight.item()


def adam(gradients: list[float], lr: float, b1: float, b2: float, eps: float) -> float:
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
    return w


def test_adam_and_its_lazy_rescaling() -> None:
    gradients = [0.3, -2.0, 0.7]
    assert stepped(Adam(0.1, 0.5, 0.9), gradients) == pytest.approx(adam(gradients, 0.1, 0.5, 0.9, 1e-8), rel=1e-9)
    c = 16 / 17
    lazy = Adam(0.1, 0.0, 0.99, lazy=16)
    assert stepped(lazy, gradients) == pytest.approx(adam(gradients, 0.1 * c, 0.0, 0.99**c, 1e-8), rel=1e-9)
    decayed = stepped(Adam(0.1, weight_decay=0.5), [0.0])
    assert decayed == pytest.approx(1 - 0.1 * 0.5)


def test_rmsprop_and_sgd() -> None:
    wanted = 1.0 - 0.01 * 0.4 / (math.sqrt(0.01 * 0.16) + 1e-8)
    assert stepped(RMSprop(0.01), [0.4]) == pytest.approx(wanted, rel=1e-9)
    assert stepped(SGD(0.1, momentum=0.9), [1.0, 1.0]) == pytest.approx(1 - 0.1 - 0.19)


def test_nothing_to_optimise_is_told() -> None:
    with pytest.raises(RecipeError, match="nothing to optimise"):
        Adam().build([])
    with pytest.raises(RecipeError, match="momentum"):
        SGD(nesterov=True)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (Optimiser, Adam(lazy=16)),
        (Optimiser, RMSprop()),
        (Optimiser, SGD()),
        (After, Clip(0.02)),
        (After, HistoricalAveraging()),
        (Controller, ADA(knob="apa")),
        (Controller, BEGAN()),
        (Controller, PathMean()),
        (Controller, LeCam()),
    ],
)
def test_round_trip(kind: type, part: object) -> None:
    assert build(kind, dump(part)) == part


def test_clip() -> None:
    weights = [torch.tensor([-3.0, 0.005, 2.0]), torch.tensor([[0.5]])]
    Clip().__call__(weights, {}, turn())
    torch.testing.assert_close(weights[0], torch.tensor([-0.01, 0.005, 0.01]))
    torch.testing.assert_close(weights[1], torch.tensor([[0.01]]))


def test_historical_averaging_pulls_to_the_mean_of_the_past() -> None:
    part = HistoricalAveraging(pull=0.1)
    weight = torch.tensor([1.0], dtype=torch.float64)
    memory = part.start([weight])
    past = [1.0]
    for move in (2.0, -0.5, 1.0):
        weight += move
        expected = weight.item() - 0.1 * (weight.item() - sum(past) / len(past))
        part([weight], memory, turn())
        assert weight.item() == pytest.approx(expected)
        past.append(expected)
        assert memory["mean.0"].item() == pytest.approx(sum(past) / len(past))


def run(controller: Controller, notes: dict[str, float], steps: int, batch: int = 64) -> Knobs:
    knobs: Knobs = dict(controller.start())
    for _ in range(steps):
        knobs |= controller(knobs, {k: torch.tensor(v) for k, v in notes.items()}, batch)
    return knobs


def test_ada_moves_at_its_speed_and_stays_in_its_range() -> None:
    sign = "discriminator.main.sign"
    assert float(run(ADA(), {sign: 0.9}, 10)["augment"]) == pytest.approx(10 * 64 / 500_000, rel=1e-5)
    assert float(run(ADA(speed_kimg=1), {sign: 0.9}, 100)["augment"]) == 1.0
    assert float(run(ADA(speed_kimg=1, ceiling=0.8), {sign: 0.9}, 100)["augment"]) == pytest.approx(0.8)
    assert float(run(ADA(speed_kimg=1, initial=0.5), {sign: 0.1}, 100)["augment"]) == 0.0
    assert float(run(ADA(initial=0.3), {sign: 0.6}, 9)["augment"]) == pytest.approx(0.3)
    assert ADA()({}, {}, 64) == {}


def test_ada_finds_the_p_that_gives_its_target() -> None:
    controller, p = ADA(speed_kimg=10), torch.tensor(0.0)
    for _ in range(400):
        overfit = 0.9 - 0.5 * p
        p = controller({"augment": p}, {"discriminator.main.sign": overfit}, 32)["augment"]
    assert float(p) == pytest.approx(0.6, abs=2 * 32 / 10_000)


def test_begans_k_and_measure() -> None:
    notes = {"discriminator.main.real": -0.8, "discriminator.main.fake": -0.2}
    knobs = run(BEGAN(gamma=0.75, rate=0.001), notes, 1)
    assert float(knobs["began.k"]) == pytest.approx(0.001 * (0.75 * 0.8 - 0.2), rel=1e-5)
    assert float(knobs["began.measure"]) == pytest.approx(0.8 + abs(0.75 * 0.8 - 0.2), rel=1e-5)
    assert float(run(BEGAN(rate=1.0), notes, 9)["began.k"]) == 1.0
    notes["discriminator.main.fake"] = -0.7
    assert float(run(BEGAN(), notes, 3)["began.k"]) == 0.0


def test_running_means() -> None:
    assert float(run(PathMean(), {"generator.path.length": 5.0}, 2)["path.mean"]) == pytest.approx(5 * (1 - 0.99**2))
    knobs = run(LeCam(decay=0.9), {"discriminator.main.real": 2.0, "discriminator.main.fake": -1.0}, 3)
    assert float(knobs["lecam.real"]) == pytest.approx(2 * (1 - 0.9**3))
    assert float(knobs["lecam.fake"]) == pytest.approx(-(1 - 0.9**3))
