"""The order of levels is handed over, so it must not tell how many training rows have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data.records import folder
from rivalry.data import ReadOptions, load
from rivalry.data.base import Dataset
from rivalry.stats.attacks import auc_interval

pa = pytest.importorskip("pyarrow")


def table(times: dict[str, int], seed: int = 0) -> object:
    g = np.random.default_rng(seed)
    words = g.permutation(np.repeat(list(times), list(times.values()))).tolist()
    return pa.table({"level": words, "x": g.normal(size=len(words))})


def levels(data: Dataset, place: int = 0) -> tuple[str, ...]:
    return data.modality.learned[place].code.levels  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("n", [20, 300])
def test_order_of_levels_is_that_of_their_names_whatever_their_rows(n: int):
    names = ["ward b", "10", "9", "ward a"]
    one = load(table(dict(zip(names, (4 * n, 3 * n, 2 * n, n), strict=True))))
    two = load(table(dict(zip(names, (n, 2 * n, 3 * n, 4 * n), strict=True)), seed=1))
    assert levels(one) == levels(two) == ("9", "10", "ward a", "ward b")


def test_combinations_are_in_an_order_that_does_not_tell_of_rows():
    def joint(times: list[int]) -> list[str]:
        pairs = [("b", "2"), ("a", "1"), ("a", "3")]
        rows = [p for p, n in zip(pairs, times, strict=True) for _ in range(n)]
        columns = {"c": [r[0] for r in rows], "d": [r[1] for r in rows], "x": np.random.default_rng(0).normal(size=len(rows))}
        data = load(pa.table(columns), options=ReadOptions(constraints=("combinations(c, d)",)))
        return list(data.modality.plan.inner[0].code.levels)  # type: ignore[attr-defined]

    assert joint([300, 200, 100]) == joint([100, 200, 300]) == ["a | 1", "a | 3", "b | 2"]


def test_codes_of_records_are_in_the_order_of_their_names(tmp_path: Path):
    data = load(folder(tmp_path / "ward", 300))
    (bag,) = data.modality.bags  # type: ignore[attr-defined]
    assert bag.codes == ("E11", "I10", "J45")  # I10 has the most patients


def test_level_numbers_alone_do_not_tell_members():
    """Many levels of few rows: by the old numbers a training row's level is an early one, for its own row counts."""
    g = np.random.default_rng(0)
    words = [f"level {i:04d}" for i in g.integers(0, 100, 3000)]
    made = pa.table({"level": words, "x": g.normal(size=3000)})

    def told(reading: int) -> tuple[float, float, float]:
        data = load(made, options=ReadOptions(reading=reading, holdout=0.5))
        sides = [s.raw(torch.arange(len(s)))[:, 0] for s in (data.train, data.held)]
        found = auc_interval(-sides[0], -sides[1])
        return found.low, found.value, found.high

    assert told(1)[0] > 0.52
    low, _, high = told(2)
    assert low < 0.5 < high


def test_runs_from_before_read_their_rows_as_they_learned_them():
    old = ReadOptions.from_dict({"holdout": 0.1})
    assert old.reading == 1
    assert ReadOptions.from_dict(ReadOptions().as_dict()) == ReadOptions()
    times = {"a": 100, "b": 300, "c": 200}
    assert levels(load(table(times), options=old)) == ("b", "c", "a")
    with pytest.raises(Exception, match="bring rivalry up to date"):
        ReadOptions(reading=99)
