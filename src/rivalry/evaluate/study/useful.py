"""What synthetic rows are good for, as plain values."""

from __future__ import annotations

from typing import Any

from rivalry import stats
from rivalry.evaluate.study.sides import Sides, plain, rounded
from rivalry.stats.worth import Worth, Worths, worths

ARMS = ("real rows", "synthetic rows", "both")


def predicted(sides: Sides, target: str, seed: int) -> stats.Predictions:
    """What both learners predict for the held-out rows, after training on each arm; the baseline knows no relation: training
    columns that were shuffled one by one."""
    shuffled = stats.independent_marginals(sides.train, len(sides.fake), seed)
    return stats.predictions(sides.train, sides.fake, sides.held, sides.kinds, sides.place(target), seed, shuffled)


def utility(target: str, found: stats.Predictions) -> dict[str, Any]:
    """Grades on all held-out rows."""
    return {"target": target, **told(worths(found))}


def told(found: Worths) -> dict[str, Any]:
    """measure; of each arm the grade by learner; their intervals; gap (real - synthetic), gain (both - real), and the
    grades of the baseline."""
    by = {"trees": found.trees, "linear": found.linear}
    arms = {name: _arms(worth) for name, worth in by.items()}
    return {
        "measure": found.measure,
        **{arm: {name: rounded(arms[name][arm].value, 6) for name in by} for arm in ARMS},
        "intervals": {arm: {name: plain(arms[name][arm]) for name in by} for arm in ARMS},
        "gap": {name: plain(worth.gap) for name, worth in by.items()},
        "gain": {name: plain(worth.gain) for name, worth in by.items()},
        "baseline": {name: plain(worth.baseline) for name, worth in by.items() if worth.baseline is not None},
    }


def _arms(worth: Worth) -> dict[str, stats.Interval]:
    return dict(zip(ARMS, (worth.real, worth.fake, worth.augmented), strict=True))
