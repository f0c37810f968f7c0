"""The progress bar of a training: on a terminal a line that moves, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

QUIET = 20.0
"""Seconds between lines where there is no terminal."""


class Progress:
    """Counts steps, shows rate, time left and the latest figures; on stderr, of the main process only."""

    def __init__(self, steps: int, done: int, main: bool) -> None:
        self.main, self.steps = main, steps
        self.console = Console(stderr=True)
        self.begun, self.first, self.shown = time.monotonic(), done, time.monotonic()
        self.bar: RichProgress | None = None
        if main and sys.stderr.isatty():
            self.bar = RichProgress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=self.console,
            )
            self.task = self.bar.add_task("train", total=steps, completed=done, rate="", figures="")
            self.bar.start()

    def update(self, step: int, figures: Mapping[str, float]) -> None:
        if not self.main:
            return
        now = time.monotonic()
        pause = 0.2 if self.bar is not None else QUIET
        if now - self.shown < pause and step < self.steps:
            return
        self.shown = now
        rate = f"{(step - self.first) / max(now - self.begun, 1e-9):.1f} steps/s"
        text = "  ".join(f"{k} {v:.3g}" for k, v in figures.items() if k.count(".") < 2)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, rate=rate, figures=text)
        else:
            print(f"step {step}/{self.steps}  {rate}  {text}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        if self.main:
            (self.bar.console if self.bar is not None else self.console).print(line, markup=False, highlight=False)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
