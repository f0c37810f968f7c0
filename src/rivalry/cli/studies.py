"""What `rivalry evaluate` prints of sections of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from rivalry.cli.options import echo_json
from rivalry.cli.tables import show
from rivalry.officer.tables import tables


def show_study(run: str, sections: Mapping[str, Any], as_json: bool) -> None:
    """JSON: a lone section as it is, several by name.  Else each table under its title, with a note."""
    if as_json:
        echo_json(next(iter(sections.values())) if len(sections) == 1 else sections)
        return
    for place, table in enumerate(tables(sections)):
        if place:
            click.echo()
        click.echo(click.style(table.title, bold=True))
        show([table.head, *table.rows])
        for note in table.notes:
            click.echo(note)
    click.echo(f"\nkept in evaluation.json of {run}")
