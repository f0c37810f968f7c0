"""Tables: which kind they are, their splits, and those that cannot be used."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rivalry
from rivalry.data import ReadOptions, load
from rivalry.errors import DataError

from .tables import as_csv, every, made


def test_points_or_table(tmp_path):
    numbers = "a,b\n" + "".join(f"{i}.5,{i * i}.25\n" for i in range(40))
    (tmp_path / "set.csv").write_text(numbers)
    assert load(tmp_path / "set.csv").modality.kind == "points"
    assert load(tmp_path / "set.csv", options=ReadOptions(kind="table")).modality.kind == "table"
    (tmp_path / "set.csv").write_text(numbers + "1,\n")
    assert load(tmp_path / "set.csv").modality.kind == "table"
    assert load(np.random.default_rng(0).normal(size=(40, 5)), options=ReadOptions(kind="table")).spec.shape == (5,)
    with pytest.raises(DataError, match="is no table, so it cannot be read as 'table'"):
        load(np.zeros((9, 8, 8), dtype=np.uint8), options=ReadOptions(kind="table"))
    with pytest.raises(DataError, match="kind must be one of points, table"):
        ReadOptions(kind="tabel")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_named_train_and_test_are_the_official_split(tmp_path, ending):
    for name, first, n in (("my_train", 0, 50), ("my_test", 1000, 30)):
        columns = {"v": [f"{first + i}.5" for i in range(n)], "w": ["a", "b"] * (n // 2)}
        if ending == "csv":
            (tmp_path / f"{name}.csv").write_text(as_csv(columns))
        else:
            pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    data = load(tmp_path)
    assert (len(data.train), len(data.held)) == (50, 30)
    assert float(data.train.raw(every(data.train))[:, 0].max()) == 49.5
    assert float(data.held.raw(every(data.held))[:, 0].min()) == 1000.5


BAD = {
    "": "is empty",
    "a,b,c\n": "header but no rows",
    "a,b,c\n1,x,y\n": "only 1 row",
    "remark\n" + "".join(f"row {i} is a long free remark on how it went with number {i}\n" for i in range(30)):
        r"no column that can be learned: remark \(text\)",
    "a,b\n" + "x,7\n" * 30: r"no column that can be learned: a \(constant\), b \(constant\)",
    "a,b,c\n" + ",NA,?\n" * 30: "all cells of .* are missing",
    "a,b,a\n" + "x,2,3\n" * 30: "more than one column named 'a'",
    "a,b,c\nx,2,3\n\nx,2\n" + "x,2,3\n" * 30: "has 2 cells in line 4, but 3 in the first",
    'a,b,c\nx,"2\n2",3\nx,2,3,4\n' + "x,2,3\n" * 30: "has 4 cells in line 4, but 3 in the first",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=lambda t: BAD[t][:25])
def test_tables_that_cannot_be_used(tmp_path, text):
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(DataError, match=BAD[text]) as caught:
        load(tmp_path / "set.csv", options=ReadOptions(kind="table"))
    assert "\n" not in str(caught.value)


def test_a_damaged_gzip(tmp_path):
    whole = gzip.compress(as_csv(made(2000)[0]).encode())
    (tmp_path / "set.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        load(tmp_path / "set.csv.gz")


def test_nested_cells():
    with pytest.raises(DataError, match="holds cells of the type list"):
        load(pa.table({"a": [[1, 2]] * 20, "b": ["x"] * 20}))


def test_columns_that_are_asked_for(tmp_path):
    (tmp_path / "set.csv").write_text(as_csv(made()[0]))
    data = load(tmp_path / "set.csv", options=ReadOptions(columns=("sex", "city")))
    assert [c.name for c in data.modality.columns] == ["city", "sex"]
    with pytest.raises(DataError, match="has no column 'town'"):
        load(tmp_path / "set.csv", options=ReadOptions(columns=("town",), kind="table"))


@pytest.mark.parametrize("n", [1, 2, 5, 7])
@pytest.mark.parametrize("dedupe", [False, True])
def test_the_least_number_of_rows_is_said_with_its_reason(n, dedupe):
    made = pa.table({"age": [str(20 + i) for i in range(n)], "sex": ["F", "M"] * (n // 2) + ["F"] * (n % 2)})
    with pytest.raises(DataError, match=rf"only {n} rows? that can be used; at least 8 are needed \(20 without --holdout .5\)"):
        load(made, options=ReadOptions(dedupe=dedupe))


@pytest.mark.parametrize("n", [8, 12, 17])
def test_rows_that_can_be_read_but_not_measured_are_told_of_before_training(n, tmp_path):
    rows = "".join(f"{20 + i},{'FM'[i % 2]}\n" for i in range(n))
    (tmp_path / "few.csv").write_text("age,sex\n" + rows)

    def train(**more):
        options = ReadOptions(**more)
        return rivalry.train(
            tmp_path / "few.csv", recipe="independent", run=str(tmp_path / "run"), device="cpu", options=options, say=lambda line: None
        )

    with pytest.raises(DataError, match=r"rows are held-out of \d+, and at least 4 are needed .* 20 or more, .*--holdout .5"):
        train()
    assert not (tmp_path / "run").exists()
    assert len(train(holdout=0.5).sample(3)) == 3
