"""`rivalry zoo list|show|search`."""

from __future__ import annotations

from dataclasses import asdict

import click

from rivalry.cli.options import as_json, echo_json


@click.group("zoo")
def command() -> None:
    """The recipes: every named GAN is a row, in its published setting (NAME) and a small one (NAME-small)."""


def _entries(names: list[str]) -> list[dict[str, object]]:
    from rivalry import zoo

    out: list[dict[str, object]] = []
    for name in names:
        recipe = zoo.row(name).published
        about = asdict(recipe.about)
        out.append({"name": name, **about})
    return out


def _print(names: list[str], as_json: bool) -> None:
    from rivalry.cli.tables import show

    entries = _entries(names)
    if as_json:
        echo_json(entries)
        return
    rows = [("name", "year", "group", "what is distinctive")]
    for e in entries:
        failing = f" Marked as failing: {e['failing']}" if e["failing"] else ""
        rows.append((str(e["name"]), str(e["year"]), str(e["group"]), str(e["distinctive"]) + failing))
    show(rows)


@command.command("list")
@as_json
def list_(as_json: bool) -> None:
    """All rows."""
    from rivalry import zoo

    _print(zoo.names(), as_json)


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@as_json
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Rows that hold all WORDS: loss, architecture, application, author, year ("wasserstein", "projection 2018")."""
    from rivalry import zoo

    found = zoo.search(" ".join(words))
    if not found and not as_json:
        click.echo(f"no row has all of {' '.join(words)!r}; fewer words find more, and rivalry zoo list shows all")
        return
    _print(found, as_json)


@command.command("show")
@click.argument("name")
@as_json
def show_(name: str, as_json: bool) -> None:
    """One recipe in full, as TOML: a file that `train --recipe FILE` takes."""
    from rivalry import zoo
    from rivalry.catalogue import dump

    recipe = zoo.get(name)
    if as_json:
        echo_json(dump(recipe))
    else:
        click.echo(recipe.to_toml())
