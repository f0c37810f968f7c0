"""Survival statistics: published curves and coefficients, brute force, closed forms."""

from __future__ import annotations

import math
import warnings
from importlib import import_module

import pytest
import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.survival import (
    KaplanMeier,
    chance_gap,
    concordance,
    cox,
    cox_loss,
    kaplan_meier,
    restricted_mean,
    still_seen,
    survival_gap,
)

# Weeks of remission of 42 children with leukaemia (Freireich et al. 1963), as in every textbook; 0 censored.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
HAPPENED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def column(values: list[int] | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_published_curve_of_the_leukaemia_trial() -> None:
    """Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data, table 1.3 (6-MP)."""
    curve = kaplan_meier(column(TREATED), column(HAPPENED))
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert curve.events.tolist() == [3, 1, 1, 1, 1, 1, 1]
    assert curve.survival.tolist() == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)
    assert curve.at(column([0.0, 5.9, 6.0, 6.5, 1e6])).tolist() == pytest.approx([1, 1, 18 / 21, 18 / 21, 0.4482], abs=1e-4)
    assert still_seen(column(TREATED), curve.times).tolist() == curve.at_risk.tolist()
    low, high = curve.band(column([3.0, 10.0, 23.0]))  # survival's conf.type = "log-log" in R
    assert low.tolist() == pytest.approx([1, 0.503, 0.188], abs=1e-3)
    assert high.tolist() == pytest.approx([1, 0.889, 0.680], abs=1e-3)


def test_without_censoring_it_is_the_share_that_is_left() -> None:
    time = column([3.0, 1.0, 2.0, 2.0, 5.0])
    curve = kaplan_meier(time, torch.ones(5))
    when = column([0.0, 1.0, 1.5, 2.0, 4.0, 5.0])
    assert curve.at(when).tolist() == pytest.approx([float((time > t).double().mean()) for t in when.tolist()])
    assert restricted_mean(curve, 5.0) == pytest.approx(float(time.mean()))


def test_the_gap_of_exponential_curves_in_closed_form() -> None:
    n, h = 4000, 2.0
    ranks = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    slow, fast = -(1 - ranks).log(), -(1 - ranks).log() / 3
    curves = [kaplan_meier(t, torch.ones(n)) for t in (slow, fast)]
    found = survival_gap(*curves, h)
    exact = ((1 - math.exp(-h)) - (1 - math.exp(-3 * h)) / 3) / h
    assert found.distance == pytest.approx(exact, abs=1e-3)
    assert found.optimism == pytest.approx(-exact, abs=1e-3)
    assert survival_gap(curves[0], curves[0], h) == (0, 0)
    back = survival_gap(curves[1], curves[0], h)
    assert back == pytest.approx((found.distance, -found.optimism))


def test_crossing_curves_do_not_cancel_in_the_distance() -> None:
    early = kaplan_meier(column([1.0, 3.0]), torch.ones(2))
    late = kaplan_meier(column([2.0, 2.0]), torch.ones(2))
    assert survival_gap(early, late, 4.0) == pytest.approx((0.25, 0.0))


def test_the_gap_of_one_law_is_that_of_chance() -> None:
    g = torch.Generator().manual_seed(3)

    def draw(n: int) -> Tensor:
        return -torch.rand(n, generator=g, dtype=torch.float64).log()

    def curve(n: int) -> KaplanMeier:
        time, end = draw(n), 2 * draw(n)
        return kaplan_meier(torch.minimum(time, end), time <= end)

    pairs = [(curve(150), curve(80)) for _ in range(200)]
    seen = sum(survival_gap(a, b, 1.5).distance for a, b in pairs) / 200
    assert sum(chance_gap(a, b, 1.5) for a, b in pairs) / 200 == pytest.approx(seen, rel=0.1)
    assert chance_gap(*pairs[0], 1.5) == chance_gap(*pairs[0][::-1], 1.5)


def brute(time: list[float], event: list[float], risk: list[float]) -> float:
    right = pairs = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
                pairs += 1
                right += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    return right / pairs


@pytest.mark.parametrize("cells", [7, 10_000])
def test_concordance_matches_all_pairs(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivalry.stats.survival.CELLS", cells)
    g = torch.Generator().manual_seed(0)
    time, risk = (torch.randint(0, 12, (60,), generator=g).double() for _ in range(2))
    event = torch.randint(0, 2, (60,), generator=g)
    found = concordance(time, event, risk)
    assert found.value == pytest.approx(brute(time.tolist(), event.tolist(), risk.tolist()), abs=1e-12)
    assert concordance(time, event, -time + 0.5 * event).value == 1
    assert concordance(time, event, torch.zeros(60)).value == 0.5


def test_the_interval_of_concordance_covers() -> None:
    """200 draws of a model whose C is known by a large sample: 95 % intervals cover about 95 %."""
    g = torch.Generator().manual_seed(1)

    def draw(n: int) -> tuple[Tensor, Tensor, Tensor]:
        risk = torch.randn(n, generator=g, dtype=torch.float64)
        time = -torch.rand(n, generator=g, dtype=torch.float64).log() / risk.exp()
        end = -torch.rand(n, generator=g, dtype=torch.float64).log() * 2
        return torch.minimum(time, end), time <= end, risk

    truth = concordance(*draw(4000)).value
    found = [concordance(*draw(120)) for _ in range(200)]
    assert 0.90 <= sum(f.low <= truth <= f.high for f in found) / 200 <= 0.99


def test_the_published_coefficient_of_the_leukaemia_trial() -> None:
    """1.5092 with Breslow's ties (R's coxph), hazard ratio 4.52."""
    time, event = column(TREATED + PLACEBO), column(HAPPENED + [1] * 21)
    arm = column([0] * 21 + [1] * 21)[:, None]
    beta = cox(arm, time, event)
    assert float(beta) == pytest.approx(1.5092, abs=1e-4)
    assert float(cox(arm, time, event, ridge=1e6)) == pytest.approx(0, abs=1e-3)


def test_the_partial_likelihood_against_its_sum() -> None:
    g = torch.Generator().manual_seed(2)
    x = torch.randn(15, 3, generator=g, dtype=torch.float64)
    time = torch.randint(1, 6, (15,), generator=g).double()
    event = torch.randint(0, 2, (15,), generator=g).bool()
    beta = torch.tensor([0.3, -1.0, 0.5], dtype=torch.float64)
    risk = (x @ beta).exp()
    exact = sum(
        math.log(float(risk[time >= time[i]].sum())) - math.log(float(risk[i])) for i in range(15) if bool(event[i])
    )
    assert float(cox_loss(beta, x, time, event)) == pytest.approx(exact, abs=1e-12)


def test_against_lifelines_where_it_is_installed() -> None:
    lifelines = pytest.importorskip("lifelines", reason="lifelines (MIT) is not installed; published values are checked above")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = import_module("lifelines.datasets").load_rossi()
        frame["week"] += torch.linspace(0, 1e-3, len(frame)).numpy()  # no ties: lifelines has Efron's
        fitted = lifelines.CoxPHFitter().fit(frame, "week", "arrest")
        known = lifelines.KaplanMeierFitter().fit(frame["week"], frame["arrest"])
    x = frame.drop(columns=["week", "arrest"])
    time, event = (torch.from_numpy(frame[c].to_numpy(float)) for c in ("week", "arrest"))
    beta = cox(torch.from_numpy(x.to_numpy(float)), time, event)
    assert beta.tolist() == pytest.approx(fitted.params_[x.columns].tolist(), abs=1e-5)
    risk = torch.from_numpy(x.to_numpy(float)) @ beta
    assert concordance(time, event, risk).value == pytest.approx(fitted.concordance_index_, abs=1e-9)
    when = torch.arange(1, 53).double()
    assert kaplan_meier(time, event).at(when).tolist() == pytest.approx(known.survival_function_at_times(when.numpy()).tolist())


def test_bad_input() -> None:
    ok = torch.ones(3)
    with pytest.raises(DataError, match="one length"):
        kaplan_meier(torch.ones(3), torch.ones(2))
    with pytest.raises(DataError, match="from 0 on"):
        kaplan_meier(torch.tensor([1.0, math.nan]), torch.ones(2))
    with pytest.raises(DataError, match="nothing else"):
        kaplan_meier(ok, torch.tensor([0, 1, 2]))
    with pytest.raises(DataError, match="above 0"):
        survival_gap(kaplan_meier(ok, ok), kaplan_meier(ok, ok), 0.0)
    with pytest.raises(DataError, match="whose event"):
        concordance(ok, torch.zeros(3), ok)
    with pytest.raises(DataError, match="no row has an event"):
        cox(torch.ones(3, 1), ok, torch.zeros(3))
    with pytest.raises(DataError, match="at least 1"):
        kaplan_meier(torch.zeros(0), torch.zeros(0))
