"""`rivalry data inspect|prepare|names`."""

from __future__ import annotations

from typing import Any

import click

from rivalry.cli.options import PlacePath, as_json, echo_json, read_options, reading


@click.group("data")
def command() -> None:
    """Look at data before training."""


@command.command("inspect")
@click.argument("data")
@reading
@click.option("--write-schema", type=PlacePath(), help="Write what a table's columns mean, as TOML.")
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
    if given["as_json"]:
        echo_json(found.as_dict())
    else:
        click.echo(found.text())


@command.command("prepare")
@click.argument("data")
@reading
@click.option("--dp-epsilon", type=float, required=True, metavar="EPSILON", help="What the preparation may spend, e.g. .5; trainings add to it.")
@click.option("--dp-delta", type=float, default=0.0, metavar="DELTA", help="N^-1.1 of N rows without it.")
@click.option("-o", "--out", type=PlacePath(), required=True, help="The schema to write, a .toml file.")
@click.option("--overwrite", is_flag=True, help="Replace that file; what the old one cost stays spent.")
def prepare_(**given: Any) -> None:
    """Measure the columns of the table DATA under differential privacy, and write a schema to train with.

    Names of levels, bounds, quantiles and shares are then not read off the rows again, and a training under differential privacy
    counts what this cost: its epsilon is that of both together.  Columns that a schema declares (public = true) are left as they are.

    \b
    rivalry data prepare patients.csv --dp-epsilon 0.5 -o columns.toml
    rivalry train patients.csv --schema columns.toml --dp-epsilon 3
    """
    from rivalry.data.loading import columns
    from rivalry.errors import DataError
    from rivalry.files import write_text
    from rivalry.privacy.preparing import prepare

    out = given["out"]
    if out.exists() and not given["overwrite"]:
        raise DataError(f"{out} exists already; name another file, or say --overwrite (what it cost to measure stays spent)")
    fields, cells, rows, constraints = columns(given["data"], options=read_options(given))
    made = prepare(fields, cells, rows, given["dp_epsilon"], given["dp_delta"], constraints)
    write_text(out, made.to_toml())
    assert made.prepared is not None
    paid = [f.name for f in made.fields if f.declared.public == "paid"]
    click.echo(
        f"measured at epsilon {made.prepared.epsilon:g}, delta {made.prepared.delta:.3g}: {', '.join(paid)}; train with: rivalry train "
        f"{given['data']} --schema {out} --dp-epsilon EPSILON, the whole of both"
    )


@command.command("names")
def names_() -> None:
    """Data sets that go by name."""
    from rivalry.data import names

    for name in names():
        click.echo(name)
