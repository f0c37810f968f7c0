"""Accounting of counts and choices against closed forms and another accountant."""

from __future__ import annotations

import math

import pytest
import torch

from rivalry.privacy.zcdp import (
    drawn,
    epsilon_of_rho,
    exponential_chances,
    exponential_epsilon,
    gaussian_sigma,
    rho_for,
)

DELTA = 1e-5


@pytest.mark.parametrize("rho", [1e-4, 0.003, 0.02, 0.3, 2.0, 20.0])
def test_epsilon_is_that_of_another_accountant(rho: float) -> None:
    """dp-accounting converts by the same inequality, over a coarser set of orders."""
    from dp_accounting import dp_event, rdp

    book = rdp.RdpAccountant()
    book.compose(dp_event.ZCDpEvent(rho))
    theirs = float(book.get_epsilon(DELTA))
    assert epsilon_of_rho(rho, DELTA) <= theirs + 1e-9
    assert epsilon_of_rho(rho, DELTA) == pytest.approx(theirs, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("rho", [0.003, 0.05, 1.0])
def test_epsilon_lies_between_the_gaussian_s_own_and_the_simple_bound(rho: float) -> None:
    """rho + 2 sqrt(rho log 1/delta) (Bun & Steinke 2016, proposition 3) is looser; what a normal mechanism of that rho
    really spends (Balle & Wang 2018, theorem 8) is less."""
    ours = epsilon_of_rho(rho, DELTA)
    assert ours <= rho + 2 * math.sqrt(rho * math.log(1 / DELTA))
    mu = math.sqrt(2 * rho)

    def phi(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    spent = phi(mu / 2 - ours / mu) - math.exp(ours) * phi(-mu / 2 - ours / mu)
    assert spent <= DELTA
    assert spent >= DELTA / 50


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 8.0])
def test_rho_is_the_most_that_keeps_within_epsilon(epsilon: float) -> None:
    rho = rho_for(epsilon, DELTA)
    assert epsilon_of_rho(rho, DELTA) <= epsilon
    assert epsilon_of_rho(rho * 1.0001, DELTA) > epsilon
    assert rho_for(math.inf, DELTA) == math.inf


def test_mechanisms_cost_what_they_say() -> None:
    assert gaussian_sigma(0.5, 3.0) == pytest.approx(3.0)  # rho = sensitivity^2 / (2 sigma^2)
    assert gaussian_sigma(math.inf, 3.0) == 0
    assert exponential_epsilon(2.0) == pytest.approx(4.0)  # rho = epsilon^2 / 8
    assert exponential_epsilon(math.inf) == math.inf


def test_chances_of_the_exponential_mechanism() -> None:
    scores = torch.tensor([0.0, 1.0, 3.0])
    weights = [math.exp(0.7 * s / (2 * 2.0)) for s in scores.tolist()]
    found = exponential_chances(scores, 0.7, 2.0)
    assert found.tolist() == pytest.approx([w / sum(weights) for w in weights])
    assert exponential_chances(torch.tensor([1.0, 5.0, 5.0]), math.inf).tolist() == [0, 1, 0]
    far = exponential_chances(torch.tensor([0.0, 1e6]), 1.0)
    assert torch.isfinite(far).all()


def test_one_row_moves_no_chance_by_more_than_epsilon() -> None:
    """Scores of sensitivity 1 in the least kind direction: one up, the others down."""
    scores = torch.tensor([2.0, 5.0, 4.0])
    moved = scores + torch.tensor([1.0, -1.0, -1.0])
    ratio = (exponential_chances(moved, 0.9) / exponential_chances(scores, 0.9)).log()
    assert float(ratio.abs().amax()) <= 0.9


def test_choices_are_drawn_by_their_chances() -> None:
    chances = torch.tensor([0.1, 0.0, 0.6, 0.3])
    n = 4000
    times = torch.bincount(torch.tensor([drawn(chances) for _ in range(n)]), minlength=4) / n
    assert times[1] == 0
    assert float((times - chances).abs().amax()) < 6 * math.sqrt(0.25 / n)
