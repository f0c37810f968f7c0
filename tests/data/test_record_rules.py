"""Constraints on patient records: of patients, within a visit, and between the two."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rivalry.data import ReadOptions, inspect, load, schema
from rivalry.data.asking import asked_of_patients
from rivalry.data.base import Modality
from rivalry.data.records import RecordModality
from rivalry.errors import DataError, UnknownName
from rivalry.evaluate.records import Layout

PEOPLE = "pid,birth,sex,weight_at_birth,weeks"
VISITS = "vid,pid,day,diastolic,systolic,fees,tax,total,city,zip,births,leave"
RULES = (
    "diastolic < systolic",
    "fees + tax = total",
    "combinations(city, zip)",
    "20 <= weeks <= 45",
    "births missing if sex=M",
    "day >= birth",
    "leave >= day",
)


def hospital(path: Path, n: int = 150, seed: int = 0, wrong: Sequence[str] = ()) -> Path:
    """patients.csv and visits.csv in which RULES hold, but for the rows `wrong` of visits."""
    g = np.random.default_rng(seed)
    path.mkdir()
    people, visits, number = [PEOPLE], [VISITS], 0
    for i in range(n):
        birth, sex = np.datetime64("1950-01-01") + int(g.integers(0, 20_000)), g.choice(["F", "M"])
        people.append(f"P{i:03d},{birth},{sex},{g.normal(3.3, 0.4):.2f},{int(g.integers(30, 43))}")
        day = max(birth, np.datetime64("2004-06-01")) + int(g.integers(0, 400))
        for _ in range(1 + int(g.integers(0, 4))):
            low, fees, tax, place = int(g.integers(50, 100)), g.integers(0, 90) / 2, g.integers(0, 40) / 4, int(g.choice(9))
            cells = (low, low + int(g.integers(1, 60)), fees, tax, fees + tax, f"town {place // 3}", 1000 + place)
            births = "" if sex == "M" else int(g.integers(0, 3))
            leave = day + int(g.integers(0, 9))
            visits.append(f"V{number:04d},P{i:03d},{day},{','.join(map(str, cells))},{births},{leave}")
            day, number = day + int(g.integers(10, 200)), number + 1
    (path / "patients.csv").write_text("\n".join(people) + "\n")
    (path / "visits.csv").write_text("\n".join([*visits, *wrong]) + "\n")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def broken(folder: Path) -> dict[str, int]:
    """How often each of RULES is broken in written tables."""
    people = {r["pid"]: r for r in rows(folder / "patients.csv")}
    known = {(f"town {p // 3}", str(1000 + p)) for p in range(9)}
    found = dict.fromkeys(RULES, 0)
    found["20 <= weeks <= 45"] = sum(not 20 <= float(p["weeks"]) <= 45 for p in people.values())
    for r in rows(folder / "visits.csv"):
        own = people[r["pid"]]
        found["diastolic < systolic"] += float(r["diastolic"]) >= float(r["systolic"])
        found["fees + tax = total"] += abs(float(r["fees"]) + float(r["tax"]) - float(r["total"])) > 1e-6
        found["combinations(city, zip)"] += (r["city"], r["zip"]) not in known
        found["births missing if sex=M"] += own["sex"] == "M" and r["births"] != ""
        found["day >= birth"] += r["day"] < own["birth"]
        found["leave >= day"] += r["leave"] < r["day"]
    return found


def noise(modality: RecordModality, n: int = 400, seed: int = 0) -> torch.Tensor:
    return 0.7 * torch.randn(n, *modality.spec.shape, generator=torch.Generator().manual_seed(seed))


def test_records_meet_constraints_by_how_they_are_made(tmp_path: Path) -> None:
    """Whatever the network says; without them, it breaks them all."""
    source = hospital(tmp_path / "hospital")
    made = tuple(r for r in RULES if r != "leave >= day")
    for rules, fine in (((), False), (made, True)):
        modality = load(source, options=ReadOptions(time="day", constraints=rules)).modality
        assert isinstance(modality, RecordModality)
        modality.write(noise(modality), tmp_path / f"made-{fine}")
        found = broken(tmp_path / f"made-{fine}")
        assert all((found[r] == 0) == fine for r in made if r not in ("20 <= weeks <= 45", "day >= birth")), found
        assert not fine or not any(found[r] for r in made)
    assert modality.rules is not None
    assert modality.rules.rejected(modality.view) == ()
    assert not asked_of_patients(modality)


def test_what_is_between_visits_and_times_is_met_by_drawing_patients_anew(tmp_path: Path) -> None:
    data = load(hospital(tmp_path / "hospital"), options=ReadOptions(time="day", constraints=RULES))
    modality = data.modality
    assert isinstance(modality, RecordModality)
    assert modality.rules is not None
    assert modality.rules.rejected(modality.view) == ("leave >= day",)
    wanted = asked_of_patients(modality)
    raw = modality.decode(noise(modality, 3000))
    keep = wanted.group(raw) == 0
    assert 0 < int(keep.sum()) < len(raw)
    modality.write(raw[keep], tmp_path / "kept")
    modality.write(raw, tmp_path / "all")
    assert bool(modality.holds(raw[keep]).all())
    assert not any(broken(tmp_path / "kept").values())
    assert broken(tmp_path / "all")["leave >= day"] > 0
    assert any("met by drawing patients anew, which keeps short histories more often: leave >= day" in n for n in data.notes)


def obstetrics(folder: Path, n: int = 300, seed: int = 0) -> Path:
    """Visits of men have neither town nor births nor the last zips, and children only follow births."""
    g = np.random.default_rng(seed)
    folder.mkdir()
    people, visits = ["pid,sex,joined,start,plan"], ["pid,year,city,zip,births,kids,age,bonus,score,left,right,tariff"]
    for i in range(n):
        sex, joined, year = g.choice(["F", "M"]), int(g.integers(30, 70)), 0
        plan = int(g.integers(0, 6))
        people.append(f"P{i:03d},{sex},{joined},{joined},plan {plan}")
        for _ in range(1 + int(g.integers(0, 4))):
            place = int(g.choice(9 if sex == "F" else 6))
            births = "" if sex == "M" else str(g.integers(0, 3))
            kids = g.integers(0, 5) if births in ("1", "2") else ""
            city = "" if sex == "M" else f"town {place // 3}"
            age, bonus, left = joined + year, int(g.integers(0, 60)), int(g.integers(1, 30))
            cells = (city, 1000 + place, births, kids, age, bonus, age + bonus, left, joined - left, f"tariff {plan}{g.choice(['a', 'b'])}")
            visits.append(f"P{i:03d},{year},{','.join(map(str, cells))}")
            year += int(g.integers(1, 5))
    (folder / "patients.csv").write_text("\n".join(people) + "\n")
    (folder / "visits.csv").write_text("\n".join(visits) + "\n")
    return folder


def assert_drawn_anew(modality: Modality, again: tuple[str, ...]) -> Tensor:
    """Of what a network might say, only the constraints `again` are left to drawing patients anew, and what they let through meets all; returns the raw records."""
    assert isinstance(modality, RecordModality)
    assert modality.rules is not None
    assert modality.rules.rejected(modality.view) == again
    raw = modality.decode(noise(modality, 1000))
    kept = modality.holds(raw, made=False)
    assert bool(kept.all()) == (not again)
    assert torch.equal(modality.holds(raw), kept)
    return raw


@pytest.mark.parametrize(
    ("rules", "again"),
    [
        (("births missing if sex=M", "kids missing if births!=1|2"), ()),
        (("kids missing if births!=1|2", "births missing if sex=M"), ()),
        (("combinations(city, zip)", "city missing if sex=M"), ("combinations(city, zip)",)),
    ],
)
def test_cells_that_patients_empty_are_looked_at_again(rules: tuple[str, ...], again: tuple[str, ...], tmp_path: Path) -> None:
    """What a visit's own constraints said before its cells were emptied may be so no more."""
    modality = load(obstetrics(tmp_path / "ward"), options=ReadOptions(time="year", constraints=rules)).modality
    assert_drawn_anew(modality, again)


@pytest.mark.parametrize(
    ("rules", "again"),
    [
        (("joined + year = age",), ()),
        (("age = joined",), None),
        (("joined + year = age", "age >= bonus"), ("age >= bonus",)),
        (("joined + year = age", "age + bonus = score"), ("joined + year = age",)),  # the score is made from the age
        (("joined + year = age", "start + year = age"), ("start + year = age",)),  # only one can make it
    ],
)
def test_sums_between_patient_and_visit_are_added_up(rules: tuple[str, ...], again: tuple[str, ...] | None, tmp_path: Path) -> None:
    """Drawing anew until every visit adds up would all but keep those who have one visit."""
    source = obstetrics(tmp_path / "ward")
    options = ReadOptions(time="year", constraints=rules)
    if again is None:
        with pytest.raises(DataError, match="does not hold"):
            load(source, options=options)
        return
    data = load(source, options=options)
    modality = data.modality
    raw = assert_drawn_anew(modality, again)
    assert any("met by drawing patients anew, which keeps short histories more often" in n for n in data.notes) == bool(again)
    real = data.train.raw(torch.arange(len(data.train)))
    assert bool(modality.holds(real).all())
    if not again:
        modality.write(raw[:200], tmp_path / "made")
        own = {r["pid"]: int(r["joined"]) for r in rows(tmp_path / "made" / "patients.csv")}
        visits = rows(tmp_path / "made" / "visits.csv")
        assert len(visits) > 100
        assert all(int(r["age"]) == own[r["pid"]] + int(r["year"]) for r in visits if r["age"])


def test_sums_of_other_steps_are_written_as_they_add_up(tmp_path: Path) -> None:
    """A column of whole numbers, where nothing else would make it a quarter."""
    source = obstetrics(tmp_path / "ward")
    people, table = rows(source / "patients.csv"), rows(source / "visits.csv")
    for i, r in enumerate(people):
        r["joined"] = f"{int(r['joined']) + 0.25 * (i % 4)}"
    own = {r["pid"]: float(r["joined"]) for r in people}
    for r in table:  # known where it is whole
        age = own[r["pid"]] + int(r["year"])
        r["age"] = f"{age:.0f}" if age == int(age) else ""
    for name, lines in (("patients", people), ("visits", table)):
        (source / f"{name}.csv").write_text("\n".join([",".join(lines[0]), *(",".join(r.values()) for r in lines)]) + "\n")
    modality = load(source, options=ReadOptions(time="year", constraints=("joined + year = age",))).modality
    assert isinstance(modality, RecordModality)
    raw = modality.decode(noise(modality, 1000))
    assert bool(modality.holds(raw).all())


def test_what_would_cost_long_histories_is_not_proposed(tmp_path: Path) -> None:
    source = obstetrics(tmp_path / "ward")
    assert "year + joined = age" not in inspect(source, options=ReadOptions(time="year")).constraints  # for the score is made of the age
    table = [{k: v for k, v in r.items() if k != "score"} for r in rows(source / "visits.csv")]
    (source / "visits.csv").write_text("\n".join([",".join(table[0]), *(",".join(r.values()) for r in table)]) + "\n")
    proposed = inspect(source, options=ReadOptions(time="year")).constraints
    assert "year + joined = age" in proposed
    assert not any(t.startswith("combinations") and "tariff" in t for t in proposed)
    assert not any("left" in t and ">=" not in t for t in proposed)  # joined = left + right, of which a visit has two


def test_real_records_come_back_from_their_encoding(tmp_path: Path) -> None:
    data = load(hospital(tmp_path / "hospital"), options=ReadOptions(time="day", constraints=RULES))
    raw = data.train.raw(torch.arange(len(data.train)))
    modality = data.modality
    assert isinstance(modality, RecordModality)
    assert bool(modality.holds(raw).all())
    back = modality.decode(data.train.batch(torch.arange(len(raw)), torch.device("cpu")).x)
    assert torch.equal(back.isnan(), raw.isnan())
    near = (back - raw).abs().nan_to_num(0.0)
    levels = [i for i, kind in enumerate(Layout.of(data.spec).raw_kinds) if kind == "category"]
    assert float(near[:, levels].max()) == 0.0
    assert Layout.of(data.spec).visit == tuple(c.name for c in modality.changing)


def test_the_state_keeps_the_constraints(tmp_path: Path) -> None:
    modality = load(hospital(tmp_path / "hospital"), options=ReadOptions(time="day", constraints=RULES)).modality
    again = modality.restored(modality.state())
    assert again == modality
    x = noise(modality)
    assert torch.equal(again.decode(x).nan_to_num(-1), modality.decode(x).nan_to_num(-1))
    assert torch.equal(again.holds(again.decode(x)), modality.holds(modality.decode(x)))


def test_visits_and_patients_that_violate_one_are_left_out(tmp_path: Path) -> None:
    source = hospital(tmp_path / "hospital", wrong=["V8888,P001,2009-01-01,120,80,1.0,0.5,1.5,town 0,1000,,2009-01-02"])
    text = (source / "patients.csv").read_text()
    lines = text.splitlines()
    lines[8] = ",".join([*lines[8].split(",")[:4], "99"])
    (source / "patients.csv").write_text("\n".join(lines) + "\n")
    data = load(source, options=ReadOptions(time="day", constraints=RULES))
    assert len(data.train) + len(data.held) == 149
    said = "\n".join(data.notes)
    assert "constraint 'diastolic < systolic': 1 visit that violate it are left out" in said
    assert "constraint '20 <= weeks <= 45': 1 patient that violate it are left out" in said


def test_a_schema_declares_them_and_inspect_proposes_them(tmp_path: Path) -> None:
    source = hospital(tmp_path / "hospital", n=300)
    proposed = inspect(source, options=ReadOptions(time="day")).constraints
    orders = {"systolic >= diastolic", "leave >= day"}  # births are so long ago that "day >= birth" may hold by chance
    assert {*orders, "fees + tax = total", "combinations(city, zip)", "births missing if sex=M"} <= set(proposed)
    found = schema(source, options=ReadOptions(time="day"))
    assert set(found.proposed) == set(proposed)
    declared = tmp_path / "columns.toml"
    head, _, rest = found.to_toml().partition("# The data suggest these")
    comment, _, rest = rest.partition("\n\n")
    lines = [line.removeprefix("# ") for line in comment.splitlines()[1:]]
    declared.write_text("\n".join([head, *lines, rest]))
    data = load(source, options=ReadOptions(time="day", schema=declared))
    assert isinstance(data.modality, RecordModality)
    assert data.modality.rules is not None
    assert set(proposed) == set(data.modality.rules.texts)
    other = load(source, options=ReadOptions(time="day", constraints=("proposed",))).modality
    assert isinstance(other, RecordModality)
    assert other.rules is not None
    assert set(other.rules.texts) == set(proposed)


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("diastolic > systolic", "does not hold in .* visits .*, more than half of them"),
        ("weeks <= 20", "does not hold in .* patients .*, more than half of them"),
        ("day >= weeks", "compares a number with a date"),
        ("'(gap)' >= 3", "how far visits are apart"),
        ("fees plus tax", "is no constraint; write for example"),
        ("pid = vid", "is not learned, so it can stand in no constraint"),
    ],
)
def test_constraints_that_make_no_sense(rule: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=hint):
        load(hospital(tmp_path / "hospital"), options=ReadOptions(time="day", constraints=(rule,)))


def test_levels_that_a_constraint_leaves_nobody_with(tmp_path: Path) -> None:
    """No visit of a man meets the constraint, so that no men are left that it could name."""
    source = obstetrics(tmp_path / "ward")
    with pytest.raises(DataError, match=r"too little with the level of 'sex' 'M' meets the constraints.* drop one of: bonus missing if sex=M"):
        load(source, options=ReadOptions(time="year", constraints=("bonus missing if sex=M",)))
    with pytest.raises(UnknownName, match="'X'; known: F, M"):
        load(source, options=ReadOptions(time="year", constraints=("bonus missing if sex=X",)))


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="systolic"):
        load(hospital(tmp_path / "hospital"), options=ReadOptions(time="day", constraints=("diastolic < systole",)))
