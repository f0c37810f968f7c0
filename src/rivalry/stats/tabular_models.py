"""Rulers for tables that train a classifier: can trees tell real from fake, and is the fake fit to learn from?

Needs scikit-learn (the extra `tables`), which is imported at the first call.  Tables are as in `stats.tabular`.
The learners' settings are part of the ruler: boosted trees are scikit-learn's HistGradientBoosting with 100 trees
of 31 leaves, rate .1, no early stopping; linear ones have a penalty of 1 on the squared weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivalry.errors import DataError, MissingExtra
from rivalry.stats.intervals import Interval, check_confidence, normal_quantile
from rivalry.stats.tabular import checked, level_codes, row_codes
from rivalry.streams import generator, key

Array = NDArray[Any]

TREE_LEVELS = 255
"""Levels of a category that the trees take as such; beyond them its level numbers are taken as numbers."""

LINEAR_LEVELS = 100
"""Levels of a category that get a column of their own in the linear learner: the most frequent ones."""

REACH = 10.0
"""Standardised numbers are clipped here, so that one wild fake cell does not make the linear learner."""


def roc_auc(positive: Tensor, negative: Tensor) -> tuple[float, float]:
    """P(score of a positive > score of a negative), ties half, and its variance (DeLong et al. 1988, eq. 4-7).

    Scores [N], [M], each at least one.  The variance is 0 for a side of one row and where all are told apart.
    """
    x, y = positive.double(), negative.double()
    wins, losses = _placements(x, y), 1 - _placements(y, x)
    variances = [float(v.var()) / len(v) if len(v) > 1 else 0.0 for v in (wins, losses)]
    return float(wins.mean()), sum(variances)


def _placements(x: Tensor, y: Tensor) -> Tensor:
    """[N]: share of y [M] below each of x [N], ties half."""
    order = y.sort().values
    return (torch.searchsorted(order, x) + torch.searchsorted(order, x, right=True)).double() / (2 * len(y))


def classifier_two_sample(
    real: Tensor, fake: Tensor, kinds: Sequence[str], seed: int, *, folds: int = 5, confidence: float = 0.95
) -> Interval:
    """AUC with which boosted trees tell fake [M, C] from real [N, C] rows they were not trained on: .5 is perfect.

    Lopez-Paz & Oquab (2017), with AUC in place of accuracy.  Each fold is scored by trees of the other folds;
    the value is the mean of the folds' AUCs.  The interval is normal with DeLong's variance of a fold v times
    1 / folds + 1 / (folds - 1), because folds share training rows (Nadeau & Bengio 2003, eq. 11; v / folds alone
    was 1.3 times too narrow for equal distributions); its width is 0 where all rows are told apart.
    A real and a fake row that are equal go into one fold, or else copies would push the AUC below .5.
    Compare with real rows the model did not see.  Encoded rows go in as numbers.  Trees need some 100 rows a side.
    DataError on unfit tables and where a side has fewer rows than folds; MissingExtra without scikit-learn.
    """
    real, fake = checked(kinds, real.cpu(), fake)
    check_confidence(confidence)
    if folds < 2 or min(len(real), len(fake)) < folds:
        raise DataError(f"{folds} folds need at least two folds and as many rows of each side; lower `folds`")
    rows, categorical = _tree_columns(kinds, torch.cat([real, fake]))
    made = np.arange(len(rows)) >= len(real)
    fold = _folds(row_codes(torch.cat([real, fake])), len(real), folds, seed).numpy()
    found = []
    for held in range(folds):
        train, test = fold != held, fold == held
        trees, _ = _learners("category", categorical, seed)
        trees.fit(_without_gaps(rows[train]), made[train])
        scores = torch.from_numpy(trees.decision_function(rows[test]))
        truth = torch.from_numpy(made[test])
        found.append(roc_auc(scores[truth], scores[~truth]))
    value = math.fsum(auc for auc, _ in found) / folds
    variance = math.fsum(variance for _, variance in found) / folds * (1 / folds + 1 / (folds - 1))
    half = normal_quantile(0.5 + confidence / 2) * math.sqrt(variance)
    return Interval(value, max(0.0, value - half), min(1.0, value + half), confidence)


def _folds(codes: Tensor, split: int, folds: int, seed: int) -> Tensor:
    """[N + M]: a fold for each row, as many of each side in each fold, give or take two.

    The n-th real and the n-th fake row of equal code [N + M] share a fold; the first `split` rows are real.
    """
    made = (torch.arange(len(codes)) >= split).long()
    blocks = torch.unique(codes * 2 + made, return_inverse=True, return_counts=True)
    order = blocks[1].argsort(stable=True)
    starts = blocks[2].cumsum(0) - blocks[2]
    occurrence = torch.empty_like(codes)
    occurrence[order] = torch.arange(len(codes)) - starts[blocks[1][order]]
    _, slot, members = torch.unique(codes * len(codes) + occurrence, return_inverse=True, return_counts=True)
    # Dealt out by sort (pairs, real only, fake only), in random order within each, so that folds are stratified.
    sort = torch.zeros_like(members)
    sort[slot] = made + 1
    sort[members == 2] = 0
    shuffled = torch.randperm(len(members), generator=generator(torch.device("cpu"), seed, "folds"))
    dealt = shuffled[sort[shuffled].argsort(stable=True)]
    fold = torch.empty_like(members)
    fold[dealt] = torch.arange(len(members)) % folds
    return fold[slot]


class Learned(NamedTuple):
    """A score on the test rows by both learners: AUC in [0, 1], chance .5; or R^2 <= 1, the mean's being 0."""

    trees: float
    linear: float


class Utility(NamedTuple):
    """Scores on real test rows after training on real, on fake, and on both together; measure: 'auc' or 'r2'."""

    real: Learned
    fake: Learned
    augmented: Learned
    measure: Literal["auc", "r2"]


def utility(
    train_real: Tensor, train_fake: Tensor, test: Tensor, kinds: Sequence[str], target: int, seed: int
) -> Utility:
    """What the column `target` can be predicted with: train on synthetic, test on real (Esteban et al. 2017).

    train_real [N, C], train_fake [M, C], test [T, C]; test rows must be of real people in neither of the others.
    Target of two levels: AUC; of more: AUC of each level against the rest, mean over the levels in `test`; of
    kind number: R^2.  Rows without a target are left out.  A level that no training row has gets the score 0, so
    that its AUC is .5; training rows without any target count as chance: .5, or R^2 of 0.
    Learners: boosted trees, and logistic or ridge regression on standardised numbers and one-hot categories, whose
    scales and levels come from the training rows alone.
    DataError on unfit tables, where `test` has one level or value only, and for a target without other columns;
    MissingExtra without scikit-learn.
    """
    found = predictions(train_real, train_fake, test, kinds, target, seed)
    real, fake, augmented = (_grades(found, arm) for arm in (found.real, found.fake, found.augmented))
    return Utility(real, fake, augmented, found.measure)


class Predictions(NamedTuple):
    """What was predicted for the test rows that have a target, R of them.

    rows [T]: whether a test row is one of them.  answer [R]: the truth, a number or a level's code.  real, fake,
    augmented, baseline: (trees, linear) after training on each: of numbers [R], of levels [R, L] scores of the levels in `answer`,
    ascending.
    """

    rows: Array
    answer: Array
    real: tuple[Array, Array]
    fake: tuple[Array, Array]
    augmented: tuple[Array, Array]
    measure: Literal["auc", "r2"]
    baseline: tuple[Array, Array] | None = None


def predictions(
    train_real: Tensor, train_fake: Tensor, test: Tensor, kinds: Sequence[str], target: int, seed: int,
    baseline: Tensor | None = None,
) -> Predictions:  # fmt: skip
    """What `utility` grades: the column `target` of the test rows as both learners predict it; baseline [B, C]: further
    rows to be trained on by themselves.  Errors as there."""
    if not -len(kinds) <= target < len(kinds) or len(kinds) < 2:
        raise DataError(f"column {target} cannot be predicted from the others of {len(kinds)}; name another target")
    place = target % len(kinds)
    tables = checked(kinds, train_real.cpu(), train_fake, test, *(() if baseline is None else (baseline,)))
    own, fake, exam, *more = _sides(tables, kinds[place], place)
    if len(np.unique(exam.answer)) < 2:
        raise DataError("the test rows hold one value of the target only, so nothing can be told apart; add rows")
    others = [kind for column, kind in enumerate(kinds) if column != place]
    both = _Side(torch.cat([own.rows, fake.rows]), np.concatenate([own.answer, fake.answer]))
    real, made, augmented, *base = (_learned(side, exam, others, kinds[place], seed) for side in (own, fake, both, *more))
    present = (~tables[2][:, place].isnan()).numpy()
    measure: Literal["auc", "r2"] = "r2" if kinds[place] == "number" else "auc"
    return Predictions(present, exam.answer, real, made, augmented, measure, base[0] if base else None)


class Graded(NamedTuple):
    """value: mean AUC of the levels against the rest, or R^2.  influence [R]: by how much each test row moves it; the sum
    of squares is its variance over the drawing of the test rows, 0 where all are told apart."""

    value: float
    influence: Array


def graded(found: Predictions, predicted: Array, rows: Array | None = None) -> Graded:
    """The grade of predictions of `found` on all its rows, or on those of the mask [R]; with the influence of each row.

    AUC: (placement - AUC) / its side's size, of DeLong et al. (1988); R^2 = 1 - A / B: the delta method.  The mean over
    levels is that of the levels which occur among these rows.  DataError where they have one value only.
    """
    use = np.ones(len(found.answer), dtype=bool) if rows is None else rows
    answer, scores = found.answer[use], predicted[use]
    influence = np.zeros(len(found.answer))
    if len(np.unique(answer)) < 2:
        raise DataError("these rows hold one value of the target only, so nothing can be told apart; add rows")
    if found.measure == "r2":
        value, influence[use] = _explained(answer, scores)
        return Graded(value, influence)
    values = []
    for level, column in zip(np.unique(found.answer), scores.T, strict=True):
        own = answer == level
        if not own.any():
            continue
        x, y = torch.from_numpy(column[own]), torch.from_numpy(column[~own])
        wins, losses = _placements(x, y), 1 - _placements(y, x)
        auc, moved = float(wins.mean()), np.zeros(len(answer))
        moved[own], moved[~own] = ((side - auc).numpy() / len(side) for side in (wins, losses))
        influence[use] += moved
        values.append(auc)
    return Graded(math.fsum(values) / len(values), influence / len(values))


def _grades(found: Predictions, arm: tuple[Array, Array]) -> Learned:
    trees, linear = (graded(found, predicted).value for predicted in arm)
    return Learned(trees, linear)


def _explained(answer: Array, predicted: Array) -> tuple[float, Array]:
    """R^2 = 1 - A / B of [R] answers, A the mean square error and B their variance, and each row's influence on it."""
    wrong, spread = np.square(answer - predicted), np.square(answer - answer.mean())
    a, b = wrong.mean(), spread.mean()
    moved: Array = (a / b**2 * (spread - b) - (wrong - a) / b) / len(answer)
    return 1 - float(wrong.sum() / spread.sum()), moved


class _Side(NamedTuple):
    """rows [N, C - 1]: the other columns.  answer [N]: the target, a number or a level's code."""

    rows: Tensor
    answer: Array


def _sides(tables: Sequence[Tensor], kind: str, target: int) -> list[_Side]:
    """Each table's rows with a target; levels have one code across the tables."""
    kept = [table[~table[:, target].isnan()] for table in tables]
    answers = torch.cat([table[:, target] for table in kept])
    if kind == "category":
        answers = level_codes(answers)[0]
    parts = answers.split([len(table) for table in kept])
    rest = [torch.cat([table[:, :target], table[:, target + 1 :]], dim=1) for table in kept]
    return [_Side(rows, part.numpy()) for rows, part in zip(rest, parts, strict=True)]


def _learned(
    train: _Side, exam: _Side, kinds: Sequence[str], kind: str, seed: int
) -> tuple[Array, Array]:
    """Both learners' predictions of `exam` after training on `train`; kinds: of the columns of rows, kind: of the
    answer."""
    codes, categorical = _tree_columns(kinds, torch.cat([train.rows, exam.rows]))
    flat = linear_columns(kinds, train.rows, exam.rows)
    trees, linear = _learners(kind, categorical, seed)
    return _predicted(trees, codes, train, exam, kind), _predicted(linear, flat, train, exam, kind)


def _predicted(model: Any, both: Array, train: _Side, exam: _Side, kind: str) -> Array:
    """[R], or [R, L] scores of the levels in `exam`; both [N + R, D]: columns of train's and exam's rows."""
    x, exam_x = _without_gaps(both[: len(train.rows)]), both[len(train.rows) :]
    if kind == "number":
        if not len(x):
            return np.full(len(exam.answer), exam.answer.mean())
        guessed: Array = model.fit(x, train.answer).predict(exam_x)
        return guessed
    levels = np.unique(exam.answer)
    scores = np.zeros((len(exam.answer), len(levels)))
    if len(np.unique(train.answer)) < 2:
        return scores
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last step's weights serve as well
        model.fit(x, train.answer)
    known = np.isin(levels, model.classes_)  # 0 where training had no such level
    scores[:, known] = model.predict_proba(exam_x)[:, np.searchsorted(model.classes_, levels[known])]
    return scores


def _without_gaps(x: Array) -> Array:
    """x [N, D] with 0 in columns that are missing throughout: trees cannot bin those."""
    filled: Array = np.where(np.isnan(x).all(0), 0.0, x)
    return filled


def _tree_columns(kinds: Sequence[str], rows: Tensor) -> tuple[Array, list[bool]]:
    """rows [N, C] with categories coded from 0, and which columns the trees take as categories."""
    columns, categorical = [], []
    for column, kind in zip(rows.unbind(1), kinds, strict=True):
        codes, last = level_codes(column)
        few = kind == "category" and last <= TREE_LEVELS
        columns.append(torch.where(column.isnan(), torch.nan, codes.double()) if few else column)
        categorical.append(few)
    return torch.stack(columns, dim=1).numpy(), categorical


def linear_columns(kinds: Sequence[str], train: Tensor, exam: Tensor) -> Array:
    """[N + T, D]: numbers standardised by `train`, missing ones 0 with a flag; categories one-hot.

    Levels beyond the LINEAR_LEVELS most frequent of `train`, and those it lacks, are 0 in all columns.
    """
    rows = torch.cat([train, exam])
    blocks = []
    for kind, own, column in zip(kinds, train.unbind(1), rows.unbind(1), strict=True):
        missing = column.isnan()
        blocks.append(missing.double()[:, None])
        known = own[~own.isnan()]
        if kind == "number":
            centre = known.mean() if len(known) else 0.0
            scale = float(known.std(correction=0)) if len(known) else 0.0
            unit = ((column - centre) / (scale or 1.0)).clamp(-REACH, REACH)
            blocks.append(unit.masked_fill(missing, 0.0)[:, None])
        else:
            levels, counts = known.unique(return_counts=True)
            kept = levels[counts.argsort(descending=True, stable=True)[:LINEAR_LEVELS]]
            blocks.append((column[:, None] == kept).double())
    return torch.cat(blocks, dim=1).numpy()


def _learners(kind: str, categorical: list[bool], seed: int) -> tuple[Any, Any]:
    """Boosted trees and a linear model for an answer of this kind, not yet fitted."""
    try:
        from sklearn import ensemble, linear_model
    except ImportError:
        raise MissingExtra("tables", "a ruler that trains classifiers on tables") from None
    number = kind == "number"
    boosting = ensemble.HistGradientBoostingRegressor if number else ensemble.HistGradientBoostingClassifier
    trees = boosting(categorical_features=categorical, early_stopping=False, random_state=key(seed, "trees") % 2**32)
    return trees, linear_model.Ridge(alpha=1.0) if number else linear_model.LogisticRegression(max_iter=500)


def logistic(train: Tensor, answer: Tensor, exam: Tensor) -> Tensor:
    """[T] log odds for the rows exam [T, D], by logistic regression on train [N, D] with answer [N] bool of both kinds."""
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise MissingExtra("tables", "a ruler that trains classifiers on tables") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(max_iter=500).fit(train.numpy(), answer.numpy())
    return torch.from_numpy(model.decision_function(exam.numpy()))
