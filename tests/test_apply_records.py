"""Filling cells of patient records: known cells stay, and what is made goes by the patient's other visits."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from data.test_record_rules import obstetrics
from rivalry.apply_records import fill_records
from rivalry.data import ReadOptions, load
from rivalry.data.records import RecordModality
from rivalry.errors import DataError

KEY = ReadOptions(key="pid")


def histories(path: Path, n: int = 250, seed: int = 0) -> Path:
    """One long table: weight and dose keep to the patient's own level, which is higher for men; no pregnancies of men."""
    g = np.random.default_rng(seed)
    lines = ["pid,date,sex,weight,dose,ward,births"]
    for i in range(n):
        sex, level = g.choice(["F", "M"]), g.normal()
        day, ward = np.datetime64("2020-01-01") + int(g.integers(0, 300)), g.choice(["A", "B", "C"])
        births = "" if sex == "M" else int(g.integers(0, 4))
        for _ in range(2 + int(g.integers(0, 4))):
            weight = 70 + 10 * (sex == "M") + 12 * level + g.normal()
            lines.append(f"P{i:03d},{day},{sex},{weight:.1f},{weight / 10 + g.normal(0, 0.05):.2f},{ward},{births}")
            day = day + int(g.integers(5, 90))
            ward = ward if g.random() < 0.9 else g.choice(["A", "B", "C"])
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def emptied(source: Path, out: Path, share: float, *columns: str) -> Path:
    g, given = np.random.default_rng(5), rows(source)
    for row in given:
        for column in columns:
            row[column] = "" if g.random() < share else row[column]
    out.write_text("\n".join([",".join(given[0]), *(",".join(r.values()) for r in given)]) + "\n")
    return out


class Perfect:
    """A generator that has learned what there is to learn: it hands out real records."""

    def __init__(self, path: Path, **more: object) -> None:
        self.data = load(path, options=ReadOptions(key="pid", **more))  # type: ignore[arg-type]
        assert isinstance(self.data.modality, RecordModality)
        self.modality = self.data.modality

    def __call__(self, n: int, seed: int) -> torch.Tensor:
        picked = torch.randint(len(self.data.train), (n,), generator=torch.Generator().manual_seed(seed % 2**31))
        return self.data.train.batch(picked, torch.device("cpu")).x


def test_cells_go_by_the_patient_s_other_visits(tmp_path: Path) -> None:
    source = histories(tmp_path / "long.csv")
    given = emptied(source, tmp_path / "gaps.csv", 0.2, "weight", "dose", "ward")
    model = Perfect(source)
    found = fill_records(model.modality, model, given, tmp_path / "full.csv", pool=2000, likely=True)
    truth, old, new = rows(source), rows(given), rows(tmp_path / "full.csv")
    for a, b in zip(old, new, strict=True):
        assert all(b[k] == v for k, v in a.items() if v)
    made = np.array([(float(t["weight"]), float(b["weight"])) for t, a, b in zip(truth, old, new, strict=True) if not a["weight"]])
    spread = np.std([float(t["weight"]) for t in truth])
    assert np.sqrt(((made[:, 0] - made[:, 1]) ** 2).mean()) < 0.45 * spread  # a draw of any weight would be off by 1.4 spreads
    wards = [(t["ward"], b["ward"]) for t, a, b in zip(truth, old, new, strict=True) if not a["ward"]]
    assert np.mean([a == b for a, b in wards]) > 0.65  # a third by chance
    assert set(found.cells) >= {"weight", "dose", "ward"}


def test_what_is_a_patient_s_own_is_one_value(tmp_path: Path) -> None:
    """Where a visit says it, it is known; where none does, it is made once, by what the visits tell."""
    source = histories(tmp_path / "long.csv")
    given = rows(source)
    for row in given:
        number = int(row["pid"][1:])
        if number % 5 == 0 or (number % 5 == 1 and row["date"] > "2020-06-01"):
            row["sex"] = ""
    (tmp_path / "gaps.csv").write_text("\n".join([",".join(given[0]), *(",".join(r.values()) for r in given)]) + "\n")
    model = Perfect(source)
    fill_records(model.modality, model, tmp_path / "gaps.csv", tmp_path / "full.csv", pool=2000)
    new, truth = rows(tmp_path / "full.csv"), rows(source)
    of = {p: {r["sex"] for r in new if r["pid"] == p} for p in {r["pid"] for r in new}}
    assert all(len(v) == 1 and v <= {"F", "M"} for v in of.values())
    told = [(t["sex"], b["sex"]) for t, a, b in zip(truth, given, new, strict=True) if not a["sex"] and int(t["pid"][1:]) % 5 == 1]
    known = {r["pid"] for r in given if r["sex"] and int(r["pid"][1:]) % 5 == 1}
    assert told
    assert all(t["sex"] == b["sex"] for t, b in zip(truth, new, strict=True) if t["pid"] in known)
    assert np.mean([t["sex"] == b["sex"] for t, b in zip(truth, new, strict=True) if int(t["pid"][1:]) % 5 == 0]) > 0.7  # births tell


def test_constraints_hold_among_what_is_filled(tmp_path: Path) -> None:
    source = histories(tmp_path / "long.csv")
    given = emptied(source, tmp_path / "gaps.csv", 0.3, "births")
    model = Perfect(source, constraints=("births missing if sex=M",))
    found = fill_records(model.modality, model, given, tmp_path / "full.csv", pool=2000)
    new = rows(tmp_path / "full.csv")
    assert not any(r["births"] for r in new if r["sex"] == "M")
    assert all(r["births"] for r in new if r["sex"] == "F")
    assert found.left == {"births": sum(r["sex"] == "M" for r in new)}
    assert found.cells == {"births": sum(not r["births"] and r["sex"] == "F" for r in rows(given))}


def spelled(given: list[dict[str, str]], path: Path) -> Path:
    path.write_text("\n".join([",".join(given[0]), *(",".join(r.values()) for r in given)]) + "\n")
    return path


def test_patients_are_filled_as_their_known_visits_allow(tmp_path: Path) -> None:
    """Births are rare, so that what is like a patient is often one of the other sex; no woman's births are a man's."""
    g, source = np.random.default_rng(3), histories(tmp_path / "long.csv")
    given = [{**r, "births": r["births"] if g.random() < 0.35 else ""} for r in rows(source)]
    model = Perfect(spelled(given, source), constraints=("births missing if sex=M",))
    emptied_sex = [{**r, "sex": "" if int(r["pid"][1:]) % 3 == 0 else r["sex"]} for r in given]
    gaps = spelled(emptied_sex, tmp_path / "gaps.csv")
    fill_records(model.modality, model, gaps, tmp_path / "full.csv", pool=2000)
    new = rows(tmp_path / "full.csv")
    assert sum(r["births"] != "" for r in new if int(r["pid"][1:]) % 3 == 0) > 20
    assert not any(r["sex"] == "M" and r["births"] for r in new)
    assert all(r["sex"] for r in new)
    assert {r["sex"] for r in new if int(r["pid"][1:]) % 3 == 0} == {"F", "M"}


def test_what_visits_add_up_to_is_a_patient_s(tmp_path: Path) -> None:
    source = histories(tmp_path / "long.csv")
    g = np.random.default_rng(4)
    start = {r["pid"]: int(g.integers(20, 60)) for r in rows(source)}
    told = [{**r, "start": str(start[r["pid"]]), "more": (m := str(g.integers(0, 40))), "sum": str(start[r["pid"]] + int(m))} for r in rows(source)]
    model = Perfect(spelled(told, source), constraints=("start + more = sum",))
    gaps = spelled([{**r, "start": "" if int(r["pid"][1:]) % 3 == 0 else r["start"]} for r in told], tmp_path / "gaps.csv")
    fill_records(model.modality, model, gaps, tmp_path / "full.csv", pool=2000)
    assert [r["start"] for r in rows(tmp_path / "full.csv")] == [r["start"] for r in told]


def test_a_pool_without_visits_is_refused(tmp_path: Path) -> None:
    source = histories(tmp_path / "long.csv")
    model = Perfect(source)

    def empty(n: int, seed: int) -> torch.Tensor:
        raw = model.modality.decode(model(n, seed))
        static, visits = model.modality.coder.raw_parts(raw)
        return model.modality.encode(torch.cat([static, torch.full_like(visits, torch.nan).flatten(1)], 1))

    with pytest.raises(DataError, match=r"none of the patients that the model made has a visit.*train it longer"):
        fill_records(model.modality, empty, source, tmp_path / "full.csv", pool=500)
    assert not (tmp_path / "full.csv").exists()


def test_where_filled_records_go(tmp_path: Path) -> None:
    """A folder for several tables, whatever its name; never over what is read; and refused before anything is drawn."""
    folder = obstetrics(tmp_path / "ward", n=120)
    data = load(folder, options=ReadOptions(time="year"))
    modality = data.modality
    assert isinstance(modality, RecordModality)

    def never(n: int, seed: int) -> torch.Tensor:
        raise AssertionError("drawn")

    (tmp_path / "there").write_text("")
    (tmp_path / "link").symlink_to(folder)
    for name, hint in (
        ("there", "there is a file; name a folder"),
        ("out.csv", "several tables and cannot be written as out.csv; name a folder"),
        ("ward", "would be written over what it is read from; name another folder"),
        ("link", "would be written over what it is read from; name another folder"),
    ):
        with pytest.raises(DataError, match=hint):
            fill_records(modality, never, folder, tmp_path / name, pool=500)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def model(n: int, seed: int) -> torch.Tensor:
        picked = torch.randint(len(data.train), (n,), generator=torch.Generator().manual_seed(seed % 2**31))
        return data.train.batch(picked, torch.device("cpu")).x

    fill_records(modality, model, folder, tmp_path / "out.2024", pool=500)
    assert {p.name for p in (tmp_path / "out.2024").iterdir()} == set(before)
    long = histories(tmp_path / "long-1.csv")
    for out, draws in (("long-1.csv", 1), ("long.csv", 2)):
        with pytest.raises(DataError, match=r"long-1.csv would be written over what it is read from; name another file"):
            fill_records(Perfect(long).modality, never, long, tmp_path / out, pool=500, draws=draws)
    assert before == {p.name: p.read_bytes() for p in folder.iterdir()}


def test_visits_without_a_time_are_refused(tmp_path: Path) -> None:
    source = histories(tmp_path / "long.csv")
    given = emptied(source, tmp_path / "gaps.csv", 0.3, "date")
    model = Perfect(source)
    with pytest.raises(DataError, match="have no time in 'date'; mend or remove them"):
        fill_records(model.modality, model, given, tmp_path / "full.csv", pool=2000)
    with pytest.raises(DataError, match=r"name a file ending in \.csv or \.tsv"):
        fill_records(model.modality, model, source, tmp_path / "full.parquet", pool=2000)
