"""Squares out of pictures of any size: layouts, pairs, splits, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rivalry.data import ReadOptions, inspect, load
from rivalry.data.mosaic import Pile, places
from rivalry.errors import DataError, UnknownName

CPU = torch.device("cpu")


def picture(path: Path, height: int, width: int, seed: int, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    Image.fromarray(values[..., 0] if channels == 1 else values).save(path)


def photos(folder: Path, n: int = 10) -> Path:
    for i in range(n):
        picture(folder / f"p{i}.png", 40 + 3 * i, 64 - 2 * i, i)
    return folder


def pairs(folder: Path, n: int = 10, names: tuple[str, str] = ("A", "B")) -> Path:
    """B is A upside down."""
    for i in range(n):
        picture(folder / names[0] / f"{i}.png", 32, 48, i)
        Image.open(folder / names[0] / f"{i}.png").transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(_made(folder / names[1] / f"{i}.png"))
    return folder


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_squares_are_cut_where_they_are_said_to_be() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (2, h, w), dtype=np.uint8) for h, w in ((20, 30), (17, 16), (33, 21))]
    pile = Pile.of(pictures)
    spots = places(pile, np.array([2, 0]), (16, 16), 4)
    index = torch.arange(len(spots))
    which, top, left = spots.at(index)
    cuts = pile.cut(which, top, left, (16, 16))
    for cut, w, t, le in zip(cuts, which.tolist(), top.tolist(), left.tolist(), strict=True):
        assert np.array_equal(cut.numpy(), pictures[w][:, t : t + 16, le : le + 16])
    assert set(which.tolist()) == {0, 2}
    assert len({*zip(which.tolist(), top.tolist(), left.tolist(), strict=True)}) == len(spots)
    for w, p in ((0, pictures[0]), (2, pictures[2])):
        mine = which == w
        assert int(top[mine].max()) == p.shape[1] - 16, "the last square ends at the border"
        assert int(left[mine].max()) == p.shape[2] - 16
    assert torch.equal(pile.picture(1), torch.from_numpy(pictures[1]))


def test_deep_pictures_are_cut_as_they_are() -> None:
    deep = [np.arange(20 * 20, dtype=np.uint16).reshape(1, 20, 20) * 100]
    pile = Pile.of(deep)
    cut = pile.cut(torch.tensor([0]), torch.tensor([3]), torch.tensor([2]), (4, 4))
    assert cut.dtype == torch.uint16
    assert cut[0].tolist() == deep[0][:, 3:7, 2:6].tolist()


def test_a_folder_and_a_task_make_squares(tmp_path: Path) -> None:
    data = load(photos(tmp_path / "photos"), options=ReadOptions(task="denoise", patch=24))
    assert data.layout == "patches"
    assert data.spec.shape == (3, 24, 24)
    assert data.spec.source == ()
    batch = data.train.batch(torch.tensor([0, 5]), CPU)
    assert batch.x.shape == (2, 3, 24, 24)
    assert float(batch.x.abs().max()) <= 1
    again = load(tmp_path / "photos", options=ReadOptions(task="denoise", patch=24))
    assert again.fingerprint == data.fingerprint
    other = load(tmp_path / "photos", options=ReadOptions(task="denoise", patch=20))
    assert other.fingerprint != data.fingerprint


def test_no_picture_is_on_both_sides(tmp_path: Path) -> None:
    data = load(photos(tmp_path / "photos"), options=ReadOptions(task="denoise", patch=24))
    seen = [{r.numpy().tobytes() for r in s.raw(torch.arange(len(s)))} for s in (data.train, data.held)]
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("names", [("A", "B"), ("noisy", "clean"), ("left-eye", "right-eye")])
def test_pairs_stay_together(tmp_path: Path, names: tuple[str, str]) -> None:
    options = ReadOptions(task=None if names != ("left-eye", "right-eye") else "translate", patch=32)
    options = ReadOptions(task=options.task) if options.task is None else options
    data = load(pairs(tmp_path / "d", names=names), options=options)
    assert data.layout == "pairs"
    batch = data.train.batch(torch.arange(len(data.train))[::7], CPU)
    if data.spec.shape[1] == 32:
        assert torch.equal(batch.x.flip(2), batch.extra["source"])
    assert data.task == "translate"


def test_halves_side_by_side_are_pairs(tmp_path: Path) -> None:
    for i in range(9):
        picture(tmp_path / f"{i}.png", 32, 64, i)
    data = load(tmp_path, options=ReadOptions(task="translate"))
    whole = {np.asarray(Image.open(p)).transpose(2, 0, 1).tobytes() for p in tmp_path.glob("*.png")}
    batch = data.train.batch(torch.arange(len(data.train)), CPU)
    both = ((torch.cat([batch.extra["source"], batch.x], 3) + 1) * 127.5).round().to(torch.uint8)
    assert all(b.numpy().tobytes() in whole for b in both)


def test_two_sets_have_nothing_to_do_with_one_another(tmp_path: Path) -> None:
    for i in range(12):
        picture(tmp_path / "trainA" / f"x{i}.png", 32, 32, i)
    for i in range(20):
        picture(tmp_path / "trainB" / f"y{i}.png", 32, 32, 100 + i)
    data = load(tmp_path)
    assert data.layout == "unpaired"
    assert len(data.train) == 16
    batch = data.train.batch(torch.arange(16), CPU)
    assert batch.extra["source"].shape == batch.x.shape
    assert len({r.numpy().tobytes() for r in batch.extra["source"]}) == 9 or len({r.numpy().tobytes() for r in batch.extra["source"]}) < 12


def test_official_test_folders_are_held_back(tmp_path: Path) -> None:
    for seed, side, n in ((0, "trainA", 9), (100, "trainB", 10), (200, "testA", 3), (300, "testB", 2)):
        for i in range(n):
            picture(tmp_path / side / f"{side}{i}.png", 32, 32, seed + i)
    data = load(tmp_path)
    assert data.layout == "unpaired"
    held = data.held.batch(torch.arange(len(data.held)), CPU)
    wanted = [{np.asarray(Image.open(p)).transpose(2, 0, 1).tobytes() for p in (tmp_path / f).glob("*.png")} for f in ("testB", "testA")]
    for x, files in ((held.x, wanted[0]), (held.extra["source"], wanted[1])):
        assert {r.numpy().tobytes() for r in ((x + 1) * 127.5).round().to(torch.uint8)} == files
    assert len(data.train) == 10


@pytest.mark.parametrize("names", [("cats", "dogs"), ("a", "b")])
def test_classes_are_no_pairs_unless_their_names_say_so(tmp_path: Path, names: tuple[str, str]) -> None:
    data = load(pairs(tmp_path / "d", names=names))
    assert data.layout == ""
    assert data.spec.class_names == names
    assert any("hold files of equal names" in note and "--task translate" in note for note in data.notes)


def test_several_classes_of_numbered_files_are_classes_without_a_word(tmp_path: Path) -> None:
    for k, name in enumerate(("cats", "dogs", "owls")):
        for i in range(6):
            picture(tmp_path / name / f"{i:04}.png", 16, 16, 10 * k + i)
    data = load(tmp_path)
    assert (data.layout, data.spec.class_names) == ("", ("cats", "dogs", "owls"))
    assert not any("--task" in note for note in data.notes)


def test_what_the_layout_decided_is_said_with_the_way_back(tmp_path: Path) -> None:
    pairs(tmp_path / "p", names=("noisy", "clean"))
    (told,) = (n for n in load(tmp_path / "p").notes if "no task is named" in n)
    assert "'noisy' and 'clean'" in told
    assert "--task generate" in told
    assert told in inspect(tmp_path / "p").notes
    as_they_are = load(tmp_path / "p", options=ReadOptions(task="generate"))
    assert (as_they_are.layout, as_they_are.spec.class_names) == ("", ("clean", "noisy"))
    for side in ("A", "B"):
        for i in range(9):
            picture(tmp_path / "u" / f"train{side}" / f"{side}{i}.png", 32, 32, i + ord(side))
    assert any("two sets without pairs (--task unpaired)" in n for n in load(tmp_path / "u").notes)


def joined(folder: Path, seam: bool, n: int = 12) -> Path:
    """Pictures twice as wide as high: two smooth ones side by side, or one."""
    rng = np.random.default_rng(len(folder.name))
    for i in range(n):
        x = np.linspace(0, 1, 64)
        wave = 128 + 60 * np.sin(6 * x + rng.uniform(0, 6)) * np.ones((32, 1))
        if seam:
            wave[:, 32:] = 255 - wave[:, :32] + rng.uniform(20, 60)
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.clip(wave, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def test_halves_that_meet_in_the_middle_are_pairs_and_panoramas_are_not(tmp_path: Path) -> None:
    data = load(joined(tmp_path / "ab", seam=True))
    assert (data.layout, data.task, data.spec.shape) == ("pairs", "translate", (1, 32, 32))
    assert any("seam in the middle" in n and "--task generate" in n for n in data.notes)
    (tmp_path / "classes").mkdir()
    for name in ("cats", "dogs", "owls"):
        joined(tmp_path / "classes" / name, seam=True)
    assert load(tmp_path / "classes").spec.class_names == ("cats", "dogs", "owls")
    for name in ("train", "test-side"):
        (tmp_path / "split").mkdir(exist_ok=True)
        joined(tmp_path / "split" / name, seam=True).rename(tmp_path / "split" / name.removesuffix("-side"))
    split = load(tmp_path / "split")
    assert (split.layout, len(split.train), len(split.held)) == ("pairs", 12, 12)
    assert not any("hold files of equal names" in note for note in split.notes)
    wide = load(joined(tmp_path / "wide", seam=False))
    assert wide.layout == ""
    assert any("say --task translate" in n for n in wide.notes)


def test_folders_within_folders_are_pairs_by_their_whole_names(tmp_path: Path) -> None:
    """The same name in two sub-folders is two pictures, and train and test may lie around the sides."""
    for k, (part, n) in enumerate((("one", 6), ("two", 5))):
        for i in range(n):
            picture(tmp_path / "noisy" / part / f"{i}.png", 32, 32, 100 * k + i)
            picture(tmp_path / "clean" / part / f"{i}.png", 32, 32, 1000 + 100 * k + i)
    data = load(tmp_path)
    assert data.layout == "pairs"
    assert len(data.train) + len(data.held) == 11


def scaled(folder: Path, scale: int, names: tuple[str, str] = ("lr", "hr"), n: int = 10) -> Path:
    """hr is lr, each pixel repeated."""
    for i in range(n):
        picture(folder / names[0] / f"{i}.png", 24 + i % 2, 30, i)
        x = np.asarray(Image.open(folder / names[0] / f"{i}.png"))
        Image.fromarray(x.repeat(scale, 0).repeat(scale, 1)).save(_made(folder / names[1] / f"{i}.png"))
    return folder


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pairs_of_two_sizes_teach_enlarging(tmp_path: Path, scale: int) -> None:
    data = load(scaled(tmp_path, scale))
    name = {2: "super-resolution-x2", 3: "super-resolution-x3", 4: "super-resolution"}[scale]
    assert (data.layout, data.task) == ("pairs", name)
    c, h, w = data.spec.shape
    assert data.spec.source == (c, h // scale, w // scale)
    for store in (data.train, data.held):
        batch = store.batch(torch.arange(len(store))[:: max(1, len(store) // 40)], CPU)
        assert torch.equal(batch.x, batch.extra["source"].repeat_interleave(scale, 2).repeat_interleave(scale, 3))
    asked = load(tmp_path, options=ReadOptions(task=name, patch=12 * scale))
    assert asked.spec.source == (3, 12, 12)
    with pytest.raises(DataError, match=f"no multiple of {scale}" if scale > 2 else "no multiple of 2"):
        load(tmp_path, options=ReadOptions(task=name, patch=12 * scale + 1))
    other = "super-resolution-x3" if scale != 3 else "super-resolution"
    for task, says in (("translate", f"say --task {name}, or bring"), (other, f"say --task {name}"), ("denoise", f"say --task {name}")):
        with pytest.raises(DataError, match=says):
            load(tmp_path, options=ReadOptions(task=task))
    with pytest.raises(DataError, match="leave --size out"):
        load(tmp_path, options=ReadOptions(task=name, size=48))
    assert load(tmp_path, options=ReadOptions(task="translate", size=48)).spec.source == (3, 48, 48)


def test_a_task_on_named_pairs_learns_from_them(tmp_path: Path) -> None:
    data = load(pairs(tmp_path / "d", names=("noisy", "clean")), options=ReadOptions(task="denoise"))
    assert (data.layout, data.task) == ("pairs", "denoise")
    batch = data.train.batch(torch.arange(4), CPU)
    assert torch.equal(batch.x.flip(2), batch.extra["source"])
    assert any("from true pairs" in n and "'clean' alone" in n for n in data.notes)
    with pytest.raises(DataError, match="makes its own bad twins"):
        load(tmp_path / "d", options=ReadOptions(task="inpaint"))
    with pytest.raises(DataError, match="as large as their partners"):
        load(tmp_path / "d", options=ReadOptions(task="super-resolution"))
    classes = load(pairs(tmp_path / "c", names=("cats", "dogs")), options=ReadOptions(task="denoise", patch=16))
    assert classes.layout == "patches"
    assert any("taken as good pictures" in n for n in classes.notes)
    unpaired = load(tmp_path / "d", options=ReadOptions(task="unpaired"))
    assert any("--task translate learns from the pairs" in n for n in unpaired.notes)


@pytest.mark.parametrize(("names", "task"), [(("noisy", "clean"), "denoise"), (("lr", "hr"), "super-resolution")])
def test_what_is_spoilt_is_not_taken_for_good_where_pairs_have_other_names(names: tuple[str, str], task: str, tmp_path: Path) -> None:
    pairs(tmp_path, names=names)
    for path in (tmp_path / names[0]).iterdir():
        path.rename(path.with_name(f"x4-{path.name}"))
    with pytest.raises(DataError, match="give the two files of a pair one name"):
        load(tmp_path, options=ReadOptions(task=task, patch=16))
    assert load(tmp_path / names[1], options=ReadOptions(task=task, patch=16)).layout == "patches"


def test_a_task_for_pictures_is_refused_for_anything_else(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(f"a line of {i} words" for i in range(60)))
    (tmp_path / "rows.csv").write_text("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(60)))
    for name, kind in (("lines.txt", "text"), ("rows.csv", "points|table")):
        with pytest.raises(DataError, match=f"changes pictures, and .*{name} is read as '({kind})'"):
            load(tmp_path / name, options=ReadOptions(task="denoise"))
    assert load(tmp_path / "lines.txt", options=ReadOptions(task="generate")).spec.kind == "tokens"


def test_folders_of_other_files_are_classes_whatever_they_are_called(tmp_path: Path) -> None:
    for side in ("A", "B"):
        for i in range(9):
            picture(tmp_path / side / f"{side}{i}.png", 32, 32, i + ord(side))
    assert load(tmp_path).spec.class_names == ("A", "B")


def bad_names(folder: Path) -> None:
    for i in range(9):
        picture(folder / "A" / f"a{i}.png", 32, 32, i)
        picture(folder / "B" / f"b{i}.png", 32, 32, i)


def bad_sizes(folder: Path) -> None:
    pairs(folder)
    picture(folder / "A" / "3.png", 30, 48, 1)


def dots(folder: Path) -> None:
    photos(folder, 3)
    for i in range(8):
        picture(folder / f"{i}.png", 1, 1, i)


def alone(folder: Path) -> None:
    photos(folder, 1)


@pytest.mark.parametrize(
    ("make", "task", "says"),
    [
        (bad_names, "translate", "no file of 'A' has a partner"),
        (bad_sizes, "translate", "differ in size, for example"),
        (dots, "denoise", r"8 pictures of .* are smaller than 16 pixels a side, for example 0.png \(1x1\)"),
        (alone, "denoise", "only 1 row"),
        (photos, "translate", "two sub-folders whose files have equal names"),
        (photos, "unpaired", "trainA and trainB"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, make, task: str, says: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path)
    with pytest.raises(DataError, match=says) as error:
        load(tmp_path, options=ReadOptions(task=task))
    assert "\n" not in str(error.value)


def test_broken_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    photos(tmp_path)
    (tmp_path / "torn.png").write_bytes((tmp_path / "p3.png").read_bytes()[:200])
    data = load(tmp_path, options=ReadOptions(task="denoise", patch=24))
    assert any("1 picture of 11 cannot be read" in note for note in data.notes)


def test_a_few_tiny_pictures_are_left_out_by_name(tmp_path: Path) -> None:
    picture(photos(tmp_path / "d") / "dot.png", 1, 1, 0)
    data = load(tmp_path / "d", options=ReadOptions(task="denoise", patch=24))
    assert any("1 picture smaller than 16 pixels a side: left out (dot.png (1x1))" in note for note in data.notes)
    assert data.fingerprint == load(photos(tmp_path / "whole"), options=ReadOptions(task="denoise", patch=24)).fingerprint
    pairs(tmp_path / "p", n=12)
    picture(tmp_path / "p" / "A" / "dot.png", 1, 1, 0)
    picture(tmp_path / "p" / "B" / "dot.png", 32, 48, 0)
    paired = load(tmp_path / "p")
    assert any("dot.png (1x1)" in note for note in paired.notes)
    for i in range(3):  # tiny on both sides: three pairs of fifteen, not six
        for side in ("A", "B"):
            picture(tmp_path / "p" / side / f"spot{i}.png", 8, 8, i)
    assert any("7 pictures smaller than 16 pixels a side: left out" in note for note in load(tmp_path / "p").notes)


def test_pictures_of_formats_that_are_not_read_are_told_of(tmp_path: Path) -> None:
    photos(tmp_path / "d")
    (tmp_path / "d" / "IMG_1.HEIC").write_bytes(b"x")
    said = "1 picture of a format that is not read (IMG_1.HEIC): left out; convert to JPEG, PNG or TIFF first"
    assert said in load(tmp_path / "d", options=ReadOptions(task="denoise", patch=24)).notes
    assert said in load(tmp_path / "d", options=ReadOptions(task="generate", size=16)).notes
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds 1 .heic \(a format that is not read: convert"):
        load(tmp_path / "only")


def test_partners_that_are_all_tiny_are_called_so(tmp_path: Path) -> None:
    """Five times as small is no scale that is learned, so they would have to be as large as pictures are."""
    for i in range(20):
        picture(tmp_path / "lr" / f"{i}.png", 12, 12, i)
        picture(tmp_path / "hr" / f"{i}.png", 60, 60, i)
    with pytest.raises(DataError, match=r"20 pictures of .* are smaller than 16 pixels a side, for example lr/0.png \(12x12\)"):
        load(tmp_path)


def test_unknown_tasks_and_large_patches_are_refused(tmp_path: Path) -> None:
    photos(tmp_path)
    with pytest.raises(UnknownName, match="denoise"):
        load(tmp_path, options=ReadOptions(task="denois"))
    with pytest.raises(DataError, match="larger than the smallest picture"):
        load(tmp_path, options=ReadOptions(task="denoise", patch=64))
    with pytest.raises(DataError, match="--patch goes with --task"):
        load(tmp_path, options=ReadOptions(patch=24))
    for i in range(8):
        picture(tmp_path / "kinds" / ("a" if i % 2 else "b") / f"{i}.png", 24, 24, i)
    with pytest.raises(DataError, match="'domains' goes by whole pictures; leave --patch out"):
        load(tmp_path / "kinds", options=ReadOptions(task="domains", patch=24))
    with pytest.raises(DataError, match="between 16 and 512"):
        ReadOptions(patch=8)
    with pytest.raises(DataError, match="arrays"):
        load(np.zeros((20, 16, 16), dtype=np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None], options=ReadOptions(task="denoise"))


def test_many_pictures_are_brought_to_what_fits(tmp_path: Path) -> None:
    for i in range(9):
        picture(tmp_path / f"{i}.png", 600, 500, i, 1)
    data = load(tmp_path, options=ReadOptions(task="denoise", resident_bytes=1_000_000))
    assert any("brought to" in note for note in data.notes)


def test_layouts_of_runs_from_before_are_read_as_they_were(tmp_path: Path) -> None:
    """Reading 1 knew no seams, no pairs for tasks with bad twins of their own, and no folders but those right around the files."""
    wide = joined(tmp_path / "ab", seam=True)
    assert (load(wide).layout, load(wide, options=ReadOptions(reading=1)).layout) == ("pairs", "")
    named = pairs(tmp_path / "d", names=("noisy", "clean"))
    assert load(named, options=ReadOptions(task="denoise", reading=1)).layout == "patches"
    assert load(named, options=ReadOptions(reading=1)).layout == "pairs"
    for k, (side, part) in enumerate((side, part) for side in ("noisy", "clean") for part in ("one", "two")):
        for i in range(6):
            picture(tmp_path / "deep" / side / part / f"{i}.png", 32, 32, 10 * k + i)
    assert (load(tmp_path / "deep").layout, load(tmp_path / "deep", options=ReadOptions(reading=1)).layout) == ("pairs", "")
