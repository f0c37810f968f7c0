"""`rivalry data inspect|names`."""

from __future__ import annotations

import json
from typing import Any

import click

from rivalry.cli.options import as_json, read_options, reading


@click.group("data")
def command() -> None:
    """Look at data before training."""


@command.command("inspect")
@click.argument("data")
@reading
@as_json
def inspect_(**given: Any) -> None:
    """What is in DATA: counts, sizes, classes and their balance, what is broken, duplicates, and what would be done
    with it."""
    from rivalry.data import inspect

    found = inspect(given["data"], options=read_options(given))
    click.echo(json.dumps(found.as_dict(), indent=1, default=str) if given["as_json"] else found.text())


@command.command("names")
def names_() -> None:
    """Data sets that go by name."""
    from rivalry.data import names

    for name in names():
        click.echo(name)
