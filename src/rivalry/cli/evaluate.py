"""`rivalry evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.options import PlacePath, as_json, device, echo_json


@click.command("evaluate")
@click.argument("run")
@click.option("-n", "count", type=int, help="How many samples (as many as fit the data, up to 10,000).")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True)
@click.option("--weights", type=PlacePath(), help="Weights of a feature extractor to measure with.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the samples; training never used it.")
@click.option("--target", multiple=True, help="Of tables: a column to predict, after training on real and on synthetic rows.")
@click.option("--by", multiple=True, help="Of tables: a column whose groups of rows are measured apart, for example sex.")
@click.option("--survival", multiple=True, help="Of tables: TIME,EVENT or TIME,EVENT=VALUE, two columns: Kaplan-Meier curves.")
@click.option("--full", is_flag=True, help="Of tables: all that the report for a data officer shows.")
@click.option("--sweep", is_flag=True, help="Of text: quality against variety over temperatures, as a table and a picture.")
@click.option("--temperatures", default="", help="Of the sweep, with commas between them; .5 to 1.1 without it.")
@click.option("--top-ps", default="1", help="Of the sweep, with commas between them.", show_default=True)
@click.option("--beside", multiple=True, metavar="RUN", help="Of the sweep: another run on the same data; repeatable.")
@device
@as_json
def command(
    run: str, count: int | None, which: str, weights: Path | None, seed: int, target: tuple[str, ...],
    by: tuple[str, ...], survival: tuple[str, ...], full: bool, device: str, as_json: bool, sweep: bool, temperatures: str,
    top_ps: str, beside: tuple[str, ...],
) -> None:  # fmt: skip
    """Measure RUN with every ruler that fits its data: value, 95 % interval, and the floor that real data reach.

    Runs that change pictures stand beside what doing nothing scores (the input, enlarged bicubically where sizes differ), beside
    their last checkpoint, and beside the one where pixels alone had decided (runs that a discriminator judged from the first step have none).

    What --target, --by, --survival and --full measure is also kept in the run's evaluation.json, for
    `rivalry report RUN --officer`; it holds no row, and tells of no fewer than ten people.

    \b
    rivalry evaluate demo
    rivalry evaluate patients --target diagnosis    # what the synthetic rows are good for
    rivalry evaluate patients --full --target diagnosis --by sex --survival days,died
    rivalry evaluate captions --sweep --beside captions-gan
    """
    from rivalry.api import load
    from rivalry.cli.bars import bar
    from rivalry.cli.styles import rewrites, show_scores

    if sweep or beside:
        from rivalry.cli.sweeps import show_sweep

        show_sweep((run, *beside), temperatures, top_ps, count, which, weights, device, seed, as_json)
        return
    if temperatures:
        raise click.UsageError("--temperatures is of a sweep; add --sweep")
    if target or by or survival or full:
        from rivalry.cli.studies import show_study

        found = load(run).study(target, by, survival, full=full, n=count, which=which, seed=seed, device=device)
        show_study(run, found, as_json)
        return
    if rewrites(load(run)):
        show_scores(load(run), count, which, seed, device, as_json)
        return
    opened = load(run)
    with bar() as tick:
        scores, rivals = opened.beside(count, which=which, weights=weights, seed=seed, device=device, tick=tick)
    if as_json:
        found = scores.as_dict()
        if rivals:
            found["baselines"] = {name: one.as_dict() for name, one in rivals.items()}
        echo_json(found)
    else:
        from rivalry.cli.tables import show
        from rivalry.evaluate import HEADER
        from rivalry.evaluate.rulers import number

        *_, (*_, counts) = rows = scores.table()
        others = [[number(one[m].value) if m in one else "" for one in rivals.values()] for m in scores]
        show([(*HEADER[:-1], *rivals), *((*row[:-1], *more) for row, more in zip(rows, others, strict=True))])
        click.echo(f"measured on {counts} rows of {run}'s data; the floor is what real training data score")
        if "paired" in scores.details:
            for sentence in filter(None, (*scores.details["paired"]["said"], opened.folder.untwinned)):
                click.echo(sentence)
