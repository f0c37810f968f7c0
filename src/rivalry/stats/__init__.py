"""Statistics of feature tables: tensors in, numbers out; nothing here knows what made the features.

moments, frechet        mergeable mean and covariance; Fréchet distance with a reusable factor and interval
kernel                  kernel distance (KID) with its standard error
distances, neighbours   nearest neighbours without cancellation; precision, recall, density, coverage
copying                 are samples nearer to training than to held-out data?
modes                   modes found, KL and its sampling floor, sliced Wasserstein distance
intervals               Wilson's interval, quantiles
tabular                 columns, pairs of columns, missing cells; alpha-precision, beta-recall, authenticity
tabular_models          real from fake by boosted trees; utility: train on synthetic, test on real
survival                Kaplan-Meier curves and the gap of two, Cox's model, concordance
attacks                 membership inference: scores of candidate rows, and what they are worth
canaries                planted rows and shadow models: a bound on epsilon, likelihood ratios
data_copying            C_T, the three-sample test
risks                   singling out, linking, inferring, against a control
"""

from __future__ import annotations

from rivalry.stats.attacks import (
    Chance,
    Near,
    auc_interval,
    ball_counts,
    chance,
    clopper_pearson,
    density_ratio,
    epsilon_lower_bound,
    gan_leaks,
    gan_leaks_calibrated,
    holm,
    median_radius,
    near,
    supported_rates,
    told_by_logistic,
    told_by_trees,
    true_positives,
)
from rivalry.stats.canaries import canary_bound, lira, standardised
from rivalry.stats.copying import Memorisation, memorisation
from rivalry.stats.data_copying import DataCopying, data_copying
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
from rivalry.stats.risks import Risk, linked, linked_by_chance, predicates, risk
from rivalry.stats.tabular import (
    Faithfulness,
    Spread,
    alpha_precision_beta_recall,
    faithfulness,
    independent_marginals,
    missing_errors,
    missing_pattern_distance,
    shape_error,
    shape_errors,
    trend_error,
    trend_errors,
)
from rivalry.stats.tabular_models import (
    Learned,
    Predictions,
    Utility,
    classifier_two_sample,
    graded,
    predictions,
    roc_auc,
    utility,
)

__all__ = [
    "PRDC",
    "Chance",
    "DataCopying",
    "Faithfulness",
    "FrechetEstimate",
    "Interval",
    "KernelDistance",
    "Learned",
    "Memorisation",
    "MixtureReport",
    "ModeReport",
    "Moments",
    "Near",
    "Predictions",
    "Reference",
    "Risk",
    "Spread",
    "Utility",
    "alpha_precision_beta_recall",
    "auc_interval",
    "ball_counts",
    "canary_bound",
    "chance",
    "classifier_two_sample",
    "clopper_pearson",
    "data_copying",
    "density_ratio",
    "epsilon_lower_bound",
    "expected_coverage",
    "faithfulness",
    "frechet_distance",
    "frechet_from_features",
    "frechet_interval",
    "gan_leaks",
    "gan_leaks_calibrated",
    "graded",
    "grouped_moments",
    "holm",
    "independent_marginals",
    "kernel_distance",
    "kl_floor",
    "kl_from_counts",
    "linked",
    "linked_by_chance",
    "lira",
    "median_radius",
    "memorisation",
    "missing_errors",
    "missing_pattern_distance",
    "mixture_modes",
    "mode_counts",
    "modes_from_labels",
    "near",
    "nearest",
    "neighbour_radii",
    "normal_quantile",
    "prdc",
    "predicates",
    "predictions",
    "risk",
    "roc_auc",
    "shape_error",
    "shape_errors",
    "sliced_wasserstein",
    "standardised",
    "student_quantile",
    "supported_rates",
    "told_by_logistic",
    "told_by_trees",
    "trend_error",
    "trend_errors",
    "true_positives",
    "utility",
    "wilson",
]
