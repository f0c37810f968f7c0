"""Tables on the terminal: columns are never cut; only a long last one wraps."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

import click

LEAST = 30
"""Characters the last column gets however narrow the terminal is."""


def show(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the first of which is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    before = sum(w + 2 for w in widths[:-1])
    room = max(LEAST, shutil.get_terminal_size((100, 24)).columns - before)
    for number, row in enumerate(rows):
        first, *more = textwrap.wrap(row[-1], room) or [""]
        cells = "".join(f"{cell:<{w + 2}}" for cell, w in zip(row[:-1], widths[:-1], strict=True))
        click.echo(click.style((cells + first).rstrip(), bold=number == 0))
        for line in more:
            click.echo(" " * before + line)
