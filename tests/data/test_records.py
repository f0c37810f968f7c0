"""Patient records: read, split by patient, encoded and written back as the tables that they were."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from data.records import folder, long_table
from data.tables import seen
from rivalry.data import ReadOptions, inspect, load, restore, schema
from rivalry.errors import DataError

CPU = torch.device("cpu")
KEY = ReadOptions(key="pid")


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def every(data):
    return torch.cat([side.raw(torch.arange(len(side))) for side in (data.train, data.held)])


def test_a_long_table_is_one_record_a_patient(tmp_path: Path) -> None:
    path = long_table(tmp_path / "long.csv")
    data = load(path, options=KEY)
    rows = read(path)
    people = {r["pid"] for r in rows}
    assert len(data.train) + len(data.held) == len(people)
    m = data.modality
    assert [c.name for c in m.own] == ["age", "sex", "(first time)"]
    assert [c.name for c in m.changing] == ["(gap)", "weight", "smokes"]
    visits = m.coder.raw_parts(every(data))[1]
    longest = data.spec.visits
    assert int((~visits[:, :, 0].isnan()).sum()) == sum(min(sum(r["pid"] == p for r in rows), longest) for p in people)


def test_split_is_by_patient_and_visits_are_in_order(tmp_path: Path) -> None:
    path = long_table(tmp_path / "long.csv")
    lines = path.read_text().splitlines()
    shuffled = [lines[0], *np.random.default_rng(0).permutation(lines[1:]).tolist()]
    (tmp_path / "mixed.csv").write_text("\n".join(shuffled) + "\n")
    one, other = (load(tmp_path / f, options=KEY) for f in ("long.csv", "mixed.csv"))
    a, b = (every(d).nan_to_num(-1.0) for d in (one, other))
    # age, sex and the first day tell patients apart here, whatever the numbers of the levels are
    assert {tuple(r) for r in a[:, [0, 2]].tolist()} == {tuple(r) for r in b[:, [0, 2]].tolist()}
    gaps = one.modality.coder.raw_parts(every(one))[1][:, 1:, 0]
    assert bool((gaps[~gaps.isnan()] > 0).all())


def test_encoding_goes_both_ways(tmp_path: Path) -> None:
    data = load(long_table(tmp_path / "long.csv"), options=KEY)
    raw = data.train.raw(torch.arange(len(data.train)))
    x = data.train.batch(torch.arange(len(data.train)), CPU).x
    assert x.shape == (len(raw), *data.spec.shape)
    back = data.modality.decode(x)
    assert torch.equal(back.isnan(), raw.isnan())
    for i, c in enumerate(data.modality.own):
        if c.type == "category":
            assert torch.equal(back[:, i], raw[:, i])
    width = data.spec.visit_width
    visits = x[:, data.spec.static :].reshape(len(x), data.spec.visits, width)
    assert torch.equal(visits[:, :, 0] + visits[:, :, 1], torch.ones(len(x), data.spec.visits))
    assert float(visits[visits[:, :, 1] == 1][:, 2:].abs().sum()) == 0.0


def test_times_only_grow_whatever_the_network_says(tmp_path: Path) -> None:
    data = load(long_table(tmp_path / "long.csv"), options=KEY)
    x = torch.randn(200, *data.spec.shape, generator=torch.Generator().manual_seed(0))
    (out,) = data.modality.write(x, tmp_path / "out.csv")
    rows = read(out)
    for a, b in pairwise(rows):
        assert a["pid"] != b["pid"] or a["date"] < b["date"]
    assert {len(r["date"]) for r in rows} == {10}


def followed(path: Path, late: int) -> Path:
    """60 patients with visits every year or so until the end of follow-up; of `late` of them one comes after it."""
    rng = np.random.default_rng(0)
    rows = ["pid,year,until,status,lab"]
    for i in range(60):
        until = rng.uniform(1, 8)
        times = [0.0, *np.sort(rng.uniform(0.1, until, rng.integers(0, 5))), *([until + 1] if i < late else [])]
        rows += [f"P{i:02d},{t:.3f},{until + 0.001:.3f},{'dead' if i % 2 else 'alive'},{rng.normal():.2f}" for t in times]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(("late", "ends"), [(0, True), (9, False)])
def test_no_visit_comes_after_the_end_where_none_did(late: int, ends: bool, tmp_path: Path) -> None:
    roles = tmp_path / "roles.toml"
    roles.write_text('[records]\nkey = "pid"\ntime = "year"\nsurvival = "until"\nevent = "status=dead"\n')
    data = load(followed(tmp_path / "visits.csv", late), options=ReadOptions(schema=roles, key="pid"))
    x = torch.randn(400, *data.spec.shape, generator=torch.Generator().manual_seed(0))
    modality = data.modality.restored(data.modality.state())
    modality.write(x, tmp_path / "made.csv")
    found = [float(r["year"]) > float(r["until"]) for r in read(tmp_path / "made.csv")]
    assert modality.ends == ends
    assert any(found) != ends
    real = data.train.raw(torch.arange(len(data.train)))
    again = data.modality.decode(data.modality.encode(real))
    assert (again.isnan() == real.isnan()).float().mean() > 0.98  # visits at the very end may be rounded away


def test_several_tables_come_back_as_they_were(tmp_path: Path) -> None:
    source = folder(tmp_path / "hospital")
    data = load(source)
    assert {b.column for b in data.modality.bags} == {"code"}
    assert data.modality.bags[0].codes == ("E11", "I10", "J45")  # RARE is of one patient
    raw = every(data)
    written = data.modality.write(raw, tmp_path / "synthetic")
    assert sorted(p.name for p in written) == ["codes.csv", "patients.csv", "visits.csv"]
    people, visits, codes = (read(tmp_path / "synthetic" / f"{n}.csv") for n in ("patients", "visits", "codes"))
    real = [read(source / f"{n}.csv") for n in ("patients", "visits", "codes")]
    for made, own in zip((people, visits, codes), real, strict=True):
        assert list(made[0]) == list(own[0])
    keys = {r["pid"] for r in people}
    assert len(keys) == len(people)
    assert {r["pid"] for r in visits} == keys
    assert not keys & {r["pid"] for r in real[0]}
    owner = {r["visit_id"]: r["pid"] for r in visits}
    assert len(owner) == len(visits)
    assert not set(owner) & {r["visit_id"] for r in real[1]}
    assert all(owner[r["visit_id"]] == r["pid"] for r in codes)
    # raw records are real ones, so all but the keys must be there again
    assert sorted((r["age"], r["sex"]) for r in people) == sorted((r["age"], r["sex"]) for r in real[0])
    short = {r["visit_id"] for r in real[1]} if len(visits) == len(real[1]) else set()
    if short:
        assert sorted(r["weight"] for r in visits) == sorted(r["weight"] for r in real[1])
        assert sorted(r["date"] for r in visits) == sorted(r["date"] for r in real[1])
    counts = {c: sum(r["code"] == c for r in codes) for c in ("I10", "E11", "J45")}
    assert all(counts[c] > 0 for c in counts)
    assert set(counts) == {r["code"] for r in codes}


def test_parquet_tables_join_too(tmp_path: Path) -> None:
    import pyarrow.csv as arrow_csv
    from pyarrow import parquet

    source = folder(tmp_path / "hospital")
    other = tmp_path / "parquet"
    other.mkdir()
    for f in source.glob("*.csv"):
        parquet.write_table(arrow_csv.read_csv(f), other / f"{f.stem}.parquet")
    data = load(other)
    assert data.spec.kind == "records"
    written = data.modality.write(every(data), tmp_path / "made")
    assert sorted(p.name for p in written) == ["codes.parquet", "patients.parquet", "visits.parquet"]
    assert parquet.read_schema(tmp_path / "made" / "visits.parquet").field("date").type == "date32[day]"


def test_roles_are_shown_and_can_be_corrected(tmp_path: Path) -> None:
    path = long_table(tmp_path / "long.csv")
    text = inspect(path, options=KEY).text()
    assert "80 patients by 'pid'" in text
    assert "columns of patients: age, sex" in text
    found = schema(path, options=KEY)
    assert found.records is not None
    assert found.records.static == ("age", "sex")
    assert found.records.time == "date"
    corrected = tmp_path / "roles.toml"
    corrected.write_text(found.to_toml().replace('"sex",\n', "").replace('dynamic = [', 'dynamic = ["sex",'))
    data = load(path, options=ReadOptions(schema=corrected, kind="records"))
    assert [c.name for c in data.modality.own] == ["age", "(first time)"]
    assert "sex" in [c.name for c in data.modality.changing]


def test_the_state_makes_the_modality_again(tmp_path: Path) -> None:
    data = load(folder(tmp_path / "hospital"))
    assert restore("records", data.modality.state()) == data.modality


def test_what_is_kept_holds_no_extreme_of_a_single_patient(tmp_path: Path) -> None:
    """A patient with many visits of one extreme value: five of them are not five patients."""
    path = long_table(tmp_path / "long.csv", 120)
    text = path.read_text() + "".join(f"P999,2021-01-{d:02d},987.6,no,50,F\n" for d in range(1, 13))
    path.write_text(text)
    data = load(path, options=KEY)
    weight = next(c for c in data.modality.dynamic if c.name == "weight").code
    assert max(weight.knots) < 500
    assert "987.6" not in repr(data.modality.state())


def test_patients_without_visits_are_learned_as_such(tmp_path: Path) -> None:
    source = folder(tmp_path / "hospital")
    with (source / "patients.csv").open("a") as stream:
        stream.write("".join(f"Q{i:03d},50,F\n" for i in range(20)))
    data = load(source)
    assert any("20 patients have no visit" in n for n in data.notes)
    assert data.modality.shares[0] < 0.9
    data.modality.write(every(data), tmp_path / "out")
    assert len(read(tmp_path / "out" / "patients.csv")) == 100
    assert len({r["pid"] for r in read(tmp_path / "out" / "visits.csv")}) == 80


def _append(path: Path, line: str) -> None:
    with path.open("a") as stream:
        stream.write(line + "\n")


@pytest.mark.parametrize(
    ("file", "line", "hint"),
    [
        ("visits.csv", "V9999,P777,2020-03-04,70.0,no", "'P777'; add the patients or remove the rows"),
        ("patients.csv", "P001,44,M", "such as 'P001', and no column that looks like a time: remove the duplicate keys"),
        ("visits.csv", "V0000,P001,2020-03-04,70.0,no", "two visits of the same 'visit_id'"),
        ("visits.csv", "V9999,P001,2020-13-45,70.0,no", "'2020-13-45', no date like '%Y-%m-%d'"),
        ("visits.csv", "V9999,P001,,70.0,no", "is missing; mend or remove them"),
        ("visits.csv", "V9999,,2020-03-04,70.0,no", "nobody knows whose they are"),
        ("codes.csv", "V9999,P001,I10", "does not list|do not list"),
    ],
)
def test_tables_that_do_not_fit(file: str, line: str, hint: str, tmp_path: Path) -> None:
    source = folder(tmp_path / "hospital")
    _append(source / file, line)
    with pytest.raises(DataError, match=hint.replace("(", r"\(")):
        load(source)


def test_a_key_without_its_table(tmp_path: Path) -> None:
    source = folder(tmp_path / "hospital")
    text = (source / "codes.csv").read_text().splitlines()
    (source / "codes.csv").write_text("\n".join(line.split(",")[2] for line in text) + "\n")
    with pytest.raises(DataError, match=r"codes.csv has no column 'pid', which joins"):
        load(source, options=KEY)
    (source / "patients.csv").unlink()
    (source / "codes.csv").write_text("\n".join(text) + "\n")
    with pytest.raises(DataError, match="none lists the patients"):
        load(source, options=KEY)


def test_two_time_columns_and_none(tmp_path: Path) -> None:
    path = long_table(tmp_path / "long.csv")
    rows = path.read_text().splitlines()
    twice = [rows[0] + ",seen", *(r + "," + r.split(",")[1].replace("2020", "2016") for r in rows[1:])]
    (tmp_path / "twice.csv").write_text("\n".join(twice) + "\n")
    with pytest.raises(DataError, match=r"2 columns of .* could be the time of a visit \(date, seen\); name one with --time"):
        load(tmp_path / "twice.csv", options=KEY)
    assert load(tmp_path / "twice.csv", options=ReadOptions(key="pid", time="seen")).modality.time.name == "seen"
    none = ["pid,weight", *(f"{r.split(',')[0]},{r.split(',')[2]}" for r in rows[1:])]
    (tmp_path / "none.csv").write_text("\n".join(none) + "\n")
    with pytest.raises(DataError, match="looks like the time of a visit; name it with --time"):
        load(tmp_path / "none.csv", options=KEY)
    with pytest.raises(DataError, match="'no', which is no time"):
        load(path, options=ReadOptions(key="pid", time="smokes"))


def test_roles_that_make_no_sense(tmp_path: Path) -> None:
    path = long_table(tmp_path / "long.csv")
    with pytest.raises(DataError, match="has no column 'pidd'; did you mean 'pid'"):
        load(path, options=ReadOptions(key="pidd"))
    with pytest.raises(DataError, match="name the column of patients with --key"):
        load(path, options=ReadOptions(kind="records"))
    (tmp_path / "one.csv").write_text("pid,date\n" + "".join(f"{i},2020-01-{i + 1:02d}\n" for i in range(20)))
    with pytest.raises(DataError, match="no patient of one has a second row"):
        load(tmp_path / "one.csv", options=KEY)
    bad = {
        '[records]\nkey = "pid"\nstatic = ["weight"]\n': "changes within patients",
        '[records]\nkye = "pid"\n': "did you mean 'key'",
        '[records]\nkey = "pid"\nevent = "sex"\n': "both survival",
        '[records]\nkey = "pid"\nsurvival = "weight"\nevent = "sex"\n': "one value for each patient",
        '[records]\nkey = ["pid"]\n': "give a name",
    }
    for text, hint in bad.items():
        (tmp_path / "roles.toml").write_text(text)
        with pytest.raises(DataError, match=hint):
            load(path, options=ReadOptions(schema=tmp_path / "roles.toml", kind="records"))


def test_files_that_hold_no_single_table(tmp_path: Path) -> None:
    data = load(folder(tmp_path / "hospital"))
    with pytest.raises(DataError, match="name a folder"):
        data.modality.write(every(data), tmp_path / "out.csv")


# -- codes of visits --------------------------------------------------------------------------------------------------


def without_patients(source: Path) -> Path:
    """codes.csv names visits only."""
    lines = (source / "codes.csv").read_text().splitlines()
    (source / "codes.csv").write_text("\n".join(",".join(line.split(",")[::2]) for line in lines) + "\n")
    return source


def test_codes_that_name_visits_only_are_joined_through_them(tmp_path: Path) -> None:
    whole = load(folder(tmp_path / "one"))
    found = load(without_patients(folder(tmp_path / "two")))
    assert found.modality.key.name == "pid"
    assert found.modality.bags == whole.modality.bags
    assert torch.equal(seen(found.train), seen(whole.train))
    out = found.modality.write(found.train.batch(torch.arange(20), torch.device("cpu")).x, tmp_path / "out")
    made = {p.name: p.read_text().splitlines() for p in out}
    assert made["codes.csv"][0] == "visit_id,code"
    visits = {line.split(",")[0] for line in made["visits.csv"][1:]}
    assert {line.split(",")[0] for line in made["codes.csv"][1:]} <= visits
    assert load(tmp_path / "two", options=ReadOptions(key="pid")).modality == found.modality


def test_codes_of_unknown_visits_are_told(tmp_path: Path) -> None:
    source = without_patients(folder(tmp_path / "ward"))
    with (source / "codes.csv").open("a") as out:
        out.write("V9999,I10\n")
    with pytest.raises(DataError, match=r"1 row of codes.csv have a 'visit_id' that visits.csv does not list \(the first is row"):
        load(source)
