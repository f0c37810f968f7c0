"""`rivalry audit`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rivalry.cli.options import PlacePath, as_json, device, echo_json

if TYPE_CHECKING:
    from rivalry.audit.material import Tick

COLUMNS = (0, 3, 4, 5, 8)
"""Those of the page's table that a terminal has room for."""
PAUSE = 10.0
"""Seconds between lines where there is no terminal."""


@click.command("audit")
@click.argument("run")
@click.option("--samples", "count", type=int, help="How many samples are attacked (tables: ten for each training row attacked, up to 50,000; pictures: 5,000; text: 10,000).")  # fmt: skip
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True)
@click.option("--weights", type=PlacePath(), help="Weights of a network to compare pictures by, trained on other pictures; for text: minilm.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the samples and of the rows that are attacked.")
@click.option("--shadows", type=int, default=0, metavar="K", help="Train K models of the recipe on random halves for the likelihood ratio attack; slow. Even, 8 is usual.")  # fmt: skip
@click.option("--canaries", type=int, default=0, metavar="M", help="Plant M rows by the toss of a coin in one more training, and bound epsilon by who finds them; slow.")  # fmt: skip
@click.option("--steps", type=int, metavar="N", help="Of each training that --shadows and --canaries make; the run's own, 1,000 at most, without it.")  # fmt: skip
@device
@as_json
def command(
    run: str, count: int | None, which: str, weights: Path | None, seed: int, device: str, as_json: bool, shadows: int,
    canaries: int, steps: int | None,
) -> None:  # fmt: skip
    """Attack RUN: can its training rows be told from held-out rows by its samples, its discriminator or its likelihood?

    Writes audit.json, audit.md and plots/audit-roc.png into the run's folder, and the closest pairs of sample and training
    row into its private/ folder.  Finding nothing does not prove that there is nothing to find.

    \b
    rivalry audit patients
    rivalry audit patients --samples 20000 --json
    rivalry audit patients --shadows 8 --canaries 100
    """
    from rivalry.api import load

    found = load(run)
    with _progress() as tick:
        audit = found.audit(
            count, which=which, weights=weights, seed=seed, device=device, tick=tick, shadows=shadows, canaries=canaries,
            steps=steps, say=lambda line: click.echo(line, err=True),
        )  # fmt: skip
    if as_json:
        echo_json(audit.as_dict())
        return
    from rivalry.audit import memory_lines, risk_lines, table
    from rivalry.cli.tables import show

    show([[row[i] for i in COLUMNS] for row in table(audit)])
    click.echo()
    show(memory_lines(audit))
    click.echo()
    if audit.risks:
        show(risk_lines(audit))
        click.echo()
    for line in audit.verdict():
        click.echo(line)
    click.echo(f"what this takes for granted: {found.path / 'audit.md'}")


@contextmanager
def _progress() -> Iterator[Tick]:
    """A bar on a terminal's stderr for what takes over a second, elsewhere a line now and then."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    if not sys.stderr.isatty():
        yield _lines(time.monotonic())
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        places: dict[str, TaskID] = {}

        def tick(what: str, share: float) -> None:
            if what not in places:
                places[what] = bar.add_task(what, total=1.0)
            bar.update(places[what], completed=share)

        yield tick


def _lines(begun: float) -> Tick:
    last = begun

    def tick(what: str, share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= PAUSE:
            last = time.monotonic()
            click.echo(f"{what}: {share:.0%}", err=True)

    return tick
