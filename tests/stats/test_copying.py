"""Memorisation: a copying model is flagged, fresh samples are not, at any sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats import memorisation


def draw(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_copying_model_is_flagged() -> None:
    train, held = draw(400, 8, 0), draw(200, 8, 1)
    copies = train.repeat(2, 1) + 0.05 * draw(800, 8, 2)
    result = memorisation(copies, train, held)
    assert result.flagged
    assert result.share.low > result.expected == pytest.approx(2 / 3)
    assert result.p_value < 1e-6
    assert result.copies > 0.9
    assert result.copies_fresh < 0.05
    assert result.ratio < 0.3 * result.ratio_fresh
    assert result.train_index[:400].tolist() == list(range(400))
    torch.testing.assert_close(result.train_distance[:400], (copies[:400] - train).norm(dim=1))


def test_a_model_that_copies_a_tenth_of_the_time_is_flagged() -> None:
    train, held = draw(1000, 8, 0), draw(1000, 8, 1)
    samples = torch.cat([train[:150] + 0.02 * draw(150, 8, 2), draw(1350, 8, 3)])
    result = memorisation(samples, train, held)
    assert result.flagged
    assert result.copies - result.copies_fresh == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("trained", "kept", "dim"), [(300, 300, 8), (600, 100, 8), (300, 60, 2), (200, 200, 64)])
def test_fresh_samples_are_not_flagged(trained: int, kept: int, dim: int) -> None:
    """At 95 % at most about 2.5 % of 80 audits may cry wolf, also with hubs and unequal sides."""
    results = [
        memorisation(
            draw(300, dim, 3 * seed), draw(trained, dim, 3 * seed + 1), draw(kept, dim, 3 * seed + 2), confidence=0.95
        )
        for seed in range(80)
    ]
    assert sum(result.flagged for result in results) <= 5
    shares = np.array([result.share.value for result in results])
    assert shares.mean() == pytest.approx(trained / (trained + kept), abs=0.02)
    p_values = np.array([result.p_value for result in results])
    assert 0.01 < (p_values < 0.1).mean() < 0.2, "p-values of the null are uniform"
    assert np.mean([r.copies - r.copies_fresh for r in results]) == pytest.approx(0, abs=0.02)
    assert np.mean([r.ratio / r.ratio_fresh for r in results]) == pytest.approx(1, abs=0.05)


def test_a_collapsed_model_near_one_record_is_little_evidence() -> None:
    """All samples share one nearest record, which is as good as one coin toss."""
    train, held = draw(100, 4, 0), draw(100, 4, 1)
    result = memorisation(train[:1] + 1e-3 * draw(500, 4, 2), train, held)
    assert result.share.value == 1.0
    assert not result.flagged
    assert result.copies == 1.0, "the share of close copies still tells"


def test_ties_count_by_shares() -> None:
    """Tables have equal rows on both sides; a record found in both is no evidence for either."""
    codes = torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0)).repeat(20, 1)
    result = memorisation(codes[:50], codes[:120], codes[120:])
    assert result.share.value == pytest.approx(2 / 3, abs=0.02)
    assert not result.flagged
    assert result.ratio == 1.0
    assert result.copies == 0.0


def test_chunks_do_not_matter_and_copies_far_from_the_origin_are_found() -> None:
    train, held = draw(80, 6, 0).float() + 300, draw(50, 6, 1).float() + 300
    samples = train[:60].clone()
    one, many = memorisation(samples, train, held), memorisation(samples, train, held, cells=300)
    assert one.share == many.share
    assert one.copies == 1.0
    assert one.train_distance.abs().max() == 0
    assert torch.equal(one.train_index, torch.arange(60))
    assert torch.equal(one.held_distance, many.held_distance)


def test_errors_are_sentences() -> None:
    x = draw(10, 3, 0)
    with pytest.raises(DataError, match="held-out data holds 1 rows"):
        memorisation(x, x, x[:1])
    with pytest.raises(DataError, match="one extractor"):
        memorisation(draw(10, 2, 0), x, x)
    with pytest.raises(DataError, match="ratio"):
        memorisation(x, x, x, close=2)
