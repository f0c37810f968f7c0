"""The automatic recipe: what it takes for which data, and that it says why."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rivalry import ReadOptions
from rivalry.auto import CPU_BATCH, FEW, FEWER, LEAST_BATCH, PER_CLASS, _private_batch, choose
from rivalry.data import load
from rivalry.objectives import GAN, Relativistic, Wasserstein
from rivalry.privacy import privatised, sigma_for
from rivalry.recipe import set_value
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.state import build_state
from rivalry.zoo.house import CHANCE


def pictures(n: int, side: int, labels: int = 0, seed: int = 0) -> object:
    x = np.random.default_rng(seed).integers(0, 256, (n, side, side), dtype=np.uint8)
    return (x, np.arange(n) % labels) if labels else x


def test_labels_are_used_where_every_class_has_enough_rows() -> None:
    recipe, why = choose(load(pictures(200, 16, 4)), "3m", "cpu")
    assert isinstance(recipe.objective, GAN)
    assert recipe.game.conditional  # type: ignore[attr-defined]
    assert any("labels guide" in w for w in why)
    rare, why = choose(load(pictures(PER_CLASS * 5, 16, 10)), "3m", "cpu")
    assert isinstance(rare.objective, Wasserstein)
    assert any("fewer than" in w for w in why)


@pytest.mark.parametrize("side", [16, 64])
def test_without_labels_a_critic_plays_one_turn(side: int) -> None:
    recipe, why = choose(load(pictures(300, side)), "3m", "cpu")
    assert isinstance(recipe.objective, Wasserstein)
    assert [s.turns for s in recipe.sides()] == [1, 1]
    assert any("critic" in w for w in why)


def test_few_pictures_are_augmented_and_many_are_not() -> None:
    few, why = choose(load(pictures(FEWER // 2, 8)), "3m", "cpu")
    assert few.augment is not None
    assert few.schedules["augment"](0.0) == few.schedules["augment"](1.0) == CHANCE
    assert any("augmented" in w for w in why)
    many, _ = choose(load(pictures(FEWER * 2, 8)), "3m", "cpu")
    assert many.augment is None
    labelled, _ = choose(load(pictures(FEW // 2, 8, 2)), "3m", "cpu")
    assert labelled.augment is not None
    assert labelled.controllers


def test_points_and_tables_have_their_own_recipes() -> None:
    points, _ = choose(load("ring8", options=ReadOptions(limit=500)), "3m", "cpu")
    assert points.name == "house-points"
    assert isinstance(points.objective, Relativistic)


def test_private_tables_get_a_small_discriminator_and_batches_by_rows_and_epsilon() -> None:
    rng = np.random.default_rng(0)
    dataset = load((rng.normal(size=(4000, 3)), rng.integers(0, 2, 4000)), options=ReadOptions(kind="table"))
    plain, _ = choose(dataset, "", "cpu")
    strict, why = choose(dataset, "", "cpu", 1.0)
    loose, _ = choose(dataset, "", "cpu", 10.0)
    judge = {side.name: side for side in strict.sides()}["discriminator"]
    assert strict.nets["discriminator"] != plain.nets["discriminator"]
    assert judge.turns == 1
    assert strict.steps < plain.steps / 10  # every turn costs
    assert strict.batch == round(len(dataset.train) * 0.015)
    assert loose.batch == round(len(dataset.train) * 0.15)
    assert any("noise" in line for line in why)
    assert any("Batches" in line for line in why)


@pytest.mark.parametrize(("rows", "epsilon"), [(32_561, 1.0), (32_561, 2.0), (5_000, 8.0)])
def test_private_batches_need_noise_of_about_the_clip(rows: int, epsilon: float) -> None:
    """Below 1 a batch pays more than its share, far above it only takes time."""
    batch, _ = _private_batch(rows, epsilon, gpu=False)
    assert LEAST_BATCH < batch < CPU_BATCH
    assert 0.9 < sigma_for(epsilon, rows**-1.1, batch / rows, 250) < 1.6


def test_a_private_batch_at_its_bound_needs_noise_of_about_the_clip_too() -> None:
    batch, _ = _private_batch(32_561, 3.0, gpu=False)
    assert batch == CPU_BATCH
    assert 0.9 < sigma_for(3.0, 32_561**-1.1, batch / 32_561, 250) < 1.6


def test_private_batches_have_bounds() -> None:
    assert _private_batch(500, 1.0, gpu=False)[0] == LEAST_BATCH
    assert _private_batch(10**6, 8.0, gpu=False)[0] == CPU_BATCH < _private_batch(10**6, 8.0, gpu=True)[0]
def test_pictures_under_differential_privacy_get_a_recipe_that_is_admitted() -> None:
    """Labelled ones too: no labels, no batch norm, a small discriminator; one step is taken."""
    data = load(pictures(400, 12, 2))
    recipe, why = choose(data, epsilon=3.0)
    assert any("Labels are not used" in line for line in why)
    private, _ = privatised(recipe, 3.0)
    private = set_value(private, "discriminator.private.noise", "1.0")
    state = build_state(private, data.spec, 0, torch.device("cpu"))
    assert sum(p.numel() for p in state.nets["discriminator"].parameters()) < 20_000
    assert recipe.batch == len(data.train) // 16
    trainer = Trainer(state, data.train, 2, Engine("cpu"))
    trainer.step()
    assert state.step == 1
