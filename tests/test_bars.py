"""Bars on a terminal: they come by themselves after a moment, and make room for one another."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

QUIET = """
import time
from rivalry.cli import bars
bars.PATIENCE = 0.2
with bars.bar() as tick:
    tick("measuring", 0.9)
    time.sleep(1.0)
"""
ANOTHER = """
import time
from rivalry.cli import bars
from rivalry.data import progress
bars.PATIENCE = progress.PATIENCE = 0.1
with bars.bar() as tick:
    tick("drawing", 0.5)
    time.sleep(0.5)
    tick("drawing", 1.0)
    for _ in progress.track(range(5), "writing"):
        time.sleep(0.2)
"""


def terminal(code: str) -> str:
    """What a person sees of stderr."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "90"})
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # the other end is closed
        pass
    assert done.wait() == 0, seen.decode()
    return seen.decode()


def test_a_bar_shows_though_nothing_more_is_told() -> None:
    """The long part may come after the last word."""
    assert "measuring" in terminal(QUIET)


def test_a_bar_that_is_full_leaves_before_another_comes() -> None:
    seen = terminal(ANOTHER)
    assert seen.rindex("drawing") < seen.index("writing")
