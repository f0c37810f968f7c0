"""How many samples a run may hand out in all: the more of them there are, the more they tell.

The cap is in run.toml, the count in a file beside it.  It binds whoever draws through `rivalry sample` or `Run.sample`; the
checkpoint's owner can of course draw as they like.
"""

from __future__ import annotations

import json
import os

from rivalry.errors import RecipeError, RunError
from rivalry.run import Run, read_lines

FILE = "handed-out.jsonl"


def check(cap: int | None) -> int:
    """The cap as it is recorded, 0 for none.  RecipeError below one sample."""
    if cap is not None and cap < 1:
        raise RecipeError(f"--cap must let at least one sample out, not {cap}")
    return cap or 0


def handed_out(run: Run) -> int:
    """Samples handed out so far; counted only where there is a cap."""
    return sum(int(line["samples"]) for line in read_lines(run.path / FILE))


def spend(run: Run, n: int) -> None:
    """To be called before n samples are drawn; RunError, and nothing is counted, where the cap does not allow them.

    They are counted before they are drawn, so a crash costs them; two at once can refuse both, and never exceed the cap.
    """
    cap = int(run.settings["train"].get("cap", 0))
    if not cap or n < 1:
        return
    used = handed_out(run)
    if used + n <= cap:
        _note(run, n)
        if handed_out(run) <= cap:
            return
        _note(run, -n)
    left = max(0, cap - used)
    more = f"ask for {left:,} at most" if left else "none are left; train another run, which adds to what all of them tell"
    raise RunError(f"{run.name} may hand out {cap:,} samples in all and {used:,} are gone, so {n:,} are too many; {more}")


def _note(run: Run, n: int) -> None:
    path = run.path / FILE
    try:
        with open(path, "a", encoding="utf-8") as out:
            out.write(json.dumps({"samples": n}) + "\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror}), and samples of a capped run must be counted") from error
