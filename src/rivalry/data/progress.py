"""A progress bar for whatever lasts over a second, on a terminal only; and an ordered map over threads."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
PATIENCE = 1.0


def track(items: Iterable[A], what: str, total: int | None = None) -> Generator[A, None, None]:
    """Yields the items; after a second a bar on stderr says how far it is (never when that is no terminal)."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=total)
    began, shown = time.monotonic(), False
    try:
        for item in items:
            yield item
            bar.advance(task)
            if not shown and time.monotonic() - began > PATIENCE:
                bar.start()
                shown = True
    finally:
        if shown:
            bar.stop()


@contextmanager
def ticking(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to be told how many of `total` steps are done; what lasts over a second shows a bar as `track` does, and where stderr
    is no terminal one line says what is done and how long it will take."""
    begun, told = time.monotonic(), False

    def line(done: int) -> None:
        nonlocal told
        spent = time.monotonic() - begun
        if not told and 0 < done < total and spent > PATIENCE:
            told = True
            print(f"{what}: about {spent * (total - done) / done:,.0f} s to go", file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield line
        return
    steps, at = track(range(total), what, total), 0
    next(steps, None)

    def bar(done: int) -> None:
        nonlocal at
        while at < done:
            next(steps, None)
            at += 1

    try:
        yield bar
    finally:
        steps.close()


def threaded(work: Callable[[A], B], items: Iterable[A], small: bool = False, ahead: int = 32) -> Iterator[B]:
    """work(item) in the items' order, by as many threads as there are cores, at most `ahead` items early.

    small: the work on an item is so little that threads would only get in one another's way.
    """
    if small:
        yield from map(work, items)
        return
    workers = max(1, min(8, os.cpu_count() or 1))
    waiting: deque[Future[B]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="rivalry-decode") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
