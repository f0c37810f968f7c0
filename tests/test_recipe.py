"""Recipes: TOML both ways, settings by path, contradictions caught, with the nearest name."""

from __future__ import annotations

import pytest

from rivalry import zoo
from rivalry.errors import RecipeError, UnknownName
from rivalry.optimisers import Adam
from rivalry.privacy import privatised
from rivalry.recipe import Recipe, coupled_parts, set_value
from rivalry.schedules import Linear
from rivalry.training.state import fingerprint
from rivalry.types import Spec


@pytest.mark.parametrize("name", zoo.names())
def test_toml_gives_every_recipe_back(name: str) -> None:
    for recipe in (zoo.row(name).published, zoo.row(name).small):
        assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_settings_by_path() -> None:
    r = zoo.get("dcgan-small")
    assert set_value(r, "batch", "32").batch == 32
    side = set_value(r, "discriminator.optimiser.lr", "1e-4").stages[0].sides[0]
    assert side.optimiser == Adam(1e-4, 0.5, 0.999)
    assert set_value(r, "generator.width", "8").nets["generator"].width == 8  # type: ignore[attr-defined]
    for text in (".5", "5e-1", "0.5", "+.5"):  # TOML alone wants a digit on either side of the point
        assert set_value(r, "ema.ramp", text).ema.ramp == 0.5
    assert set_value(r, "ema.ramp", "5.").ema.ramp == 5.0
    assert set_value(r, "objective", "hinge").objective == zoo.get("hinge-small").objective
    changed = set_value(r, "schedules.lr", '{part = "linear", end = 0.5}')
    assert changed.schedules["lr"](1.0) == 0.5


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        ("bacth", "32", "batch"),
        ("discriminator.optimiser.beta3", "0", "beta"),
        ("discriminator.optimizer.lr", "0", "discriminator"),
        ("objective", '"hing"', "hinge"),
        ("batch", "many", "number"),
        ("batch", "0", "at least 1"),
        ("batch.size", "1", "deeper"),
    ],
)
def test_wrong_settings_say_what_and_name_the_nearest(path: str, value: str, hint: str) -> None:
    with pytest.raises(RecipeError, match=hint):
        set_value(zoo.get("dcgan-small"), path, value)


def test_unknown_keys_in_a_file_are_errors() -> None:
    text = zoo.get("dcgan-small").to_toml()
    with pytest.raises(UnknownName, match="batch"):
        Recipe.from_toml("bacth = 3\n" + text)
    with pytest.raises(RecipeError, match="TOML"):
        Recipe.from_toml("name = ")


def test_a_side_must_have_networks_that_exist() -> None:
    text = zoo.get("dcgan-small").to_toml().replace('modules = [\n    "generator",\n]', 'modules = ["generatr"]')
    with pytest.raises(UnknownName, match="generator"):
        Recipe.from_toml(text)


def test_parts_that_couple_a_batch_are_found() -> None:
    assert coupled_parts(zoo.get("ragan")) == ["objective"]
    assert coupled_parts(zoo.get("wgan-gp")) == []


def test_schedules_whose_names_have_dots_can_be_set_and_added() -> None:
    recipe = zoo.get("dcgan-small")
    added = set_value(recipe, "schedules.lr.generator", '{part = "linear", end = 0.5}')
    assert added.schedules["lr.generator"] == Linear(end=0.5)
    assert added.schedules["lr"] == recipe.schedules["lr"]
    changed = set_value(added, "schedules.lr.generator.end", "0.25")
    assert changed.schedules["lr.generator"] == Linear(end=0.25)
    assert set_value(recipe, "schedules.lr.end", "0.5").schedules["lr"] != recipe.schedules["lr"]
    with pytest.raises(RecipeError):
        set_value(recipe, "schedules.lr.generator.end", "0.25")


def test_whole_numbers_in_place_of_fractions_resume() -> None:
    """`rivalry.train(..., dp_epsilon=3)`: run.toml gives back 3.0, which is the recipe that the checkpoint was made by."""
    spec = Spec("table", (2,), (-1.0, 1.0))
    recipe, _ = privatised(zoo.get("house-table-small"), 3)
    assert fingerprint(recipe, spec) == fingerprint(Recipe.from_toml(recipe.to_toml()), spec)
    assert fingerprint(recipe, spec) != fingerprint(privatised(zoo.get("house-table-small"), 4)[0], spec)
