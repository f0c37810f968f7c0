"""Numbers as people write them are read as numbers, and written back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rivalry.data import ReadOptions, inspect, load
from rivalry.data.columns.figures import Form
from rivalry.data.filling import read as read_sheet
from rivalry.errors import DataError

pa = pytest.importorskip("pyarrow")
G = np.random.default_rng(0)
VALUES = np.round(G.normal(1500, 900, 300), 1)


def table(words: list[str]) -> object:
    return pa.table({"v": words, "w": [f"{x:.3f}" for x in G.normal(size=len(words))]})


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("$1,234.5", "$1,613.2"), ("1.234,5", "1.613,2"), ("1234.5 %", "1613.2 %"), ("1234.5%", "1613.2%"), ("1234,5", "1613,2"),
        ("1234.5 kg", "1613.2 kg"), ("€ 1.234,5", "€ 1.613,2"), ("1 234,5 EUR", "1 613,2 EUR"), ("1'234.5", "1'613.2"),
        ("1234.5 mg/dL", "1613.2 mg/dL"), ("USD 1,234.5", "USD 1,613.2"),
    ],
)  # fmt: skip
def test_forms_are_found_read_and_written_back(form: str, first: str, tmp_path: Path) -> None:
    words = Form.read(form, "v").spelled(pa.array([f"{v:.1f}" for v in VALUES])).to_pylist()
    assert words[0] == first
    data = load(table(words))
    column = data.modality.columns[0]  # type: ignore[attr-defined]
    assert (column.type, column.form) == ("number", form)
    assert column.code.step == pytest.approx(0.1)
    sides = [s.raw(torch.arange(len(s)))[:, 0] for s in (data.train, data.held)]
    assert torch.cat(sides).sort().values.tolist() == pytest.approx(sorted(VALUES.tolist()))
    out = data.modality.write(sides[1][:, None].repeat(1, 2), tmp_path / "o.csv")[0]
    assert set(words) >= {line.rsplit(",", 1)[0].strip('"') for line in out.read_text().splitlines()[1:]}
    assert any(f"written like {form!r}" in note for note in data.notes)
    assert inspect(table(words)).columns[0].mean == pytest.approx(float(VALUES.mean()), rel=1e-6)


def test_missing_and_negative_cells_stay_what_they_are() -> None:
    words = ["-$5", "$1,200", "", "$3", "$-7", "$2,000,000.25", *[f"${i}" for i in range(50)]]
    data = load(table(words))
    raw = torch.cat([s.raw(torch.arange(len(s)))[:, 0] for s in (data.train, data.held)])
    known = raw[~raw.isnan()].tolist()
    assert {-5.0, 1200.0, 3.0, -7.0, 2000000.25} <= set(known)
    assert int(raw.isnan().sum()) == 1


@pytest.mark.parametrize(
    "words",
    [
        [f"P{i:03d}" for i in range(60)], [f"{i}A" for i in range(60)], [f"ward {i % 20}" for i in range(60)],
        [f"{10000 + i}-{i:03d}" for i in range(60)], [f"0{i:02d} kg" for i in range(60)], ["5 %", "10 %", "20 %"] * 30,
    ],
)  # fmt: skip
def test_codes_and_a_few_levels_are_no_figures(words: list[str]) -> None:
    data = load(table(words))
    assert data.modality.columns[0].type != "number"  # type: ignore[attr-defined]


def test_thousands_are_preferred_and_said_where_commas_could_be_either() -> None:
    words = [f"{1000 + 37 * i:,}" for i in range(100)]
    data = load(table(words))
    assert data.modality.columns[0].form == "1,234.5"  # type: ignore[attr-defined]
    assert any("a comma parts thousands, not decimals" in note for note in data.notes)


def test_a_schema_says_the_form_and_old_runs_read_words(tmp_path: Path) -> None:
    words = [f"{1000 + 37 * i:,}" for i in range(100)]
    path = tmp_path / "s.toml"
    path.write_text('[columns.v]\ntype = "number"\nformat = "1234,5"\n')
    data = load(table(words), options=ReadOptions(schema=path))
    assert float(data.train.raw(torch.arange(5))[:, 0].max()) < 100
    path.write_text('[columns.v]\ntype = "number"\nformat = "12 kg"\n')
    with pytest.raises(DataError, match=r"write how 1234.5 would look"):
        load(table(words), options=ReadOptions(schema=path))
    assert load(table(words), options=ReadOptions(reading=1)).modality.columns[0].type != "number"  # type: ignore[attr-defined]


def test_tables_to_be_filled_are_read_in_the_same_form(tmp_path: Path) -> None:
    data = load(table([f"{v:.1f} kg" for v in VALUES]))
    path = tmp_path / "gaps.csv"
    path.write_text("v,w\n12.5 kg,0.1\n,0.2\n")
    sheet = read_sheet(path, data.modality.learned)  # type: ignore[attr-defined]
    place = [c.name for c in data.modality.learned].index("v")  # type: ignore[attr-defined]
    assert sheet.raw[0, place] == 12.5
    assert bool(sheet.gaps[1, place])


def test_very_small_and_very_large_numbers_are_written_out():
    form = Form.read("1,234.5 mg", "dose")
    assert form.spelled(pa.array(["1e-05", "-2.5e+17", None])).to_pylist() == ["0.00001 mg", "-250,000,000,000,000,000 mg", None]
