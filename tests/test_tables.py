"""Tables end to end: from a file to synthetic rows, scores, and back after a stop."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import rivalry
from rivalry.data import TableModality, load
from rivalry.errors import RivalryError
from rivalry.evaluate import choose_extractor
from rivalry.evaluate.judge import Judge, Looks
from rivalry.evaluate.tabular import kinds, names
from rivalry.files import read_tensors
from rivalry.training.loop import Trainer

SMALL = ("generator.sizes=[32]", "discriminator.trunk.sizes=[32]", "batch=64")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 rows: id, sex, age, a lab value that hangs on the age and is missing in a fifth, a date, a diagnosis."""
    g = np.random.default_rng(0)
    n = 600
    age = g.integers(20, 90, n)
    lab = np.round(age / 10 + g.normal(0, 1, n), 1)
    path = tmp_path_factory.mktemp("data") / "patients.csv"
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["patient_id", "sex", "age", "lab", "admitted", "diagnosis"])
        for i in range(n):
            value = "" if g.random() < 0.2 else f"{lab[i]:.1f}"
            day = f"2024-{1 + int(g.integers(12)):02d}-{1 + int(g.integers(28)):02d}"
            rows.writerow([f"P{i:05d}", "FM"[int(g.random() < 0.4)], age[i], value, day, ["A10", "B20", "C30"][age[i] // 31]])
    return path


def train(path: Path, run: Path, budget: str = "40steps") -> rivalry.Run:
    return rivalry.train(
        path, budget=budget, run=str(run), settings=SMALL, device="cpu", tensorboard=False, say=lambda line: None
    )


@pytest.fixture(scope="module")
def run(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    return train(patients, tmp_path_factory.mktemp("runs") / "patients")


def test_a_csv_becomes_rows_of_the_same_columns(run: rivalry.Run, patients: Path, tmp_path: Path) -> None:
    (out,) = run.write_samples(tmp_path / "synthetic.csv", 200)
    with patients.open() as real, out.open() as made:
        known, rows = list(csv.DictReader(real)), list(csv.DictReader(made))
    assert len(rows) == 200
    assert list(rows[0]) == list(known[0])
    assert not {r["patient_id"] for r in rows} & {r["patient_id"] for r in known}
    assert {r["sex"] for r in rows} <= {"F", "M"}
    assert {r["diagnosis"] for r in rows} <= {"A10", "B20", "C30"}
    assert all(18 <= int(r["age"]) <= 92 for r in rows)
    assert all(r["lab"] == "" or len(r["lab"].split(".")[1]) == 1 for r in rows)
    assert all(r["admitted"].startswith("202") and len(r["admitted"]) == 10 for r in rows)
    missing = sum(r["lab"] == "" for r in rows) / 200
    assert 0.1 < missing < 0.32  # margins are set right even after 40 steps


def test_its_scores_are_those_of_tables(run: rivalry.Run) -> None:
    scores = run.evaluate(200)
    assert {"shape", "trend", "missingness", "c2st", "coverage", "copies"} <= set(scores)
    assert scores["shape"].ruler.name == "shape error"
    assert 0 <= scores["shape"].low <= scores["shape"].value <= scores["shape"].high <= 1
    assert set(scores.details["columns"]["shape"]) == {"sex", "age", "lab", "admitted", "diagnosis"}
    text = json.dumps(scores.as_dict())
    assert "P00" not in text


def test_real_rows_score_at_the_floor_and_shuffled_columns_do_not(patients: Path) -> None:
    data = load(patients)
    judge = Judge(data, choose_extractor(data), device=CPU, looks=Looks(gate=400, verdict=400))
    rows = data.train.batch(torch.arange(len(data.train)), CPU).x

    def real(n: int, seed: int) -> torch.Tensor:
        g = torch.Generator().manual_seed(seed % 2**31)
        return rows[torch.randperm(len(rows), generator=g)[:n]]

    def shuffled(n: int, seed: int) -> torch.Tensor:
        g = torch.Generator().manual_seed(seed % 2**31)
        x = real(n, seed).clone()
        for b in data.spec.blocks:
            if b.name == "diagnosis":  # hung on the age
                x[:, b.start : b.start + b.width] = x[torch.randperm(n, generator=g), b.start : b.start + b.width]
        return x

    good, bad = judge.final(real, 0), judge.final(shuffled, 0)
    assert good["trend"].value < 1.5 * (good["trend"].floor or 0) + 0.01
    assert bad["trend"].value > 1.4 * good["trend"].value
    assert bad["shape"].value == pytest.approx(good["shape"].value, abs=0.02)
    assert "age" in str(bad.details["columns"]["worst pairs"][0])
    assert bad["c2st"].value > good["c2st"].value


def test_columns_and_their_kinds(patients: Path) -> None:
    spec = load(patients).spec
    assert names(spec) == ("sex", "age", "lab", "admitted", "diagnosis")
    assert kinds(spec) == ("category", "number", "number", "number", "category")


def test_resume_equals_an_unbroken_run(
    run: rivalry.Run, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after step 25: margins, averages and Gumbel noise are those of the unbroken run, bit for bit."""

    class Killed(BaseException):
        pass

    step = Trainer.step

    def until(self: Trainer) -> None:
        if self.state.step == 25 and self.steps == 40:
            raise Killed
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", until)
        with pytest.raises(Killed):
            train(patients, tmp_path / "again")
    again = rivalry.load(tmp_path / "again").resume(device="cpu", say=lambda line: None)
    for file in ("model", "state"):
        first, second = (read_tensors(r.path / f"checkpoints/last/{file}.safetensors")[0] for r in (run, again))
        assert first.keys() == second.keys()
        assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert torch.equal(run.sample(50, seed=1).nan_to_num(-1), again.sample(50, seed=1).nan_to_num(-1))


def test_real_rows_are_drawn_in_private_only(patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, bool]] = []
    preview = TableModality.preview

    def noted(self: TableModality, x: torch.Tensor, path: Path, reference: torch.Tensor | None = None) -> None:
        shown.append((path.parent.name, reference is not None))
        preview(self, x, path, reference)

    monkeypatch.setattr(TableModality, "preview", noted)
    train(patients, tmp_path / "seen", "10steps")
    assert ("samples", False) in shown
    assert ("private", True) in shown
    assert ("samples", True) not in shown


def test_what_is_handed_on_holds_no_row(run: rivalry.Run, patients: Path) -> None:
    text = (run.path / "run.toml").read_text() + (run.path / "model-card.md").read_text()
    with patients.open() as real:
        rows = list(csv.DictReader(real))
    assert not any(r["patient_id"] in text for r in rows)
    assert not any(f'"{r["admitted"]}"' in text for r in rows)


def test_rows_that_meet_conditions(run: rivalry.Run, tmp_path: Path) -> None:
    (out,) = run.write_samples(
        tmp_path / "old.csv", 60, where="age>=60, sex=F, diagnosis=B20|C30, lab!=missing, admitted<2024-10-01"
    )
    with out.open() as made:
        rows = list(csv.DictReader(made))
    assert len(rows) == 60
    for r in rows:
        assert int(r["age"]) >= 60
        assert r["sex"] == "F"
        assert r["diagnosis"] in ("B20", "C30")
        assert r["lab"] != ""
        assert r["admitted"] < "2024-10-01"
    gone = run.sample(40, where="lab=missing")
    assert bool(gone[:, 2].isnan().all())


def test_conditioned_rows_are_the_model_s_own_under_the_condition(run: rivalry.Run) -> None:
    """Rejection changes nothing else: the ages of women are those of the women among unconditioned rows."""
    free, women = run.sample(20_000, seed=5), run.sample(8_000, seed=6, where="sex=F")
    code = float(women[0, 0])
    assert bool((women[:, 0] == code).all())
    theirs = free[free[:, 0] == code, 1]
    gap = (torch.quantile(theirs, 0.5) - torch.quantile(women[:, 1], 0.5)).abs()
    assert float(gap) <= 2


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("aeg>60", "age"),
        ("sex=W", "level"),
        ("sex>F", "order"),
        ("age", "no condition"),
        ("patient_id=P00001", "not learned"),
        ("age>old", "no number"),
        ("age>60, age<60", "loosen the conditions"),
    ],
)
def test_conditions_that_cannot_be_met_say_so(where: str, hint: str, run: rivalry.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rivalry.sampling.MOST", 20_000)
    with pytest.raises(RivalryError, match=hint):
        run.sample(10, where=where)


def test_utility_of_real_rows_is_that_of_the_data(run: rivalry.Run) -> None:
    found = run.utility("diagnosis", n=200)
    assert found.measure == "auc"
    assert found.real.trees > 0.9  # the diagnosis hangs on the age
    assert found.fake.trees < found.real.trees
    with pytest.raises(RivalryError, match="diagnosis"):
        run.utility("diagnose")


def test_utility_on_the_command_line(run: rivalry.Run) -> None:
    from click.testing import CliRunner

    from rivalry.cli import cli

    made = CliRunner().invoke(cli, ["evaluate", str(run.path), "--target", "age", "-n", "100", "--json"])
    assert made.exit_code == 0, made.output
    found = json.loads(made.stdout)
    assert found["measure"] == "r2"
    assert found["real rows"]["trees"] > 0.5
