"""What is told of runs of every kind is true of that kind: records, text, counted tables; and no note tells a patient's own number."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import rivalry
from rivalry.data import load
from rivalry.data.options import ReadOptions

SMALL = ("batch=16", "steps=3")


def write_visits(path: Path, patients: int = 160, most: int = 23) -> Path:
    """Patients of one to five visits, and one of many more."""
    g = np.random.default_rng(0)
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "sex", "visit", "sbp", "drug"])
        for i in range(patients):
            sex = g.choice(["F", "M"])
            times = np.sort(g.uniform(0, 9, most if i in (9, 10, 11) else int(g.integers(1, 6))))
            rows.writerows([7000 + i, sex, f"{t:.3f}", f"{g.normal(130, 15):.1f}", g.choice(["a", "b", "c"])] for t in times)
    return path


def officer(run: rivalry.Run, out: Path) -> str:
    run.officer_report(out)
    return out.read_text()


def everything(run: rivalry.Run) -> str:
    files = [p for p in run.path.rglob("*") if p.suffix in (".md", ".toml", ".json", ".jsonl") and "private" not in p.relative_to(run.path).parts]
    return "\n".join(p.read_text() for p in files)


RECORDS = ReadOptions(key="id", time="visit", holdout=0.2)


def test_of_records_the_unit_is_a_patient(tmp_path: Path) -> None:
    pytest.importorskip("dp_accounting")
    run = rivalry.train(
        write_visits(tmp_path / "visits.csv"), dp_epsilon=8.0, settings=SMALL, run=str(tmp_path / "run"), device="cpu", tensorboard=False,
        options=RECORDS, say=lambda line: None,
    )  # fmt: skip
    for page in (officer(run, tmp_path / "officer.md"), (run.path / "model-card.md").read_text(), (run.path / "report.md").read_text()):
        assert "differ by one patient" in page
        assert "each of 128 patients with chance" in page
        assert "the unit is a patient with all visits" in page
        assert "the unit is a row" not in page
    page = officer(run, tmp_path / "officer.md")
    assert "Whether a given patient was in training" in page
    assert "Patients: 128 were trained on, 32 were kept back" in page
    assert "Every patient counts once" in page


def test_notes_tell_no_patient_s_number_of_visits(tmp_path: Path) -> None:
    """How many visits the patient of most visits has is an extreme, and what is cut off beyond tells it too."""
    path = write_visits(tmp_path / "visits.csv")
    assert any("1 to 23 each" in note for note in rivalry.inspect(path, options=RECORDS).notes), "on the screen"
    data = load(path, options=RECORDS)
    assert data.spec.visits == 5
    assert not [note for note in data.notes if "23" in note or "54" in note]
    assert any(note.startswith("visits after the 5th, which fewer than 5 patients have, are left out") for note in data.notes)


def test_few_patients_are_not_as_long_as_the_longest(tmp_path: Path) -> None:
    """With few patients, too, the number of visits that are learned is one that five reach."""
    assert load(write_visits(tmp_path / "few.csv", 40), options=RECORDS).spec.visits == 5


def test_of_text_nothing_is_said_of_columns(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    lines = [" ".join(g.choice(["anna", "ben", "sees", "the", "dog", "house", "red", "doctor", "again", "today"], 8)) for _ in range(300)]
    (tmp_path / "notes.txt").write_text("\n".join(lines) + "\n")
    run = rivalry.train(
        tmp_path / "notes.txt", recipe="mle", budget="1steps", run=str(tmp_path / "run"), device="cpu", tensorboard=False,
        options=ReadOptions(tokenizer="words"), say=lambda line: None,
    )  # fmt: skip
    page = officer(run, tmp_path / "officer.md")
    for wrong in ("free text are never learned", "Of each column", "merging of rare values", "distributions of columns"):
        assert wrong not in page, wrong
    assert "Text is learned as it stands, names in it included" in page
    assert "The folder's `private/` shows real rows" in page


def test_of_counted_rows_no_network_is_said_to_invent_them(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    lines = [f"{a},{b},{c}" for a, b, c in zip(g.integers(20, 90, 300), g.choice(["F", "M"], 300), g.choice(list("xyz"), 300), strict=True)]
    (tmp_path / "t.csv").write_text("age,sex,ward\n" + "\n".join(lines) + "\n")
    run = rivalry.train(
        tmp_path / "t.csv", recipe="mst", run=str(tmp_path / "run"), device="cpu", tensorboard=False, options=ReadOptions(kind="table"),
        say=lambda line: None,
    )  # fmt: skip
    page = officer(run, tmp_path / "officer.md")
    assert "invented by a network" not in page
    assert "drawn from counts of single columns and of pairs of columns, kept in multiples of five" in page
    assert "what was noted while reading is told as it is" in page
    card = (run.path / "model-card.md").read_text()
    assert "the best by the held-out score" not in card
    assert "(counts, taken once" in card
