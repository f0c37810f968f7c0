"""`rivalry compare`."""

from __future__ import annotations

from typing import Any

import click

from rivalry.cli.options import as_json, device, echo_json, read_options, reading


@click.command("compare")
@click.argument("runs", nargs=-1)
@click.option("--data", help="Train and compare recipes on these data, instead of runs that are there.")
@click.option(
    "--recipes", default="auto,dcgan-small,vae-small", show_default=True,
    help="Comma-separated contenders: rows of the zoo, TOML files, or baselines of tables (independent, mst).",
)
@click.option("--seeds", type=int, default=3, show_default=True, help="How many seeds each gets.")
@click.option("--budget", default="", help="What each training gets (3m; with --dp-epsilon the recipe's own length).")
@click.option("--run", "--name", "name", default="", help="Name of the comparison; the same name goes on where it stopped.")
@click.option("--dp-epsilon", type=float, metavar="EPSILON", help="Each contender learns under differential privacy.")
@click.option("--dp-delta", type=float, metavar="DELTA", help="The other half of --dp-epsilon; N^-1.1 without it.")
@click.option("-n", "samples", type=int, help="Samples per score (as many as fit the data, up to 10,000).")
@device
@reading
@as_json
def command(**given: Any) -> None:
    """Compare RUNS by one ruler, or train recipes over seeds and compare those: mean, interval over seeds, rank.

    Recipes that are named go before the layout of pictures, as in rivalry train; those that make pictures and those that change
    them are compared apart.

    \b
    rivalry compare demo-1 demo-2
    rivalry compare --data photos/ --recipes auto,vae-small --seeds 3 --budget 5m      # GAN or VAE?
    rivalry compare --data adult.csv --recipes auto,independent,mst                     # what do simple ways reach?
    """
    from rivalry import experiments
    from rivalry.api import load
    from rivalry.errors import RecipeError
    from rivalry.training.session import to_stderr

    if bool(given["runs"]) == bool(given["data"]):
        raise RecipeError("name runs to compare, or say --data DATA --recipes A,B to train and compare recipes")
    if given["dp_delta"] is not None and given["dp_epsilon"] is None:
        raise RecipeError("--dp-delta goes with --dp-epsilon, which says how much may be spent, for example 3")
    if given["dp_epsilon"] is not None and not given["data"]:
        raise RecipeError("--dp-epsilon goes with --data: runs that are there have spent what they have spent")
    if given["data"]:
        dp = None if given["dp_epsilon"] is None else (given["dp_epsilon"], given["dp_delta"] or 0.0)
        budget = given["budget"] or ("3m" if dp is None else "")  # a longer training is a noisier one
        recipes = [r.strip() for r in given["recipes"].split(",") if r.strip()]
        found = experiments.compare_recipes(
            given["data"], recipes, range(given["seeds"]), budget, given["name"], read_options(given),
            given["device"], given["samples"], to_stderr, dp=dp,
        )  # fmt: skip
    else:
        runs = [load(r) for r in given["runs"]]
        found = experiments.compare_runs([r.folder for r in runs], runs[0].data(), given["device"], given["samples"])
    if given["as_json"]:
        echo_json(found.as_dict())
    else:
        from rivalry.cli.tables import show

        show(found.table())
