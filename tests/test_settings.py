"""Settings that make no sense: one sentence that names them, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import rivalry
from rivalry.api import Run
from rivalry.auto import find
from rivalry.errors import RecipeError, UnknownName
from rivalry.evaluate import Budget, Target
from rivalry.recipe import set_value
from rivalry.training.plan import Plan
from rivalry.zoo import get


def ring(*settings: str, recipe: str = "house-points-small", **more: object) -> Run:
    return rivalry.train(
        "ring8",
        recipe=recipe,
        settings=settings,
        run="x",
        tensorboard=False,
        say=lambda _: None,
        **{"budget": "1steps", **more},
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("discriminator.optimiser.lr=-1", "discriminator.optimiser.lr"),
        ("discriminator.optimiser.lr=nan", "NaN"),
        ("discriminator.optimiser.lr=1e400", "discriminator.optimiser.lr"),
        ("discriminator.optimiser.beta1=2", "discriminator.optimiser: .*beta"),
        ("game.latent=-3", "game.latent must be a number from 0, not -3"),
        ("game.pack=0", "game.pack must be at least 1"),
        ("generator.sizes=[-4]", "network 'generator' cannot be built"),
        ("ema.halflife=-5", "ema.halflife"),
        ("generator.optimizer.lr=0.1", "did you mean 'optimiser'"),
    ],
)
def test_values_out_of_range_are_named(
    setting: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=said):
        ring(setting)
    assert not list(tmp_path.rglob("*"))


def test_names_of_settings_are_listed_once() -> None:
    with pytest.raises(UnknownName) as said:
        set_value(get("house-points-small"), "zzzz.lr", "1")
    assert str(said.value).count("discriminator") == 1


def test_recipes_are_known_in_capitals() -> None:
    assert find("WGAN-GP-small") == get("wgan-gp-small")


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    with pytest.raises(RecipeError, match="lacks name, nets, game, stages, objective"):
        find(str(tmp_path / "empty.toml"))
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="no text in UTF-8"):
        find(str(tmp_path / "bad.toml"))


def test_numbers_where_texts_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="a text with its unit, not 30"):
        ring(budget=30)
    with pytest.raises(RecipeError, match="seeds=range\\(2\\)"):
        rivalry.compare("ring8", ["house-points-small"], seeds=2, budget="1steps")  # type: ignore[arg-type]


def test_distances_below_nothing_are_no_targets() -> None:
    with pytest.raises(RecipeError, match="never below 0"):
        Target.parse("fd<-3")
    assert Target.parse("kid<-0.001").goal.limit < 0
    assert Target.parse("gain>-1").goal.limit == -1


def test_of_several_limits_the_first_reached_ends_training() -> None:
    recipe = get("house-points-small")

    def steps(text: str) -> int:
        return Plan.make(Budget.parse(text), recipe, 0.1, 0.01).steps

    assert steps("45s, 30steps") == steps("30steps") == 30
    assert steps("2s, 3000steps") == steps("2s") < 30
    assert steps(f"3000steps, {7 * recipe.batch}samples") == 7
