"""Audits of patient records: a model that copies patients is caught, one that changes a cell of each too, new ones pass."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rivalry
from data.records import long_table
from rivalry.audit import Audit, Setting, audit
from rivalry.audit.canaries import canaries
from rivalry.audit.retraining import Joined
from rivalry.audit.sides import hashed
from rivalry.data import Dataset, ReadOptions, load
from rivalry.evaluate.records import Layout

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def wards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Tensor]:
    """(400 patients to train on and as many held out, other patients [n, R], raw)."""
    path = long_table(tmp_path_factory.mktemp("data") / "visits.csv", 1600)
    whole = load(path, options=ReadOptions(key="pid", time="date", holdout=0.25))
    index = torch.arange(len(whole.train))
    return replace(whole, train=Joined([(whole.train, index[:400])])), whole.train.raw(index[400:])


def attacked(data: Dataset, raw: Tensor, private: Path | None = None, seed: int = 1) -> Audit:
    def draw(n: int, seed: int) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        return data.modality.encode(raw[torch.randint(len(raw), (n,), generator=g)])

    return audit(data, draw, "by hand", Setting(n=1500, seed=seed, private=private))[0]


def test_a_model_that_copies_patients_is_caught(wards: tuple[Dataset, Tensor], tmp_path: Path) -> None:
    data, _ = wards
    found = attacked(data, data.train.raw(torch.arange(400)), tmp_path)
    assert found.outcome == "leaks"
    assert found.memory.exact > 0.99
    assert {r.name for r in found.risks} == {"singling out", "linking", "inferring"}
    sides = [sorted((tmp_path / "audit-pairs" / side).iterdir()) for side in ("samples", "training")]
    made, real = (list(csv.DictReader(side[0].read_text().splitlines())) for side in sides)
    assert len({row["pid"] for row in real}) == 12
    assert made == real  # they are copies, and have the same key on both sides


def test_a_changed_visit_does_not_hide_a_copy(wards: tuple[Dataset, Tensor]) -> None:
    data, other = wards
    copies = data.train.raw(torch.arange(400)).clone()
    layout = Layout.of(data.spec)
    first = len(layout.static) + 1  # the first visit's first column after its gap
    copies[:, first] = other[:400, first]
    assert attacked(data, copies).outcome == "leaks"


def test_new_patients_pass(wards: tuple[Dataset, Tensor]) -> None:
    data, other = wards
    outcomes = [attacked(data, other, seed=seed).outcome for seed in (1, 2, 3)]
    assert outcomes.count("nothing found") >= 2
    assert "leaks" not in outcomes


def test_canaries_are_patients_that_can_be_written(wards: tuple[Dataset, Tensor]) -> None:
    data, _ = wards
    x = canaries(data, 30, 0)
    assert x.shape == (30, *data.spec.shape)
    raw = data.modality.decode(x)
    assert len(hashed(raw).unique()) > 20  # NaN, of visits that are not there, counts as equal


def test_every_column_of_every_visit_has_a_kind(wards: tuple[Dataset, Tensor]) -> None:
    data, other = wards
    assert len(Layout.of(data.spec).raw_kinds) == other.shape[1]


def test_a_run_of_records_is_audited_into_its_folder(tmp_path: Path) -> None:
    path = long_table(tmp_path / "visits.csv", 200)
    run = rivalry.train(
        str(path), recipe="house-records-small", budget="2steps", run=str(tmp_path / "run"), tensorboard=False, say=lambda line: None,
        options=ReadOptions(key="pid", time="date", holdout=0.4), device="cpu",
    )  # fmt: skip
    found = run.audit(300, device="cpu", canaries=20, steps=2)
    assert found.outcome == "nothing found"
    assert "LOGAN white box, main" in {a.name for a in found.attacks}
    assert found.canaries is not None
    assert json.loads((run.path / "audit.json").read_text())["step"] == found.step == run.folder.step("best")
    assert "Singling out" in (run.path / "audit.md").read_text()
    assert (run.path / "private" / "audit-pairs" / "training").is_dir()
