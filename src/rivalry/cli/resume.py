"""`rivalry resume`."""

from __future__ import annotations

import click

from rivalry.cli.options import device


@click.command("resume")
@click.argument("run")
@device
def command(run: str, device: str) -> None:
    """Go on with RUN (a name under runs/, or a path) from its last checkpoint, as if it had never stopped: bit for
    bit on a CPU."""
    from rivalry.api import load

    done = load(run).resume(device=device)
    if done.ended == "diverged":
        raise click.exceptions.Exit(3)
