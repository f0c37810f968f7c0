"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def show(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows, the first of which is the head; the last column may wrap."""
    head, *body = rows
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=i < len(head) - 1)
    for row in body:
        table.add_row(*row)
    Console().print(table)
