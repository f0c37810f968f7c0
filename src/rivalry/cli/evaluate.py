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
@click.option("--target", default="", help="Of tables: a column to predict, after training on real and on synthetic rows.")
@device
@as_json
def command(
    run: str, count: int | None, which: str, weights: Path | None, seed: int, target: str, device: str, as_json: bool
) -> None:
    """Measure RUN with every ruler that fits its data: value, 95 % interval, and the floor that real data reach.

    \b
    rivalry evaluate demo
    rivalry evaluate patients --target diagnosis    # what the synthetic rows are good for
    """
    from rivalry.api import load

    if target:
        return _utility(run, target, count, which, seed, device, as_json)
    scores, beside = load(run).beside(count, which=which, weights=weights, seed=seed, device=device)
    if as_json:
        found = scores.as_dict()
        if beside:
            found["baselines"] = {name: one.as_dict() for name, one in beside.items()}
        click.echo(json.dumps(found, indent=1))
    else:
        from rivalry.cli.tables import show
        from rivalry.evaluate import HEADER
        from rivalry.evaluate.rulers import number

        *_, (*_, counts) = rows = scores.table()
        others = [[number(one[m].value) if m in one else "" for one in beside.values()] for m in scores]
        show([(*HEADER[:-1], *beside), *((*row[:-1], *more) for row, more in zip(rows, others, strict=True))])
        click.echo(f"measured on {counts} rows of {run}'s data; the floor is what real training data score")


def _utility(run: str, target: str, count: int | None, which: str, seed: int, device: str, as_json: bool) -> None:
    from rivalry.api import load
    from rivalry.baselines import usual
    from rivalry.cli.tables import show

    opened = load(run)
    data = opened.data()
    found = opened.utility(target, n=count, which=which, seed=seed, device=device, data=data)
    arms = {"real rows": found.real, "synthetic rows": found.fake, "both": found.augmented}
    for name in usual(data.spec):
        other = opened.utility(target, n=count, seed=seed, device=device, data=data, baseline=name)
        arms[f"{name} (baseline)"] = other.fake
    if as_json:
        click.echo(json.dumps({"target": target, "measure": found.measure} | {k: v._asdict() for k, v in arms.items()}))
        return
    name = "AUC" if found.measure == "auc" else "R2"
    show([("trained on", f"{name}, trees", f"{name}, linear"), *((k, f"{v.trees:.3f}", f"{v.linear:.3f}") for k, v in arms.items())])
    click.echo(f"{target} of the held-out rows of {run}'s data, predicted from the other columns")
