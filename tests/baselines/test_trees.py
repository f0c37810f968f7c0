"""Independent columns and MST: exact without noise, of the right noise with it, and the known tree is found."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.tables import hard
from rivalry.baselines import MST, Independent, fit, kept
from rivalry.baselines import trees as module
from rivalry.baselines.cells import Cells
from rivalry.baselines.trees import Counts, TableModel, spanning
from rivalry.catalogue import build, dump
from rivalry.data import Dataset, load
from rivalry.errors import RecipeError
from rivalry.parts import Baseline
from rivalry.types import Block, Spec

SIZES = (3, 4, 2, 5, 3)
CHAIN = {(0, 1), (1, 2), (2, 3), (3, 4)}


def chain(n: int, seed: int = 0) -> Tensor:
    """[n, 5]: each variable says 'as the one before it' in 70 rows of 100, in a fixed order of values."""
    g = torch.Generator().manual_seed(seed)
    columns = [torch.randint(SIZES[0], (n,), generator=g)]
    for size in SIZES[1:]:
        follow = torch.rand(n, generator=g) < 0.7
        columns.append(torch.where(follow, columns[-1] % size, torch.randint(size, (n,), generator=g)))
    return torch.stack(columns, 1)


def spec() -> Spec:
    starts = [sum(SIZES[:i]) for i in range(len(SIZES))]
    blocks = [Block(f"c{i}", "choice", s, w, (1 / w,) * w) for i, (s, w) in enumerate(zip(starts, SIZES, strict=True))]
    return Spec("table", (sum(SIZES),), blocks=tuple(blocks))


def encoded(codes: Tensor) -> Tensor:
    return torch.cat([torch.nn.functional.one_hot(c, s).float() for c, s in zip(codes.T, SIZES, strict=True)], 1)


def edges(model: object) -> set[tuple[int, int]]:
    assert isinstance(model, TableModel)
    return {(min(i, p), max(i, p)) for i, p in enumerate(model.forest.parents) if p >= 0}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Heavy tails, spikes, dates, missing cells, a column of 300 levels."""
    import numpy as np
    import pyarrow as arrow
    from pyarrow import csv

    rng = np.random.default_rng(0)
    rows = hard()
    words = [f"w{v}" for v in np.minimum(rng.geometric(0.01, len(rows)), 300)]
    path = tmp_path_factory.mktemp("data") / "hard.csv"
    csv.write_csv(rows.append_column("many", arrow.array(words)), path)
    return load(path)


def test_numbers_of_cells_and_back(table: Dataset) -> None:
    """Rows made of codes have these codes; numbers fall into their bin, and one within it keeps the order."""
    cells = Cells(table.spec, 16)
    x = table.train.batch(torch.arange(len(table.train)), torch.device("cpu")).x
    codes = cells.codes(x)
    assert all(0 <= int(c.min()) <= int(c.max()) < s for c, s in zip(codes.T, cells.sizes, strict=True))
    assert cells.within  # the column of many levels is two variables
    back = cells.rows(codes, torch.full(codes.shape, 0.5))
    assert torch.equal(cells.codes(back), codes)
    numbers = torch.tensor([b.start for b in table.spec.blocks if b.kind == "number"])
    choices = torch.ones(x.shape[1], dtype=torch.bool)
    choices[numbers] = False
    assert torch.equal(back[:, choices], x[:, choices])
    tails = x[:, numbers].abs() > 0.38  # deviates beyond 1.5, where bins are wide
    assert float((back - x)[:, numbers].abs()[~tails].amax()) < 0.1


def test_independent_columns_have_exact_marginals_and_no_relations() -> None:
    codes = chain(5000)
    model = Independent().fit([encoded(codes[:2000]), encoded(codes[2000:])], spec())
    assert isinstance(model, TableModel)
    for i, found in enumerate(model.forest.tables):
        shares = torch.bincount(codes[:, i], minlength=SIZES[i]).double() / 5000
        assert torch.allclose(found, shares, rtol=0, atol=1e-12)
    assert not edges(model)
    made = Cells(spec(), 2).codes(model.sample(20_000, 1))
    count = Counts(made, SIZES)
    for i, j in CHAIN:
        apart = count.apart(i, j, [count.one(k) for k in range(5)]) / 20_000
        assert apart < 0.05
    assert torch.equal(model.sample(100, 5), model.sample(100, 5))
    assert not torch.equal(model.sample(100, 5), model.sample(100, 6))


@pytest.mark.parametrize("epsilon", [math.inf, 3.0])
def test_a_known_tree_is_found_and_its_pairs_kept(epsilon: float) -> None:
    codes = chain(20_000)
    model = MST(epsilon=epsilon).fit([encoded(codes)], spec())
    assert edges(model) == CHAIN
    real, made = Counts(codes, SIZES), Counts(Cells(spec(), 2).codes(model.sample(20_000, 1)), SIZES)
    for i, j in [*CHAIN, (0, 2), (1, 4)]:  # far pairs follow from near ones
        assert float((real.pair(i, j) - made.pair(i, j)).abs().sum()) / 20_000 < 0.05


def test_without_noise_pairs_are_exact() -> None:
    codes = chain(3000)
    model = MST().fit([encoded(codes)], spec())
    assert isinstance(model, TableModel)
    for i, p in enumerate(model.forest.parents):
        if p >= 0:
            pair = Counts(codes, SIZES).pair(p, i)
            assert torch.allclose(model.forest.tables[i], pair / pair.sum(1, keepdim=True), atol=1e-6)


def test_one_row_moves_counts_and_scores_no_further_than_assumed() -> None:
    codes = chain(500)
    one, less = Counts(codes, SIZES), Counts(codes[1:], SIZES)
    moved = torch.cat([one.one(i) - less.one(i) for i in range(5)])
    assert float(moved.norm()) == pytest.approx(math.sqrt(5))
    noisy = [one.one(i) + 3 for i in range(5)]
    for i, j in CHAIN:
        assert float((one.pair(i, j) - less.pair(i, j)).norm()) == 1
        assert abs(one.apart(i, j, noisy) - less.apart(i, j, noisy)) <= 1 + 1e-9


def test_noise_is_as_wide_as_its_budget_asks() -> None:
    """5 singles together: sigma = sqrt(5 / (2 rho)); 2 pairs: sqrt(2 / (2 rho))."""
    count = Counts(chain(100), SIZES)
    singles = [torch.cat(count.ones(0.02)) - torch.cat([count.one(i) for i in range(5)]) for _ in range(400)]
    spread = torch.stack(singles).std()
    assert float(spread) == pytest.approx(math.sqrt(5 / 0.04), rel=0.05)
    pairs = [count.pairs([(0, 1), (1, 2)], 0.02) for _ in range(400)]
    spread = torch.stack([p[0, 1] - count.pair(0, 1) for p in pairs]).std()
    assert float(spread) == pytest.approx(math.sqrt(2 / 0.04), rel=0.05)


def test_the_whole_budget_is_spent_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every mechanism is handed adds up to rho."""
    spent: list[float] = []
    sigma, epsilon_ = module.gaussian_sigma, module.exponential_epsilon

    def measured(rho: float, sensitivity: float) -> float:
        spent.append(rho)
        return sigma(rho, sensitivity)

    def chosen(rho: float) -> float:
        spent.append(4 * rho)  # one of four choices
        return epsilon_(rho)

    monkeypatch.setattr(module, "gaussian_sigma", measured)
    monkeypatch.setattr(module, "exponential_epsilon", chosen)
    rows = [encoded(chain(2000))]
    MST(epsilon=1.0, delta=1e-6).fit(rows, spec())
    assert sum(spent) == pytest.approx(module.rho_for(1.0, 1e-6))
    spent.clear()
    Independent(epsilon=1.0, delta=1e-6).fit(rows, spec())
    assert spent == pytest.approx([module.rho_for(1.0, 1e-6)])


def test_pairs_are_chosen_by_chance_under_little_budget() -> None:
    count = Counts(chain(300), SIZES)
    ones = [count.one(i) for i in range(5)]
    found = {tuple(sorted(spanning(count, ones, [], 4, 1e-7))) for _ in range(20)}
    assert len(found) > 5
    assert all(len(tree) == 4 for tree in found)


def test_noise_is_fresh_and_exact_counts_are_not_noised() -> None:
    rows = [encoded(chain(1000))]
    first, second = (Independent(epsilon=1.0).fit(rows, spec()).tensors()["table.0"] for _ in range(2))
    assert not torch.equal(first, second)
    first, second = (Independent().fit(rows, spec()).tensors()["table.0"] for _ in range(2))
    assert torch.equal(first, second)


def test_cost_is_said_in_words() -> None:
    rows = [encoded(chain(1000))]
    (note,) = MST().private(2.0, 1e-6).fit(rows, spec()).notes
    assert note.startswith("(2, 1e-06)-differential privacy")
    assert "without noise" in note
    assert MST().fit(rows, spec()).notes == ()


@pytest.mark.parametrize("baseline", [Independent(), MST(), MST(epsilon=1.0)], ids=["independent", "mst", "mst-1"])
def test_hard_tables(baseline: Baseline, table: Dataset, tmp_path: Path) -> None:
    """Every kind of column; missing cells come as often; what is kept on disk makes the same rows."""
    path = tmp_path / "kept.safetensors"
    found, seconds = kept(baseline, table, path)
    again, same = kept(baseline, table, path)
    assert torch.equal(found.sample(300, 3), again.sample(300, 3))
    assert seconds == same > 0
    made = table.modality.decode(found.sample(4000, 1))
    real = table.train.raw(torch.arange(len(table.train)))
    gaps = (made.isnan().double().mean(0) - real.isnan().double().mean(0)).abs()
    assert float(gaps.amax()) < 0.05
    assert table.spec.shape == found.sample(2, 0).shape[1:]


def test_settings_are_plain_and_checked() -> None:
    assert build(Baseline, dump(MST(epsilon=2.0))) == MST(epsilon=2.0)
    assert build(Baseline, "independent") == Independent()
    for wrong in ({"bins": 1}, {"epsilon": 0.0}, {"epsilon": math.nan}, {"delta": 1.0}):
        with pytest.raises(RecipeError, match="two bins"):
            MST(**wrong)  # type: ignore[arg-type]


def test_data_of_another_kind_are_not_for_them() -> None:
    assert not MST().fits(load("ring8").spec)


def test_rows_are_needed(table: Dataset) -> None:
    from rivalry.errors import DataError

    with pytest.raises(DataError, match="none"):
        Independent().fit([], table.spec)
    assert fit(Independent(), table).sample(1, 0).shape == (1, *table.spec.shape)
