"""Statistics of feature tables: tensors in, numbers out; nothing here knows what made the features.

moments, frechet        mergeable mean and covariance; Fréchet distance with a reusable factor and interval
kernel                  kernel distance (KID) with its standard error
distances, neighbours   nearest neighbours without cancellation; precision, recall, density, coverage
copying                 are samples nearer to training than to held-out data?
modes                   modes found, KL and its sampling floor, sliced Wasserstein distance
intervals               Wilson's interval, quantiles
"""

from __future__ import annotations

from rivalry.stats.copying import Memorisation, memorisation
from rivalry.stats.distances import nearest
from rivalry.stats.frechet import (
    FrechetEstimate,
    Reference,
    frechet_distance,
    frechet_from_features,
    frechet_interval,
)
from rivalry.stats.intervals import Interval, normal_quantile, student_quantile, wilson
from rivalry.stats.kernel import KernelDistance, kernel_distance
from rivalry.stats.modes import (
    MixtureReport,
    ModeReport,
    kl_floor,
    kl_from_counts,
    mixture_modes,
    mode_counts,
    modes_from_labels,
    sliced_wasserstein,
)
from rivalry.stats.moments import Moments, grouped_moments
from rivalry.stats.neighbours import PRDC, expected_coverage, neighbour_radii, prdc

__all__ = [
    "PRDC",
    "FrechetEstimate",
    "Interval",
    "KernelDistance",
    "Memorisation",
    "MixtureReport",
    "ModeReport",
    "Moments",
    "Reference",
    "expected_coverage",
    "frechet_distance",
    "frechet_from_features",
    "frechet_interval",
    "grouped_moments",
    "kernel_distance",
    "kl_floor",
    "kl_from_counts",
    "memorisation",
    "mixture_modes",
    "mode_counts",
    "modes_from_labels",
    "nearest",
    "neighbour_radii",
    "normal_quantile",
    "prdc",
    "sliced_wasserstein",
    "student_quantile",
    "wilson",
]
