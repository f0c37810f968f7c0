"""Defences before training: copies dropped, rare levels and combinations merged, extremes brought in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from rivalry.data import Dataset, ReadOptions, load
from rivalry.data.defences import bounds
from rivalry.errors import DataError

CPU = torch.device("cpu")


def write(path: Path, columns: dict[str, list[str]]) -> Path:
    lines = [",".join(row) for row in zip(*columns.values(), strict=True)]
    path.write_text(",".join(columns) + "\n" + "\n".join(lines) + "\n")
    return path


def patients(n: int = 1500, seed: int = 0) -> dict[str, list[str]]:
    """Age, sex, zip, ward and two lab values; the first has two wild extremes."""
    g = np.random.default_rng(seed)
    wards = g.choice(["surgery", "medicine", "paediatrics"], n).tolist()
    for i, rare in enumerate(["space medicine"] * 3 + ["tropical"] * 9):
        wards[i * 20] = rare
    labs = np.round(g.normal(50, 10, (n, 2)), 3)
    labs[5, 0], labs[6, 0] = 93817.123, -47113.777
    return {
        "age": g.integers(20, 90, n).astype(str).tolist(),
        "sex": g.choice(["F", "M"], n).tolist(),
        "zip": [f"{z:05d}" for z in g.choice([10115, 10117, 20095, 20097, 80331], n)],
        "ward": wards,
        "lab1": [f"{v:.3f}" for v in labs[:, 0]],
        "lab2": [f"{v:.3f}" for v in labs[:, 1]],
    }


def raw(data: Dataset, side: str = "train") -> np.ndarray:
    store = data.train if side == "train" else data.held
    return store.raw(torch.arange(len(store))).numpy()


def named(data: Dataset, name: str) -> np.ndarray:
    at = [c.name for c in data.modality.learned].index(name)  # type: ignore[attr-defined]
    return raw(data)[:, at]


def levels(data: Dataset, name: str) -> tuple[str, ...]:
    return next(c.code.levels for c in data.modality.columns if c.name == name)  # type: ignore[attr-defined, no-any-return]


# -- copies -----------------------------------------------------------------------------------------------------------


def test_copies_and_near_copies_of_rows_are_dropped(tmp_path: Path) -> None:
    columns = patients(800)
    for name, cells in columns.items():
        cells += [cells[i] for i in range(40)]  # 40 exact copies
        cells += [f"{float(cells[i]) + 0.002:.3f}" if name == "lab2" else cells[i] for i in range(40, 70)]
    data = load(write(tmp_path / "a.csv", columns), options=ReadOptions(dedupe=True))
    assert data.defences == ("--dedupe: 40 rows that repeat another and 30 that nearly do were left out",)
    assert len(data.train) + len(data.held) == 800
    plain = load(tmp_path / "a.csv")
    assert plain.defences == ()
    assert len(plain.train) + len(plain.held) == 870


def test_rows_that_few_columns_make_equal_are_no_copies(tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    columns = {"a": g.choice(["x", "y"], 400).tolist(), "b": g.choice(["u", "v", "w"], 400).tolist()}
    with pytest.raises(DataError, match="by chance alone, so equal rows are no copies; leave --dedupe out"):
        load(write(tmp_path / "a.csv", columns), options=ReadOptions(dedupe=True))


def test_pictures_that_repeat_or_nearly_repeat_are_dropped() -> None:
    g = np.random.default_rng(0)
    x = torch.nn.functional.interpolate(torch.from_numpy(g.random((200, 1, 5, 5))), size=(28, 28), mode="bicubic")
    x = (x.clamp(0, 1)[:, 0] * 200 + 20).round()
    brighter, flipped, equal = (x[:10] * 1.1 + 5).round(), x[10:20].flip(2), x[20:30]
    noisy = (x[30:40] + torch.from_numpy(g.normal(0, 2, (10, 28, 28)))).round()
    every = torch.cat([x, brighter, flipped, equal, noisy]).clamp(0, 255).to(torch.uint8).numpy()
    data = load(every, options=ReadOptions(dedupe=True))
    assert data.defences == ("--dedupe: 10 pictures that repeat another and 30 that nearly do were left out",)
    assert len(data.train) + len(data.held) == 200


def test_points_are_kept_once() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2))
    data = load(np.concatenate([x, x[:20]]), options=ReadOptions(dedupe=True))
    assert len(data.train) + len(data.held) == 300


# -- rare levels and combinations -------------------------------------------------------------------------------------


def test_rare_levels_become_one_that_is_not_rare(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.csv", patients()), options=ReadOptions(k_anonymous=10))
    found = levels(data, "ward")
    assert "space medicine" not in found
    assert "other" in found
    times = Counter(named(data, "ward").tolist())
    assert min(times.values()) >= 10
    assert "--k-anonymous 10: 2 levels that fewer than 10 training rows have were merged" in data.defences[0]
    assert "space" not in str(data.modality.state())
    assert "space" not in str(data.defences)


def test_a_lone_rare_level_takes_the_next_with_it(tmp_path: Path) -> None:
    columns = patients()
    columns["ward"] = ["one"] * 4 + ["two"] * 30 + ["three"] * (len(columns["ward"]) - 34)
    data = load(write(tmp_path / "a.csv", columns), options=ReadOptions(k_anonymous=10))
    assert set(levels(data, "ward")) == {"other", "three"}
    assert min(Counter(named(data, "ward").tolist()).values()) >= 10


def test_rare_codes_in_numbers_become_missing(tmp_path: Path) -> None:
    columns = patients()
    columns["grade"] = ["7"] * 12 + ["8"] * 3 + ["1", "2", "3"] * 495
    data = load(write(tmp_path / "a.csv", columns), options=ReadOptions(k_anonymous=20))
    assert set(levels(data, "grade")) <= {"1", "2", "3"}


def test_a_rare_boolean_is_no_column_any_more(tmp_path: Path) -> None:
    columns = patients()
    columns["died"] = ["yes"] * 5 + ["no"] * (len(columns["age"]) - 5)
    data = load(write(tmp_path / "a.csv", columns), options=ReadOptions(k_anonymous=10))
    assert "died" not in [c.name for c in data.modality.learned]  # type: ignore[attr-defined]
    out = data.modality.write(torch.from_numpy(raw(data)[:5]), tmp_path / "out.csv")[0].read_text()
    assert "yes" not in out


def test_every_combination_of_quasi_identifiers_is_had_by_k_rows(tmp_path: Path) -> None:
    options = ReadOptions(k_anonymous=10, quasi=("age", "sex", "zip"))
    data = load(write(tmp_path / "a.csv", patients()), options=options)
    at = [[c.name for c in data.modality.learned].index(n) for n in options.quasi]  # type: ignore[attr-defined]
    times = Counter(map(tuple, raw(data)[:, at].tolist()))
    assert min(times.values()) >= 10
    assert len(times) > 10, "not everything is in one heap"
    held = {tuple(row) for row in raw(data, "held")[:, at].tolist()}
    assert held <= set(times)
    lost = 1500 - len(data.train) - len(data.held)
    assert lost <= 0.07 * 1500
    assert "made coarser: age to" in data.defences[1]


def test_dates_and_missing_cells_are_made_coarser_too(tmp_path: Path) -> None:
    columns = patients()
    g = np.random.default_rng(1)
    n = len(columns["age"])
    columns["seen"] = (np.datetime64("2019-03-14") + g.integers(0, 900, n)).astype(str).tolist()
    columns["age"] = [a if g.random() > 0.1 else "" for a in columns["age"]]
    data = load(write(tmp_path / "a.csv", columns), options=ReadOptions(k_anonymous=8, quasi=("seen", "age")))
    at = [[c.name for c in data.modality.learned].index(k) for k in ("seen", "age")]  # type: ignore[attr-defined]
    times = Counter(map(tuple, np.nan_to_num(raw(data)[:, at], nan=-1).tolist()))
    assert min(times.values()) >= 8
    assert next(c.type for c in data.modality.columns if c.name == "seen") == "date"  # type: ignore[attr-defined]


# -- extremes ---------------------------------------------------------------------------------------------------------


def test_extremes_are_brought_to_rounded_ends(tmp_path: Path) -> None:
    data = load(write(tmp_path / "a.csv", patients()), options=ReadOptions(clip=(0.005, 0.995)))
    values = named(data, "lab1")
    plain = named(load(tmp_path / "a.csv"), "lab1")
    assert plain.max() - plain.min() > 1e5 or len(plain) < 1500
    assert 20 < values.min() < 30
    assert 70 < values.max() < 80
    assert round(values.max()) == values.max(), "the end is a round number, and nobody's own"
    assert "93817" not in str(data.modality.state())
    assert data.defences[0].startswith("--clip: ")


def test_bounds_are_means_of_five_rounded() -> None:
    values = np.arange(1000.0)
    assert bounds(values, (0.005, 0.995)) == (0.0, 990.0)  # means of 2 to 6 and 992 to 996, to tens
    assert bounds(values / 1000 + 7, (0.1, 0.9)) == pytest.approx((7.1, 7.9))
    assert bounds(values, (0.1, 0.9), step=7.0) == (98.0, 903.0)  # multiples of 7


def test_points_are_clipped() -> None:
    x = np.random.default_rng(0).normal(size=(1000, 2))
    x[3, 0] = 900.0
    data = load(x, options=ReadOptions(clip=(0.01, 0.99)))
    assert np.abs(raw(data)).max() < 4
    assert data.defences


# -- what cannot be asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k_anonymous": 1}, "at least 2"),
        ({"quasi": ("age",)}, "give both"),
        ({"clip": (0.6, 0.9)}, "on either side of the median"),
        ({"k_anonymous": 5, "quasi": ("aged",)}, "names a column 'aged'"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        load(write(tmp_path / "a.csv", patients()), options=ReadOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"clip": (0.01, 0.99)}, {"k_anonymous": 10}])
def test_pictures_have_no_columns(options: dict[str, object]) -> None:
    x = np.random.default_rng(0).integers(0, 255, (60, 12, 12), dtype=np.uint8)
    with pytest.raises(DataError, match="is for the columns of tables, and these data are pictures; leave it out"):
        load(x, options=ReadOptions(**options))  # type: ignore[arg-type]


def test_without_defences_the_fingerprint_is_what_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", patients(300))
    assert ReadOptions().content() == repr((None, "crop", None, None, (), (), None, None, 0))
    assert load(path).fingerprint != load(path, options=ReadOptions(clip=(0.01, 0.99))).fingerprint
    assert ReadOptions.from_dict(ReadOptions(quasi=("a",), k_anonymous=5, clip=(0.1, 0.9)).as_dict()).clip == (0.1, 0.9)


def test_what_constraints_leave_out_leaves_nothing_rare(tmp_path: Path) -> None:
    """Rows that violate a constraint, or have a rare combination, are left out: what is left is k-anonymous all the same."""
    g = np.random.default_rng(0)
    n = 600
    sex, zone = g.choice(["F", "M"], n), g.choice(["a", "b", "c", "d"], n, p=[0.4, 0.3, 0.24, 0.06])
    ward = g.choice(["x", "y", "z"], n, p=[0.5, 0.47, 0.03])
    start = g.integers(0, 100, n)
    wrong = ((zone == "d") & (g.random(n) < 0.6)) | ((ward == "z") & (g.random(n) < 0.6))
    end = np.where(wrong, start - 5, start + g.integers(0, 30, n))
    lines = [f"{a},{b},{c},{d},{e}" for a, b, c, d, e in zip(sex, zone, ward, start, end, strict=True)]
    (tmp_path / "t.csv").write_text("sex,zone,ward,start,end\n" + "\n".join(lines) + "\n")
    options = ReadOptions(k_anonymous=10, quasi=("sex", "zone"), holdout=0.2, constraints=("end >= start",), clip=(0.005, 0.995))
    data = load(tmp_path / "t.csv", options=options)
    raw = data.train.raw(torch.arange(len(data.train)))
    assert min(Counter(map(tuple, raw[:, :2].tolist())).values()) >= 10
    assert min(Counter(raw[:, 2].tolist()).values()) >= 10
    assert bool((raw[:, 4] >= raw[:, 3]).all())
    assert any("rows that violate it are left out" in note for note in data.notes)
    assert any(line.startswith("--k-anonymous 10: once more") for line in data.defences)
    said = next(note for note in reversed(data.notes) if "held back" in note)
    assert f"{len(data.train):,} rows to train on, {len(data.held):,} held back" in said
    assert load(tmp_path / "t.csv", options=options).fingerprint == data.fingerprint


@pytest.mark.parametrize("options", [{"dedupe": True}, {"k_anonymous": 10}, {"clip": (0.01, 0.99)}])
def test_patient_records_take_no_flag_that_would_do_nothing(options: dict[str, object], tmp_path: Path) -> None:
    g = np.random.default_rng(0)
    lines = [f"{i // 3},{'FM'[i // 3 % 2]},{i % 3},{g.normal():.2f}" for i in range(120)]
    (tmp_path / "visits.csv").write_text("id,sex,day,lab\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"--[a-z-]+ is for .*, and these data are patient records; leave it out"):
        load(tmp_path / "visits.csv", options=ReadOptions(key="id", time="day", **options))  # type: ignore[arg-type]
    before = ReadOptions(key="id", time="day", reading=4, **options)  # type: ignore[arg-type]
    assert len(load(tmp_path / "visits.csv", options=before).train), "runs made before are read as they were"


def test_pictures_to_change_take_no_dedupe(tmp_path: Path) -> None:
    from PIL import Image

    g = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(g.integers(0, 255, (32, 32), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match=r"--dedupe is for .*, and these data are pictures that are to be changed; leave it out"):
        load(tmp_path, options=ReadOptions(task="denoise", patch=16, dedupe=True))
