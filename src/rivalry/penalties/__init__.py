"""Penalties: what is charged on a match, to the side that judges or fools it."""

from rivalry.penalties.common import Charge
from rivalry.penalties.couplings import D2DCE, Contrastive2C, FeatureMatching, InfoMax, PullAway
from rivalry.penalties.heads import (
    ADC,
    Classification,
    CrammerSinger,
    MutualInformation,
    Reconstruction,
    Rotation,
    SemiSupervised,
    Twin,
)
from rivalry.penalties.information import Information
from rivalry.penalties.matching import SeenAlike
from rivalry.penalties.scores import Consistency, Drift, LatentConsistency, LeCam
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

__all__ = [
    "ADC",
    "D2DCE",
    "DRAGAN",
    "GP",
    "GP0",
    "R1",
    "R2",
    "ApproximateR1",
    "ApproximateR2",
    "Charge",
    "Classification",
    "Consistency",
    "Contrastive2C",
    "CrammerSinger",
    "Div",
    "Drift",
    "FeatureMatching",
    "InfoMax",
    "Information",
    "LatentConsistency",
    "LeCam",
    "MaxGradient",
    "MutualInformation",
    "PullAway",
    "Reconstruction",
    "Rotation",
    "SeenAlike",
    "SemiSupervised",
    "Twin",
]
