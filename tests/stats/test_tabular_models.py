"""Classifiers as rulers of tables: AUC against all pairs, ridge in closed form, models broken on purpose."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from rivalry.errors import DataError, MissingExtra
from rivalry.stats import classifier_two_sample, independent_marginals, roc_auc, utility
from rivalry.stats.tabular import row_codes
from rivalry.stats.tabular_models import _folds

KINDS = ("number", "number", "category", "category")
NAN = math.nan


def rows(n: int, seed: int) -> Tensor:
    """Two numbers (correlation .8), a level that follows the first, and an answer that follows all; gaps."""
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 3, dtype=torch.float64, generator=g)
    x = torch.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], dim=1)
    level = (2 * z[:, 0]).round().clamp(-2, 2) + 2
    answer = (x.sum(1) + 0.5 * z[:, 2] > 0).double()
    table = torch.cat([x, level[:, None], answer[:, None]], dim=1)
    table[:, :3][torch.rand(n, 3, generator=g) < 0.05] = NAN
    return table


def test_auc_and_its_variance_against_all_pairs() -> None:
    """DeLong's components from the matrix of all pairs, ties half."""
    g = np.random.default_rng(0)
    x, y = g.integers(0, 12, 70) + 2.0, g.integers(0, 12, 50) + 0.0
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    auc, variance = roc_auc(torch.from_numpy(x), torch.from_numpy(y))
    assert auc == pytest.approx(psi.mean())
    assert variance == pytest.approx(psi.mean(1).var(ddof=1) / 70 + psi.mean(0).var(ddof=1) / 50)
    assert roc_auc(torch.tensor([2.0]), torch.tensor([1.0])) == (1.0, 0.0)


def test_two_samples_of_one_source_cannot_be_told_apart() -> None:
    found = classifier_two_sample(rows(500, 0), rows(400, 1), KINDS, 0)
    assert found.low < 0.5 < found.high
    assert 0.03 < found.high - found.low < 0.2
    assert found == classifier_two_sample(rows(500, 0), rows(400, 1), KINDS, 0)


def test_independent_marginals_and_a_collapsed_model_are_told_apart() -> None:
    real = rows(500, 0)
    assert classifier_two_sample(real, independent_marginals(real, 500, 0), KINDS, 0, folds=3).low > 0.7
    collapsed = real.mean(0).nan_to_num(0.0).repeat(500, 1)
    found = classifier_two_sample(real, collapsed, KINDS, 0, folds=3)
    assert found.value > 0.99
    assert found.high <= 1.0


def test_the_interval_is_wider_than_that_of_independent_folds() -> None:
    """v / folds against v (1 / folds + 1 / (folds - 1)): 1.5 times the width with five folds."""
    found = classifier_two_sample(rows(500, 0), rows(500, 1), KINDS, 0)
    alone = math.sqrt((2 * 100 + 1) / (12 * 100 * 100) / 5) * 2 * 1.96  # Mann-Whitney's variance, no difference
    assert (found.high - found.low) / alone == pytest.approx(1.5, abs=0.1)


def test_copies_of_training_rows_look_like_held_out_rows() -> None:
    train, held = rows(500, 0), rows(500, 1)
    found = classifier_two_sample(held, train.flip(0), KINDS, 0, folds=3)
    assert found.low < 0.5 < found.high
    assert classifier_two_sample(train, train.flip(0), KINDS, 0, folds=3).value == pytest.approx(0.5, abs=0.02)


def test_equal_rows_share_a_fold_and_folds_are_balanced() -> None:
    real, fake = torch.arange(40.0).repeat(2), torch.cat([torch.arange(30.0), torch.arange(100.0, 133.0)])
    codes = row_codes(torch.cat([real, fake])[:, None])
    fold = _folds(codes, 80, 4, 0)
    for value in range(30):
        assert set(fold[80:][fake == value].tolist()) <= set(fold[:80][real == value].tolist())
    assert fold[:80].bincount().tolist() == pytest.approx([20] * 4, abs=2)
    assert fold[80:].bincount().tolist() == pytest.approx([15.75] * 4, abs=2)
    assert not torch.equal(fold, _folds(codes, 80, 4, 1))


def test_equal_rows_have_equal_codes() -> None:
    table = torch.tensor([[1.0, NAN], [1.0, 2.0], [NAN, 1.0], [1.0, NAN], [1.0, 2.0]])
    codes = row_codes(table).tolist()
    assert codes[0] == codes[3]
    assert codes[1] == codes[4]
    assert len(set(codes)) == 3


def test_odd_columns_do_not_stop_the_trees() -> None:
    """A constant, an empty column, and categories beyond what trees take as such."""
    n = 200
    level = torch.arange(n, dtype=torch.float64) * 3
    table = torch.stack([torch.ones(n), torch.full((n,), NAN), torch.full((n,), NAN), level], dim=1)
    kinds = ("number", "number", "category", "category")
    assert classifier_two_sample(table, table.clone(), kinds, 0, folds=2).value == pytest.approx(0.5, abs=0.1)
    other = table.clone()
    other[:, 3] += 1
    assert 0.0 <= classifier_two_sample(table, other, kinds, 0, folds=2).value <= 1.0


def test_ridge_in_closed_form() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(150, 2, dtype=torch.float64, generator=g) * torch.tensor([1.0, 20.0]) + 5
    answer = x @ torch.tensor([2.0, -0.1], dtype=torch.float64)
    answer = answer + torch.randn(150, dtype=torch.float64, generator=g)
    table = torch.cat([x, answer[:, None]], dim=1)
    train, test = table[:100], table[100:]
    found = utility(train, train, test, ("number",) * 3, 2, 0)
    unit = (x - train[:, :2].mean(0)) / train[:, :2].std(0, correction=0)
    own, mean = unit[:100], train[:, 2].mean()
    weights = torch.linalg.solve(own.T @ own + torch.eye(2, dtype=torch.float64), own.T @ (train[:, 2] - mean))
    wrong = test[:, 2] - mean - unit[100:] @ weights
    expected = 1 - float(wrong.square().sum() / (test[:, 2] - test[:, 2].mean()).square().sum())
    assert found.measure == "r2"
    assert found.real.linear == pytest.approx(expected, abs=1e-9)
    assert found.fake == found.real
    assert found.real.trees > 0.5


def test_utility_of_good_useless_and_contrary_rows() -> None:
    train, test = rows(500, 0), rows(400, 1)
    good = utility(train, rows(500, 2), test, KINDS, 3, 0)
    assert good.measure == "auc"
    for score in (*good.real, *good.fake, *good.augmented):
        assert score > 0.9
    shuffled = independent_marginals(train, 500, 0)
    useless = utility(train, shuffled, test, KINDS, 3, 0)
    assert useless.real == good.real
    assert useless.fake == pytest.approx((0.5, 0.5), abs=0.25)
    contrary = train.clone()
    contrary[:, 3] = 1 - contrary[:, 3]
    against = utility(train, contrary, test, KINDS, -1, 0)
    assert against.fake.linear == pytest.approx(1 - good.real.linear, abs=1e-6)
    assert against.fake.trees == pytest.approx(1 - good.real.trees, abs=0.01)
    assert against.augmented == pytest.approx((0.5, 0.5), abs=0.2)


def test_rows_without_a_target_are_left_out() -> None:
    train, test = rows(200, 0), rows(200, 1)
    gaps = train.clone()
    gaps[:, 3] = NAN
    plain = utility(train, gaps, test, KINDS, 3, 0)
    mixed = utility(torch.cat([gaps, train]), train, torch.cat([test, gaps]), KINDS, 3, 0)
    assert mixed.real == mixed.fake == plain.real
    assert plain.fake == (0.5, 0.5)
    assert plain.augmented == plain.real
    number = train.clone()
    number[:, 0] = NAN
    assert utility(train, number, test, KINDS, 0, 0).fake == (0.0, 0.0)


def test_a_level_that_no_fake_row_has_scores_one_half() -> None:
    """Three levels that the other column names: two are told apart without error, the third never occurs."""
    level = torch.arange(90, dtype=torch.float64) % 3
    table = torch.stack([level, level], dim=1)
    kinds = ("category", "category")
    found = utility(table, table[level < 2], table, kinds, 1, 0)
    assert found.real == (1.0, 1.0)
    assert found.fake.linear == pytest.approx(2.5 / 3)
    assert 0.5 <= found.fake.trees <= 1.0
    assert utility(table, table[level < 1], table, kinds, 1, 0).fake == (0.5, 0.5)


def test_a_fake_of_one_row_or_of_other_levels_is_scored() -> None:
    train, test = rows(200, 0), rows(200, 1)
    assert utility(train, train[:1], test, KINDS, 3, 0).fake == (0.5, 0.5)
    assert math.isfinite(utility(train, train[:1].nan_to_num(0.0), test, KINDS, 0, 0).fake.trees)
    strange = train.clone()
    strange[:, 2] += 50
    strange[:, 0] *= 1e12
    assert all(0 <= score <= 1 for score in utility(train, strange, test, KINDS, 3, 0).fake)


def test_bad_input() -> None:
    train = rows(20, 0)
    with pytest.raises(DataError, match="folds"):
        classifier_two_sample(train, train[:3], KINDS, 0)
    with pytest.raises(DataError, match="name another target"):
        utility(train, train, train, KINDS, 4, 0)
    with pytest.raises(DataError, match="one value"):
        utility(train, train, train[train[:, 3] == 1], KINDS, 3, 0)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtra, match=r"rivalry\[tables\]"):
        classifier_two_sample(rows(50, 0), rows(50, 1), KINDS, 0)
