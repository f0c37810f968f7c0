"""Patient records from end to end: trained, sampled, measured; and what a run folder must not hold."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import rivalry
from data.records import folder, long_table
from rivalry.data import ReadOptions, load
from rivalry.errors import DataError, RivalryError
from rivalry.evaluate import Reference, choose_extractor, evaluate
from rivalry.evaluate.records import Layout, Patients, trends

ROLES = """[records]
key = "pid"
time = "date"
survival = "age"
event = "sex=M"
"""


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("data") / "hospital")


@pytest.fixture(scope="module")
def run(source: Path) -> rivalry.Run:
    roles = source.parent / "roles.toml"
    roles.write_text(ROLES)
    return rivalry.train(
        str(source), recipe="house-records-small", budget="2steps", run=str(source.parent / "runs" / "hospital"),
        options=ReadOptions(schema=roles), tensorboard=False, say=lambda line: None,
    )  # fmt: skip


def test_samples_are_tables_that_join(run: rivalry.Run, source: Path, tmp_path: Path) -> None:
    run.write_samples(tmp_path / "synthetic", 50)
    people, visits, codes = (read(tmp_path / "synthetic" / f"{n}.csv") for n in ("patients", "visits", "codes"))
    assert len({r["pid"] for r in people}) == 50
    assert {r["pid"] for r in visits} <= {r["pid"] for r in people}
    owner = {r["visit_id"]: r["pid"] for r in visits}
    assert all(owner[r["visit_id"]] == r["pid"] for r in codes)
    for a, b in pairwise(visits):
        assert a["pid"] != b["pid"] or a["date"] < b["date"]
    assert not {r["pid"] for r in people} & {r["pid"] for r in read(source / "patients.csv")}


def test_the_command_line_samples_into_the_run(run: rivalry.Run) -> None:
    from click.testing import CliRunner

    from rivalry.cli import cli

    done = CliRunner().invoke(cli, ["sample", str(run.path), "-n", "10"])
    assert done.exit_code == 0, done.output
    assert (run.path / "samples" / "records" / "visits.csv").exists()


def test_every_score_of_records_is_there(run: rivalry.Run) -> None:
    scores = run.evaluate()
    wanted = {"shape", "trend", "crossed", "missingness", "visits", "gaps", "lag", "change", "km", "censoring", "cindex", "c2st"}
    assert wanted <= set(scores)
    for name in wanted - {"c2st"}:
        assert 0 <= scores[name].value <= 1
        assert scores[name].low <= scores[name].value <= scores[name].high


def test_the_run_reads_its_spec_again(run: rivalry.Run, source: Path) -> None:
    spec = run.folder.spec
    assert spec == run.data().spec
    assert spec.survival is not None
    assert spec.survival[:2] == ("age", "sex")
    level = next(c for c in run.modality.own if c.name == "sex").code.levels[spec.survival.level]
    assert level == "M"


def test_what_is_handed_on_holds_no_row(run: rivalry.Run, source: Path) -> None:
    """Neither a key, nor a day of a visit, nor the extremes, in anything outside private/."""
    visits, people = read(source / "visits.csv"), read(source / "patients.csv")
    weights = sorted({float(r["weight"]) for r in visits})
    words = {r["pid"] for r in people} | {r["visit_id"] for r in visits} | {r["date"] for r in visits}
    files = [p for p in run.path.rglob("*") if p.is_file() and "private" not in p.parts and p.suffix in (".toml", ".md", ".jsonl", ".safetensors")]
    assert files
    for file in files:
        content = file.read_bytes().decode("latin-1")
        assert not [w for w in words if f'"{w}"' in content], file
    kept = json.dumps([c.state() for c in run.modality.dynamic])
    assert not [w for w in (weights[0], weights[-1]) if f"{w}," in kept or f"{w}]" in kept]


def test_independent_columns_lose_trends_and_real_patients_have_them(tmp_path: Path) -> None:
    data = load(long_table(tmp_path / "long.csv", 300), options=ReadOptions(key="pid", holdout=0.5))
    reference = Reference.build(data, choose_extractor(data), 200)
    x = data.train.batch(torch.arange(len(data.train)), torch.device("cpu")).x
    width, start = data.spec.visit_width, data.spec.static
    visits = x[:, start:].reshape(len(x), data.spec.visits, width)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    parted = torch.cat([x[:, :start], torch.cat([visits[:, :1], visits[order][:, 1:]], 1).flatten(1)], 1)
    names = ("lag",)
    real = evaluate(lambda n, seed: _next(x, n, seed), reference, len(x), 0, metrics=names)
    fake = evaluate(lambda n, seed: _next(parted, n, seed), reference, len(x), 0, metrics=names)
    assert real["lag"].value < 0.1
    assert fake["lag"].value > 2 * real["lag"].value
    layout = Layout.of(data.spec)
    own = Patients.of(data.modality.decode(x), layout)
    assert trends(own, own, layout) == (0.0, 0.0)


def _next(x: torch.Tensor, n: int, seed: int) -> torch.Tensor:
    return x[torch.randint(len(x), (n,), generator=torch.Generator().manual_seed(seed % 2**31))]


def test_an_event_that_nobody_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / "roles.toml").write_text(ROLES.replace("sex=M", "sex"))
    with pytest.raises(DataError, match="write event = 'sex=LEVEL'"):
        load(source, options=ReadOptions(schema=tmp_path / "roles.toml"))


def test_bad_data_leave_nothing_behind(source: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "hospital")
    with (other / "visits.csv").open("a") as stream:
        stream.write("V9999,P777,2020-03-04,70.0,no\n")
    with pytest.raises(RivalryError, match="P777"):
        rivalry.train(str(other), run=str(tmp_path / "runs" / "bad"), budget="2steps", say=lambda line: None)
    assert not (tmp_path / "runs").exists()


def test_patients_are_drawn_under_conditions_on_their_own_columns(run: rivalry.Run, tmp_path: Path) -> None:
    run.write_samples(tmp_path / "old", 40, where="age>50, sex=F")
    people = read(tmp_path / "old" / "patients.csv")
    assert len(people) == 40
    assert all(float(r["age"]) > 50 and r["sex"] == "F" for r in people)
    assert {r["pid"] for r in read(tmp_path / "old" / "visits.csv")} <= {r["pid"] for r in people}
    run.write_samples(tmp_path / "even", 40, balance="sex")
    assert sorted(r["sex"] for r in read(tmp_path / "even" / "patients.csv")) == ["F"] * 20 + ["M"] * 20
    assert run.sample(5, where="sex=F").shape == run.sample(5).shape
    for asked in ({"where": "weight>80"}, {"balance": "smokes"}, {"where": "date>2020-02-02"}):
        with pytest.raises(DataError, match=r"changes from visit to visit, .*ask by their own columns \(age, sex\)"):
            run.sample(5, **asked)  # type: ignore[arg-type]
    with pytest.raises(RivalryError, match="did you mean 'sex'"):
        run.sample(5, where="sx=F")


def test_groups_and_survival_are_studied_by_columns_of_patients(run: rivalry.Run) -> None:
    found = run.study(["sex"], ["sex"], ["age,sex=M"], full=True, n=60, device="cpu")
    assert {"fidelity", "utility: sex", "groups: sex", "survival: age, sex", "clinical", "views"} <= found.keys()
    assert {g["name"] for g in found["groups: sex"]["groups"]} <= {"F", "M"}
    assert "lag1" in found["fidelity"]["scores"] or len(found["fidelity"]["scores"]) > 5
    assert (run.path / "evaluation.json").exists()
    assert run.officer_report().exists()
    with pytest.raises(RivalryError, match="weight"):
        run.study(by=["weight"], device="cpu")


def gaps_in(source: Path, folder: Path) -> Path:
    """The same tables with some cells empty: ages, weights and whether they smoke."""
    folder.mkdir()
    people = [line.split(",") for line in (source / "patients.csv").read_text().splitlines()]
    visits = [line.split(",") for line in (source / "visits.csv").read_text().splitlines()]
    for rows, column, every in ((people, "age", 7), (visits, "weight", 5), (visits, "smokes", 4)):
        at = rows[0].index(column)
        for row in rows[3::every]:
            row[at] = ""
    for name, rows in (("patients", people), ("visits", visits)):
        (folder / f"{name}.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    (folder / "codes.csv").write_text((source / "codes.csv").read_text())
    return folder


def test_missing_cells_of_records_are_filled(run: rivalry.Run, source: Path, tmp_path: Path) -> None:
    given = gaps_in(source, tmp_path / "gaps")
    found = run.apply(given, tmp_path / "full", pool=400)
    assert {p.name for p in found.written} == {"patients.csv", "visits.csv", "codes.csv"}
    for name, columns in (("patients", {"age"}), ("visits", {"weight", "smokes"})):
        old, new = read(given / f"{name}.csv"), read(tmp_path / "full" / f"{name}.csv")
        assert len(old) == len(new)
        for a, b in zip(old, new, strict=True):
            assert {k: v for k, v in b.items() if a[k]} == {k: v for k, v in a.items() if v}
            assert all(b[k] for k in columns)
    assert (tmp_path / "full" / "codes.csv").read_text() == (given / "codes.csv").read_text()
    assert set(found.cells) == {"age", "weight", "smokes"}
    assert not found.left
    again = run.apply(given, tmp_path / "again", pool=400, draws=2)
    assert {p.parent.name for p in again.written} == {"again-1", "again-2"}
    assert (tmp_path / "again-1" / "visits.csv").read_text() == (tmp_path / "full" / "visits.csv").read_text()
    assert (tmp_path / "again-2" / "visits.csv").read_text() != (tmp_path / "full" / "visits.csv").read_text()


def test_what_cannot_be_filled_is_said(run: rivalry.Run, source: Path, tmp_path: Path) -> None:
    given = gaps_in(source, tmp_path / "gaps")
    with pytest.raises(DataError, match="is no folder; name one with"):
        run.apply(given / "patients.csv", tmp_path / "full")
    with pytest.raises(DataError, match=r"are several tables and cannot be written as full\.csv; name a folder"):
        run.apply(given, tmp_path / "full.csv")
    lines = (given / "visits.csv").read_text().splitlines()
    bad = [*lines[:2], lines[2].replace("P", "Q", 1) if "P" in lines[2] else lines[2], *lines[3:]]
    (given / "visits.csv").write_text("\n".join(bad) + "\n")
    with pytest.raises(DataError, match=r"who is not in patients\.csv; add the patient or remove the rows"):
        run.apply(given, tmp_path / "full")
    (given / "codes.csv").unlink()
    with pytest.raises(DataError, match=r"has no codes\.csv, which the run's records have; add it"):
        run.apply(given, tmp_path / "full")
    assert not (tmp_path / "full").exists()
