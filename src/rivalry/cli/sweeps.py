"""`rivalry evaluate RUN --sweep`: quality against variety of text over temperatures."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.bars import bar
from rivalry.cli.options import echo_json
from rivalry.cli.tables import show
from rivalry.errors import RecipeError


def numbers(text: str, what: str) -> tuple[float, ...]:
    """'.6,.8,1' as numbers; RecipeError otherwise."""
    try:
        found = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise RecipeError(f"{what} takes numbers with commas between them, for example .6,.8,1, not {text!r}") from error
    if not found:
        raise RecipeError(f"{what} takes numbers with commas between them, for example .6,.8,1")
    return found


def show_sweep(
    runs: tuple[str, ...], temperatures: str, top_ps: str, n: int | None, which: str, weights: Path | None, device: str, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Measures, prints a table and where curves are better or worse, and draws RUN/plots/sweep.png."""
    from rivalry.api import load
    from rivalry.sweeping import AXES, TEMPERATURES, Level, draw, sweep

    loaded = [load(name) for name in runs]
    wanted = numbers(temperatures, "--temperatures") if temperatures else TEMPERATURES
    with bar() as tick:
        found = sweep(
            [run.folder for run in loaded], loaded[0].data(), wanted, numbers(top_ps, "--top-ps"), n or 2000, which=which,
            weights=weights, device=device, seed=seed, tick=tick,
        )  # fmt: skip
    picture = draw(found, loaded[0].path / "plots" / "sweep.png")
    first, *others = found.contenders
    pairs = [(other, axis) for other in others for axis in range(len(AXES))]
    tests, apart = dict[tuple[str, int], tuple[Level, ...]](), dict[tuple[str, int], str]()
    for other, axis in pairs:
        try:
            tests[other, axis] = found.dominance(other, first, axis)
        except RecipeError as error:  # what was measured is shown all the same
            apart[other, axis] = str(error)
    if as_json:
        told = [
            {"contender": o, "against": first, "axis": AXES[a][:2], "levels": [vars(v) for v in tests.get((o, a), ())], "why_none": apart.get((o, a), "")}
            for o, a in pairs
        ]
        echo_json(found.as_dict() | {"tests": told, "picture": str(picture)})
        return
    show(found.table())
    for other, axis in pairs:
        variety, quality, _ = AXES[axis]
        click.echo(f"{other} against {first}: {found.names[quality]} at equal {found.names[variety]}")
        if (other, axis) in apart:
            click.echo(f"  {apart[other, axis]}")
        for level in tests.get((other, axis), ()):
            interval = "" if level.interval is None else f" ({level.interval[0]:+.4g} to {level.interval[1]:+.4g})"
            click.echo(f"  at {level.variety:.4g}: {level.gain:+.4g}{interval}, {level.verdict}")
    click.echo(str(picture))
