"""Tables that are hard but can be used: one column, constants, mixed cells, dates that are none, very many levels and rows."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv as arrow_csv

from rivalry.data import ReadOptions, inspect, load
from rivalry.errors import DataError

from .tables import column, every, seen

TABLE = ReadOptions(kind="table")


@pytest.mark.parametrize("cells", [[f"{v:.2f}" for v in np.random.default_rng(0).normal(size=200)], list("abc") * 60, ["", "x"] * 50])
def test_one_column(tmp_path, cells):
    (tmp_path / "set.csv").write_text("v\n" + "\n".join(cells or '""') + "\n")
    data = load(pa.table({"v": cells}), options=TABLE)
    assert [c.name for c in data.modality.learned] == ["v"]
    made = data.modality.decode(torch.randn(300, *data.spec.shape))
    (out,) = data.modality.write(made, tmp_path / "out.csv")
    again = load(out, options=TABLE)
    assert again.modality.learned[0].type == data.modality.learned[0].type
    raw = data.train.raw(every(data.train))
    assert torch.equal(raw.isnan(), data.modality.decode(seen(data.train)).isnan())


def test_constants_and_empty_columns_among_others(tmp_path):
    n = 120
    data = load(pa.table({"unit": ["mg"] * n, "w": ["a", "b", "c"] * 40, "nothing": [""] * n, "zero": ["0"] * n}), options=TABLE)
    assert [c.type for c in data.modality.columns] == ["constant", "category", "constant", "constant"]
    (out,) = data.modality.write(data.modality.decode(torch.randn(9, *data.spec.shape)), tmp_path / "out.csv")
    lines = out.read_text().splitlines()
    assert lines[0] == "unit,w,nothing,zero"
    assert all(x.startswith("mg,") and x.endswith(",,0") for x in lines[1:])


def test_mixed_cells_are_levels_or_strays():
    g = np.random.default_rng(0)
    words = g.choice(["7", "8.5", "red", "2020-01-02"], 300).tolist()
    numbers = [f"{v:.1f}" for v in g.normal(50, 9, 300)]
    numbers[3], numbers[77] = "n.a.", "about 40"
    table = pa.table({"mixed": words, "size": numbers})
    data = load(table, options=TABLE)
    assert set(data.modality.learned[0].code.levels) == {"7", "8.5", "red", "2020-01-02"}
    assert data.modality.learned[1].type == "number"
    assert "2 cells of 'size' that are no numbers count as missing" in data.notes, "cells are quoted in inspections only"
    assert "cells of 'size' that are no numbers: 'n.a.', 'about 40'" in inspect(table, options=TABLE).notes
    both = torch.cat([s.raw(every(s)) for s in (data.train, data.held)])
    assert int(both[:, 1].isnan().sum()) == 2


def test_dates_that_are_none(tmp_path):
    days = [f"2020-01-{1 + i % 28:02d}" for i in range(300)]
    days[5], days[9] = "2020-02-30", "2020-13-01"
    cells = {"seen": days, "w": ["a", "b", "c"] * 100}
    data = load(pa.table(cells))
    assert data.modality.learned[0].type == "date"
    assert "2 cells of 'seen' that are no dates count as missing" in data.notes
    assert "cells of 'seen' that are no dates: '2020-02-30', '2020-13-01'" in inspect(pa.table(cells)).notes
    (tmp_path / "types.toml").write_text('[columns.seen]\ntype = "date"\nformat = "%Y-%m-%d"\n')
    with pytest.raises(DataError, match=r"holds '2020-02-30', which is no date of the format '%Y-%m-%d'; mend the cell"):
        load(pa.table(cells), options=ReadOptions(schema=tmp_path / "types.toml"))


def test_ten_thousand_levels_are_learned_and_written(tmp_path):
    g = np.random.default_rng(0)
    words = np.concatenate([np.repeat(np.arange(10_000), 12), g.integers(0, 10_000, 3000)])
    data = load(pa.table({"code": [f"w{i}" for i in words], "x": g.normal(size=len(words)).round(1).astype(str).tolist()}))
    assert len(data.modality.learned[column(data, "code")].code.levels) == 10_000
    assert data.spec.shape[0] < 250
    (out,) = data.modality.write(data.modality.decode(torch.randn(2000, *data.spec.shape)), tmp_path / "out.csv")
    assert set(arrow_csv.read_csv(out).column("code").to_pylist()) <= {f"w{i}" for i in range(10_000)}


@pytest.mark.parametrize("text", ["a,b,c\n1,x,2020-01-01\n", "a,b\n1,x\n2,\n", "a,b\n,\n,\n", "a,b,c\n1,x,\n,y,z\n3,,\n"])
def test_tiny_tables_are_looked_at_and_suggest_nothing(tmp_path, text):
    (tmp_path / "set.csv").write_text(text)
    found = inspect(tmp_path / "set.csv", options=TABLE)
    assert found.total == text.count("\n") - 1
    assert found.constraints == {}


READ = """
import json, resource, sys, time
from pathlib import Path
from rivalry.data import load
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begun = time.process_time()
data = load(Path(sys.argv[1]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([len(data.train) + len(data.held), time.process_time() - begun, (after - before) / 1024]))
"""


def write_large(path, rows, block=500_000):
    """A table of ten columns of all sorts, block by block."""
    g = np.random.default_rng(0)
    writer = None
    for at in range(0, rows, block):
        n = min(block, rows - at)
        day = np.datetime64("2000-01-01") + g.integers(0, 8000, n)
        part = pa.table({
            "id": np.arange(at, at + n), "age": g.integers(0, 100, n), "weight": g.normal(70, 12, n).round(1),
            "lab": np.where(g.random(n) < 0.3, np.nan, g.lognormal(1, 1, n)), "sex": g.choice(["F", "M"], n),
            "ward": g.choice([f"ward {i}" for i in range(40)], n), "code": np.char.add("C", g.integers(0, 10_000, n).astype(str)),
            "seen": day.astype(str), "zero": np.where(g.random(n) < 0.6, 0, g.gamma(2, 30, n).round(2)), "flag": g.choice(["yes", "no"], n),
        })  # fmt: skip
        writer = writer or arrow_csv.CSVWriter(path, part.schema)
        writer.write_table(part)
    writer.close()


@pytest.mark.slow
def test_five_million_rows_take_bounded_memory(tmp_path):
    rows = 5_000_000
    write_large(tmp_path / "large.csv", rows)
    made = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "large.csv")], capture_output=True, text=True, check=True)
    found, _seconds, mebibytes = json.loads(made.stdout)
    assert found == rows
    assert mebibytes < LIMIT


LIMIT = 3072
"""MiB that reading and encoding five million rows may take beyond the program itself."""
