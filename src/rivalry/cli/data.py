"""`rivalry data inspect|names`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rivalry.cli.options import as_json, read_options, reading


@click.group("data")
def command() -> None:
    """Look at data before training."""


@command.command("inspect")
@click.argument("data")
@reading
@click.option("--write-schema", type=click.Path(path_type=Path), help="Write what a table's columns mean, as TOML.")
@as_json
def inspect_(**given: Any) -> None:
    """What is in DATA: counts, sizes, classes and their balance, what is broken, duplicates, and what would be done
    with it."""
    from rivalry.data import inspect
    from rivalry.data.loading import schema
    from rivalry.files import write_text

    options = read_options(given)
    found = inspect(given["data"], options=options)
    if given["write_schema"] is not None:
        write_text(given["write_schema"], schema(given["data"], options=options).to_toml())
    click.echo(json.dumps(found.as_dict(), indent=1, default=str) if given["as_json"] else found.text())


@command.command("names")
def names_() -> None:
    """Data sets that go by name."""
    from rivalry.data import names

    for name in names():
        click.echo(name)
