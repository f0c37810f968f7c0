"""`rivalry report`."""

from __future__ import annotations

import click


@click.command("report")
@click.argument("run")
def command(run: str) -> None:
    """Write RUN's report.md anew, with curves, samples and scores, and print where it is."""
    from rivalry.api import load

    click.echo(str(load(run).report()))
