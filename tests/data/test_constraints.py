"""Constraints on tables: what they mean, how rows are made to meet them, which are proposed, and what is refused."""

import math
import tomllib

import numpy as np
import pytest
import tomli_w
import torch

from rivalry.data import ReadOptions, inspect, load, restore
from rivalry.data.columns.schema import Schema
from rivalry.data.loading import schema
from rivalry.data.rules.grid import at_least, at_most, common_step, snapped
from rivalry.data.rules.kinds import all_hold
from rivalry.errors import DataError, RivalryError

from .tables import column, every, seen
from .wards import stays, table

ALL = (
    "admission <= discharge < invoice", "fees + tax = total", "diastolic<=systolic", "exact < above", "0.5 <= fees < 190",
    "combinations(city, zip)", "pregnancies missing if sex=M", "admission >= 2021-01-04", "above <= 4",
)  # fmt: skip


def read(columns, *constraints, **options):
    return load(table(columns), options=ReadOptions(kind="table", constraints=constraints, **options))


def noise(data, n=4000, seed=0):
    """Any scores: what an untrained network might make."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, *data.spec.shape, generator=g) * 2


def cells(data, raw, name):
    return raw[:, column(data, name)]


def written(data, raw, path):
    """The columns of a written CSV, as words."""
    import csv

    data.modality.write(raw, path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {k: [r[k] for r in rows] for k in rows[0]}


@pytest.fixture(scope="module")
def all_of_them():
    return read(stays(), *ALL)


# -- by construction ---------------------------------------------------------------------------------------------


def test_rows_of_any_scores_meet_all_constraints(all_of_them):
    data = all_of_them
    raw = data.modality.decode(noise(data))
    assert data.modality.plan is not None
    assert not data.modality.plan.rejected
    assert bool(data.modality.plan.holds(raw).all())
    low, high = cells(data, raw, "admission"), cells(data, raw, "discharge")
    assert int((~high.isnan()).sum()) > 1000
    assert not bool((high < low).any())
    assert not bool((cells(data, raw, "invoice") <= high).any())
    assert bool((cells(data, raw, "fees") + cells(data, raw, "tax") == cells(data, raw, "total")).all())
    fees = cells(data, raw, "fees")
    assert (float(fees.min()), float(fees.max())) == (0.5, 189.5)
    assert bool((cells(data, raw, "above") > cells(data, raw, "exact")).all())
    assert float(cells(data, raw, "above").max()) <= 4
    men = cells(data, raw, "sex") == data.modality.learned[column(data, "sex")].code.levels.index("M")
    assert bool(cells(data, raw, "pregnancies")[men].isnan().all())
    assert bool((~cells(data, raw, "pregnancies")[~men].isnan()).any())


@pytest.mark.parametrize(
    ("rules", "again"),
    [
        (("births missing if sex=M", "kids missing if births!=1|2"), ()),
        (("kids missing if births!=1|2", "births missing if sex=M"), ()),
        (("combinations(city, zip)", "city missing if sex=M"), ["combinations(city, zip)"]),
        (("combinations(city, zip, sex)", "city missing if sex=M"), ()),
    ],
)
def test_cells_that_are_emptied_are_looked_at_again(rules, again):
    """What one constraint empties may be what another goes by, or part of a combination."""
    g = np.random.default_rng(0)
    rows = []
    for sex in g.choice(["F", "M"], 900):
        place, births = int(g.choice(9 if sex == "F" else 6)), "" if sex == "M" else str(g.integers(0, 3))
        kids = str(g.integers(0, 5)) if births in ("1", "2") else ""
        rows.append((sex, births, kids, "" if sex == "M" else f"town {place // 3}", f"z{place}"))
    data = read(dict(zip(("sex", "births", "kids", "city", "zip"), map(list, zip(*rows, strict=True)), strict=True)), *rules)
    plan, raw = data.modality.plan, data.modality.decode(noise(data))
    assert [r.text for r in plan.rejected] == list(again)
    kept = all_hold(plan.rejected, raw)
    assert bool(kept.all()) == (not again)
    assert float(kept.double().mean()) > 0.5
    assert torch.equal(plan.holds(raw), kept)


def test_levels_that_a_constraint_leaves_no_row_with():
    g = np.random.default_rng(0)
    rows = {"sex": list(g.choice(["F", "F", "M"], 600)), "x": [f"{v:.3f}" for v in g.normal(size=600)], "y": [f"{v:.3f}" for v in g.normal(size=600)]}
    with pytest.raises(DataError, match=r"too little with the level of 'sex' 'M' meets the constraints.* drop one of: x missing if sex=M"):
        read(rows, "x missing if sex=M")


def test_written_cells_meet_them_too(all_of_them, tmp_path):
    made = written(all_of_them, noise(all_of_them), tmp_path / "out.csv")
    known = stays()
    pairs = set(zip(known["city"], known["zip"], strict=True))
    assert set(zip(made["city"], made["zip"], strict=True)) <= pairs
    number = {k: np.array([float(v) if v else math.nan for v in made[k]]) for k in ("fees", "tax", "total", "diastolic", "systolic", "exact", "above")}
    assert np.array_equal(number["fees"] + number["tax"], number["total"])
    assert (number["diastolic"] <= number["systolic"]).all()
    assert (number["exact"] < number["above"]).all()
    days = list(zip(made["admission"], made["discharge"], made["invoice"], strict=True))
    assert all(a < c and (not b or a <= b < c) for a, b, c in days)
    assert all(not p for p, s in zip(made["pregnancies"], made["sex"], strict=True) if s == "M")


def test_encoded_rows_come_back_and_meet_them(all_of_them):
    data = all_of_them
    for store in (data.train, data.held):
        raw, back = store.raw(every(store)), data.modality.decode(seen(store))
        assert bool(data.modality.plan.holds(raw).all())
        assert bool(data.modality.plan.holds(back).all())
        assert torch.equal(raw.isnan(), back.isnan())
        for name in ("admission", "city", "zip", "sex", "pregnancies", "tax", "diastolic"):
            assert torch.equal(cells(data, raw, name).nan_to_num(-1), cells(data, back, name).nan_to_num(-1)), name
        for name, step in (("discharge", 86400), ("invoice", 86400), ("systolic", 0.1), ("total", 0.5)):
            off = (cells(data, raw, name) - cells(data, back, name)).abs().nan_to_num(0)
            assert float((off > 1.01 * step).double().mean()) < 0.03, name


def test_what_is_learned_is_gaps_and_joint_columns(all_of_them):
    names = list(dict.fromkeys(b.name for b in all_of_them.spec.blocks))
    assert "city | zip" in names
    assert not {"city", "zip", "total"} & set(names)
    assert [name for name, _ in all_of_them.spec.columns] == [c.name for c in all_of_them.modality.learned]
    assert dict(all_of_them.spec.columns)["total"] == "number"


def test_a_plan_goes_through_toml(all_of_them):
    state = all_of_them.modality.state()
    kept = restore("table", tomllib.loads(tomli_w.dumps(state)))
    x = noise(all_of_them, 500, seed=3)
    assert kept.spec == all_of_them.spec
    assert torch.equal(kept.decode(x).nan_to_num(-1), all_of_them.modality.decode(x).nan_to_num(-1))
    raw = all_of_them.held.raw(every(all_of_them.held))
    assert torch.equal(kept.encode(raw), all_of_them.modality.encode(raw))
    state["constraints"].pop("steps")
    with pytest.raises(DataError, match="not whole"):
        restore("table", state)


def test_no_combination_of_few_rows_is_known():
    columns = stays(3000)
    columns["zip"][:4] = ["9999"] * 4  # four rows of one zip: merged, but with their cities rare
    columns["city"][:3] = ["city 0", "city 1", "city 2"]
    data = read(columns, "combinations(city, zip, k=20)")
    (rule,) = data.modality.plan.rules
    raw = data.train.raw(every(data.train))
    codes = [column(data, n) for n in ("city", "zip")]
    _, times = raw[:, codes].unique(dim=0, return_counts=True)
    assert int(times.min()) >= 20
    assert len(rule.known) == 12
    assert any("rows that have a combination of fewer than 20 training rows are left out" in n for n in data.notes)
    assert len(data.train) + len(data.held) < 3000


def test_missing_parts_and_parents():
    """Where a part is missing the total may be anything; where a parent is missing the column stands alone."""
    columns = stays(2000)
    g = np.random.default_rng(1)
    for name, share in (("tax", 0.3), ("total", 0.2), ("admission", 0.4)):
        columns[name] = ["" if g.random() < share else v for v in columns[name]]
    data = read(columns, "total = fees + tax", "discharge >= admission")
    raw, back = data.train.raw(every(data.train)), data.modality.decode(seen(data.train))
    assert torch.equal(raw.isnan(), back.isnan())
    assert float(((cells(data, raw, "total") - cells(data, back, "total")).abs() > 0.51).double().mean()) < 0.03
    gone = cells(data, raw, "admission").isnan()
    off = (cells(data, raw, "discharge") - cells(data, back, "discharge"))[gone].abs().nan_to_num(0)
    assert float((off > 5 * 86400).double().mean()) < 0.03
    made = data.modality.decode(noise(data))
    assert bool(data.modality.plan.holds(made).all())
    (total,) = [s for s in data.modality.plan.state()["steps"] if s["kind"] == "total"]
    assert total["follows"] < float(cells(data, raw, "total").nan_to_num(1e9).min()) - 5  # tells nothing of the least one
    loose = cells(data, made, "tax").isnan() & ~cells(data, made, "total").isnan()
    assert int(loose.sum()) > 50


def test_equal_columns_and_several_parents():
    columns = stays(1200)
    columns["copy"] = list(columns["systolic"])
    g = np.random.default_rng(2)
    columns["floor"] = [f"{float(v) - g.integers(0, 40)}" for v in columns["diastolic"]]
    columns["peak"] = [f"{max(float(a), float(b)) + g.integers(0, 9):.1f}" for a, b in zip(columns["systolic"], columns["floor"], strict=True)]
    data = read(columns, "systolic = copy", "peak >= systolic", "peak>=floor", "floor <= diastolic <= systolic")
    raw = data.modality.decode(noise(data))
    assert bool(data.modality.plan.holds(raw).all())
    assert torch.equal(cells(data, raw, "systolic"), cells(data, raw, "copy"))
    assert not data.modality.plan.rejected


@pytest.mark.parametrize("seed", range(8))
def test_any_orders_between_any_columns(seed, tmp_path):
    """Random columns (steps, missing cells, bounds), random orders among them: rows of any scores meet all, also as written."""
    g = np.random.default_rng(seed)
    n, steps = 400, g.choice([0.0, 0.1, 0.25, 1.0, 7.0], 5)
    values = [snapped(torch.from_numpy(g.normal(0, 40, n)), steps[0])]
    for step in steps[1:]:
        values.append(at_least(values[-1] + torch.from_numpy(g.gamma(1, 5, n) * (g.random(n) < 0.7)), step, True))
    words = {f"c{i}": [repr(x) if g.random() > 0.1 else "" for x in v.tolist()] for i, v in enumerate(values)}
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5) if g.random() < 0.6] or [(0, 4)]
    texts = [f"c{i} {'<' if g.random() < 0.5 else '<='} c{j}" for i, j in pairs]
    data = read(words, *texts, f"c{pairs[0][0]} <= {float(values[pairs[0][0]].quantile(0.9)):.2f}")
    plan = data.modality.plan
    assert not plan.rejected
    made = data.modality.decode(noise(data, 1500, seed))
    assert bool(plan.holds(made).all())
    assert bool(plan.holds(data.modality.decode(seen(data.train))).all())
    read_back = {k: np.array([float(v) if v else math.nan for v in cells]) for k, cells in written(data, made, tmp_path / "out.csv").items()}
    for text in texts:
        a, sign, b = text.split()
        low, high = read_back[a], read_back[b]
        assert not ((low >= high) if sign == "<" else (low > high)).any(), text


def test_what_cannot_be_made_is_left_to_drawing_anew():
    columns = stays(800)
    columns["cost"] = [f"{float(v) / 2:.3f}" for v in columns["total"]]
    data = read(columns, "fees + tax = total", "total >= cost", "total <= 200")
    assert [r.text for r in data.modality.plan.rejected] == ["total >= cost", "total <= 200"]
    assert any("met by drawing rows anew: total >= cost, total <= 200" in n for n in data.notes)
    raw = data.modality.decode(noise(data))
    keep = data.modality.plan.holds(raw)
    assert 0 < int(keep.sum()) < len(raw)


def test_a_table_without_constraints_is_what_it_was():
    data = read(stays())
    assert data.modality.plan is None
    assert data.spec.columns == ()
    assert "constraints" not in data.modality.state()


# -- numbers that can be written ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.0, 0.1, 0.25, 1.0, 3.0, 86400.0])
@pytest.mark.parametrize("strict", [False, True])
def test_least_and_most_numbers_of_a_grid(step, strict):
    values = torch.cat([torch.randn(2000, dtype=torch.float64) * 10 * (step or 1), torch.tensor([0.0, 0.3, -0.7, 5.0], dtype=torch.float64)])
    values = torch.cat([values, snapped(values, step)])
    up, down = at_least(values, step, strict), at_most(values, step, strict)
    assert torch.equal(snapped(up, step), up)
    assert bool(((up > values) if strict else (up >= values)).all())
    assert bool(((down < values) if strict else (down <= values)).all())
    if step:
        assert bool((up - step <= values + 1e-9).all())  # the next one down would not do
        assert float((up - values).max()) <= step + 1e-6


def test_common_steps():
    assert common_step(0.25, 0.1) == 0.05
    assert common_step(5.0, 10.0) == 5
    assert common_step(0.0, 1.0) == 0


# -- rows that violate them --------------------------------------------------------------------------------------


def test_violating_rows_are_left_out_and_counted():
    columns = stays(600)
    for i in range(7):
        columns["systolic"][i] = "12.0"
    columns["fees"][7] = "9999.5"
    data = read(columns, "systolic >= diastolic", "fees <= 500")
    assert len(data.train) + len(data.held) == 592
    assert any("'systolic >= diastolic': 7 rows that violate it are left out" in n for n in data.notes)
    assert any("'fees <= 500': 1 row that violate" in n for n in data.notes)
    for store in (data.train, data.held):
        assert bool(data.modality.plan.holds(store.raw(every(store))).all())


BAD = {
    "dischrge >= admission": "did you mean 'discharge'",
    "discharge >= admision": "did you mean 'admission'",
    "case >= 3": r"'case' \(identifier\) is not learned",
    "fees": "is no constraint; write for example",
    "fees >= ": "is no constraint",
    "fees = tax >= total": "is no constraint",
    "fees >= fees": "compares a column with itself",
    "city >= 3": "'city' is a category",
    "fees >= admission": "compares a date with a number",
    "admission >= yesterday": "'yesterday' is no date",
    "admission <= discharge, tax": "'discharge, tax'",
    "fees >= missing": "cannot be compared with 'missing'",
    "fees + tax = total + systolic": "sums on both sides",
    "fees + fees = total": "names a column twice",
    "admission + fees = discharge": "adds dates up",
    "combinations(city)": "two columns or more",
    "combinations(city, zipp)": "did you mean 'zip'",
    "combinations(city, zip, k=0)": "k = 0",
    "combinations(city, zip, k=400)": "no combination has 400 training rows",
    "combinations(city, fees)": "too many to be combined as levels",
    "pregnancies missing if sx=M": "did you mean 'sex'",
    "pregnancies missing if sex=W": "level of 'sex'",
    "admission > discharge": "does not hold in .* of 600 rows of .*more than half",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_constraints_that_make_no_sense(text):
    with pytest.raises(RivalryError, match=BAD[text]) as caught:
        read(stays(600), text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "hint"),
    [
        (("fees < tax", "tax < total", "total < fees"), "contradict one another"),
        (("fees <= tax", "tax <= fees"), "say (fees = tax|tax = fees)"),
        (("fees >= 50", "fees < 50"), "contradict one another: no value is left for 'fees'"),
        (("fees >= 50", "fees <= total", "total <= 40"), "no value is left for"),
        (("fees + tax = total", "tax + systolic = total"), "both make 'total'"),
        (("fees + tax = total", "total + systolic = fees"), "make one another"),
        (("fees <= 1", "fees + tax = total", "diastolic >= 99"), "does not hold|too few rows"),
    ],
)
def test_constraints_that_contradict_one_another(texts, hint):
    with pytest.raises(DataError, match=hint):
        read(stays(600), *texts)


def test_constraints_are_for_tables():
    with pytest.raises(DataError, match="constraints are for tables"):
        load(np.random.default_rng(0).normal(size=(40, 2)), options=ReadOptions(constraints=("x >= y",)))


def test_an_inspection_says_whether_they_hold():
    columns = stays(600)
    columns["systolic"][:3] = ["12.0"] * 3
    options = ReadOptions(kind="table", constraints=("systolic >= diastolic",))
    assert any("3 rows that violate it are left out" in n for n in inspect(table(columns), options=options).notes)
    with pytest.raises(DataError, match="more than half"):
        inspect(table(columns), options=ReadOptions(kind="table", constraints=("admission > discharge",)))


# -- the schema, and proposals -----------------------------------------------------------------------------------


def test_constraints_stand_in_the_schema(tmp_path):
    path = tmp_path / "types.toml"
    path.write_text('constraints = ["systolic >= diastolic"]\n[columns.stage]\ntype = "category"\n'.replace("stage", "zip"))
    data = load(table(stays()), options=ReadOptions(schema=path, constraints=("fees + tax = total",)))
    assert [r.text for r in data.modality.plan.rules] == ["systolic >= diastolic", "fees + tax = total"]
    again = Schema.from_toml(schema(table(stays()), options=ReadOptions(schema=path)).to_toml())
    assert again.constraints == ("systolic >= diastolic",)
    path.write_text('constraints = "systolic >= diastolic"\n')
    with pytest.raises(DataError, match="give a list of strings"):
        Schema.read(path)
    path.write_text('constraint = ["a>b"]\n')
    with pytest.raises(DataError, match="did you mean 'constraints'"):
        Schema.read(path)


def test_what_holds_is_proposed_and_nothing_else():
    found = inspect(table(stays(2000)), options=ReadOptions(kind="table"))
    assert set(found.constraints) == {
        "discharge >= admission", "invoice >= discharge", "systolic >= diastolic", "above >= exact",
        "fees + tax = total", "combinations(city, zip)", "pregnancies missing if sex=M",
    }  # fmt: skip
    assert "in all" in found.constraints["discharge >= admission"]
    assert "proposed constraint: fees + tax = total" in found.text()


def test_random_columns_propose_nothing():
    g = np.random.default_rng(0)
    columns = {k: g.normal(size=2000).round(2).astype(str).tolist() for k in "abc"}
    columns |= {k: g.choice(["x", "y", "z"], 2000).tolist() for k in "de"}
    columns["f"] = np.where(g.random(2000) < 0.3, "", g.integers(0, 90, 2000).astype(str)).tolist()
    assert inspect(table(columns)).constraints == {}


def test_proposed_constraints_can_be_taken():
    data = read(stays(2000), "proposed")
    texts = {r.text for r in data.modality.plan.rules}
    assert {"discharge >= admission", "fees + tax = total", "combinations(city, zip)", "pregnancies missing if sex=M"} <= texts
    made = data.modality.decode(noise(data))
    assert bool(data.modality.plan.holds(made).all())
    assert not data.modality.plan.rejected
    head = schema(table(stays(2000))).to_toml()
    assert '#     "fees + tax = total",' in head
    assert Schema.from_toml(head).constraints == ()


def test_numbers_are_combined_as_levels():
    g = np.random.default_rng(0)
    level = g.integers(0, 14, 2000)
    columns = {"degree": [f"degree {v}" for v in level], "years": (level + 3).astype(str).tolist(), "x": g.normal(size=2000).astype(str).tolist()}
    assert "combinations(degree, years)" in inspect(table(columns)).constraints
    data = read(columns, "combinations(degree, years)")
    assert any("the numbers of 'years' are taken as categories" in n for n in data.notes)
    made = data.modality.decode(noise(data))
    names = [data.modality.learned[i].code.levels for i in range(2)]
    assert all(int(names[0][int(a)].split()[1]) + 3 == int(names[1][int(b)]) for a, b in made[:, :2].tolist())


def test_names_with_signs_stand_in_quotes():
    g = np.random.default_rng(0)
    low = g.integers(0, 50, 500)
    data = read({"a+b": low.astype(str).tolist(), "c>d": (low + g.integers(0, 9, 500)).astype(str).tolist(), "w": ["x", "y"] * 250}, "'c>d' >= 'a+b'")
    raw = data.modality.decode(noise(data))
    assert bool((raw[:, 1] >= raw[:, 0]).all())


def test_constraints_go_with_the_options():
    options = ReadOptions(constraints=("a >= b",))
    assert ReadOptions.from_dict(tomllib.loads(tomli_w.dumps(options.as_dict()))) == options
