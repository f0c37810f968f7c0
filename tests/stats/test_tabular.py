"""Rulers for tables: SDMetrics' own numbers, plain-Python references, closed forms, models broken on purpose."""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from torch import Tensor

from rivalry.errors import DataError
from rivalry.stats import (
    alpha_precision_beta_recall,
    faithfulness,
    independent_marginals,
    missing_errors,
    missing_pattern_distance,
    shape_error,
    shape_errors,
    tabular,
    trend_error,
    trend_errors,
)

KINDS = ("number", "number", "category", "category")
NAN = math.nan


def table(*columns: list[float] | np.ndarray | Tensor) -> Tensor:
    return torch.stack([torch.as_tensor(column, dtype=torch.float64) for column in columns], dim=1)


def patients(rows: int, seed: int, missing: float = 0.1) -> Tensor:
    """Two related numbers and two related categories of 4 and 30 levels, with missing cells."""
    g = np.random.default_rng(seed)
    age = g.normal(50, 12, rows)
    pressure = 80 + age + g.normal(0, 10, rows)
    ward = np.digitize(age + g.normal(0, 5, rows), (35, 50, 65)).astype(float)
    code = (ward * 7 + g.integers(0, 9, rows)).clip(0, 29)
    rows_ = np.stack([age, pressure, ward, code], axis=1)
    rows_[g.random(rows_.shape) < missing] = np.nan
    return torch.from_numpy(rows_)


def arithmetic(n: int, a: int) -> Tensor:
    """A table without randomness, so that another package can be asked about the same cells."""
    i = np.arange(n, dtype=float)
    age = (37 * i + a * i // 3) % 61
    income = ((i * i * 13) % 101) / 4 + age * (1 + a) / 2
    job = (5 * i + i // 7 + a * (i % 3)) % 4
    city = (i * i + a) % 5
    income[i % 7 == a] = np.nan
    city[i % 11 < 1 + a] = np.nan
    return table(age, income, job, city)


def test_the_numbers_of_sdmetrics() -> None:
    """1 - score by sdmetrics 0.32.0: KS, TV, Correlation- and ContingencySimilarity, the latter with
    `continuous_column_names` for mixed pairs.  (The package depends on one that is not free, so it is not run here.)"""
    real, fake = arithmetic(60, 0), arithmetic(50, 1)
    shape = [0.023333333333333317, 0.47104423164614684, 0.08999999999999997, 0.6148147997256519]
    # Its total variation counts a level that one side lacks as one millionth of a cell.
    assert shape_errors(real, fake, KINDS).tolist() == pytest.approx(shape, abs=1e-7)
    pairs = [0.12351678010987688, 0.5566666666666668, 0.7566666666666667, 0.72, 0.77, 0.5733333333333334]
    trend = trend_errors(real, fake, KINDS)
    assert [float(trend[i, j]) for i, j in combinations(range(4), 2)] == pytest.approx(pairs, abs=1e-12)
    assert torch.equal(trend, trend.T)
    assert trend.diagonal().tolist() == [0.0] * 4
    assert trend_error(real, fake, KINDS) == pytest.approx(sum(pairs) / 6)


def test_against_sdmetrics_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, where `pip install --no-deps sdmetrics` was made (MIT).  It imports copulas (BSL) for a metric that is not
    asked for here; an empty module stands in, so that none of that code runs."""
    pandas = pytest.importorskip("pandas")
    if find_spec("sdmetrics") is None:
        pytest.skip("SDMetrics is not installed; its stored numbers are checked above")
    stub = ModuleType("copulas.univariate.base")
    monkeypatch.setattr(stub, "Univariate", object, raising=False)
    for name in ("copulas", "copulas.univariate"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "copulas.univariate.base", stub)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = import_module("sdmetrics.single_column")
        pairs = import_module("sdmetrics.column_pairs")
        real, fake = patients(300, 0), patients(250, 1)
        frames = [pandas.DataFrame(side.numpy(), columns=[*"abcd"]) for side in (real, fake)]
        shape = [
            1 - (columns.KSComplement if kind == "number" else columns.TVComplement).compute(*(f[c] for f in frames))
            for c, kind in zip("abcd", KINDS, strict=True)
        ]
        correlation = 1 - pairs.CorrelationSimilarity.compute(*(f[["a", "b"]] for f in frames))
        contingency = 1 - pairs.ContingencySimilarity.compute(*(f[["c", "d"]] for f in frames))
    trend = trend_errors(real, fake, KINDS)
    assert shape_errors(real, fake, KINDS).tolist() == pytest.approx(shape, abs=1e-5)
    assert float(trend[0, 1]) == pytest.approx(correlation, abs=1e-9)
    assert float(trend[2, 3]) == pytest.approx(contingency, abs=1e-9)


def plain_variation(real: list[object], fake: list[object]) -> float:
    p, q = Counter(real), Counter(fake)
    return sum(abs(p[key] / len(real) - q[key] / len(fake)) for key in p | q) / 2


def plain_bin(value: float, low: float, width: float) -> int:
    return -1 if math.isnan(value) else int(min(max(math.floor((value - low) / width), 0), 9))


def plain_trend(real: np.ndarray, fake: np.ndarray, i: int, j: int) -> float:
    """A pair of KINDS by the definitions, cell by cell."""
    if (i, j) == (0, 1):
        both = [side[~np.isnan(side[:, :2]).any(1)] for side in (real, fake)]
        found = [np.corrcoef(side[:, 0], side[:, 1])[0, 1] for side in both]
        return float(abs(found[0] - found[1]) / 2)
    sides: list[list[object]] = []
    for side in (real, fake):
        columns = []
        for c in (i, j):
            low, high = np.nanmin(real[:, c]), np.nanmax(real[:, c])
            number = KINDS[c] == "number"
            cells = [plain_bin(v, low, (high - low) / 10) if number else str(v) for v in side[:, c]]
            columns.append(cells)
        sides.append(list(zip(*columns, strict=True)))
    return plain_variation(*sides)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("dense", [1, 10**6])
def test_matches_plain_references(missing: float, dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "DENSE", dense)
    real, fake = patients(700, 0, missing), patients(500, 1, missing) * torch.tensor([1.1, 0.9, 1, 1])
    x, y = real.numpy(), fake.numpy()
    known = [[side[~np.isnan(side[:, c]), c] for side in (x, y)] for c in range(4)]
    shape = [float(ks_2samp(*known[c]).statistic) for c in (0, 1)]
    shape += [plain_variation(*(side.tolist() for side in known[c])) for c in (2, 3)]
    assert shape_errors(real, fake, KINDS).tolist() == pytest.approx(shape, abs=1e-12)
    trend = trend_errors(real, fake, KINDS)
    for i, j in combinations(range(4), 2):
        assert float(trend[i, j]) == pytest.approx(plain_trend(x, y, i, j), abs=1e-12)


def test_closed_forms_of_shape() -> None:
    """Uniform on 0..999 against 300..1299 differs by .3; shares (.5, .3, .2) against (.2, .3, .5) by .3."""
    grid = torch.arange(1000, dtype=torch.float64)
    levels = [
        torch.tensor([0.0, 1.0, 2.0]).repeat_interleave(torch.tensor(n)) for n in ([500, 300, 200], [200, 300, 500])
    ]
    errors = shape_errors(table(grid, levels[0]), table(grid + 300, levels[1]), ("number", "category"))
    assert errors.tolist() == pytest.approx([0.3, 0.3], abs=1e-12)
    disjoint = shape_errors(table(grid, levels[0]), table(grid + 5000, levels[1] + 9), ("number", "category"))
    assert disjoint.tolist() == pytest.approx([1.0, 1.0])


def test_closed_forms_of_trend() -> None:
    """Correlations 1 against -1, and a full 2x2 table against a diagonal one, whose columns are alike one by one."""
    x, bit = torch.arange(100.0), torch.arange(100.0) % 2
    numbers = trend_errors(table(x, 3 * x + 1), table(x, -x), ("number", "number"))
    assert float(numbers[0, 1]) == pytest.approx(1.0)
    other = torch.arange(100.0) // 2 % 2
    assert shape_error(table(bit, other), table(bit, bit), ("category",) * 2) == 0.0
    assert trend_error(table(bit, other), table(bit, bit), ("category",) * 2) == pytest.approx(0.5)
    mixed = trend_errors(table(bit, other), table(bit, bit), ("number", "category"))
    assert float(mixed[0, 1]) == pytest.approx(0.5)


def test_timestamps_and_a_far_value_do_not_cancel() -> None:
    """Correlations of seconds since 1970 that differ by milliseconds, and of complete rows beside a huge cell."""
    g = np.random.default_rng(0)
    a, b = g.normal(size=(2, 500))
    moved = table(a * 1e-3 + 1.6e9, a + b)
    exact = np.corrcoef(moved[:, 0] - 1.6e9, a + b)[0, 1]
    flat = table(a, b - a * (a @ b) / (a @ a))
    kinds = ("number", "number")
    expected = abs(exact - np.corrcoef(flat.T)[0, 1]) / 2
    assert float(trend_errors(moved, flat, kinds)[0, 1]) == pytest.approx(expected, abs=1e-9)
    wild = torch.cat([table(a, a + b), torch.tensor([[1e12, NAN]], dtype=torch.float64)])
    assert float(trend_errors(wild, table(a, a + b), kinds)[0, 1]) == pytest.approx(0.0, abs=1e-12)


def test_independent_marginals_keep_shape_and_lose_trend() -> None:
    real = patients(4000, 0)
    baseline = independent_marginals(real, 4000, 7)
    assert shape_errors(real, baseline, KINDS).tolist() == [0.0] * 4
    assert missing_errors(real, baseline).tolist() == [0.0] * 4
    fresh = trend_error(real, patients(4000, 1), KINDS)
    assert fresh < 0.08
    assert trend_error(real, baseline, KINDS) > 4 * fresh
    assert float(trend_errors(real, baseline, KINDS)[0, 1]) == pytest.approx(0.38, abs=0.05)  # rho = .77


def test_independent_marginals_of_any_length() -> None:
    real = table(torch.arange(10.0), torch.arange(10.0) + 10)
    long = independent_marginals(real, 25, 0)
    assert set(Counter(long[:, 0].tolist()).values()) == {2, 3}
    assert set(Counter(long[:, 1].tolist()).values()) == {2, 3}
    assert independent_marginals(real, 4, 0)[:, 0].unique().numel() == 4
    assert torch.equal(long, independent_marginals(real, 25, 0))
    assert not torch.equal(long, independent_marginals(real, 25, 1))
    with pytest.raises(DataError, match="one row or more"):
        independent_marginals(real, 0, 0)


def test_missing_cells() -> None:
    """Equal shares in each column, but the real table lacks both cells together, the fake one never."""
    holes = torch.tensor([0.0, NAN, 0.0, NAN], dtype=torch.float64)
    real, fake = table(holes, holes), table(holes, holes.flip(0))
    assert missing_errors(real, fake).tolist() == [0.0, 0.0]
    assert missing_pattern_distance(real, fake) == pytest.approx(1.0)
    assert missing_pattern_distance(real, real.flip(0)) == 0.0
    whole = torch.zeros(5, 2)
    assert missing_errors(real, whole).tolist() == [0.5, 0.5]
    assert missing_pattern_distance(real, whole) == pytest.approx(0.5)
    assert missing_pattern_distance(whole, whole) == 0.0
    wide = torch.zeros(6, 130, dtype=torch.float64)
    wide[torch.arange(6), torch.tensor([0, 0, 64, 64, 129, 129])] = NAN
    assert missing_pattern_distance(wide, wide[[0, 0, 2, 2, 2, 2]]) == pytest.approx(1 / 3)


def test_columns_that_say_nothing() -> None:
    """Constant, and empty on one side or both: finite numbers, no warnings, and a collapsed column costs."""
    n = torch.arange(40.0)
    constant, empty = torch.full((40,), 3.0), torch.full((40,), NAN)
    kinds = ("number", "number", "category", "number")
    real = table(n, constant, constant, empty)
    assert shape_errors(real, real, kinds).tolist() == [0.0] * 4
    assert trend_errors(real, real, kinds).abs().max() == 0.0
    filled = table(n, constant, empty, n)
    assert shape_errors(real, filled, kinds).tolist() == [0.0, 0.0, 1.0, 1.0]
    assert bool(trend_errors(real, filled, kinds).isfinite().all())
    collapsed = trend_errors(table(n, n), table(n, constant), ("number", "number"))
    assert float(collapsed[0, 1]) == pytest.approx(0.5)


def test_order_of_rows_does_not_matter() -> None:
    real, fake = patients(300, 0), patients(200, 1)
    moved = real[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    assert torch.equal(shape_errors(real, fake, KINDS), shape_errors(moved, fake.flip(0), KINDS))
    torch.testing.assert_close(
        trend_errors(real, fake, KINDS), trend_errors(moved, fake.flip(0), KINDS), rtol=0, atol=1e-14
    )
    assert missing_pattern_distance(real, fake) == missing_pattern_distance(moved, fake.flip(0))
    few = [patients(n, seed, 0.0)[:, 2:].float() for n, seed in ((300, 0), (200, 1))]  # ties everywhere
    assert alpha_precision_beta_recall(*few) == pytest.approx(alpha_precision_beta_recall(*(s.flip(0) for s in few)))


def test_bad_input() -> None:
    rows = torch.zeros(4, 2)
    with pytest.raises(DataError, match="not a 'date'"):
        shape_errors(rows, rows, ("number", "date"))
    with pytest.raises(DataError, match="3 features where 2"):
        shape_errors(rows, torch.zeros(4, 3), ("number", "number"))
    with pytest.raises(DataError, match="infinite"):
        trend_errors(rows, torch.full((4, 2), torch.inf), ("number", "number"))
    with pytest.raises(DataError, match="at least 1"):
        missing_errors(rows, rows[:0])
    with pytest.raises(DataError, match="NaN"):
        alpha_precision_beta_recall(rows * NAN, rows)


def draw(rows: int, dim: int, seed: int) -> Tensor:
    return torch.randn(rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def brute_faithfulness(real: Tensor, fake: Tensor, steps: int = 4000) -> tuple[float, float, float]:
    """By the definitions, integrals as sums over a grid; no ties."""
    x, y = real.numpy(), fake.numpy()
    centre = x.mean(0)
    far_x, far_y = (np.linalg.norm(side - centre, axis=1) for side in (x, y))
    within, between = cdist(x, x) + np.diag(np.full(len(x), np.inf)), cdist(x, y)
    reach = within.min(1)
    precision = recall = 0.0
    for level in (np.arange(steps) + 0.5) / steps:
        ball = np.quantile(far_x, level, method="inverted_cdf")
        precision += abs((far_y <= ball).mean() - level) / steps
        typical = far_y <= np.quantile(far_y, level, method="inverted_cdf")
        recall += abs((between[:, typical] <= reach[:, None]).any(1).mean() - level) / steps
    authentic = between.min(0) > reach[between.argmin(0)]
    return 1 - 2 * precision, 1 - 2 * recall, float(authentic.mean())


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.3), (2.0, 0.0), (1.0, 1.0)])
def test_faithfulness_matches_brute_force_whatever_the_chunk(scale: float, shift: float) -> None:
    real, fake = draw(120, 3, 0), draw(90, 3, 1) * scale + shift
    expected = brute_faithfulness(real, fake)
    for cells in (1, 500, 10**7):
        found = alpha_precision_beta_recall(real, fake, cells=cells)
        assert found.authenticity == pytest.approx(expected[2])
        assert found[:2] == pytest.approx(expected[:2], abs=0.01)  # the staircases' own steps of 1 / N


def test_the_jackknife_of_faithfulness_against_leaving_groups_out() -> None:
    real, fake = draw(90, 3, 0), draw(70, 3, 1).round(decimals=1)
    groups = torch.arange(70) % 5
    parts = torch.tensor([alpha_precision_beta_recall(real, fake[groups != g])[:2] for g in range(5)])
    errors = (0.8 * (parts - parts.mean(0)).square().sum(0)).sqrt().tolist()
    for cells in (1, 500, 10**7):
        found = faithfulness(real, fake, 5, cells=cells)
        assert [f.value for f in found] == list(alpha_precision_beta_recall(real, fake)[:2])
        assert [f.error for f in found] == pytest.approx(errors)
    with pytest.raises(DataError, match="two groups"):
        faithfulness(real, fake[:7], 5)


def test_faithfulness_in_closed_form() -> None:
    """Uniform on a line: half the width gives P(a) = min(2 a, 1), alpha = .5; a nearest neighbour is mutual with
    probability 2/3 on a line and 6 pi / (8 pi + 3 sqrt 3) in the plane, so that a fresh row is authentic else."""
    line = torch.linspace(-1, 1, 4001, dtype=torch.float64)[:, None]
    assert alpha_precision_beta_recall(line, line / 2).alpha == pytest.approx(0.5, abs=1e-3)
    g = torch.Generator().manual_seed(0)
    real, fake = (torch.rand(3000, 1, dtype=torch.float64, generator=g) for _ in range(2))
    found = alpha_precision_beta_recall(real, fake)
    assert found.alpha == pytest.approx(1.0, abs=0.04)
    assert found.beta == pytest.approx(0.5, abs=0.03)
    assert found.authenticity == pytest.approx(1 / 3, abs=0.03)
    real, fake = (torch.rand(3000, 2, dtype=torch.float64, generator=g) for _ in range(2))
    plane = 1 - 6 * math.pi / (8 * math.pi + 3 * math.sqrt(3))
    assert alpha_precision_beta_recall(real, fake).authenticity == pytest.approx(plane, abs=0.03)


def test_faithfulness_of_broken_models() -> None:
    real = draw(400, 4, 0)
    fresh = alpha_precision_beta_recall(real, draw(400, 4, 1))
    copies = alpha_precision_beta_recall(real, real.flip(0))
    assert copies.alpha == pytest.approx(1.0)
    assert copies.authenticity == 0.0
    assert 0.3 < fresh.authenticity < 0.7
    collapsed = alpha_precision_beta_recall(real, draw(400, 4, 1) * 0.05)
    assert collapsed.alpha < 0.1
    assert collapsed.beta < 0.1 * fresh.beta
    noisy = alpha_precision_beta_recall(real, draw(400, 4, 1) * 3)
    assert noisy.alpha < 0.5
    assert noisy.authenticity > fresh.authenticity + 0.2
    # The authors' code centres fakes on their own mean, where a shifted model keeps the order it should lose.
    assert alpha_precision_beta_recall(real, real + 1e6) == pytest.approx((0.0, 0.0, 1.0))


def test_ties_share_their_rank() -> None:
    """A table of one level, and one of two bits: equal tables are perfect though all distances tie."""
    one = torch.ones(10, 3)
    assert alpha_precision_beta_recall(one, one[:4]) == pytest.approx((1.0, 1.0, 0.0))
    bits = torch.eye(2)[torch.tensor([0] * 30 + [1] * 10)]
    found = alpha_precision_beta_recall(bits, bits.repeat(2, 1))
    assert found == pytest.approx((1.0, 1.0, 0.0))
    # All reals at distance 1, half of the fakes nearer and half beyond: P(a) = 1/2, and int |1/2 - a| = 1/4.
    signs, wrong = torch.tensor([[-1.0], [1.0]]).repeat(6, 1), torch.tensor([[0.0], [5.0], [0.0], [-5.0]])
    assert alpha_precision_beta_recall(signs, wrong).alpha == pytest.approx(0.5)
