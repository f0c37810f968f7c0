"""What is rare is told by people, where --group names them, not by their rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import rivalry
from rivalry.data import ReadOptions, load
from rivalry.data.base import Dataset
from rivalry.data.columns.cells import from_text
from rivalry.data.generalise import merged

pa = pytest.importorskip("pyarrow")


def visits(people: int = 300, each: int = 12) -> dict[str, list[str]]:
    """Rows of people; one alone has a ward, a number of beds, a lab's extreme and a frequent single dose, in all of its rows."""
    g = np.random.default_rng(0)
    n = people * each
    who = np.repeat(np.arange(people), each)
    ward = g.choice(["eyes", "heart", "lungs"], n).astype(object)
    beds = g.choice(["1", "2", "4"], n).astype(object)
    lab = g.normal(50, 10, n).round(2)
    ward[who == 7], beds[who == 7], lab[who == 7] = "Quxxolotl", "9", 7321.5
    return {
        "pid": [f"p{i}" for i in who], "ward": ward.tolist(), "beds": beds.tolist(), "lab": [f"{v:.2f}" for v in lab],
        "dose": g.integers(1, 5000, n).astype(str).tolist(),
    }  # fmt: skip


def read(grouped: bool = True, table: dict[str, list[str]] | None = None, **more: object) -> Dataset:
    options = ReadOptions(group="pid" if grouped else None, holdout=0.1, seed=2, **more)  # type: ignore[arg-type]
    return load(pa.table(table or visits()), options=options)


def column(data: Dataset, name: str) -> object:
    return next(c.code for c in data.modality.learned if c.name == name)  # type: ignore[attr-defined]


def test_a_level_that_one_person_has_in_twelve_rows_is_rare() -> None:
    assert "Quxxolotl" in column(read(grouped=False), "ward").levels  # type: ignore[attr-defined]
    data = read()
    assert column(data, "ward").levels == ("eyes", "heart", "lungs", "other")  # type: ignore[attr-defined]
    assert column(data, "beds").levels == ("1", "2", "4")  # type: ignore[attr-defined]
    assert column(data, "beds").gaps  # type: ignore[attr-defined]
    assert "1 level of 'ward' with fewer than 5 different values of 'pid' became 'other'" in data.notes


def test_extremes_and_frequent_values_of_one_person_are_none() -> None:
    plain, code = (column(read(grouped), "lab") for grouped in (False, True))
    assert max(plain.knots) > 1000  # type: ignore[attr-defined]
    # the mean of the five people that reach furthest has this one among them, cut to it
    assert max(code.knots) < 7321.5 / 4  # type: ignore[attr-defined]
    table = visits(40)
    table["dose"][84:120] = ["17"] * 36  # three people, a thirteenth of the rows
    assert 17.0 in column(read(False, table), "dose").spikes  # type: ignore[attr-defined]
    assert 17.0 not in column(read(True, table), "dose").spikes  # type: ignore[attr-defined]


def test_defences_count_people_too() -> None:
    words = from_text(pa.array(["a"] * 6 + ["b"] * 6 + ["c"] * 6))
    owners = np.array([0] * 6 + [1, 2, 3, 4, 5, 6] + [1, 2, 3, 4, 5, 6])
    train = np.arange(18)
    assert merged(words, train, 3).levels == 0
    assert merged(words, train, 3, owners).words.words.to_pylist() != ["a", "b", "c"]
    data = read(k_anonymous=10, quasi=("ward", "beds"))
    assert "Quxxolotl" not in repr(data.modality.state())
    assert any("different values of 'pid' in training have were merged" in line for line in data.defences)
    both = read(constraints=("combinations(ward, beds, k=5)",))
    alone = read(False, constraints=("combinations(ward, beds, k=5)",))
    names = column(alone, "ward").levels  # type: ignore[attr-defined]
    ward, beds = alone.train.raw(torch.arange(len(alone.train)))[:, :2].T  # type: ignore[attr-defined]
    assert bool(((ward == names.index("Quxxolotl")) & (beds == 3)).any())  # a dozen rows are a combination
    assert "Quxxolotl" not in repr(both.modality.state())


def test_inspection_says_whom_it_counts() -> None:
    seen = rivalry.inspect(pa.table(visits()), options=ReadOptions(group="pid"))
    assert any("1 level of 'ward' with fewer than 5 different values of 'pid'" in n for n in seen.notes)


def test_runs_from_before_count_rows() -> None:
    assert "Quxxolotl" in column(read(reading=2), "ward").levels  # type: ignore[attr-defined]
