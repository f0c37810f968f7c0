"""Intervals of utility: against DeLong's, the bootstrap, closed forms, and models broken on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rivalry.errors import DataError
from rivalry.stats import Predictions, graded, independent_marginals, predictions, roc_auc, utility
from rivalry.stats.worth import worths
from stats.test_tabular_models import KINDS, rows


def made(answer: np.ndarray, scores: np.ndarray, measure: str = "auc") -> Predictions:
    arm = (scores, scores)
    return Predictions(np.ones(len(answer), dtype=bool), answer, arm, arm, arm, measure)  # type: ignore[arg-type]


def test_of_two_levels_it_is_delong_s_variance() -> None:
    g = np.random.default_rng(0)
    answer = g.random(200) < 0.3
    score = answer + g.normal(0, 1, 200)
    found = graded(made(answer.astype(float), np.stack([-score, score], 1)), np.stack([-score, score], 1))
    auc, variance = roc_auc(torch.from_numpy(score[answer]), torch.from_numpy(score[~answer]))
    assert found.value == pytest.approx(auc, abs=1e-12)
    assert np.square(found.influence).sum() == pytest.approx(variance, rel=0.03)  # n in place of n - 1
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("measure", ["auc", "r2"])
def test_influence_against_the_bootstrap(measure: str) -> None:
    """The spread over 400 draws of the test rows with replacement, for three levels and for numbers."""
    g = np.random.default_rng(1)
    n = 300
    if measure == "auc":
        answer = g.integers(0, 3, n).astype(float)
        scores = g.normal(0, 1, (n, 3)) + (answer[:, None] == np.arange(3))
    else:
        answer = g.normal(5, 2, n)
        scores = 0.7 * answer + g.normal(0, 1, n)
    found = graded(made(answer, scores, measure), scores)
    draws = [g.integers(0, n, n) for _ in range(400)]
    spread = np.std([graded(made(answer[i], scores[i], measure), scores[i]).value for i in draws])
    assert np.sqrt(np.square(found.influence).sum()) == pytest.approx(spread, rel=0.12)


def test_a_baseline_is_graded_like_an_arm() -> None:
    train, test = rows(300, 0), rows(300, 1)
    other = independent_marginals(train, 200, 0)
    beside = worths(predictions(train, train, test, KINDS, 3, 0, other))
    alone = worths(predictions(train, other, test, KINDS, 3, 0))
    assert beside.trees.baseline == alone.trees.fake
    assert beside.linear.baseline == alone.linear.fake
    assert alone.trees.baseline is None


def test_worth_of_good_useless_and_copied_rows() -> None:
    train, test = rows(300, 0), rows(300, 1)
    copied = worths(predictions(train, train.clone(), test, KINDS, 3, 0))
    used = utility(train, train, test, KINDS, 3, 0)
    for learner, plain in (("trees", used.real.trees), ("linear", used.real.linear)):
        worth = getattr(copied, learner)
        assert worth.real.value == worth.fake.value == plain
        assert (worth.gap.low, worth.gap.value, worth.gap.high) == (0.0, 0.0, 0.0)
        assert worth.real.low < plain < worth.real.high
    useless = worths(predictions(train, independent_marginals(train, 300, 0), test, KINDS, 3, 0))
    assert useless.trees.gap.low > 0.2
    assert useless.linear.gap.value == pytest.approx(useless.linear.real.value - useless.linear.fake.value)
    assert useless.rows == 300


def test_within_a_group_only_its_rows_count() -> None:
    g = np.random.default_rng(2)
    answer = g.integers(0, 2, 100).astype(float)
    good = np.stack([1 - answer, answer], 1)
    good[50:] = g.random((50, 2))
    first = np.arange(100) < 50
    found = worths(made(answer, good), first)
    assert found.rows == 50
    assert found.trees.real.value == 1.0
    assert found.trees.real.low == 1.0
    assert worths(made(answer, good), ~first).trees.real.value < 0.8
    with pytest.raises(DataError, match="one value"):
        worths(made(answer, good), answer == 1)
