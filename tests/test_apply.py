"""Filling the missing cells of a table: only these, by rows that go together, within constraints."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

import rivalry
from data.wards import stays, table
from rivalry.apply import fill_table
from rivalry.cli import cli
from rivalry.data import Dataset, ReadOptions, TableModality, load
from rivalry.errors import DataError, RivalryError

TEXTS = ("discharge >= admission", "fees + tax = total", "combinations(city, zip)", "pregnancies missing if sex=M")
HOLED = ("admission", "discharge", "fees", "tax", "total", "city", "zip", "sex", "systolic")


class Perfect:
    """A generator that has learned the data: rows drawn from other rows of the same kind."""

    def __init__(self, data: Dataset) -> None:
        self.x = data.train.batch(torch.arange(len(data.train)), torch.device("cpu")).x

    def __call__(self, n: int, seed: int) -> Tensor:
        return self.x[torch.randint(len(self.x), (n,), generator=torch.Generator().manual_seed(seed % 2**31))]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load(table(stays(4000)), options=ReadOptions(kind="table", constraints=TEXTS))


def modality_of(data: Dataset) -> TableModality:
    assert isinstance(data.modality, TableModality)
    return data.modality


def holed(n: int = 400, share: float = 0.25) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """(rows that nobody trained on, the same with cells taken out); with two columns that no run knows."""
    whole = stays(n, seed=9)
    g = np.random.default_rng(1)
    whole["remark, own"] = [f'said "{i}", then left' if i % 3 else "" for i in range(n)]
    whole["sex"] = [f" {v}" if i % 7 == 0 else v for i, v in enumerate(whole["sex"])]  # odd, and to be kept
    gone = {k: ["NA" if k in HOLED and g.random() < share else v for v in words] for k, words in whole.items()}
    return whole, gone


def write_csv(path: Path, columns: dict[str, list[str]], comma: str = ",", header: bool = True) -> Path:
    with path.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, delimiter=comma, lineterminator="\n")
        if header:
            rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def read_csv(path: Path, comma: str = ",") -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream, delimiter=comma))


@pytest.mark.parametrize("likely", [False, True])
def test_missing_cells_are_filled_and_nothing_else_changes(data: Dataset, tmp_path: Path, likely: bool) -> None:
    whole, gone = holed()
    path = write_csv(tmp_path / "gaps.csv", gone)
    done = fill_table(modality_of(data), Perfect(data), path, tmp_path / "filled.csv", pool=4000, likely=likely)
    before, after = read_csv(path), read_csv(done.written[0])
    assert len(after) == len(before) == 401
    changed = {(i, j) for i, row in enumerate(before) for j, cell in enumerate(row) if after[i][j] != cell}
    assert all(before[i][j] in ("NA", "") for i, j in changed)
    assert len(changed) == sum(done.cells.values())
    names = before[0]
    still = [(i, names[j]) for i, row in enumerate(after) for j, cell in enumerate(row) if cell in ("NA", "") and names[j] in done.cells]
    assert len(still) == sum(n for k, n in done.left.items() if k in done.cells)
    rows = [dict(zip(names, row, strict=True)) for row in after[1:]]
    pairs = set(zip(whole["city"], whole["zip"], strict=True))
    for r in rows:
        assert not r["pregnancies"] or r["sex"].strip() == "F"
        if "NA" not in (r["city"], r["zip"]):
            assert (r["city"], r["zip"]) in pairs
        if "NA" not in (r["admission"], r["discharge"]) and r["discharge"]:
            assert r["admission"] <= r["discharge"]
        if "NA" not in (r["fees"], r["tax"], r["total"]):
            assert float(r["fees"]) + float(r["tax"]) == pytest.approx(float(r["total"]), abs=1e-9)
    assert sum(done.left.get(k, 0) for k in ("city", "zip", "fees", "tax", "total", "sex")) <= 0.02 * sum(done.cells.values())
    right = [r["city"] == c for r, c, g in zip(rows, whole["city"], gone["city"], strict=True) if g == "NA"]
    assert np.mean(right) > 0.75  # the zip says the city, where it is there
    sums = [r["total"] == t for r, t, g, a, b in zip(rows, whole["total"], gone["total"], gone["fees"], gone["tax"], strict=True)
            if g == "NA" and "NA" not in (a, b)]  # fmt: skip
    assert all(sums)


def test_several_draws_differ_and_are_functions_of_the_seed(data: Dataset, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "gaps.csv", holed(100)[1])
    made = [
        fill_table(modality_of(data), Perfect(data), path, tmp_path / f"{name}.csv", pool=2000, draws=3, seed=seed).written
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert [p.name for p in made[0]] == ["a-1.csv", "a-2.csv", "a-3.csv"]
    texts = [[p.read_text() for p in files] for files in made]
    assert texts[0] == texts[1]
    assert len({*texts[0], *texts[2]}) == 6


def test_delimiters_headers_and_tables_without_gaps_stay(data: Dataset, tmp_path: Path) -> None:
    whole = stays(60, seed=3)
    whole = {k: [v or "." for v in words] if k in ("discharge", "pregnancies") else words for k, words in whole.items()}
    path = write_csv(tmp_path / "whole.csv", whole, ";")
    done = fill_table(modality_of(data), Perfect(data), path, tmp_path / "out.csv", pool=500)
    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()
    assert "nothing to fill" in done.text()
    assert any("cells of 'discharge' say nothing to the model" in n for n in done.notes)


def test_parquet_keeps_its_types(data: Dataset, tmp_path: Path) -> None:
    _, gone = holed(200)
    columns = {
        "fees": pa.array([None if v == "NA" else float(v) for v in gone["fees"]], pa.float32()),
        "tax": pa.array([None if v == "NA" else float(v) for v in gone["tax"]], pa.float64()),
        "sex": pa.array([None if v == "NA" else v.strip() for v in gone["sex"]]).dictionary_encode(),
        "other": pa.array(range(200), pa.int16()),
        "zip": pa.array([None if v == "NA" else v for v in gone["zip"]], pa.string()),
    }
    path = tmp_path / "gaps.parquet"
    pq.write_table(pa.table(columns), path)
    done = fill_table(modality_of(data), Perfect(data), path, tmp_path / "out.parquet", pool=2000)
    after = pq.read_table(done.written[0])
    assert after.schema.equals(pq.read_table(path).schema)
    for name, old in columns.items():
        new = after.column(name).to_pylist()
        assert all(a == b for a, b in zip(old.to_pylist(), new, strict=True) if a is not None)
        assert name == "other" or None not in new
    assert any("lacks the column 'city'" in n for n in done.notes)
    with pytest.raises(DataError, match=r"name a file ending in \.parquet"):
        fill_table(modality_of(data), Perfect(data), path, tmp_path / "out.csv", pool=500)


@pytest.mark.parametrize(
    ("text", "options", "hint"),
    [
        (None, {}, "there is no table"),
        ("a,b\n1,2\n", {}, "none of the run's columns"),
        ("fees,tax\n", {}, "no rows"),
        ("fees,fees\n1,2\n", {}, "more than one column"),
        ("fees,tax\n1,2\n", {"out": "x.xlsx"}, "ending in"),
        ("fees,tax\n1,2\n", {"draws": 0}, "draws must be 1 or more"),
        ("fees,tax\n1,2\n", {"draws": 2, "likely": True}, "leave --draws or --likely out"),
    ],
)
def test_tables_that_cannot_be_filled(text: str | None, options: dict[str, object], hint: str, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    if text is not None:
        path.write_text(text)
    out = tmp_path / str(options.pop("out", "out.csv"))
    with pytest.raises(RivalryError, match=hint):
        fill_table(modality_of(data), Perfect(data), path, out, pool=500, **options)  # type: ignore[arg-type]
    assert not out.exists()


@pytest.mark.parametrize(("out", "draws"), [("gaps-1.csv", 1), ("gaps.csv", 2)])
def test_a_table_is_not_written_over(out: str, draws: int, data: Dataset, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "gaps-1.csv", holed()[0])
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"gaps-1.csv would be written over what it is read from; name another file"):
        fill_table(modality_of(data), Perfect(data), path, tmp_path / out, draws=draws, pool=500)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_fills_a_table(tmp_path: Path) -> None:
    """End to end, with a run of a few steps."""
    columns = {k: v for k, v in stays(600).items() if k in ("case", "fees", "tax", "sex", "city")}
    run = rivalry.train(
        write_csv(tmp_path / "stays.csv", columns), budget="3steps", run=str(tmp_path / "run"), device="cpu", tensorboard=False,
        settings=("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=32"), say=lambda line: None,
    )  # fmt: skip
    columns["sex"][::2] = [""] * 300
    path = write_csv(tmp_path / "gaps.csv", columns)
    made = CliRunner().invoke(cli, ["apply", str(run.path), str(path), "-o", str(tmp_path / "filled.csv"), "--pool", "1000"])
    assert made.exit_code == 0, made.output
    assert "300 cells filled: sex 300" in made.output
    rows = read_csv(tmp_path / "filled.csv")[1:]
    assert {r[list(columns).index("sex")] for r in rows} == {"F", "M"}
    assert [r[0] for r in rows] == columns["case"]


def test_runs_on_other_data_fill_nothing(tmp_path: Path) -> None:
    run = rivalry.train(
        torch.randn(60, 2), budget="2steps", run=str(tmp_path / "points"), recipe="gan-small", device="cpu", tensorboard=False,
        settings=("batch=16",), say=lambda line: None,
    )  # fmt: skip
    with pytest.raises(DataError, match="only the missing cells of tables can be filled"):
        run.apply(tmp_path / "in.csv", tmp_path / "out.csv")
    with pytest.raises(DataError, match="conditions and balance are for tables"):
        run.sample(10, balance="x")
