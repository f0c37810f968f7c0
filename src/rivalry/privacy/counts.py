"""The terms of counting under differential privacy (the baselines): what was spent at once."""

from __future__ import annotations

from dataclasses import dataclass

COUNTS = "normal counts"


@dataclass(frozen=True)
class CountTerms:
    """What was asked for, and the mechanism that keeps it.

    epsilon, delta: asked for, and spent.  rho: zero-concentrated cost of counting, in so many equal rounds.  rows: in the training
    set.  before, names_delta: noise of a preparation of the columns that is paid for too (0: none), and its part of delta.
    """

    epsilon: float
    delta: float
    rho: float
    rounds: int
    rows: int
    before: float = 0.0
    names_delta: float = 0.0
    turns: int = 1
    mechanism: str = COUNTS

    def epsilon_after(self, turns: int) -> float:
        """All of it, once the rows were counted."""
        return self.epsilon if turns else 0.0
