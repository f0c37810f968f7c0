"""What `rivalry apply RUN --style` and `rivalry evaluate RUN` do for runs that rewrite texts."""

from __future__ import annotations

from os.path import isdir, isfile
from pathlib import Path

import click

from rivalry.api import Run
from rivalry.cli.options import echo_json
from rivalry.errors import DataError

SHOWN = 8


def show_restyled(run: str, source: str, style: str, out: Path | None, strength: float | None, which: str, device: str) -> None:
    """Rewrites a text that was typed, or the lines of a file, in the style."""
    from rivalry.api import load
    from rivalry.styling import Stylist, lines_of

    stylist = Stylist(load(run).folder, which, device, strength)
    if isfile(source):  # False for a text that is too long for a name
        if out is not None:
            click.echo(stylist.rewrite_file(Path(source), style, out).text())
            return
        lines = lines_of(Path(source))
    elif out is not None:
        raise DataError(f"there is no file {source}; -o goes with a file of lines, a text that is typed is answered at once")
    elif isdir(source):
        raise DataError(f"{source} is a folder; name a file with a line for each text, or type the text itself")
    elif source.lower().endswith(".txt") and " " not in source:
        raise DataError(f"there is no file {source}; mend its name, or type the text itself")
    else:
        lines = [source]
    for line in stylist.rewrite(lines, style):
        click.echo(line)


def rewrites(run: Run) -> bool:
    """Whether a run rewrites texts."""
    from rivalry.games.restyle import Restyling

    return isinstance(run.recipe.game, Restyling)


def check_styled(run: Run) -> None:
    """DataError for a run that rewrites texts, which was not told the style."""
    from rivalry.styling import needed

    if rewrites(run):
        raise needed(run.folder)


def show_scores(run: Run, count: int | None, which: str, seed: int, device: str, as_json: bool) -> None:
    """The scores beside copying the input, how good the classifier itself is, and what came out well and badly."""
    from rivalry.cli.tables import show
    from rivalry.evaluate.rulers import number
    from rivalry.styling import measured

    found = measured(run, count, which=which, seed=seed, device=device)
    if as_json:
        echo_json(found.as_dict(), ascii_only=False)
        return
    *_, (*_, counts) = rows = found.scores.table()
    copied = [number(found.copied.get(m)) for m in found.scores]
    shown = [("score", "value", "95 %", "real lines", "copying the input")]
    show([*shown, *((*row[:4], other) for row, other in zip(rows, copied, strict=True))])
    click.echo(
        f"measured on {counts} rows; the classifier of styles is trained apart, on training lines alone, and knows the style of "
        f"{found.accuracy:.1f} % of held-out lines"
    )
    for title, pairs in found.shown(SHOWN).items():
        click.echo(f"\n{title}:")
        for style, before, after in pairs:
            click.echo(f"  [{style}] {before}\n      -> {after}")
