"""Tables: how they are written and shown."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from rivalry.data import load
from rivalry.data.columns.cells import from_text
from rivalry.data.columns.identifiers import learn
from rivalry.errors import DataError

from .tables import column, every, hard, seen


def written_table(n=700):
    rng = np.random.default_rng(2)
    return {
        "id": [str(i + 1) for i in range(n)],
        "sex": rng.choice(["F", "M"], n).tolist(),
        "note": [f"was seen on the ward in week {i} and left the house in good health" for i in range(n)],
        "unit": ["mg, dl"] * n,
        "dose": [f"{v:.2f}" for v in rng.gamma(3, 2, n)],
        "born": (np.datetime64("1940-01-01") + rng.integers(0, 9000, n)).astype(str).tolist(),
        "tag": [f"X{v:05d}" for v in rng.permutation(10**5)[:n]],
        "n": ["?" if v < 1 else str(v) for v in rng.poisson(20, n) % 19],
        "said": rng.choice(['say "yes"', "no, never"], n).tolist(),
    }


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_rows_are_written_as_the_table_was(tmp_path, ending):
    given = written_table()
    data = load(pa.table(given))
    out = tmp_path / f"new.{ending}"
    assert data.modality.write(seen(data.train), out) == [out]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    if ending == "parquet":
        back = pq.read_table(out)
        assert back.schema.field("dose").type == pa.string()
    else:
        parse = pa_csv.ParseOptions(delimiter="," if ending == "csv" else "\t")
        strings = pa_csv.ConvertOptions(column_types={k: pa.string() for k in given})
        back = pa_csv.read_csv(out, parse_options=parse, convert_options=strings)
    assert back.column_names == [k for k in given if k != "note"]
    rows = {tuple(r) for r in zip(*(given[k] for k in ("sex", "dose", "born", "said")), strict=True)}
    for row in zip(*(map(str, back.column(k).to_pylist()) for k in ("sex", "dose", "born", "said")), strict=True):
        assert row in rows
    assert set(back.column("unit").to_pylist()) == {"mg, dl"}
    for key in ("id", "tag"):
        new = [str(v) for v in back.column(key).to_pylist()]
        assert len(set(new)) == len(new) == len(data.train)
        assert not set(new) & set(given[key])
    assert all(re.fullmatch(r"X\d{5,7}", t) for t in back.column("tag").to_pylist())


def test_types_of_parquet_are_kept(tmp_path):
    n = 400
    rng = np.random.default_rng(0)
    table = pa.table({
        "i": pa.array(rng.integers(-100, 100, n), pa.int16()), "f": pa.array(rng.normal(size=n), pa.float32()),
        "d": pa.array(rng.integers(0, 9000, n).astype("datetime64[D]")), "b": pa.array(rng.random(n) < 0.3),
        "t": pa.array(rng.integers(0, 10**9, n) * 10**6, pa.timestamp("us")),
        "c": pa.array(rng.integers(1, 4, n), pa.int8()), "id": pa.array(np.arange(n), pa.int32()),
        "gap": pa.array([None if v < 30 else v for v in rng.integers(0, 100, n).tolist()], pa.int64()),
    })  # fmt: skip
    data = load(table)
    assert data.modality.write(seen(data.train), tmp_path / "a.parquet")
    back = pq.read_table(tmp_path / "a.parquet")
    assert back.schema.types == table.schema.types
    for name in ("i", "d", "b", "c", "gap"):
        assert set(back.column(name).to_pylist()) <= set(table.column(name).to_pylist()), name
    raw = data.train.raw(every(data.train))
    assert back.column("gap").null_count == int(raw[:, column(data, "gap")].isnan().sum())


def test_missing_cells_are_spelled_as_they_were(tmp_path):
    given = written_table()
    data = load(pa.table(given))
    data.modality.write(data.train.raw(every(data.train)), tmp_path / "a.csv")
    strings = pa_csv.ConvertOptions(column_types={k: pa.string() for k in given}, strings_can_be_null=False)
    back = pa_csv.read_csv(tmp_path / "a.csv", convert_options=strings).column("n").to_pylist()
    assert set(back) == set(given["n"])
    with pytest.raises(DataError, match=r"ending in \.csv, \.tsv or \.parquet"):
        data.modality.write(seen(data.train), tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("old", "built"),
    [
        ([f"{i:04d}" for i in range(10_000)], r"\d{5}"),
        ([f"AB-{i:03d}" for i in range(0, 1000, 2)], r"AB-\d+"),
        ([f"{i * 7919 % 65536:04x}-4" for i in range(3000)], r"[0-9a-f]+-4\d*"),
        ([f"p{i}@x.org" for i in range(50)], r"person\d+@example\.org"),
        ([f"visit-{i}" for i in range(150)], r"key-\d+"),
        ([f"key-{i}" for i in range(150)], r"new-key-\d+"),
        (["17", "203", "99999"], r"10\d{4}"),
    ],
)
def test_new_identifiers_are_like_the_old_ones_and_never_the_same(old, built):
    pattern = learn("key", from_text(pa.array(old)))
    new = pa.array(pattern.make(2000, 0))
    assert len(new.unique()) == 2000
    assert not set(new.to_pylist()) & set(old)
    assert pa.compute.match_substring_regex(new, f"^{built}$").to_pylist() == [True] * 2000


def test_previews(tmp_path):
    data = load(hard(600))
    x = seen(data.train)
    data.modality.preview(x, tmp_path / "deep" / "a.png", reference=seen(data.held))
    data.modality.preview(torch.full_like(x, torch.nan), tmp_path / "b.png")
    with Image.open(tmp_path / "deep" / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert a.size == b.size
        assert np.abs(np.asarray(a.convert("L"), int) - np.asarray(b.convert("L"), int)).max() > 100
