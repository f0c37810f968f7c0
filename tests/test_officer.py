"""The study of a table and the report for a data officer: from a CSV of patients to one file without a row of it."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import rivalry
from rivalry.cli import cli
from rivalry.data import load
from rivalry.errors import RivalryError
from rivalry.evaluate.study import LEAST, Sides, read_record, study
from rivalry.evaluate.study.making import Ask
from rivalry.evaluate.study.sides import about, share
from rivalry.evaluate.study.views import bar
from rivalry.officer import pictures
from rivalry.officer.blocks import Heading, Items, Listing, Picture, Table, Text
from rivalry.officer.html import to_html, words
from rivalry.officer.markdown import to_markdown
from rivalry.officer.tables import tables

SMALL = ("generator.sizes=[32]", "discriminator.trunk.sizes=[32]", "batch=64")
ROWS = 700


def write(path: Path, seed: int = 0) -> Path:
    """Patients: an identifier, sex with six people of a third value, age, two codes, days of follow-up, death, a lab value
    that one patient has to a rare extreme, and free text."""
    g = np.random.default_rng(seed)
    age = g.integers(20, 90, ROWS)
    ill = g.random(ROWS) < age / 150
    days = np.ceil(g.exponential(900, ROWS) * np.where(ill, 0.4, 1.0))
    seen = np.ceil(g.uniform(100, 2000, ROWS))
    lab = np.round(age / 10 + g.normal(0, 1, ROWS), 2)
    lab[5] = 987.65
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["patient_id", "sex", "age", "insulin", "visits", "days", "died", "lab", "note"])
        for i in range(ROWS):
            sex = "X" if i % 120 == 7 else "FM"[int(g.random() < 0.45)]
            value = "" if g.random() < 0.15 else f"{lab[i]:.2f}"
            note = f"seen by Dr {i}, remark no. {i * 7919}"
            rows.writerow([
                f"P{i:05d}", sex, age[i], ["no", "yes"][int(ill[i])], g.poisson(1.2), f"{min(days[i], seen[i]):.0f}",
                ["no", "yes"][int(days[i] <= seen[i])], value, note,
            ])  # fmt: skip
    return path


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "patients.csv")


@pytest.fixture(scope="module")
def run(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    return rivalry.train(
        patients, budget="12steps", run=str(tmp_path_factory.mktemp("runs") / "patients"), settings=SMALL, device="cpu",
        tensorboard=False, say=lambda line: None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(run: rivalry.Run) -> rivalry.Run:
    """The run with all that can be measured, by one command."""
    found = invoke("evaluate", run, "--full", "--target", "insulin", "--by", "sex", "--by", "age", "--survival", "days,died", "-n", "400")
    assert found.exit_code == 0, found.output
    for word in ("Scores", "shuffled columns", "Usefulness: insulin", "Groups of sex", "Time to event", "Clinical measures"):
        assert word in found.output
    return run


def invoke(command: str, run: rivalry.Run, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [command, str(run.path), *arguments])


# -- the study --------------------------------------------------------------------------------------------------------


def test_sections_are_whole_and_small_groups_are_kept_out(measured: rivalry.Run) -> None:
    sections = read_record(measured.path)
    assert set(sections) == {
        "fidelity", "utility: insulin", "groups: sex", "groups: age", "survival: days, died", "clinical", "views"
    }  # fmt: skip
    groups = sections["groups: sex"]
    assert [g["name"] for g in groups["groups"]] == ["F", "M"]
    assert groups["suppressed"] == 1
    assert all(g["training rows"] % LEAST == 0 for g in groups["groups"])
    assert "measure" in groups["groups"][0]["utility"]["insulin"]
    assert len(sections["groups: age"]["groups"]) == 4
    sex = next(c for c in sections["views"]["columns"] if c["name"] == "sex")
    assert sex["levels"] == ["F", "M", "rest"]
    assert sex["real"][2] is None
    codes = sections["clinical"]["codes"]
    assert codes["columns"] == ["insulin", "visits", "died"]
    assert sections["fidelity"]["baseline"]["trend"] > 0
    assert sections["survival: days, died"]["concordance"]["real rows"]["value"] > 0.5
    assert all(one["made"]["step"] == measured.folder.step() for one in sections.values())


def test_the_real_survival_curve_is_told_in_steps_of_ten_events(measured: rivalry.Run) -> None:
    curves = read_record(measured.path)["survival: days, died"]["curves"]
    told = [v for v in curves["real"]["value"] if v is not None]
    assert 3 <= len(told) < len(curves["times"])
    steps = -np.diff(told) * 630  # training rows; survival falls by at least ten events' worth
    assert (steps >= LEAST - 0.7).all()
    assert None not in curves["synthetic"]["value"]


def test_fresh_rows_broken_rows_and_copies_are_told_apart(patients: Path, tmp_path: Path) -> None:
    """The same measures of a second sample of the population, of copied rows, and of one row over and over."""
    data = load(patients)
    fresh = load(write(tmp_path / "other.csv", seed=1))
    rows = data.train.raw(torch.arange(len(data.train)))
    other = fresh.train.raw(torch.arange(len(fresh.train)))
    ask = Ask(survival=("days,died",), full=True)
    found = {
        name: study(data, fake, ask, 0)
        for name, fake in (("fresh", other), ("copies", rows), ("collapsed", rows[:1].nan_to_num(1.0).repeat(500, 1)))
    }
    gaps = {name: one["survival: days, died"]["distance"]["value"] for name, one in found.items()}
    assert gaps["collapsed"] > 4 * max(gaps["fresh"], gaps["copies"])
    codes = {name: one["clinical"]["codes"]["probability"] for name, one in found.items()}
    assert codes["copies"]["value"] == codes["copies"]["floor"]
    assert codes["collapsed"]["value"] > 4 * codes["fresh"]["value"]
    missing = {name: one["clinical"]["missing"]["pattern"]["value"] for name, one in found.items()}
    assert missing["collapsed"] > 2 * missing["fresh"]


def test_under_differential_privacy_no_statistic_of_real_rows_is_told(patients: Path) -> None:
    """Scores remain: what measuring costs is said in the report."""
    data = load(patients)
    rows = data.train.raw(torch.arange(len(data.train)))
    ask = Ask(("insulin",), ("sex",), ("days,died",), full=True, shown=False)
    found = study(data, rows.flip(0), ask, 0)
    assert '"real"' not in json.dumps(found)
    assert "real" not in found["groups: sex"]["groups"][0]["share"]
    assert found["groups: sex"]["groups"][0]["training rows"] is None
    made = [*pictures.pictures(found), pictures.survival(found["survival: days, died"])]
    assert all("not drawn" in p.caption for p in (made[0], made[-1]))
    assert "not told" in str(tables(found))


def test_counts_of_people() -> None:
    assert [about(n) for n in (0, 9, 10, 14, 16, 1234)] == [None, None, 10, 10, 20, 1230]
    assert [share(*pair) for pair in ((0, 50), (3, 50), (10, 50), (45, 50), (50, 50), (0, 0))] == [0, None, 0.2, None, 1, None]
    # Six of 630 are left out, and what is told of the others does not tell them by subtraction: any of 0 to 15 fits.
    bars = [bar(count, 630) for count in (348, 276, 6)]
    assert bars == [0.556, 0.444, None]


def test_a_lone_section_as_json(run: rivalry.Run) -> None:
    made = invoke("evaluate", run, "--survival", "days,died=yes", "-n", "300", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["time"] == "days"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--by", "sxe"), "did you mean 'sex'"),
        (("--survival", "days"), "TIME,EVENT"),
        (("--survival", "days,sex"), "VALUE"),
        (("--survival", "days,died=perhaps"), "never"),
        (("--survival", "sex,died"), "category"),
        (("--target", "insuline"), "did you mean 'insulin'"),
    ],
)
def test_bad_input_says_the_remedy(arguments: tuple[str, ...], hint: str, run: rivalry.Run) -> None:
    made = invoke("evaluate", run, *arguments, "-n", "100")
    assert isinstance(made.exception, RivalryError)
    assert hint in str(made.exception)


def test_points_have_no_study() -> None:
    with pytest.raises(RivalryError, match="measures of tables"):
        Sides.of(load("ring8"), torch.zeros(3, 2))


# -- the report -------------------------------------------------------------------------------------------------------


def report(run: rivalry.Run, out: Path) -> str:
    made = invoke("report", run, "--officer", "-o", str(out))
    assert made.exit_code == 0, made.output
    return out.read_text(encoding="utf-8")


def test_before_anything_is_measured_it_says_so(run: rivalry.Run, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run.path, bare)
    for name in ("evaluation.json", "audit.json"):
        (bare / name).unlink(missing_ok=True)
    text = report(rivalry.load(bare), tmp_path / "x.html")
    assert "No audit has been made: run <code>rivalry audit bare</code>" in text
    assert "rivalry evaluate bare --full" in text
    assert "Differential privacy was not used" in text


def test_of_points_it_tells_what_there_is(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)
    made = rivalry.train(points, budget="5steps", run=str(tmp_path / "ring"), device="cpu", tensorboard=False, say=lambda line: None)
    text = report(made, tmp_path / "x.html")
    assert "swd" in text.lower()
    assert "--full" not in text
    with pytest.raises(RivalryError, match="measures of tables"):
        made.study(full=True, data=load(points))


@pytest.mark.parametrize("ending", ["html", "md"])
def test_the_report_is_whole_and_holds_no_row(ending: str, measured: rivalry.Run, patients: Path, tmp_path: Path) -> None:
    text = report(measured, tmp_path / f"officer.{ending}")
    for word in ("Summary", "Where the data come from", "Defences", "Likeness", "Usefulness", "Groups of people", "Time to event",
                 "Clinical measures", "Attacks", "Limits", "Intended use", "Not intended", "Words", "Fingerprint", "never learned"):  # fmt: skip
        assert word in text, word
    assert text.count("data:image/png;base64,") == 3
    assert "rivalry evaluate patients --full --target insulin --by age --by sex --survival days,died=yes" in text
    stored = (measured.path / "evaluation.json").read_text()
    with patients.open() as real:
        rows = list(csv.DictReader(real))
    for page in (re.sub(r"base64,[A-Za-z0-9+/=]+", "", text), stored):
        assert not any(r["patient_id"] in page or r["note"] in page for r in rows)
        assert "987.65" not in page
        assert not any(",".join(r.values()) in page for r in rows)
        assert not any(r["lab"] in re.findall(r"[\d.]+", page) for r in rows if len(r["lab"]) > 4)


def test_pictures_inside_are_pictures(measured: rivalry.Run, tmp_path: Path) -> None:
    text = report(measured, tmp_path / "officer.html")
    for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", text):
        assert base64.b64decode(found).startswith(b"\x89PNG")
    assert "<script" not in text
    assert "http://" not in text.replace("http-equiv", "")
    assert "Content-Security-Policy" in text


def test_what_an_audit_found_is_told(measured: rivalry.Run, tmp_path: Path) -> None:
    measured.audit(200, device="cpu")
    text = report(measured, tmp_path / "officer.html")
    verdict = json.loads((measured.path / "audit.json").read_text())["verdict"][0]
    assert words(verdict[1:]) in text
    assert "control: " in text
    assert "Singling out, linking, inferring" in text
    assert "No audit" not in text
    (measured.path / "audit.json").unlink()


def test_defences_of_the_rows_are_told(measured: rivalry.Run, tmp_path: Path) -> None:
    assert "No defence was applied to the rows" in report(measured, tmp_path / "x.html")
    told = tmp_path / "told"
    shutil.copytree(measured.path, told)
    settings = (told / "run.toml").read_text().replace("defences = []", 'defences = ["--dedupe: 3 rows were left out"]')
    (told / "run.toml").write_text(settings)
    assert "<li>--dedupe: 3 rows were left out.</li>" in report(rivalry.load(told), tmp_path / "y.html")


def test_scores_of_another_step_are_out_of_date(measured: rivalry.Run, tmp_path: Path) -> None:
    path = measured.path / "evaluation.json"
    stored = path.read_text()
    path.write_text(re.sub(r'"step": \d+', '"step": 7', stored, count=1))
    try:
        assert "Out of date" in report(measured, tmp_path / "x.html")
    finally:
        path.write_text(stored)
    assert "Out of date" not in report(measured, tmp_path / "x.html")


def test_as_json_and_bad_endings(measured: rivalry.Run, tmp_path: Path) -> None:
    made = invoke("report", measured, "--officer", "--json")
    assert made.exit_code == 0
    assert [b["heading"] for b in json.loads(made.stdout) if "heading" in b][1:3] == ["Summary", "Where the data come from"]
    for arguments, hint in ((("--officer", "-o", str(tmp_path / "x.pdf")), ".html or .md"), (("-o", "x.html"), "--officer")):
        wrong = invoke("report", measured, *arguments)
        assert isinstance(wrong.exception, RivalryError)
        assert hint in str(wrong.exception)
    assert not list(tmp_path.iterdir())
    for damaged, hint in (("{", "damaged"), ('{"format": 1, "sections": {}}', "another version")):
        (tmp_path / "evaluation.json").write_text(damaged)
        with pytest.raises(RivalryError, match=hint):
            read_record(tmp_path)


def test_names_of_columns_and_values_cannot_write_html() -> None:
    evil = "<img src=x onerror=alert(1)>"
    blocks = [Heading(evil, 1), Text(evil), Items((evil,)), Table(evil, (evil,), ((evil,),)), Picture(b"", '">' + evil, evil), Listing(evil)]
    page = to_html(blocks)
    assert "<img src=x" not in page
    assert 'alt="&quot;&gt;' in page
    assert words("**a** `b**c**` <") == "<strong>a</strong> <code>b**c**</code> &lt;"
    assert "<img src=x" not in to_markdown(blocks[:-1])
