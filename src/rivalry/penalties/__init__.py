"""Penalties: what is charged on a match, to the side that judges or fools it."""

from rivalry.penalties.common import Charge
from rivalry.penalties.slopes import (
    DRAGAN,
    GP,
    GP0,
    R1,
    R2,
    ApproximateR1,
    ApproximateR2,
    Div,
    MaxGradient,
)

__all__ = ["DRAGAN", "GP", "GP0", "R1", "R2", "ApproximateR1", "ApproximateR2", "Charge", "Div", "MaxGradient"]
