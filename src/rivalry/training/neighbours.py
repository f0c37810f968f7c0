"""Who else computes on this machine: a time budget becomes as many steps as the start is fast, so a crowded start makes a short training."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = Path("/proc/stat")
LEEWAY = 0.25
"""Of a processor: small helpers are always about."""


@dataclass(frozen=True)
class Moment:
    """wall: seconds of a clock.  busy: seconds that the machine's processors have computed, for whom ever.  own: those of this process."""

    wall: float
    busy: float
    own: float


def now() -> Moment | None:
    """None where the system does not tell (it is Linux that does)."""
    try:
        user, nice, system, _, _, irq, soft, stolen = (float(v) for v in TICKS.read_text().split("\n", 1)[0].split()[1:9])
    except (OSError, ValueError):
        return None
    return Moment(time.perf_counter(), (user + nice + system + irq + soft + stolen) / os.sysconf("SC_CLK_TCK"), time.process_time())


def others(before: Moment | None, after: Moment | None) -> float:
    """How many processors others kept busy in between, on average; 0 where nobody tells."""
    if before is None or after is None or after.wall <= before.wall:
        return 0.0
    return max(0.0, (after.busy - before.busy) - (after.own - before.own)) / (after.wall - before.wall)


def crowded(others: float, threads: int, processors: int) -> str:
    """What to say of a step's time that was measured beside others; '' if there was room for all.

    threads: that the training itself computes with."""
    if others <= LEEWAY or others + threads <= processors + LEEWAY:
        return ""
    return (
        f"other programs keep {others:.1f} of the {processors} processors busy, and a step was timed among them: a budget of time is as many steps as fit at this pace, "
        "so should they end, the training is done early and has learned less; --budget 5000steps and the like count steps"
    )
