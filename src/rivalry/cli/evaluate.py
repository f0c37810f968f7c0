"""`rivalry evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rivalry.cli.options import as_json, device


@click.command("evaluate")
@click.argument("run")
@click.option("-n", "count", type=int, help="How many samples (as many as fit the data, up to 10,000).")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Weights of a feature extractor to measure with.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the samples; training never used it.")
@device
@as_json
def command(
    run: str, count: int | None, which: str, weights: Path | None, seed: int, device: str, as_json: bool
) -> None:
    """Measure RUN with every ruler that fits its data: value, 95 % interval, and the floor that real data reach."""
    from rivalry.api import load

    scores = load(run).evaluate(count, which=which, weights=weights, seed=seed, device=device)
    if as_json:
        click.echo(json.dumps(scores.as_dict(), indent=1))
    else:
        from rivalry.cli.tables import show
        from rivalry.evaluate import HEADER

        *_, (*_, counts) = rows = scores.table()
        show([HEADER[:-1], *(row[:-1] for row in rows)])
        click.echo(f"measured on {counts} rows of {run}'s data; the floor is what real training data score")
