"""Survival against lifelines 0.30.3 (values computed by it, kept here), closed forms, and brute force."""

from __future__ import annotations

import itertools

import pytest
import torch

from rivalry.errors import DataError
from rivalry.stats.survival import concordance, cox, curve_distance, design, kaplan_meier

F = torch.float64
# weeks in remission under 6-MP (Freireich et al. 1963); event: relapse
TIME = torch.tensor([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35], dtype=F)
EVENT = torch.tensor([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], dtype=F)
N = torch.arange(21, dtype=F)
X = torch.stack([torch.sin(N * 1.3), (N % 3 == 0).double()], 1)
UNTIED = TIME + N * 1e-3


def test_kaplan_meier_is_lifelines() -> None:
    at = kaplan_meier(TIME, EVENT).at(torch.tensor([6, 7, 10, 13, 16, 22, 23, 35], dtype=F))
    theirs = [0.857142857142857, 0.8067226890756299, 0.7529411764705878, 0.6901960784313722, 0.6274509803921566,
              0.5378151260504199, 0.44817927170868327, 0.44817927170868327]  # fmt: skip
    assert at.tolist() == pytest.approx(theirs, abs=1e-12)
    assert kaplan_meier(TIME, EVENT).at(torch.tensor([0.0, 5.9])).tolist() == [1.0, 1.0]


def test_without_censoring_it_is_the_empirical_distribution() -> None:
    time = torch.tensor([3.0, 1.0, 2.0, 2.0], dtype=F)
    assert kaplan_meier(time, torch.ones(4)).survival.tolist() == pytest.approx([0.75, 0.25, 0.0])


def test_curve_distance_is_the_area_between() -> None:
    one = (torch.tensor([1.0, 2.0], dtype=F), torch.ones(2))
    late = (torch.tensor([2.0, 2.0], dtype=F), torch.ones(2))
    assert curve_distance(one, one) == 0.0
    assert curve_distance(one, late) == pytest.approx(0.25)  # 1 against 1/2 from 1 to 2, over 2
    never = (torch.tensor([9.0], dtype=F), torch.zeros(1))
    fine = torch.linspace(0, 35, 35_001, dtype=F)[:-1]
    area = (kaplan_meier(TIME, EVENT).at(fine) - 1).abs().mean()
    assert curve_distance((TIME, EVENT), never) == pytest.approx(float(area), abs=1e-4)


def test_concordance_is_lifelines_and_brute_force() -> None:
    risk = X @ torch.tensor([1.0, 0.5], dtype=F)
    assert concordance(UNTIED, EVENT, risk) == pytest.approx(0.5798319327731093, abs=1e-12)
    good = pairs = 0.0
    for i, j in itertools.permutations(range(21), 2):
        if EVENT[i] and (TIME[j] > TIME[i] or (TIME[j] == TIME[i] and not EVENT[j])):
            pairs += 1
            good += float(risk[i] > risk[j]) + 0.5 * float(risk[i] == risk[j])
    assert concordance(TIME, EVENT, risk) == pytest.approx(good / pairs)
    assert concordance(UNTIED, EVENT, -UNTIED) == 1.0
    assert concordance(TIME, EVENT, torch.zeros(21)) == 0.5


def test_cox_is_lifelines() -> None:
    theirs = [0.2800412743740599, 0.6312836759054592]
    assert cox(X, UNTIED, EVENT, ridge=0.0).tolist() == pytest.approx(theirs, abs=1e-6)


def test_cox_with_ties_and_ridge_is_where_breslow_s_likelihood_is_flat() -> None:
    beta = cox(X, TIME, EVENT, ridge=0.1).requires_grad_()
    score = X @ beta
    risk = torch.stack([torch.logsumexp(score[t <= TIME], 0) for t in TIME])
    value = (EVENT * (score - risk)).mean() - 0.05 * beta.square().sum()
    (slope,) = torch.autograd.grad(value, beta)
    assert slope.abs().max() < 1e-8


def test_cox_stays_finite_where_a_column_tells_all() -> None:
    told = EVENT[:, None]
    beta = cox(told, TIME, EVENT, ridge=1e-2)
    assert bool(torch.isfinite(beta).all())
    assert float(beta) > 1


def test_design_knows_the_training_rows_only() -> None:
    train = torch.tensor([[1.0, 0.0], [3.0, 1.0], [torch.nan, 1.0]], dtype=F)
    test = torch.tensor([[2.0, 2.0], [torch.nan, torch.nan]], dtype=F)
    a, b = design(train, test, ["number", "category"])
    assert a.tolist() == [[-1, 1, 0], [1, 0, 1], [0, 0, 1]]
    assert b.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("time", "event"), [([], []), ([1.0], [1.0, 0.0]), ([-1.0], [1.0]), ([float("nan")], [1.0]), ([1.0], [2.0])]
)
def test_bad_outcomes(time: list[float], event: list[float]) -> None:
    with pytest.raises(DataError, match="survival needs"):
        kaplan_meier(torch.tensor(time), torch.tensor(event))
