"""Every row of the zoo: complete, searchable, and sound at its small setting."""

from __future__ import annotations

import pytest

from rivalry import zoo
from rivalry.checks import check_recipe
from rivalry.errors import UnknownName
from tiny import suited


@pytest.mark.parametrize("name", zoo.names())
def test_small_setting_is_sound(name: str) -> None:
    check_recipe(*suited(zoo.get(f"{name}-small")))


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


def test_search_goes_by_what_sets_a_row_apart() -> None:
    """Not by the names of settings that every part has, at their usual values."""
    assert zoo.search("unroll") == ["unrolled-gan"]
    assert "gan" in zoo.search("non-saturating")
    assert "sngan" in zoo.search("spectral")
    assert not {"gan", "dcgan", "wgan-gp"} & {*zoo.search("spectral"), *zoo.search("pack"), *zoo.search("conditional")}


def test_search_goes_by_the_beginnings_of_words_and_by_the_year() -> None:
    assert "bigan" in zoo.search("learned inference")
    assert zoo.search("1999") == []
    assert {zoo.get(name).about.year for name in zoo.search("2018")} == {2018}
    assert not any("normalised" in zoo.get(name).about.distinctive for name in zoo.search("alised"))
