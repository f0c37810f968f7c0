"""`rivalry audit RUN` from a trained run to its files, and the white-box attack on a run's own discriminator."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import rivalry
from rivalry.audit.discriminator import asked
from rivalry.cli import cli
from rivalry.data import load
from rivalry.data.options import ReadOptions
from rivalry.errors import DataError, RunError, UnknownName
from rivalry.files import write_tensors

CPU = torch.device("cpu")
SMALL = ("generator.sizes=[32]", "discriminator.trunk.sizes=[128,128]", "batch=64")


def write_table(path: Path, n: int = 600, seed: int = 0) -> Path:
    """Age, sex, and six lab values of two decimals, the first of which hangs on the age."""
    g = np.random.default_rng(seed)
    age, sex = g.integers(20, 90, n), g.random(n) < 0.4
    labs = np.round(g.normal(0, 1, (n, 6)) + age[:, None] / 10 * (np.arange(6) == 0), 2)
    lines = [f"{a},{','.join(f'{v:.2f}' for v in row)},{'FM'[int(b)]}" for a, row, b in zip(age, labs, sex, strict=True)]
    path.write_text("age,lab1,lab2,lab3,lab4,lab5,lab6,sex\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    data = write_table(tmp_path_factory.mktemp("data") / "patients.csv")
    return rivalry.train(
        data, budget="30steps", run=str(tmp_path_factory.mktemp("runs") / "patients"), settings=SMALL, device="cpu",
        tensorboard=False, options=ReadOptions(holdout=0.3), say=lambda line: None,
    )  # fmt: skip


def test_a_run_is_audited_into_its_folder(run: rivalry.Run) -> None:
    told: list[str] = []
    found = run.audit(600, device="cpu", tick=lambda what, share: told.append(what))
    assert found.outcome == "nothing found", "30 steps remember nothing"
    assert any(a.name == "LOGAN white box, main" for a in found.attacks)
    assert found.skipped == ()
    assert {"drawing samples", "comparing in rows", "classifiers", "looking for copies"} <= set(told)
    kept = json.loads((run.path / "audit.json").read_text())
    assert kept["samples"] == 600
    assert kept["attacks"][0]["auc"] == found.attacks[0].auc.value
    assert "does not prove" in (run.path / "audit.md").read_text()
    assert (run.path / "plots" / "audit-roc.png").exists()
    assert (run.path / "private" / "audit-pairs.csv").exists()


def test_what_is_not_private_holds_no_row(run: rivalry.Run) -> None:
    """The lab values, of two decimals, are as good as names."""
    run.audit(600, device="cpu")
    raw = run.data().train.raw(torch.arange(len(run.data().train)))
    rows = [f"{age:.0f},{lab:.2f}," for age, lab in raw[:, :2].tolist()]
    shown = (run.path / "audit.json").read_text() + (run.path / "audit.md").read_text()
    assert not [row for row in rows if row in shown]


def test_the_command_prints_json_and_words(run: rivalry.Run) -> None:
    call = ["audit", str(run.path), "--samples", "600", "--device", "cpu"]
    made = CliRunner().invoke(cli, [*call, "--json"], catch_exceptions=False)
    assert made.exit_code == 0
    assert json.loads(made.stdout)["outcome"] == "nothing found"
    words = CliRunner().invoke(cli, call, catch_exceptions=False)
    assert "no attack here told members from non-members better than chance" in words.stdout
    assert "control: training against held-out rows" in words.stdout


def test_bad_input_is_told_what_to_do(run: rivalry.Run, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown run"):
        rivalry.load("no-such-run-at-all")
    with pytest.raises(DataError, match="leave the weights"):
        run.audit(600, weights=tmp_path / "any.npz", device="cpu")


def test_the_white_box_asks_the_live_discriminator(run: rivalry.Run) -> None:
    networks, why = asked(run.folder, CPU, 0)
    assert not why
    data = run.data()
    index = torch.arange(300).flip(0)
    tensors, _ = run.folder.state("last")
    judge = run.recipe.build(run.folder.spec)["discriminator"]
    name = "nets/discriminator/"
    judge.load_state_dict({k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)})
    judge.eval()
    with torch.no_grad():
        known = judge(data.train.batch(index, CPU).x)["score"].double()
    torch.testing.assert_close(networks.judges["main"](data.train, index), known.flatten(1).mean(1) if known.ndim > 1 else known)


def test_a_discriminator_that_knows_its_rows_by_heart_is_caught(run: rivalry.Run, tmp_path: Path) -> None:
    """The run's discriminator, taught to tell its training rows from others of the same kind."""
    shutil.copytree(run.path, tmp_path / "learned")
    learned = rivalry.load(tmp_path / "learned")
    mine = run.data().train
    other = load(write_table(tmp_path / "other.csv", seed=1), options=ReadOptions(holdout=0.3)).train
    x = torch.cat([side.batch(torch.arange(400), CPU).x for side in (mine, other)])
    sign = torch.where(torch.arange(800) < 400, 1.0, -1.0)
    tensors, meta = learned.folder.state("last")
    name = "nets/discriminator/"
    judge = run.recipe.build(run.folder.spec)["discriminator"]
    solver = torch.optim.Adam(judge.parameters(), lr=3e-3)
    for _ in range(600):
        solver.zero_grad()
        torch.nn.functional.softplus(-sign * judge(x)["score"].flatten()).mean().backward()
        solver.step()
    taught = {name + k: v.detach().clone() for k, v in judge.state_dict().items()}
    write_tensors(learned.folder.checkpoint("last") / "state.safetensors", tensors | taught, meta)

    found = learned.audit(600, device="cpu")
    assert found.outcome == "leaks"
    assert found.attacks[found.strongest].name == "LOGAN white box, main"
    assert run.audit(600, device="cpu").outcome == "nothing found"


def test_a_run_that_began_with_one_of_another_split_says_what_that_hides(run: rivalry.Run, tmp_path: Path) -> None:
    """Rows held back now may have been the first run's training rows: attacks then see members on both sides."""
    said = list[str]()
    moved = ReadOptions(holdout=0.4)
    second = rivalry.train(
        run.folder.settings["data"]["source"], budget="2steps", run=str(tmp_path / "second"), start=str(run.path), device="cpu",
        tensorboard=False, options=moved, say=said.append,
    )  # fmt: skip
    rows = [{tuple(r) for r in side.raw(torch.arange(len(side))).tolist()} for side in (run.data().train, second.data().held)]
    assert len(rows[0] & rows[1]) > 50
    assert second.folder.strangers == ("patients",)
    assert any("may be among" in line for line in said)
    found = second.audit(600, device="cpu")
    assert "began with the networks of patients" in found.verdict()[0]
    assert json.loads((second.path / "audit.json").read_text())["began with"] == ["patients"]
    second.officer_report(tmp_path / "officer.md")
    page = (tmp_path / "officer.md").read_text()
    assert "used for measuring only" not in page
    assert page.count("the networks of patients") >= 3, "lineage, summary, attacks"

    third = rivalry.train(
        run.folder.settings["data"]["source"], budget="2steps", run=str(tmp_path / "third"), start=str(second.path), device="cpu",
        tensorboard=False, options=moved, say=said.append,
    )  # fmt: skip
    assert third.folder.strangers == ("patients",), "what the second run knows it has from the first"
    same = rivalry.train(
        run.folder.settings["data"]["source"], budget="2steps", run=str(tmp_path / "same"), start=str(run.path), device="cpu",
        tensorboard=False, options=ReadOptions(holdout=0.3), say=said.append,
    )  # fmt: skip
    assert same.folder.strangers == ()
    assert "began with" not in same.audit(600, device="cpu").verdict()[0]


def test_data_that_were_sorted_or_grew_are_refused(tmp_path: Path) -> None:
    """Their split is another: most of what is held back now was learned, so that attacks on it would find nothing."""
    path = write_table(tmp_path / "patients.csv", 200)
    made = rivalry.train(path, recipe="mst", run=str(tmp_path / "run"), device="cpu", tensorboard=False, say=lambda line: None)
    before = path.read_text()
    head, *rows = before.splitlines()
    given = load(path)
    for changed in (sorted(rows), [*rows, rows[0]]):
        path.write_text("\n".join([head, *changed]) + "\n")
        for call in (made.audit, made.evaluate):
            with pytest.raises(RunError, match=r"changed since the run run began .*put them back, or start a new run with --from"):
                call(200, device="cpu")
        with pytest.raises(RunError, match="changed since"):
            made.audit(200, device="cpu", data=load(path))
        assert not (made.path / "audit.json").exists()
    path.write_text(before)
    assert made.audit(200, device="cpu", data=given).outcome == "nothing found"
