"""Tables of whole numbers are tables; numbers that name rows are not learned; repeated keys are told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rivalry.data import ReadOptions, inspect, load

pa = pytest.importorskip("pyarrow")
G = np.random.default_rng(0)


def test_few_columns_of_whole_numbers_are_a_table_and_floats_are_points():
    ages = pa.table({"age": G.integers(20, 90, 100), "children": G.integers(0, 15, 100)})
    data = load(ages)
    assert data.modality.kind == "table"
    assert any("--kind points" in note for note in data.notes)
    assert inspect(ages).kind == "table"
    assert load(ages, options=ReadOptions(kind="points")).modality.kind == "points"
    assert load(ages, options=ReadOptions(reading=1)).modality.kind == "points"  # as older runs read them
    assert load(pa.table({"x": G.normal(size=100), "y": G.normal(size=100)})).modality.kind == "points"


@pytest.mark.parametrize("kind", ["numbers", "words"])
def test_unique_whole_numbers_that_ascend_or_are_named_so_are_identifiers(kind: str):
    n = 40
    columns = {
        "visit_nr": np.sort(G.choice(10**6, n, replace=False)), "patient_id": G.choice(10**6, n, replace=False),
        "income": G.choice(10**6, n, replace=False), "city": G.choice(["a", "b"], n),
    }  # fmt: skip
    made = {k: v if kind == "numbers" else v.astype(str).tolist() for k, v in columns.items()}
    data = load(pa.table(made))
    types = {c.name: c.type for c in data.modality.columns}  # type: ignore[attr-defined]
    assert types == {"visit_nr": "identifier", "patient_id": "identifier", "income": "number", "city": "category"}
    assert any("'visit_nr' ascends from row to row" in note and "type = 'number'" in note for note in data.notes)
    old = load(pa.table(made), options=ReadOptions(reading=1))
    assert {c.name: c.type for c in old.modality.columns}["visit_nr"] == "number"  # type: ignore[attr-defined]


def test_a_schema_keeps_ascending_numbers(tmp_path: Path):
    path = tmp_path / "s.toml"
    path.write_text('[columns.dose]\ntype = "number"\n')
    table = pa.table({"dose": np.arange(40) ** 2, "x": G.normal(size=40), "y": G.normal(size=40), "z": G.normal(size=40)})
    assert load(table).modality.columns[0].type == "identifier"  # type: ignore[attr-defined]
    assert load(table, options=ReadOptions(schema=path)).modality.columns[0].type == "number"  # type: ignore[attr-defined]


def test_a_repeated_key_is_proposed_as_a_group():
    table = pa.table({"patient_id": np.repeat(np.arange(1000, 1100), 3), "x": G.normal(size=300), "c": G.choice(["a", "b"], 300)})
    for notes in (load(table).notes, inspect(table).notes):
        assert any("'patient_id' repeats (3.0 rows each on average)" in n and "say --group 'patient_id'" in n for n in notes)
    assert not any("say --group" in n for n in load(table, options=ReadOptions(group="patient_id")).notes)
