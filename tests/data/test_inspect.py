import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance

from rivalry.cli import cli
from rivalry.data import ReadOptions, inspect, load
from rivalry.data.likeness import near_pairs, thumb
from rivalry.errors import DataError

from .files import noise, save_all, smooth


@pytest.fixture
def zoo(tmp_path):
    """Pictures with one of each trouble."""
    pictures = smooth(20, 40, 48)
    save_all(tmp_path, pictures, names=[f"{'ab'[i % 2]}/{i:02d}.png" for i in range(20)])
    Image.fromarray(pictures[0]).save(tmp_path / "b" / "copy.png")
    near = ImageEnhance.Brightness(Image.fromarray(pictures[1]).resize((36, 30))).enhance(1.1)
    near.save(tmp_path / "b" / "near.jpg", quality=80)
    Image.new("RGB", (48, 40), (9, 9, 200)).save(tmp_path / "a" / "flat.png")
    (tmp_path / "a" / "text.png").write_text("hello")
    (tmp_path / "a" / "notes.txt").write_text("hello")
    (tmp_path / "c").mkdir()
    Image.fromarray(smooth(1, 40, 48, seed=5)[0]).convert("L").save(tmp_path / "c" / "alone.png")
    return tmp_path


def test_all_troubles_are_found(zoo):
    found = inspect(zoo)
    assert (found.total, found.whole) == (25, 24)
    assert found.sizes == {"40x48": 23, "30x36": 1}
    assert found.modes == {"RGB": 23, "L": 1}
    assert found.classes == {"a": 12, "b": 12, "c": 1}
    assert found.broken == (("a/text.png", "its content is no picture"),)
    assert found.duplicates == (("a/00.png", "b/copy.png"),)
    assert found.near == (("b/01.png", "b/near.jpg"),)
    assert found.constant == ("a/flat.png",)
    assert found.left_out == ("a/notes.txt",)
    assert found.proposal["size"] == "32x40"
    assert any("class 'c' has a single picture" in n for n in found.notes)


def test_it_speaks_to_people_and_to_programs(zoo):
    found = inspect(zoo)
    text = found.text()
    for piece in (
        "25 pictures",
        "sizes (height x width): 40x48 (23)",
        "broken: 1 file",
        "a/00.png = b/copy.png",
        "b/01.png ~ b/near.jpg",
        "proposed: size 32x40",
    ):
        assert piece in text
    again = json.loads(json.dumps(found.as_dict()))
    assert again["total"] == 25
    assert again["broken"] == [["a/text.png", "its content is no picture"]]


def test_folders_and_arrays_are_seen_alike(tmp_path):
    pictures = noise(16, 12, 12, 3)
    pictures[5] = pictures[4]
    pictures[6] = 30
    save_all(tmp_path, pictures)
    a, b = inspect(tmp_path), inspect(pictures)
    assert (a.sizes, a.modes, a.depths, a.proposal) == (b.sizes, b.modes, b.depths, b.proposal)
    assert a.duplicates == (("004.png", "005.png"),)
    assert b.duplicates == (("row 4", "row 5"),)
    assert b.constant == ("row 6",)
    assert inspect((pictures, np.arange(16) % 2)).classes == {"0": 8, "1": 8}


def test_depth_and_alpha_are_seen(tmp_path):
    save_all(tmp_path / "deep", noise(9, 12, 12, dtype=np.uint16))
    assert inspect(tmp_path / "deep").depths == {"16": 9}
    save_all(tmp_path / "clear", noise(9, 12, 12, 4))
    assert inspect(tmp_path / "clear").modes == {"RGBA with alpha": 9}


def test_only_some_are_looked_at(zoo):
    assert inspect(zoo, options=ReadOptions(only=("b",))).total == 12


def test_a_broken_lot_is_still_told_of(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").write_text("no")
    found = inspect(tmp_path)
    assert (found.total, found.whole, len(found.broken)) == (9, 0, 9)
    assert "broken: 9 files" in found.text()


def test_near_pairs_across_chunks(monkeypatch):
    from rivalry.data import likeness

    monkeypatch.setattr(likeness, "ROWS", 4)
    thumbs = np.stack([thumb(Image.fromarray(p)) for p in smooth(10, 32, 32)])
    thumbs[9] = thumbs[2] * 0.9 + 5
    assert near_pairs(thumbs, np.arange(10)) == [(2, 9)]
    same = np.arange(10)
    same[9] = 2
    assert near_pairs(thumbs, same) == []


@pytest.mark.parametrize("many", [3, 12])
def test_pictures_that_are_too_few_to_train_on_are_called_so(many: int) -> None:
    """Training refuses them (twelve hold two back), so no split is proposed without a word."""
    said = inspect(np.random.default_rng(0).integers(0, 256, (many, 16, 16), dtype=np.uint8)).text()
    assert "too few to train on" in said
    assert "20" in said


def test_pictures_that_are_enough_are_not() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (20, 16, 16), dtype=np.uint8)
    assert "too few" not in inspect(pictures).text()
    assert "too few" not in inspect(pictures[:8], options=ReadOptions(holdout=0.5)).text()


def in_folders(path, *, sizes=(25, 3, 2), seed=0):
    names = [f"p{g}/{i}.png" for g, n in enumerate(sizes) for i in range(n)]
    save_all(path, noise(len(names), 8, 8, seed=seed), names=names)
    return path


def coordinates(path, *, rows=50):
    x = np.random.default_rng(0).normal(size=(rows, 2)).round(4)
    (path / "set.csv").write_text("x,y,who\n" + "".join(f"{a},{b},{i // 20}\n" for i, (a, b) in enumerate(x)))
    return path / "set.csv"


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (in_folders, ReadOptions(group="folder")),
        (in_folders, ReadOptions()),
        (in_folders, ReadOptions(holdout=0.3, group="folder")),
        (coordinates, ReadOptions(holdout=0.3)),
        (coordinates, ReadOptions(group="who")),
        (coordinates, ReadOptions(limit=30)),
    ],
)
def test_the_rows_held_back_are_those_that_training_holds_back(tmp_path, data, options):
    given = data(tmp_path)
    assert inspect(given, options=options).proposal["held back"] == len(load(given, options=options).held)


def test_copies_on_the_official_test_side_are_not_counted_as_held_back(tmp_path):
    pictures = noise(40, 8, 8)
    pictures[35:] = pictures[:5]
    save_all(tmp_path, pictures, names=[f"{'train' if i < 30 else 'test'}/{i}.png" for i in range(40)])
    assert inspect(tmp_path).proposal["held back"] == len(load(tmp_path).held) == 5


def test_it_says_where_all_belong_together(tmp_path):
    save_all(tmp_path, noise(20, 8, 8), names=[f"one/{i}.png" for i in range(20)])
    said = inspect(tmp_path, options=ReadOptions(group="folder")).text()
    assert "none can be held back" in said


@pytest.mark.parametrize("values", [np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32), np.full((8, 8), 1 << 20, dtype=np.int32)])
def test_pixels_that_training_cannot_read_are_broken(tmp_path, values):
    save_all(tmp_path, noise(20, 8, 8))
    Image.fromarray(values).save(tmp_path / "odd.tif")
    found = inspect(tmp_path)
    assert [name for name, _ in found.broken] == ["odd.tif"]
    assert found.whole == len(load(tmp_path).train) + len(load(tmp_path).held)


def test_pictures_of_other_shapes_are_no_copies(tmp_path):
    save_all(tmp_path, noise(20, 8, 8))
    row = noise(1, 4, 16, seed=3)[0]
    save_all(tmp_path / "more", [row, row.reshape(8, 8)])
    assert inspect(tmp_path).duplicates == ()


def test_json_holds_no_infinity(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i * 1.5},{(-1) ** i * 1e308}\n" for i in range(40)))
    done = CliRunner().invoke(cli, ["data", "inspect", str(tmp_path / "t.csv"), "--json"])
    assert done.exit_code == 0, done.output
    json.loads(done.stdout, parse_constant=pytest.fail)
    assert "single precision" in done.stdout
    with pytest.raises(DataError, match=r"'b'.*single precision"):
        load(tmp_path / "t.csv")
