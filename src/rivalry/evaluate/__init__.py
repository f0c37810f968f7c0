"""Rulers, scores, targets, and the judge who applies them.

rulers               how a number was measured; scores of different rulers refuse to be compared
target               "fd<20, coverage>.5", "fd<3x floor"; budgets "10m", "500steps"
features, reference  features of samples, of held-out and of training rows
measures, scores     one pass over the samples, all metrics, each beside its floor
neighbours           samples beside their nearest training rows
judge                a cheap look at every tick, the full ruler before the target is said to be met
extractor            which feature space
"""

from __future__ import annotations

from rivalry.evaluate.extractor import choose_extractor, kept_at
from rivalry.evaluate.features import Draw, FeatureSpace
from rivalry.evaluate.judge import Judge, Looks, Verdict
from rivalry.evaluate.neighbours import Neighbours, neighbours, write_sheet
from rivalry.evaluate.paired import PairedJudge, judge_of
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import METRICS, Metric, Ruler, Score, metric
from rivalry.evaluate.scores import HEADER, Scores, available, evaluate
from rivalry.evaluate.target import Budget, Condition, Target

__all__ = [
    "HEADER",
    "METRICS",
    "Budget",
    "Condition",
    "Draw",
    "FeatureSpace",
    "Judge",
    "Looks",
    "Metric",
    "Neighbours",
    "PairedJudge",
    "Reference",
    "Ruler",
    "Score",
    "Scores",
    "Target",
    "Verdict",
    "available",
    "choose_extractor",
    "evaluate",
    "judge_of",
    "kept_at",
    "metric",
    "neighbours",
    "write_sheet",
]
