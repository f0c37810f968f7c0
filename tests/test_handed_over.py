"""What is handed over holds no training data: the bytes of everything outside private/ are searched for planted values."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import rivalry
from rivalry.data import ReadOptions

SMALL = ("generator.sizes=[32]", "discriminator.trunk.sizes=[32,32]", "batch=64")
WORDS = ("Zwiebelhuber", "Quxxolotl", "Brontewitz")
DATES = ("1931-02-17", "2087-11-23")
NUMBERS = (7321.9417, -5518.2263, 8840.6139, 46.6171, 53.3329)
"""Three extremes that nobody else is near, and two in the midst."""
N = 900


def everything(run: rivalry.Run) -> dict[str, bytes]:
    """Of all files outside private/, by name."""
    files = [p for p in run.path.rglob("*") if p.is_file() and "private" not in p.relative_to(run.path).parts]
    assert {"run.toml", "metrics.jsonl", "report.md", "model-card.md", "audit.json", "audit.md"} <= {p.name for p in files}
    assert any(p.suffix == ".safetensors" for p in files)
    assert any("tfevents" in p.name for p in files)
    return {str(p.relative_to(run.path)): p.read_bytes() for p in files}


def numbers_in(files: dict[str, bytes]) -> np.ndarray:
    """All decimal numbers that text files hold, and all float32 and float64 at multiples of four bytes of the others."""
    found = [np.zeros(0)]
    for name, content in files.items():
        if Path(name).suffix in (".toml", ".jsonl", ".json", ".md", ".csv"):
            words = re.findall(rb"-?\d+\.?\d*(?:[eE][-+]?\d+)?", content)
            found.append(np.array([float(w) for w in words]))
            continue
        for start in range(8 if name.endswith(".safetensors") else 1):
            whole = content[start : len(content) - (len(content) - start) % 8]
            with np.errstate(all="ignore"):
                found += [np.frombuffer(whole, dtype=d).astype(np.float64) for d in ("<f4", "<f8")]
    return np.unique(np.concatenate(found))


def holds(numbers: np.ndarray, value: float, digits: float) -> bool:
    """Is there a number that agrees with the value to so much of it?"""
    at = np.searchsorted(numbers, value - abs(value) * digits)
    return bool(at < len(numbers) and numbers[at] <= value + abs(value) * digits)


def write_table(path: Path) -> Path:
    g = np.random.default_rng(0)
    labs = np.round(g.normal(50, 10, N), 4)
    labs[[10, 200, 410, 33, 555]] = NUMBERS
    wards = g.choice(["surgery", "medicine"], N).tolist()
    for i, word in zip((3, 77, 303), WORDS, strict=True):
        wards[i] = word
    days = (np.datetime64("2019-03-14") + g.integers(0, 900, N)).astype(str).tolist()
    days[12], days[700] = DATES
    remarks = [f"the patient of the {i}th bed with code {7000003 + 31 * i} was well" for i in range(N)]
    ids = [f"K{i:04d}{(i * 7919) % 9973:04d}" for i in range(N)]
    stray = [f"{v:.2f}" for v in g.normal(7, 1, N)]
    stray[5] = "see Mr Wolkenstein"
    cells = zip(ids, labs, wards, days, remarks, stray, g.integers(20, 90, N), strict=True)
    lines = [f"{i},{v:.4f},{w},{d},{r},{s},{a}" for i, v, w, d, r, s, a in cells]
    path.write_text("pid,lab,ward,seen,remark,ph,age\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[rivalry.Run, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("handed")
    run = rivalry.train(
        write_table(folder / "secret.csv"), budget="20steps", run=str(folder / "run"), settings=SMALL, device="cpu",
        options=ReadOptions(holdout=0.2, k_anonymous=10), say=lambda line: None,
    )  # fmt: skip
    run.audit(200, device="cpu")
    run.write_samples(run.path / "samples" / "samples.csv", 300, device="cpu")
    return run, everything(run)


def test_no_word_that_few_rows_have_is_there(table: tuple[rivalry.Run, dict[str, bytes]]) -> None:
    for word in (*WORDS, "Wolkenstein", "K0003", "th bed"):
        found = [name for name, content in table[1].items() if word.encode() in content]
        assert not found, f"{word} is in {found}"


def test_no_extreme_and_no_digits_of_a_number_are_there(table: tuple[rivalry.Run, dict[str, bytes]]) -> None:
    numbers = numbers_in(table[1])
    for value in NUMBERS[:3]:
        assert not holds(numbers, value, 1e-7), value
        digits = f"{abs(value):.4f}".encode()
        assert not [name for name, content in table[1].items() if digits in content]
    for day in DATES:
        assert not [name for name, content in table[1].items() if day.encode() in content]


def test_no_row_and_no_quantile_is_there(table: tuple[rivalry.Run, dict[str, bytes]]) -> None:
    """Rows: two neighbouring cells together.  Quantiles: what is kept for decoding is none of the training values."""
    run, files = table
    lines = (run.path.parent / "secret.csv").read_text().splitlines()[1:]
    text = b"\n".join(files.values())
    assert not [line for line in lines if ",".join(line.split(",")[1:4]).encode() in text]
    column = next(c for c in run.folder.settings["data"]["state"]["columns"] if c["name"] == "lab")
    labs = np.array([float(line.split(",")[1]) for line in lines])
    kept = np.array(column["number"]["knots"])
    ranks = np.sort(labs)
    exact = [k for k in kept.tolist() if k in ranks]
    assert len(exact) <= 2, "knots are means, which agree with a value of four digits by chance only"
    assert column["number"]["low"] < labs.min()
    assert column["number"]["high"] > labs.max()


def test_no_row_numbers_are_there(table: tuple[rivalry.Run, dict[str, bytes]]) -> None:
    """Neither the held-out rows' numbers nor the training rows' stand in a row in any file, as text or as integers."""
    run, files = table
    data = run.data()
    assert len(data.train) + len(data.held) == N
    for content in files.values():
        for kind, width in (("<i4", 4), ("<i8", 8)):
            for start in range(width):
                whole = content[start : len(content) - (len(content) - start) % width]
                values = np.frombuffer(whole, dtype=kind)
                inside = (values > 0) & (values < N)
                rising = inside[:-4] & inside[1:-3] & inside[2:-2] & inside[3:-1] & inside[4:]
                distinct = rising & (values[:-4] != values[1:-3]) & (values[1:-3] != values[2:-2]) & (values[2:-2] != values[3:-1])
                assert not distinct.any(), "five different small integers in a row look like row numbers"


@pytest.mark.parametrize("recipe", ["mst", "house-table"])
def test_a_private_run_hands_over_no_counts_of_rows(recipe: str, tmp_path: Path) -> None:
    """What was noted of the rows stays in private/; what is handed over names it, and what the guarantee leaves out."""
    pytest.importorskip("dp_accounting")
    lines = write_table(tmp_path / "secret.csv").read_text().splitlines()
    lines += [lines[20]] * 7  # copies, all with missing cells
    for i in range(40, 57):
        cells = lines[i].split(",")
        lines[i] = ",".join([cells[0], "", *cells[2:]])
    (tmp_path / "secret.csv").write_text("\n".join(lines) + "\n")
    own = ("batch=64", "steps=3") if recipe != "mst" else ()
    told = list[str]()
    run = rivalry.train(
        tmp_path / "secret.csv", recipe=recipe, dp_epsilon=3.0, run=str(tmp_path / "run"), settings=own, device="cpu",
        options=ReadOptions(holdout=0.2, k_anonymous=10, dedupe=True), say=told.append,
    )  # fmt: skip
    run.officer_report(tmp_path / "run" / "officer.md")
    kept = (run.path / "private" / "notes.txt").read_text().splitlines()
    counted = [line for line in kept if re.search(r"\d (row|level|cell)|missing cells", line)]
    assert len(counted) >= 3
    assert set(kept) <= set(told)
    data = run.folder.settings["data"]
    assert data["defences"] == ["--dedupe", "--k-anonymous 10"]
    assert len(data["notes"]) == 1
    assert "private/notes.txt" in data["notes"][0]
    for path in (p for p in run.path.rglob("*") if p.is_file() and "private" not in p.relative_to(run.path).parts):
        content = path.read_bytes()
        assert not [line for line in counted if line.encode() in content], path
    page = (run.path / "officer.md").read_text()
    assert "Other counts of rows are not there" in page
    assert "hash of all rows" in page


def test_pictures_leave_no_pixels(tmp_path: Path) -> None:
    """Pictures with a row of pixels that no other has; their files' names are as good as names."""
    from PIL import Image

    g = np.random.default_rng(0)
    folder = tmp_path / "scans"
    folder.mkdir()
    marks = []
    for i in range(120):
        x = np.kron(g.integers(40, 200, (4, 4)), np.ones((4, 4))).astype(np.uint8)
        x[7] = mark = g.integers(0, 255, 16).astype(np.uint8)
        marks.append(mark)
        Image.fromarray(x).save(folder / f"Zwiebelhuber-{i:03d}.png")
    run = rivalry.train(
        folder, recipe="dcgan-small", budget="3steps", run=str(tmp_path / "run"), device="cpu",
        settings=("batch=16", "generator.width=4", "discriminator.trunk.width=4"), options=ReadOptions(holdout=0.3),
        say=lambda line: None,
    )  # fmt: skip
    run.audit(60, device="cpu")
    files = everything(run)
    assert not [name for name, content in files.items() if b"Zwiebelhuber" in content]
    for name, content in files.items():
        if name.endswith(".png"):
            pixels = np.asarray(Image.open(run.path / name).convert("L"))
            content = pixels.tobytes() + pixels.T.tobytes()
        for mark in marks:
            assert mark.tobytes() not in content, name
            encoded = (mark.astype(np.float32) * (2 / 255) - 1)[:4]
            assert encoded.tobytes() not in content, name


def test_points_keep_no_extreme(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(400, 2)).round(6)
    x[3] = (913.371839, -771.229157)
    (tmp_path / "points.csv").write_text("x,y\n" + "\n".join(f"{a:.6f},{b:.6f}" for a, b in x.tolist()) + "\n")
    run = rivalry.train(
        tmp_path / "points.csv", recipe="gan-small", budget="3steps", run=str(tmp_path / "run"), device="cpu", options=ReadOptions(holdout=0.3),
        say=lambda line: None,
    )  # fmt: skip
    run.audit(60, device="cpu")
    numbers = numbers_in(everything(run))
    mean, deviation = (np.array(run.folder.settings["data"]["state"][k]) for k in ("mean", "deviation"))
    extremes = (x[3] - mean) / deviation
    for value in (*x[3], *extremes):
        assert not holds(numbers, float(value), 1e-6), value
    assert struct.pack("<f", float(torch.tensor(extremes[0]))) not in b"".join(everything(run).values())
