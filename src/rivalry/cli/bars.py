"""Progress on stderr, for what takes over a second: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Tick = Callable[[str, float], None]
PATIENCE = 1.5
PAUSE = 15.0
"""Seconds before the first line, and between lines, where there is no terminal."""


@contextmanager
def bar() -> Iterator[Tick]:
    """A function to be told (what is done, its share of the whole)."""
    begun = time.monotonic()
    if not sys.stderr.isatty():
        yield _lines(begun)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=Console(stderr=True), transient=True)
    task = shown.add_task("", total=1.0)

    def late() -> None:
        """The long part may come after the last tick; before the first others may show bars of their own."""
        if shown.tasks[task].description:
            shown.start()

    soon = threading.Timer(PATIENCE, late)
    soon.daemon = True
    soon.start()

    def stop() -> None:
        soon.cancel()
        soon.join()
        shown.stop()

    def tick(what: str, share: float) -> None:
        shown.update(task, description=what, completed=share)
        if share >= 1:
            stop()  # what follows may have a bar of its own
        elif time.monotonic() - begun > PATIENCE:
            shown.start()

    try:
        yield tick
    finally:
        stop()


def _lines(begun: float) -> Tick:
    due = begun + PATIENCE

    def tick(what: str, share: float) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due and share < 1:
            due = now + PAUSE
            left = f", about {(now - begun) * (1 - share) / share:,.0f} s to go" if share > 0 else ""
            click.echo(f"{what}: {share:.0%}{left}", err=True)

    return tick
