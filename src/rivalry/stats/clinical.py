"""Measures that clinical tables ask for: codes (patient x code, binary or counts), zeros, and which cells are missing.

Codes are [N, K] float64: how often a row has the code, 0 for never, NaN where that is not known.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.checks import check_points
from rivalry.stats.tabular_models import logistic, roc_auc


class Codes(NamedTuple):
    """shares [K]: of rows that have the code; means [K]: of its count; pairs [K, K]: share of rows that have both."""

    shares: Tensor
    means: Tensor
    pairs: Tensor


def codes(rows: Tensor) -> Codes:
    """Of codes [N, K]; rows in which a code (or one of a pair) is not known are left out of its share.

    DataError for negative counts.
    """
    check_points("the codes", rows)
    x = rows.cpu().double()
    known = (~x.isnan()).double()
    if bool((x < 0).any()):
        raise DataError("codes are counted, so none can be below 0; leave columns with negative numbers out")
    has = (x > 0).double()
    pairs = (has.T @ has) / (known.T @ known).clamp_min(1)
    total = known.sum(0).clamp_min(1)
    return Codes(has.sum(0) / total, x.nan_to_num(0.0).sum(0) / total, pairs)


class CodeErrors(NamedTuple):
    """probability: root mean square difference of the codes' shares (dimension-wise probability, Choi et al. 2017).

    counts: the same of their mean counts.  cooccurrence: mean |difference| over pairs of codes of the shares of rows with
    both.  lost: share of those rare codes that no fake row has.  rare: codes that fewer than `below` of the real rows
    have, but some do.  rare_ratio: their total share among fakes over that among the real (1 is right).
    """

    probability: float
    counts: float
    cooccurrence: float
    rare: int
    lost: float
    rare_ratio: float


def code_errors(real: Tensor, fake: Tensor, below: float = 0.01) -> CodeErrors:
    """How far the codes of fake [M, K] are from those of real [N, K] rows."""
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or not real.shape[1]:
        raise DataError("both sides must have the same codes, one at least")
    ours, theirs = codes(real), codes(fake)
    apart = (ours.pairs - theirs.pairs).abs().fill_diagonal_(0.0)
    k = len(ours.shares)
    rare = (ours.shares > 0) & (ours.shares < below)
    found = int(rare.sum())
    return CodeErrors(
        probability=float((ours.shares - theirs.shares).square().mean().sqrt()),
        counts=float((ours.means - theirs.means).square().mean().sqrt()),
        cooccurrence=float(apart.sum()) / max(1, k * (k - 1)),
        rare=found,
        lost=float((theirs.shares[rare] == 0).double().mean()) if found else 0.0,
        rare_ratio=float(theirs.shares[rare].sum() / ours.shares[rare].sum()) if found else 1.0,
    )


class CodePrediction(NamedTuple):
    """AUC [P] with which each of P codes of test rows is predicted from the others, learnt from real, from fake rows."""

    places: tuple[int, ...]
    real: Tensor
    fake: Tensor


def code_prediction(real: Tensor, fake: Tensor, test: Tensor, most: int = 20) -> CodePrediction:
    """Dimension-wise prediction (Choi et al. 2017, with AUC in place of F1): logistic regression of each code on the
    others, for the `most` most frequent codes that some test rows have and some lack.

    Unknown cells count as 0.  A side that has the code always or never predicts nothing: .5.  Needs scikit-learn.
    """
    train, made, exam = ((side.cpu().double().nan_to_num(0.0) > 0).double() for side in (real, fake, test))
    shares = exam.mean(0)
    usable = ((shares > 0) & (shares < 1)).nonzero().flatten()
    places = usable[(shares[usable] - 0.5).abs().argsort(stable=True)][:most].sort().values.tolist()
    if exam.shape[1] < 2 or not places:
        raise DataError("prediction needs two codes or more, one of which some test rows have and some lack")
    arms = [[_predicted(side, exam, place) for place in places] for side in (train, made)]
    return CodePrediction(tuple(places), *(torch.tensor(arm, dtype=torch.float64) for arm in arms))


def _predicted(train: Tensor, exam: Tensor, place: int) -> float:
    others = [k for k in range(train.shape[1]) if k != place]
    answer, truth = train[:, place] > 0, exam[:, place] > 0
    if bool(answer.all()) or not bool(answer.any()):
        return 0.5
    score = logistic(train[:, others], answer, exam[:, others])
    return roc_auc(score[truth], score[~truth])[0]


def zero_shares(rows: Tensor) -> Tensor:
    """[C]: share of zeros among the cells that are there; 0 for a column without any."""
    check_points("the table", rows)
    known = ~rows.isnan()
    return (rows == 0).double().sum(0) / known.double().sum(0).clamp_min(1)


def missing_pairs(rows: Tensor) -> Tensor:
    """[C, C]: share of rows in which both cells are missing; on the diagonal that of each column."""
    check_points("the table", rows)
    holes = rows.isnan().double()
    return holes.T @ holes / len(rows)


def missing_pair_error(real: Tensor, fake: Tensor) -> float:
    """Mean |difference| of `missing_pairs` over the pairs of columns that lack cells on either side; 0 without any."""
    ours, theirs = missing_pairs(real), missing_pairs(fake)
    if ours.shape != theirs.shape:
        raise DataError("both sides must have the same columns")
    gaps = (ours.diagonal() > 0) | (theirs.diagonal() > 0)
    apart = (ours - theirs).abs()[gaps][:, gaps].fill_diagonal_(0.0)
    k = len(apart)
    return float(apart.sum()) / max(1, k * (k - 1))
