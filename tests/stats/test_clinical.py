"""Clinical measures: plain counting, closed forms, and models that collapsed, add noise or copy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats.contingency import association
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats.associations import associations, correlation_ratio, cramers_v
from rivalry.stats.clinical import code_errors, code_prediction, codes, missing_pair_error, missing_pairs, zero_shares

NAN = math.nan


def visits(n: int, seed: int) -> Tensor:
    """Six codes: two that hang together, two counts, and two rare ones."""
    g = np.random.default_rng(seed)
    ill = g.random(n) < 0.4
    columns = [
        ill & (g.random(n) < 0.9), ill & (g.random(n) < 0.8), g.poisson(0.7, n), g.poisson(2 * ill),
        g.random(n) < 0.008, g.random(n) < 0.004,
    ]  # fmt: skip
    return torch.from_numpy(np.stack(columns, 1).astype(float))


def test_shares_means_and_pairs_by_counting() -> None:
    rows = torch.tensor([[1, 0, 2], [0, 3, NAN], [1, 1, 0], [1, 0, NAN]], dtype=torch.float64)
    found = codes(rows)
    assert found.shares.tolist() == [0.75, 0.5, 0.5]
    assert found.means.tolist() == [0.75, 1.0, 1.0]
    assert found.pairs.tolist() == [[0.75, 0.25, 0.5], [0.25, 0.5, 0.0], [0.5, 0.0, 0.5]]
    with pytest.raises(DataError, match="below 0"):
        codes(-rows)
    with pytest.raises(DataError, match="same codes"):
        code_errors(rows, rows[:, :2])


def test_errors_in_closed_form() -> None:
    """Two independent codes of share 1/2 against two that always come together."""
    real = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    fake = torch.tensor([[0, 0], [1, 1]], dtype=torch.float64)
    assert code_errors(real, fake) == (0.0, 0.0, 0.25, 0, 0.0, 1.0)
    assert code_errors(real, torch.ones(3, 2)) == pytest.approx((0.5, 0.5, 0.75, 0, 0.0, 1.0))
    assert code_errors(real, 2 * fake).counts == pytest.approx(0.5)


def test_broken_models_of_codes() -> None:
    real, fresh = visits(4000, 0), visits(4000, 1)
    good = code_errors(real, fresh)
    assert good.rare == 2
    assert good.lost == 0
    assert code_errors(real, real.flip(0)) == (0.0, 0.0, 0.0, 2, 0.0, 1.0)
    collapsed = code_errors(real, real.median(0).values.repeat(4000, 1))
    assert collapsed.lost == 1
    assert collapsed.rare_ratio == 0
    assert collapsed.probability > 10 * good.probability
    noisy = code_errors(real, (fresh + torch.randint(0, 2, fresh.shape, generator=torch.Generator().manual_seed(0))))
    assert noisy.rare_ratio > 10
    assert noisy.cooccurrence > 10 * good.cooccurrence


def test_prediction_finds_the_codes_that_hang_together() -> None:
    real, test = visits(800, 0), visits(800, 2)
    copied = code_prediction(real, real.flip(0), test, most=4)
    assert copied.places == (0, 1, 2, 3)
    assert torch.allclose(copied.real, copied.fake, atol=1e-3)
    assert float(copied.real[0]) > 0.85
    assert float(copied.real[2]) == pytest.approx(0.5, abs=0.1)
    shuffled = real.gather(0, torch.rand(real.shape, generator=torch.Generator().manual_seed(3)).argsort(0))
    assert float(code_prediction(real, shuffled, test, most=2).fake[0]) < 0.75
    assert code_prediction(real, torch.zeros_like(real), test, most=2).fake.tolist() == [0.5, 0.5]
    with pytest.raises(DataError, match="two codes"):
        code_prediction(real, real, torch.zeros_like(test))


def test_zeros_and_missing_pairs() -> None:
    rows = torch.tensor([[0, NAN, NAN], [0, NAN, 1], [2, 0, NAN], [NAN, 1, 3]], dtype=torch.float64)
    assert zero_shares(rows).tolist() == pytest.approx([2 / 3, 0.5, 0.0])
    pairs = missing_pairs(rows)
    assert pairs.diagonal().tolist() == [0.25, 0.5, 0.5]
    assert float(pairs[1, 2]) == 0.25
    assert float(pairs[0, 1]) == 0
    assert missing_pair_error(rows, rows.flip(0)) == 0
    assert missing_pair_error(rows, torch.zeros(5, 3)) == pytest.approx(0.25 * 2 / 6)
    assert missing_pair_error(torch.zeros(4, 2), torch.zeros(3, 2)) == 0
    # Each column lacks half its cells on both sides, but here together and there in turn.
    together = torch.tensor([[NAN, NAN], [1, 1]])
    assert missing_pair_error(together, torch.tensor([[NAN, 1], [1, NAN]])) == 0.5


def test_associations_against_scipy_and_closed_forms() -> None:
    g = np.random.default_rng(0)
    a = g.integers(0, 4, 300)
    b = np.where(g.random(300) < 0.5, a % 3, g.integers(0, 3, 300))
    x = a + g.normal(0, 1, 300)
    table = np.zeros((4, 3), dtype=int)
    np.add.at(table, (a, b), 1)
    left, right, number = (torch.from_numpy(v.astype(float)) for v in (a, b, x))
    assert cramers_v(left, right) == pytest.approx(association(table, method="cramer"), abs=1e-12)
    within = sum(((x[a == k] - x[a == k].mean()) ** 2).sum() for k in range(4))
    assert correlation_ratio(number, left) == pytest.approx(np.sqrt(1 - within / ((x - x.mean()) ** 2).sum()))
    rows = torch.stack([number, 2 - number, left, right], 1)
    rows[::7, 0] = NAN
    found = associations(rows, ("number", "number", "category", "category"))
    assert torch.equal(found, found.T)
    assert float(found[0, 1]) == pytest.approx(-1)
    assert float(found[2, 3]) == pytest.approx(cramers_v(left, right))
    assert float(found[1, 2]) == pytest.approx(correlation_ratio(number, left))
    assert cramers_v(left, torch.zeros(300)) == 0
    assert correlation_ratio(torch.ones(300), left) == 0


def test_many_levels_are_counted_by_their_occupied_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.random.default_rng(1)
    x, y = (torch.from_numpy(g.integers(0, 9, 200).astype(float)) for _ in range(2))
    whole = cramers_v(x, y)
    monkeypatch.setattr("rivalry.stats.associations.DENSE", 3)
    assert cramers_v(x, y) == pytest.approx(whole, abs=1e-12)
