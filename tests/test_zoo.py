"""Every row of the zoo: complete, searchable, and sound at its small setting."""

from __future__ import annotations

import pytest
import torch

from rivalry import zoo
from rivalry.checks import check_recipe
from rivalry.errors import UnknownName
from rivalry.types import Spec
from tiny import (
    DIALOGUE,
    POINTS,
    RECORDS,
    STYLES,
    TABLE,
    TOKENS,
    Rows,
    histories,
    people,
    ring,
    sentences,
    styled,
    talks,
)

SPEC = Spec("image", (1, 28, 28), (-1.0, 1.0), ("shirt", "shoe", "bag"))


def rows(n: int = 48) -> Rows:
    g = torch.Generator().manual_seed(1)
    return Rows(torch.rand(n, 1, 28, 28, generator=g) * 2 - 1, torch.randint(3, (n,), generator=g))


PAIRS = Spec("image", (3, 32, 32), (-1.0, 1.0), ("day", "night"), source=(3, 32, 32))


def pairs(n: int = 24) -> Rows:
    g = torch.Generator().manual_seed(2)
    x, source = (torch.rand(n, 3, 32, 32, generator=g) * 2 - 1 for _ in range(2))
    label = torch.arange(n) % 2
    return Rows(x, label, extra={"source": source, "source-label": label})


@pytest.mark.parametrize("name", zoo.names())
def test_small_setting_is_sound(name: str) -> None:
    from dataclasses import replace

    recipe = zoo.get(f"{name}-small")
    if recipe.about.group == "points":
        schedules = {k: v for k, v in recipe.schedules.items() if k != "batch"}
        check_recipe(replace(recipe, batch=8, schedules=schedules), POINTS, ring())
    elif recipe.about.group == "tables":
        check_recipe(replace(recipe, batch=8), TABLE, people())
    elif recipe.about.group == "styles":
        check_recipe(replace(recipe, batch=8), STYLES, styled())
    elif recipe.game.changes:
        check_recipe(replace(recipe, batch=8), PAIRS, pairs())
    elif recipe.about.group == "records":
        check_recipe(replace(recipe, batch=8), RECORDS, histories())
    elif recipe.game.answers:
        check_recipe(replace(recipe, batch=8), DIALOGUE, talks())
    elif recipe.about.group == "text":
        check_recipe(replace(recipe, batch=8), TOKENS, sentences())
    else:
        check_recipe(replace(recipe, batch=8), SPEC, rows())


@pytest.mark.parametrize("name", zoo.names())
def test_every_row_says_where_it_comes_from(name: str) -> None:
    for recipe in (zoo.row(name).published, zoo.row(name).small):
        about = recipe.about
        assert all((about.title, about.paper, about.group, about.distinctive))
        assert 2013 <= about.year <= 2026
        assert about.applications


def test_search_reads_loss_architecture_application_and_year() -> None:
    assert "wgan-gp" in zoo.search("wasserstein gp")
    assert "r3gan" in zoo.search("2024")
    assert "stylegan2-ada" in zoo.search("few pictures stylegan2")
    assert zoo.search("no such thing") == []


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match="dcgan"):
        zoo.get("dcgn")


def test_search_goes_by_the_beginnings_of_words_and_by_the_year() -> None:
    assert "bigan" in zoo.search("learned inference")
    assert zoo.search("1999") == []
    assert {zoo.get(name).about.year for name in zoo.search("2018")} == {2018}
    assert not any("normalised" in zoo.get(name).about.distinctive for name in zoo.search("alised"))
