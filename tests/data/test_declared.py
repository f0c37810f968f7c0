"""What few people have is not handed over, whatever the size of the table; what a schema declares is not read off the rows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from data.records import folder
from data.tables import seen
from rivalry.data import ReadOptions, inspect, load, restore
from rivalry.data.columns.schema import Schema
from rivalry.errors import DataError

pa = pytest.importorskip("pyarrow")

PUBLIC = """
constraints = []
[columns.ward]
type = "category"
levels = ["surgery", "medicine", "tropical", "other"]
public = true
[columns.age]
type = "number"
low = 0
high = 110
step = 1
public = true
[columns.seen]
type = "date"
format = "%Y-%m-%d"
low = 2000-01-01
high = 2030-01-01
public = true
missing = false
[columns.case]
type = "identifier"
public = true
"""


def ward(n: int = 120, seed: int = 0, extra: str = "leprosy"):
    g = np.random.default_rng(seed)
    wards = g.choice(["surgery", "medicine"], n).tolist()
    wards[3], wards[70] = extra, extra
    days = (np.datetime64("2019-01-01") + g.integers(0, 900, n)).astype(str).tolist()
    return pa.table({
        "ward": wards, "age": g.integers(20, 90, n).astype(str).tolist(), "seen": days,
        "case": [f"C-{i:05d}" for i in g.permutation(10**5)[:n]],
    })  # fmt: skip


def schema(tmp_path: Path, text: str = PUBLIC) -> ReadOptions:
    (tmp_path / "columns.toml").write_text(text)
    return ReadOptions(schema=tmp_path / "columns.toml", kind="table")


# -- rare levels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [120, 400, 700])
def test_levels_of_few_people_are_not_handed_over_in_tables_of_any_size(n: int):
    data = load(ward(n))
    state = tomli_w.dumps(data.modality.state())
    assert "leprosy" not in state
    assert data.modality.learned[0].code.levels == ("medicine", "other", "surgery")
    assert any("1 level of 'ward' with fewer than 5 rows became 'other'" in note for note in data.notes)
    assert any("1 level of 'ward' with fewer than 5 rows" in note and "levels = [...]" in note for note in inspect(ward(n)).notes)


def test_levels_that_only_held_out_rows_have_are_not_handed_over_either():
    names = [f"place {i}" for i in range(60)]
    g = np.random.default_rng(0)
    data = load(pa.table({"place": [*names, *g.choice(["a", "b"], 60).tolist()], "x": g.normal(size=120)}))
    assert data.modality.learned[0].code.levels == ("a", "b", "other")
    assert any("in 5" in note and "declare them in a schema" in note for note in data.notes)


def test_rare_levels_of_few_patients_are_not_handed_over(tmp_path: Path):
    source = folder(tmp_path / "ward", 60)
    lines = (source / "visits.csv").read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:-1], "cigars"])
    (source / "visits.csv").write_text("\n".join(lines) + "\n")
    people = (source / "patients.csv").read_text().replace("P003,", "P003,", 1).splitlines()
    people[4] = people[4][:-1] + "X"
    (source / "patients.csv").write_text("\n".join(people) + "\n")
    data = load(source)
    text = tomli_w.dumps(data.modality.state())
    assert "cigars" not in text
    assert '"X"' not in text


def test_runs_from_before_keep_their_rare_levels():
    data = load(ward(120), options=ReadOptions(reading=1))
    assert "leprosy" in data.modality.learned[0].code.levels


def test_the_state_of_runs_from_before_is_what_it_was():
    """The fingerprint is of the state too: one key more, and no earlier run would resume."""
    data = load(pa.table({"age": np.random.default_rng(0).normal(40, 9, 300).round(1)}), options=ReadOptions(kind="table", reading=1))
    (column,) = data.modality.state()["columns"]
    assert set(column) == {"name", "type", "form", "dtype", "blank", "value", "number"}
    assert set(column["number"]) == {"step", "low", "high", "spikes", "gaps", "knots", "deviates", "shares"}


def test_declared_names_are_kept_though_few_rows_have_them(tmp_path: Path):
    text = '[columns.ward]\ntype = "category"\nlevels = ["surgery", "medicine", "leprosy", "never"]\n'
    data = load(ward(), options=schema(tmp_path, text))
    code = data.modality.learned[0].code
    assert code.levels == ("surgery", "medicine", "leprosy", "never")
    assert sum(code.shares) == pytest.approx(1)  # of the rows, for the column is not said to be public
    fewer = load(ward(), options=schema(tmp_path, text.replace(', "leprosy", "never"', "")))
    assert any("2 cells of 'ward' that are none of the declared levels became missing" in n for n in fewer.notes)
    assert inspect(ward(), options=schema(tmp_path, text.replace(', "leprosy", "never"', ""))).text().count("'leprosy'") == 1


# -- public columns ---------------------------------------------------------------------------------------------------


def test_nothing_of_public_columns_is_read_off_the_rows(tmp_path: Path):
    """Two tables that share no cell of any public column, but for the levels' names, make the same modality."""
    one = load(ward(), options=schema(tmp_path))
    two = load(ward(200, seed=5, extra="tropical"), options=schema(tmp_path))
    assert one.modality == two.modality
    assert one.spec == two.spec
    assert [c.public for c in one.modality.columns] == ["declared"] * 4
    assert restore("table", tomllib.loads(tomli_w.dumps(one.modality.state()))) == one.modality
    x = one.modality.decode(seen(one.train))
    raw = one.train.raw(torch.arange(len(one.train)))
    assert torch.equal(x.nan_to_num(-1), raw.nan_to_num(-1))  # what is encoded comes back


def test_a_row_of_public_columns_is_encoded_by_itself(tmp_path: Path):
    data = load(ward(), options=schema(tmp_path))
    raw = data.train.raw(torch.arange(len(data.train)))
    whole, half = data.modality.encode(raw), data.modality.encode(raw[::2])
    assert torch.equal(whole[::2], half)
    ages = raw[:, 1]
    tied = (ages == ages.mode().values).nonzero().flatten()
    assert len(whole[tied][:, data.spec.blocks[2].start].unique()) == len(tied)  # spread over the step


def test_even_quantiles_stand_in_for_those_of_the_rows(tmp_path: Path):
    data = load(ward(), options=schema(tmp_path))
    z = torch.randn(20_000, dtype=torch.float64) / 4
    made = data.modality.learned[1].code.decode([torch.zeros(20_000, dtype=torch.long)], z)
    counts = torch.histc(made.float(), 10, 0, 110)
    assert float(counts.min()) > 0.7 * 2000
    assert float(counts.max()) < 1.3 * 2000


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("low = 0\n", "", "declare low and high"),
        ('levels = ["surgery", "medicine", "tropical", "other"]\n', "", "declare its levels"),
        ("step = 1\n", "step = 1\nshares = [0.5, 0.4]\n", "do not add up to 1"),
        ("step = 1\n", "step = 1\nquantiles = [5, 4, 3]\n", "no ascending list"),
        ("step = 1\n", "step = 1\nshares = [0.5, 0.25, 0.25]\n", "3 shares for 'age', which has 2 options"),
        ("public = true\n[columns.age]", 'public = "yes"\n[columns.age]', "say true if all that is declared is public"),
        ("public = true\n[columns.age]", 'public = "paid"\n[columns.age]', "prepare the data anew"),
        ('"tropical", ', '"surgery", ', "or one twice"),
    ],
)
def test_declarations_that_leave_something_open_are_refused(tmp_path: Path, old: str, new: str, said: str):
    with pytest.raises(DataError, match=said):
        load(ward(), options=schema(tmp_path, PUBLIC.replace(old, new, 1)))


def test_a_missing_cell_where_none_was_declared_is_told(tmp_path: Path):
    table = ward().to_pydict()
    table["seen"][0] = ""
    with pytest.raises(DataError, match="no cell of 'seen' is missing, and 1 are"):
        load(pa.table(table), options=schema(tmp_path))


def test_declarations_go_through_toml(tmp_path: Path):
    found = Schema.from_toml(PUBLIC)
    again = Schema.from_toml(found.to_toml())
    assert again == found


def test_public_columns_are_not_for_records(tmp_path: Path):
    source = folder(tmp_path / "ward", 60)
    with pytest.raises(DataError, match="visits are read off the rows in any case"):
        load(source, options=schema(tmp_path, '[columns.age]\ntype = "number"\nlow = 0\nhigh = 120\npublic = true\n').__class__(
            schema=tmp_path / "columns.toml"))
