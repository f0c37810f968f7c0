"""`rivalry apply`."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.options import device


@click.command("apply")
@click.argument("run")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Where to: .csv or .tsv for text, .parquet for Parquet.")
@click.option("--draws", type=int, default=1, show_default=True, help="Fill so many times anew (multiple imputation): OUT-1.csv ...")
@click.option("--likely", is_flag=True, help="The most likely value (numbers: the mean) in place of a draw.")
@click.option("--pool", type=int, default=50_000, show_default=True, help="Generated rows among which like ones are looked for.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True)
@device
def command(
    run: str, table: Path, out: Path, draws: int, likely: bool, pool: int, seed: int, which: str, device: str
) -> None:
    """Fill the missing cells of TABLE by what RUN, trained on such tables, makes of the cells that are there.

    Only missing cells of learned columns change; all others, other columns and the order of rows stay as they are.  No
    training data are read.

    \b
    rivalry apply patients gaps.csv -o filled.csv
    rivalry apply patients gaps.csv -o filled.csv --draws 5
    """
    from rivalry.api import load
    from rivalry.cli.bars import bar

    with bar() as tick:
        done = load(run).apply(table, out, draws=draws, likely=likely, pool=pool, seed=seed, which=which, device=device, tick=tick)
    click.echo(done.text())
