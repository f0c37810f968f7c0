"""Tables: reading, detection, schema."""

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from rivalry.data import ReadOptions, inspect, load
from rivalry.data.columns.cells import Numbers, Words, from_text, join, numeric, spelled
from rivalry.data.columns.detect import detect, outwards, step_of, tokens
from rivalry.data.columns.schema import Field, Schema
from rivalry.data.loading import schema
from rivalry.errors import DataError

from .tables import as_csv, every, made


def types(path, **options):
    return {f.name: f.type for f in schema(path, options=ReadOptions(**options)).fields}


@pytest.mark.parametrize("comma", [",", ";", "\t", "|"])
def test_every_type_is_found(tmp_path, comma):
    columns, expected = made()
    (tmp_path / "set.csv").write_text(as_csv(columns, comma))
    assert types(tmp_path / "set.csv") == expected


def test_all_ways_of_reading_agree(tmp_path):
    columns, expected = made()
    text = as_csv(columns)
    table = pa.table(columns)

    class Frame:
        def __dataframe__(self, nan_as_null=False, allow_copy=True):
            return table.__dataframe__()

    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b.csv").write_text("\ufeff\n" + text.replace("\n", "\r\n"), newline="")
    (tmp_path / "c.csv").write_bytes(text.encode("latin-1"))
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "e.tsv").write_text(as_csv(columns, "\t"))
    pq.write_table(table, tmp_path / "f.parquet", row_group_size=7)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "only.csv").write_text(text)
    sources = [tmp_path / f for f in ("a.csv", "b.csv", "c.csv", "d.csv.gz", "e.tsv", "f.parquet", "folder")]
    sets = [load(s) for s in (*sources, table, Frame())]
    whole = [np.sort(d.train.raw(every(d.train)).numpy(), axis=0) for d in sets]
    for other, data in zip(whole, sets, strict=True):
        assert {c.name: c.type for c in data.modality.columns} == expected
        np.testing.assert_array_equal(other, whole[0])
    city = next(c for c in sets[0].modality.columns if c.name == "city")
    assert set(city.code.levels) == {"Bern", "Ulm, Nord", 'Kö"ln'}


def test_typed_columns_keep_their_types():
    n = 50
    table = pa.table({
        "i": pa.array(np.arange(n) ** 2 % 37 + 7, pa.int16()),
        "f": pa.array(np.linspace(0, 1, n) ** 3, pa.float32()),
        "b": pa.array(np.arange(n) % 3 == 0),
        "d": pa.array((np.arange(n) * 37 % 91).astype("datetime64[D]")),
        "t": pa.array(1_500_000_000_000_000 + np.arange(n) * 7_000_000, pa.timestamp("us")),
        "w": pa.array(["x", "y"] * 25).dictionary_encode(),
        "big": pa.array(2**60 + np.arange(n) % 3),
    })  # fmt: skip
    data = load(table)
    assert [c.type for c in data.modality.columns] == ["number", "number", "boolean", "date", "date", "category",
                                                      "category"]  # fmt: skip
    raw = data.train.raw(every(data.train)).numpy()
    assert set(raw[:, 3]) <= set((np.arange(n) * 37 % 91 * 86400.0).tolist())
    assert set(raw[:, 4]) <= set((1.5e9 + np.arange(n) * 7.0).tolist())
    assert set(data.modality.columns[6].code.levels) == {str(2**60 + i) for i in range(3)}


def test_missing_cells_in_all_spellings(tmp_path):
    gone = ["", "NA", "n/a", "NaN", " null ", "None", "?", "-"]
    lines = ["word,number"] + [f"{g},{g}" for g in gone] + [f"w{i % 3},{i / 4}" for i in range(1, 30)]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    found = inspect(tmp_path / "set.csv")
    assert [(c.missing, c.type) for c in found.columns] == [(8, "category"), (8, "number")]
    assert found.columns[1].mean == pytest.approx(sum(range(1, 30)) / 29 / 4)
    assert any("missing cells" in n and "word 8, number 8" in n for n in found.notes)


def test_blocks_of_a_column_join():
    """Cells do not depend on how the rows were cut into blocks."""
    rng = np.random.default_rng(1)
    words = rng.choice(["a", "b ", " c", "?", "12"], 5000)
    numbers = rng.normal(size=10_000).astype(str)
    for text, kind in ((words, Words), (numbers, Numbers)):
        parts = [from_text(pa.array(p.tolist())) for p in np.array_split(text, 2)]
        whole = join(parts)
        assert isinstance(whole, kind)
        if kind is Numbers:
            np.testing.assert_array_equal(whole.values, text.astype(float))
        else:
            back = np.array([*whole.words.to_pylist(), "?"])[whole.codes]
            np.testing.assert_array_equal(back, np.char.strip(text))
    mixed = join([from_text(pa.array(numbers.tolist())), from_text(pa.array(["x", "7"] * 20))])
    assert isinstance(mixed, Numbers)
    assert np.isnan(mixed.values[-2])
    assert mixed.values[-1] == 7
    lost = join([from_text(pa.array(numbers[:5000].tolist())), from_text(pa.array(["x"] * 5000))])
    assert isinstance(lost, Words)
    assert numeric(lost).values[:5000].tolist() == numbers[:5000].astype(float).tolist()
    assert spelled(lost).words[-1].as_py() == "x"


def test_a_table_without_a_header(tmp_path):
    (tmp_path / "set.csv").write_text("\n".join(f"{i % 7}.5,w{i % 3}, {i % 2}" for i in range(40)))
    assert types(tmp_path / "set.csv") == {"x1": "number", "x2": "category", "x3": "boolean"}


@pytest.mark.parametrize(
    ("values", "step"),
    [([1, 5, 9], 1), ([10, 250], 10), ([0.25, 1.5], 0.25), ([1.1, 2.37], 0.01), ([np.pi, 1], 0), ([], 0)],
)
def test_steps(values, step):
    assert step_of(np.array(values, dtype=float)) == step


def test_bounds_go_outwards_and_are_nobodys_value():
    assert outwards(np.array([17.0, 90, 40])) == (10, 100)
    assert outwards(np.array([0.0, 99])) == (0, 100)
    assert outwards(np.array([-3.0] * 6 + [4.5])) == (-3, 5)
    low, high = outwards(np.array([20.0, 100.0]))
    assert low < 20
    assert high > 100


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d", "2020-02-{:02d}"),
        ("%Y-%m-%dT%H:%M:%S", "2020-02-{:02d}T10:00:59"),
        ("%Y-%m-%d %H:%M", "2020-02-{:02d} 23:59"),
        ("%d.%m.%Y", "{:02d}.02.2020"),
        ("%d/%m/%Y", "{:02d}/02/2020"),
        ("%m/%d/%Y", "02/{:02d}/2020"),
        ("%d-%b-%Y", "{:02d}-Feb-2020"),
    ],
)
def test_dates(tmp_path, form, text):
    lines = ["day,x"] + [text.format(i % 28 + 1) + f",{i}.5" for i in range(60)]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    field = schema(tmp_path / "set.csv").get("day")
    assert (field.type, field.format) == ("date", form)
    assert field.step == {"%S": 1, "%M": 60}.get(form[-2:], 86400)
    data = load(tmp_path / "set.csv")
    base = np.datetime64("2020-02-01").astype("datetime64[s]").astype(int)
    offset = {"%S": 36059, "%M": 86340}.get(form[-2:], 0)
    whole = data.train.raw(every(data.train))[:, 0].numpy() - base - offset
    assert len(set(whole)) > 20
    assert set(whole / 86400) <= set(range(28))


def test_days_and_months_that_can_be_swapped_are_told(tmp_path):
    (tmp_path / "set.csv").write_text("day,x\n" + "\n".join(f"0{i % 9 + 1}/0{i % 7 + 1}/2020,{i}.5" for i in range(60)))
    notes = inspect(tmp_path / "set.csv").notes
    assert any("read two ways: taken as %m/%d/%Y" in n for n in notes)


def test_names_of_keys():
    assert tokens("patientID") == {"patient", "id"}
    assert tokens("zip_code") == {"zip", "code"}
    assert not tokens("paid") & {"id"}


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        ([str(i) for i in range(1, 101)], "identifier"),
        ([f"00{i}" for i in range(100, 200)], "identifier"),
        ([f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(100)], "identifier"),
        ([f"a{i}@b.de" for i in range(100)], "identifier"),
        ([f"{i * 977 % 10007}" for i in range(100)], "number"),
        (["True", "False"] * 50, "boolean"),
        (["m", "f"] * 50, "category"),
        (["1", "2", "3", "9"] * 25, "category"),
        ([f"{i}" for i in range(95)] + ["x"] * 5, "number"),
        ([f"{i}" for i in range(50)] + ["x"] * 50, "category"),
        ([f"Smith, Mr. {'abcdefghij'[i % 10]}{i}" for i in range(100)], "text"),
        (["7"] * 100, "constant"),
        ([""] * 100, "constant"),
    ],
)
def test_types_of_one_column(cells, type_):
    table = pa.table({"v": cells, "other": [f"{i % 13}.5" for i in range(100)]})
    assert schema(table).get("v").type == type_


def test_a_key_by_its_name_and_a_group_are_never_learned():
    n = 300
    table = pa.table({
        "RANDID": [str(i * 37 % 1009) for i in range(n)], "zip": [str(10000 + i % 40) for i in range(n)],
        "visit_of": [f"p{i // 3}" for i in range(n)], "x": [f"{i * 7 % 91}.5" for i in range(n)],
    })  # fmt: skip
    found = {f.name: f.type for f in schema(table, options=ReadOptions(group="visit_of")).fields}
    assert found == {"RANDID": "identifier", "zip": "category", "visit_of": "identifier", "x": "number"}
    data = load(table, options=ReadOptions(group="visit_of"))
    assert [c.name for c in data.modality.learned] == ["zip", "x"]


# -- schema ------------------------------------------------------------------------------------------------------


def test_a_schema_comes_back_and_is_obeyed(tmp_path):
    columns, expected = made()
    source = tmp_path / "set.csv"
    source.write_text(as_csv(columns))
    text = schema(source).to_toml()
    (tmp_path / "s.toml").write_text(text)
    again = schema(source, options=ReadOptions(schema=tmp_path / "s.toml"))
    assert again.to_toml() == text
    assert {f.name: f.type for f in again.fields} == expected
    (tmp_path / "t.toml").write_text(
        '[columns.stage]\ntype = "number"\nlow = 0\nhigh = 9\nspikes = [2]\n[columns.sex]\ntype = "text"\n'
        '[columns.age]\ntype = "number"\nstep = 5\n'
    )
    data = load(source, options=ReadOptions(schema=tmp_path / "t.toml"))
    kinds = {c.name: c for c in data.modality.columns}
    assert (kinds["stage"].type, kinds["sex"].type, kinds["age"].type) == ("number", "text", "number")
    assert (kinds["stage"].code.spikes, kinds["stage"].code.low, kinds["stage"].code.high) == ((2.0,), 0.0, 9.0)
    x = data.train.batch(every(data.train), torch.device("cpu")).x
    ages = data.modality.decode(x)[:, [c.name for c in data.modality.learned].index("age")]
    assert set((ages % 5).tolist()) == {0.0}
    assert ReadOptions.from_dict(ReadOptions(schema=tmp_path / "t.toml").as_dict()).schema == tmp_path / "t.toml"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[columns.agee]\ntype = "number"', "names a column 'agee' .* did you mean 'age'"),
        ('[columns.age]\ntype = "numbr"', "type 'numbr'; did you mean 'number'"),
        ('[columns.age]\ntype = "number"\nstepp = 1', "key 'stepp'; did you mean 'step'"),
        ('[colums.age]\ntype = "number"', "key 'colums'; did you mean 'columns'"),
        ("[columns.age]\nstep = 1", "type 'nothing'"),
        ('[columns.age]\ntype = "number"\nstep = -1', "step -1; give 0 or more"),
        ('[columns.age]\ntype = "number"\nlow = 3\nhigh = 2', "low must be less"),
        ('[columns.city]\ntype = "number"', "'city' .* holds numbers, but 60 of its 60 cells are none, such as"),
        ('[columns.city]\ntype = "date"', "'city' .* no date of a known format"),
        ('[columns.seen]\ntype = "date"\nformat = "%d.%m.%Y"', r"holds '20\d\d-.* no date of the format '%d.%m.%Y'"),
        ("[columns.age", "is no TOML"),
    ],
)
def test_schemas_that_do_not_fit(tmp_path, text, says):
    (tmp_path / "set.csv").write_text(as_csv(made()[0]))
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        load(tmp_path / "set.csv", options=ReadOptions(schema=tmp_path / "s.toml"))
    assert "\n" not in str(caught.value)


def test_a_schema_may_say_number_where_many_cells_are_none():
    cells = [f"{i}" for i in range(60)] + ["N"] * 40
    table = pa.table({"v": cells, "w": ["a", "b"] * 50})
    assert schema(table).get("v").type == "category"
    found = detect("v", from_text(pa.array(cells)), Field("v", "number"), "here")
    assert (found.type, found.missing, found.step) == ("number", 0.4, 1.0)
    assert any("40 cells of 'v' that are no numbers count as missing" in n for n in found.notes)
    assert found.quotes == ("cells of 'v' that are no numbers: 'N'",), "cells are quoted on the screen, not in the notes"


def test_a_schema_file_that_is_not_there(tmp_path):
    (tmp_path / "set.csv").write_text(as_csv(made()[0]))
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "set.csv", options=ReadOptions(schema=tmp_path / "s.toml"))


def test_only_what_may_be_changed_is_read():
    read = Schema.from_toml('[columns.a]\ntype = "number"\nlevels = 9\nmissing = 0.5')
    assert (read.get("a").levels, read.get("a").missing) == (0, 0.0)


def test_the_command_writes_a_schema(tmp_path):
    from click.testing import CliRunner

    from rivalry.cli import cli

    (tmp_path / "set.csv").write_text(as_csv(made()[0]))
    out = tmp_path / "s.toml"
    done = CliRunner().invoke(cli, ["data", "inspect", str(tmp_path / "set.csv"), "--write-schema", str(out)])
    assert done.exit_code == 0, done.output
    assert Schema.read(out).get("price").step == 0.01
    again = CliRunner().invoke(cli, ["data", "inspect", str(tmp_path / "set.csv"), "--schema", str(out), "--json"])
    assert again.exit_code == 0, again.output


def test_quoted_text_is_one_cell():
    from rivalry.data.csv_blocks import read

    header, cells = read(b'a,"b, c"\n"x\ny",1\n"z ""q""",2\n', "set.csv")
    assert header == ("a", "b, c")
    assert cells[0].words.to_pylist() == ["x\ny", 'z "q"']


def test_inspection_counts_the_levels_it_does_not_name(tmp_path: Path) -> None:
    lines = [f"{'abcdefgh'[i % 8]},{i}" for i in range(80)]
    (tmp_path / "t.csv").write_text("letter,n\n" + "\n".join(lines) + "\n")
    letter = inspect(tmp_path / "t.csv", options=ReadOptions(kind="table")).columns[0]
    assert "8 values" in letter.text()
    assert letter.text().endswith("and 3 more")
