"""Tables: how they are encoded, split, and what is kept of them."""

import math
import tomllib

import numpy as np
import pyarrow as pa
import pytest
import tomli_w
import torch

from rivalry.data import ReadOptions, load, restore
from rivalry.data.columns.codes import LevelCode, NumberCode, decimals_of, knots_of, spread
from rivalry.errors import DataError

from .tables import column, every, hard, seen

CPU = torch.device("cpu")
ADULT = ("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship",
         "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income")  # fmt: skip


def ks(a, b):
    """The two-sample Kolmogorov-Smirnov distance, from its definition."""
    both = np.concatenate([a, b])
    return np.abs(
        np.searchsorted(np.sort(a), both, "right") / len(a) - np.searchsorted(np.sort(b), both, "right") / len(b)
    ).max()


@pytest.fixture(scope="module")
def adult():
    from .conftest import SHARED

    path = SHARED / "tab_adult" / "adult_train_uci.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return load(path)


# -- encoding ----------------------------------------------------------------------------------------------------


def test_blocks_cover_the_rows_and_encoded_rows_keep_to_them():
    data = load(hard())
    blocks, x = data.spec.blocks, seen(data.train)
    assert data.spec.kind == "table"
    assert [b.start for b in blocks] == np.cumsum([0, *(b.width for b in blocks)])[:-1].tolist()
    assert data.spec.shape == (sum(b.width for b in blocks),)
    for b in blocks:
        part = x[:, b.start : b.start + b.width]
        if b.kind == "choice":
            assert torch.equal(part.sum(1), torch.ones(len(x)))
            assert set(part.unique().tolist()) <= {0.0, 1.0}
            assert sum(b.shares) == pytest.approx(1)
            assert part.double().mean(0).tolist() == pytest.approx(b.shares, abs=2 / len(x))
        else:
            assert b.width == 1
            assert float(part.abs().max()) <= 1
    by_name = {name: [(b.kind, b.width) for b in blocks if b.name == name] for name in ("zeros", "seven", "half", "word")}
    assert by_name == {
        "zeros": [("choice", 2), ("number", 1)], "seven": [("choice", 2)], "half": [("choice", 2), ("number", 1)],
        "word": [("choice", 3)],
    }  # fmt: skip


def test_numbers_are_about_standard_normal_where_they_are_ordinary():
    data = load(hard())
    x = seen(data.train)
    for b in data.spec.blocks:
        if b.kind != "number":
            continue
        choice = next((c for c in data.spec.blocks if c.name == b.name and c.kind == "choice"), None)
        ordinary = torch.ones(len(x), dtype=torch.bool) if choice is None else x[:, choice.start] == 1
        z = x[ordinary, b.start].double() * 4
        assert float(x[~ordinary, b.start].abs().sum()) == 0
        normal = 0.5 * (1 + torch.erf(z.sort().values / math.sqrt(2)))
        assert float((normal - (torch.arange(len(z)) + 0.5) / len(z)).abs().max()) < 0.01


def test_hard_columns_come_back():
    data = load(hard())
    for store in (data.train, data.held):
        raw, back = store.raw(every(store)), data.modality.decode(seen(store))
        assert torch.equal(raw.isnan(), back.isnan())
        for name in ("seven", "word", "zeros", "day", "whole"):
            i = column(data, name)
            assert torch.equal(raw[:, i].nan_to_num(-1), back[:, i].nan_to_num(-1)), name
        i = column(data, "heavy")
        inside = (raw[:, i] > raw[:, i].quantile(0.005)) & (raw[:, i] < raw[:, i].quantile(0.99))
        assert float((raw[:, i] - back[:, i])[inside].abs().max()) <= 0.0101
        i = column(data, "half")
        there = ~raw[:, i].isnan()
        assert torch.allclose(raw[there, i], back[there, i], atol=1e-5)


def test_raw_rows_are_those_of_the_file():
    table = hard()
    data = load(table)
    both = torch.cat([s.raw(every(s)) for s in (data.train, data.held)])
    for name in ("heavy", "zeros", "whole"):
        expected = np.sort(np.array(table.column(name).to_pylist(), dtype=float))
        np.testing.assert_array_equal(np.sort(both[:, column(data, name)].numpy()), expected)
    days = np.array(table.column("day").to_pylist(), dtype="datetime64[s]").astype(np.int64)
    np.testing.assert_array_equal(np.sort(both[:, column(data, "day")].numpy()), np.sort(days))
    expected = np.array([float(v) if v else np.nan for v in table.column("half").to_pylist()])
    np.testing.assert_allclose(np.sort(both[:, column(data, "half")].numpy()), np.sort(expected), rtol=0)


def test_encode_is_what_the_stores_hold():
    data = load(hard())
    for store in (data.train, data.held):
        assert torch.equal(data.modality.encode(store.raw(every(store))), seen(store))
    index = torch.tensor([5, 2, 2])
    batch = data.train.batch(index, CPU)
    assert torch.equal(batch.x, seen(data.train)[index])
    assert batch.index.tolist() == [5, 2, 2]
    assert data.train.labels is None


def test_ten_thousand_levels_cost_about_two_hundred_numbers():
    rng = np.random.default_rng(0)
    words = np.concatenate([np.repeat(np.arange(10_000), 7), rng.integers(0, 10_000, 5000)])
    table = pa.table({"code": [f"w{i}" for i in words.tolist()], "x": [f"{v:.1f}" for v in rng.normal(size=len(words))]})
    data = load(table)
    code = data.modality.learned[0].code
    assert isinstance(code, LevelCode)
    widths = [b.width for b in data.spec.blocks if b.name == "code"]
    assert len(widths) == 2
    assert sum(widths) <= 202
    raw, back = data.held.raw(every(data.held)), data.modality.decode(seen(data.held))
    assert torch.equal(raw[:, 0], back[:, 0])
    beyond = code.decode([torch.tensor([widths[0] - 1]), torch.tensor([widths[1] - 1])])
    assert beyond.tolist() == [len(code.levels) - 1]


def test_a_pair_that_names_no_level_is_never_missing():
    code = LevelCode(tuple(f"l{i}" for i in range(70)), gaps=True, shares=(1 / 71,) * 71)
    first, second = code.blocks("c", 3)
    assert (first.start, first.width, second.start, second.width) == (3, 8, 11, 9)
    assert first.shares == pytest.approx((9 / 71,) * 7 + (8 / 71,))
    a, b = torch.tensor([7, 7, 7, 0]), torch.tensor([6, 7, 8, 1])
    assert code.decode([a, b]).tolist()[0:1] == [69.0]
    assert math.isnan(code.decode([a, b])[1])
    assert code.decode([a, b]).tolist()[2:] == [69.0, 1.0]


def test_any_scores_decode():
    data = load(hard())
    x = torch.randn(500, *data.spec.shape) * 3
    raw = data.modality.decode(x)
    assert raw.shape == (500, len(data.modality.learned))
    for i, c in enumerate(data.modality.learned):
        there = raw[~raw[:, i].isnan(), i]
        if isinstance(c.code, NumberCode):
            assert float(there.min()) >= c.code.low
            assert float(there.max()) <= c.code.high
        else:
            assert set(there.tolist()) <= set(range(len(c.code.levels)))
    assert not data.modality.decode(torch.full((2, *data.spec.shape), torch.nan)).isinf().any()


def test_ties_are_spread_evenly():
    values = torch.tensor([3.0, 5, 3, 3, 5, 9], dtype=torch.float64)
    out = spread(values, 2.0, 0)
    third = 2 / 3
    assert sorted(out[values == 3].tolist()) == pytest.approx([3 - third, 3, 3 + third])
    assert sorted(out[values == 5].tolist()) == pytest.approx([4.5, 5.5])
    assert out[5] == 9
    assert torch.equal(out, spread(values, 2.0, 0))
    many = torch.zeros(100, dtype=torch.float64)
    assert not torch.equal(spread(many, 1.0, 0), spread(many, 1.0, 1))


def test_knots_are_means_of_order_statistics():
    """Of 0 ... n - 1 the mean of a window is its middle, and the quantile of a uniform variable is known."""
    n = 10_000
    knots, deviates = knots_of(torch.randperm(n).double(), 0.0, 0)
    places = 0.5 * (1 + torch.erf(torch.tensor(deviates, dtype=torch.float64) / math.sqrt(2)))
    assert len(knots) <= 65
    assert (knots[0], knots[-1]) == (2.0, n - 3.0)
    assert torch.allclose(torch.tensor(knots, dtype=torch.float64), places * n - 0.5, atol=0.3)


@pytest.mark.parametrize("n", [5, 9, 10, 14, 30, 64, 200, 1000])
def test_few_rows_have_few_knots(n):
    knots, deviates = knots_of(torch.randn(n, dtype=torch.float64), 0.0, 0)
    assert len(knots) == len(deviates) <= max(3, n // 5 + 1)
    assert list(deviates) == sorted(set(deviates))
    assert list(knots) == sorted(knots)
    assert knots_of(torch.randn(4, dtype=torch.float64), 0.0, 0) == ((), ())


@pytest.mark.parametrize(("step", "digits"), [(1, 0), (5, 0), (0.25, 2), (0.01, 2), (86400, 0), (1e-6, 6)])
def test_digits_of_steps(step, digits):
    assert decimals_of(step) == digits


def test_distance_is_gowers():
    data = load(pa.table({"n": [f"{i}.5" for i in range(50)], "w": ["a", "b"] * 25}), options=ReadOptions(kind="table"))
    assert [b.kind for b in data.spec.blocks] == ["number", "choice"]
    a = torch.tensor([[0.5, 1, 0], [0.5, 1, 0], [-1.0, 1, 0]])
    b = torch.tensor([[0.5, 1, 0], [-0.5, 1, 0], [1.0, 0, 1]])
    assert data.modality.distance(a, b).tolist() == [0, 0.25, 1]


# -- what is kept ------------------------------------------------------------------------------------------------


def plain_numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [n for v in value for n in plain_numbers(v)]
    return [float(value)] if isinstance(value, float) else []


def test_state_holds_no_value_of_a_row_and_no_extreme():
    rng = np.random.default_rng(5)
    values = rng.normal(size=2000) * 1000
    names = [f"Person {i:04d}" if i < 8 else f"group {i % 5}" for i in range(2000)]
    keys = [f"K-{v:06d}" for v in rng.permutation(10**6)[:2000]]
    data = load(pa.table({"v": values, "name": names, "key": keys}))
    state = data.modality.state()
    text = tomli_w.dumps(state)
    assert not set(plain_numbers(state["columns"])) & set(values.tolist())
    nearest = np.abs(np.subtract.outer(np.array(plain_numbers(state["columns"])), [values.min(), values.max()])).min()
    assert nearest > 1
    assert "Person" not in text
    assert not any(k in text for k in keys)
    assert "other" in data.modality.learned[1].code.levels
    assert any("8 levels of 'name' with fewer than 5 rows became 'other'" in n for n in data.notes)


def test_rare_numbers_become_missing_in_tables_of_any_size():
    codes = ["1"] * 300 + ["2"] * 300 + ["7"] * 3
    rest = [f"{i % 97}.5" for i in range(603)]
    data = load(pa.table({"c": codes, "x": rest}), options=ReadOptions(kind="table"))
    c = data.modality.learned[0].code
    assert (set(c.levels), c.gaps) == ({"1", "2"}, True)
    small = load(pa.table({"c": (codes[:100] + codes[300:403] + ["7"] * 3), "x": rest[:206]}), options=ReadOptions(kind="table"))
    assert set(small.modality.learned[0].code.levels) == {"1", "2"}


def test_state_goes_through_toml_and_restores():
    data = load(hard())
    kept = restore("table", tomllib.loads(tomli_w.dumps(data.modality.state())))
    assert kept == data.modality
    assert kept.blocks == data.spec.blocks
    x = torch.randn(50, *data.spec.shape)
    assert torch.equal(kept.decode(x).nan_to_num(-1), data.modality.decode(x).nan_to_num(-1))
    with pytest.raises(DataError, match="must list its columns"):
        restore("table", {})
    with pytest.raises(DataError, match="each of its columns"):
        restore("table", {"columns": [{"name": "a"}]})
    with pytest.raises(DataError, match="is not whole"):
        restore("table", {"columns": [{"name": "a", "type": "number", "number": {"stop": 1}}]})


def test_reading_is_a_function_of_the_seed():
    a, b, c = load(hard()), load(hard()), load(hard(), options=ReadOptions(seed=1))
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert torch.equal(seen(a.train), seen(b.train))


# -- splits ------------------------------------------------------------------------------------------------------


def test_groups_and_copies_stay_on_one_side():
    n = 400
    people = [f"p{i // 4}" for i in range(n)]
    values = [f"{i // 4}.{i % 4}" for i in range(n)]
    data = load(pa.table({"who": people, "v": values, "w": ["a", "b"] * 200}), options=ReadOptions(group="who"))
    sides = [{int(v) for v in s.raw(every(s))[:, 0].tolist()} for s in (data.train, data.held)]
    assert not sides[0] & sides[1]
    assert len(sides[1]) >= 10
    unique = [f"{i}.5" for i in range(390)] + [f"{i}.5" for i in range(10)]
    twice = load(pa.table({"v": unique, "w": ["a"] * 390 + ["a"] * 10, "z": ["b", "c"] * 200}))
    sides = [set(s.raw(every(s))[:, 0].tolist()) for s in (twice.train, twice.held)]
    assert not sides[0] & sides[1]


def test_few_levels_are_split_row_by_row():
    rng = np.random.default_rng(0)
    data = load(pa.table({k: rng.choice(["yes", "no"], 1000, p=[0.2, 0.8]).tolist() for k in "abcd"}))
    assert (len(data.train), len(data.held)) == (900, 100)
    shares = [float((s.raw(every(s)) == 0).double().mean()) for s in (data.train, data.held)]
    assert shares == pytest.approx([0.8, 0.8], abs=0.05)


# -- Adult -------------------------------------------------------------------------------------------------------


def test_adult_comes_back(adult):
    for store in (adult.train, adult.held):
        raw, back = store.raw(every(store)), adult.modality.decode(seen(store))
        assert torch.equal(raw.isnan(), back.isnan())
        off = ((raw - back).nan_to_num(0).abs() > 0).double().mean(0)
        assert float(off.max()) < 0.001
        assert float(torch.cat([off[:2], off[3:]]).max()) == 0


def test_adult_is_taken_as_it_is(adult):
    types = [c.type for c in adult.modality.columns]
    numbers = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
    assert [n for n, t in zip(ADULT, types, strict=True) if t == "number"] == [n for n in ADULT if n in numbers]
    assert set(types) == {"number", "category"}
    assert adult.spec.shape[0] < 160
    assert any("'?': x2 1,836, x7 1,843, x14 583" in n for n in adult.notes)


def test_standard_normal_numbers_decode_to_adults_marginals(adult):
    """What a perfect generator would draw has each column's own distribution, within sampling error and knots."""
    modality, n = adult.modality, 30_000
    rng = torch.Generator().manual_seed(0)
    parts = []
    for b in adult.spec.blocks:
        if b.kind == "number":
            parts.append(torch.randn(n, 1, generator=rng) / 4)
        else:
            drawn = torch.multinomial(torch.tensor(b.shares), n, replacement=True, generator=rng)
            parts.append(torch.nn.functional.one_hot(drawn, b.width).float())
    made, real = modality.decode(torch.cat(parts, 1)), adult.train.raw(every(adult.train))
    for i, c in enumerate(modality.learned):
        if isinstance(c.code, NumberCode):
            assert ks(made[:, i].numpy(), real[:, i].numpy()) < 0.016, c.name
