from dataclasses import replace

import numpy as np
import pytest

from rivalry.data import ReadOptions
from rivalry.data.rows import Rows
from rivalry.data.split import components, share_held, split
from rivalry.errors import DataError


def rows(n, classes=0, groups=None, held=None, seed=0):
    codes = np.random.default_rng(seed).integers(0, classes, n) if classes else None
    names = tuple(str(i) for i in range(classes))
    return Rows(
        n, codes=codes, classes=names, groups=None if groups is None else np.asarray(groups).astype(str), held=held
    )


def parted(given, same=None, **options):
    same = np.arange(len(given)) if same is None else same
    return split(given, same, ReadOptions(**options), "here")


def test_components_join_whatever_shares_any_key():
    a = np.array([0, 0, 1, 2, 3, 4])
    b = np.array([5, 6, 6, 7, 8, 8])
    assert components(a, b).tolist() == [0, 0, 0, 1, 2, 2]


def test_components_of_a_long_chain():
    n = 2000
    a, b = np.arange(n) // 2, (np.arange(n) + 1) // 2
    assert components(a, b).max() == 0


@pytest.mark.parametrize(("n", "share"), [(10, 0.2), (400, 0.2), (700, 1 / 7), (5000, 0.1), (10**6, 0.02)])
def test_the_share_held_back(n, share):
    assert share_held(n, None) == pytest.approx(share)
    assert share_held(n, 0.3) == 0.3


def test_sides_are_all_rows_once_and_seeded():
    first, again, other = (parted(rows(1000), seed=s) for s in (0, 0, 1))
    assert np.array_equal(np.sort(np.r_[first.train, first.held]), np.arange(1000))
    assert np.array_equal(first.held, again.held)
    assert not np.array_equal(first.held, other.held)
    assert len(first.held) == 100


def test_every_class_is_held_back_in_proportion():
    given = rows(2000, classes=7)
    held = given.codes[parted(given).held]
    expected = np.bincount(given.codes) * 0.1
    assert np.abs(np.bincount(held) - expected).max() <= 1


def test_no_group_is_on_both_sides_and_classes_stay_balanced():
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 200, 3000)
    given = replace(rows(3000, groups=patient), codes=(patient % 3).astype(np.int64), classes=("a", "b", "c"))
    parts = parted(given)
    assert not set(patient[parts.train]) & set(patient[parts.held])
    shares = np.bincount(given.codes[parts.held]) / np.bincount(given.codes)
    assert shares == pytest.approx([0.1] * 3, abs=0.03)


def test_groups_that_span_classes_stay_whole():
    patient = np.arange(600) // 3
    parts = parted(rows(600, classes=4, groups=patient))
    assert not set(patient[parts.train]) & set(patient[parts.held])
    assert 0.1 < len(parts.held) / 600 < 0.25


def test_no_copy_is_on_both_sides():
    same = np.random.default_rng(1).integers(0, 300, 1000)
    parts = parted(rows(1000), same)
    assert not set(same[parts.train]) & set(same[parts.held])


def test_copies_tie_groups_together():
    patient, same = np.arange(40) // 2, np.arange(40)
    same[1] = same[2]  # patients 0 and 1 share a picture
    for seed in range(20):
        parts = parted(rows(40, groups=patient), same, seed=seed)
        sides = {p: "held" if np.isin(i, parts.held) else "train" for i, p in enumerate(patient)}
        assert sides[0] == sides[1]


def test_a_class_of_one_stays_in_training_and_is_named():
    given = rows(100, classes=2)
    given.codes[:] = 0
    given.codes[17] = 1
    parts = parted(given)
    assert 17 in parts.train
    assert any("class '1' has a single row" in n and "add rows" in n for n in parts.notes)


def test_a_class_of_two_is_on_both_sides():
    given = rows(100, classes=2)
    given.codes[:] = 0
    given.codes[[3, 4]] = 1
    parts = parted(given)
    assert len({3, 4} & set(parts.held.tolist())) == 1


def test_classes_in_one_piece_are_held_out_whole():
    people = np.arange(400) // 10
    given = replace(rows(400, groups=people), codes=people.astype(np.int64), classes=tuple(map(str, range(40))))
    parts = parted(given)
    assert not set(people[parts.train]) & set(people[parts.held])
    assert len(parts.held) == 80


def test_the_official_split_is_kept_less_its_leaks():
    held = np.arange(100) >= 80
    same = np.arange(100)
    same[90] = same[5]
    parts = parted(rows(100, held=held), same)
    assert parts.train.tolist() == list(range(80))
    assert parts.held.tolist() == [i for i in range(80, 100) if i != 90]
    assert any("with a copy in training: 1, left out" in n for n in parts.notes)


@pytest.mark.parametrize(
    ("given", "same", "says"),
    [
        (rows(5), None, "only 5 rows that can be used; at least 8"),
        (rows(20, groups=[1] * 20), None, "in one group"),
        (rows(20), np.zeros(20, dtype=np.int64), "copies of one another"),
        (rows(20, held=np.zeros(20, dtype=bool)), None, "no held-out rows"),
    ],
)
def test_what_cannot_be_split(given, same, says):
    with pytest.raises(DataError, match=says):
        parted(given, same)
