"""`rivalry compare`."""

from __future__ import annotations

import json
from typing import Any

import click

from rivalry.cli.options import as_json, device, read_options, reading


@click.command("compare")
@click.argument("runs", nargs=-1)
@click.option("--data", help="Train and compare recipes on these data, instead of runs that are there.")
@click.option(
    "--recipes", default="auto,dcgan-small,vae-small", show_default=True, help="Comma-separated contenders."
)
@click.option("--seeds", type=int, default=3, show_default=True, help="How many seeds each gets.")
@click.option("--budget", default="3m", show_default=True, help="What each training gets.")
@click.option("--run", "--name", "name", default="", help="Name of the comparison; the same name goes on where it stopped.")
@click.option("-n", "samples", type=int, help="Samples per score (as many as fit the data, up to 10,000).")
@device
@reading
@as_json
def command(**given: Any) -> None:
    """Compare RUNS by one ruler, or train recipes over seeds and compare those: mean, interval over seeds, rank.

    \b
    rivalry compare demo-1 demo-2
    rivalry compare --data photos/ --recipes auto,vae-small --seeds 3 --budget 5m      # GAN or VAE?
    """
    from rivalry import experiments
    from rivalry.api import load
    from rivalry.errors import RecipeError
    from rivalry.training.session import to_stderr

    if bool(given["runs"]) == bool(given["data"]):
        raise RecipeError("name runs to compare, or say --data DATA --recipes A,B to train and compare recipes")
    if given["data"]:
        recipes = [r.strip() for r in given["recipes"].split(",") if r.strip()]
        found = experiments.compare_recipes(
            given["data"], recipes, range(given["seeds"]), given["budget"], given["name"], read_options(given),
            given["device"], given["samples"], to_stderr,
        )  # fmt: skip
    else:
        runs = [load(r) for r in given["runs"]]
        found = experiments.compare_runs([r.folder for r in runs], runs[0].data(), given["device"], given["samples"])
    if given["as_json"]:
        click.echo(json.dumps(found.as_dict(), indent=1))
    else:
        from rivalry.cli.tables import show

        show(found.table())
