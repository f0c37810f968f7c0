"""What users get wrong: one clear sentence each, with the remedy, and nothing half-written."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from rivalry.data import ReadOptions, inspect, load
from rivalry.errors import DataError, MissingExtra

from .files import noise, save_all


def empty(path):
    (path / "set").mkdir()
    return path / "set"


def only_junk(path):
    (path / ".DS_Store").write_text("x")
    return path


def only_text(path):
    for i in range(3):
        (path / f"{i}.rtf").write_text("prose")
    (path / "b.docx").write_text("x")
    return path


def all_broken(path):
    for p in save_all(path, noise(9, 30, 30)):
        p.write_bytes(p.read_bytes()[:100])
    return path


def mostly_broken(path):
    for p in save_all(path, noise(20, 9, 9))[:11]:
        p.write_text("no picture")
    return path


def few(path):
    save_all(path, noise(3, 9, 9))
    return path


def alike(path):
    save_all(path, noise(1, 9, 9).repeat(12, 0))
    return path


def missing(path):
    (path / "pictures").mkdir()
    return path / "picture"


def one_picture(path):
    return save_all(path, noise(1, 9, 9))[0]


def pickled(path):
    np.save(path / "x.npy", np.array([{"a": 1}] * 9, dtype=object), allow_pickle=True)
    return path / "x.npy"


def pickled_npz(path):
    np.savez(path / "x.npz", x=np.array([{"a": 1}] * 9, dtype=object))
    return path / "x.npz"


def pickle_file(path):
    (path / "x.pkl").write_bytes(b"\x80\x04N.")
    return path / "x.pkl"


def text_as(name):
    def make(path):
        (path / name).write_text("I am a text file")
        return path / name

    return make


def cut(name):
    def make(path):
        np.savez(path / "x.npz", x=noise(20, 9, 9))
        (path / "x.idx3-ubyte").write_bytes(b"\0\0\x08\x03" + b"\0\0\0\x14" + b"\0\0\0\x09" * 2 + b"x" * 500)
        with tarfile.open(path / "x.tar.gz", "w:gz") as archive:
            archive.add(one_picture(path / "one"), "a.png")
        with zipfile.ZipFile(path / "x.zip", "w") as archive:
            archive.write(one_picture(path / "one"), "a.png")
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[: len(whole) * 2 // 3])
        return path / name

    return make


def zip_with(name, link=False):
    def make(path):
        with zipfile.ZipFile(path / "x.zip", "w") as archive:
            info = zipfile.ZipInfo(name)
            if link:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd" if link else b"x")
        return path / "x.zip"

    return make


def tar_with(name, kind=tarfile.REGTYPE):
    def make(path):
        with tarfile.open(path / "x.tar", "w") as archive:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0
            archive.addfile(info, io.BytesIO())
        return path / "x.tar"

    return make


def unclear_npz(path):
    np.savez(path / "x.npz", left=noise(9, 8, 8), right=noise(9, 8, 8))
    return path / "x.npz"


def uneven_npz(path):
    np.savez(path / "x.npz", x_train=noise(9, 8, 8), x_test=noise(9, 7, 8))
    return path / "x.npz"


def unlabelled_npz(path):
    np.savez(path / "x.npz", x=noise(9, 8, 8), y=np.zeros(8))
    return path / "x.npz"


def several(path):
    for name in "ab":
        np.save(path / f"{name}.npy", noise(9, 8, 8))
    return path


def link_out(path):
    save_all(path / "elsewhere", noise(9, 8, 8))
    (path / "set").mkdir()
    os.symlink(path / "elsewhere", path / "set" / "link")
    return path / "set"


def bomb(path):
    Image.new("1", (9000, 9000)).save(path / "0.png")
    for i in range(1, 9):
        (path / f"{i}.png").write_bytes((path / "0.png").read_bytes())
    return path


BAD = {
    "an empty folder": (empty, "is empty; put pictures into it"),
    "a folder of junk": (only_junk, "is empty"),
    "a folder of texts": (only_text, r"holds 3 \.rtf, 1 \.docx, and nothing that can be trained on; name pictures"),
    "all pictures truncated": (all_broken, "none of the 9 pictures .* 000.png .*truncated.*; replace or remove"),
    "most pictures broken": (mostly_broken, "only 9 of the 20 pictures"),
    "three pictures": (few, "only 3 rows that can be used; at least 8"),
    "twelve copies": (alike, "copies of one another"),
    "a path that is not there": (missing, "did you mean .*pictures"),
    "a single picture": (one_picture, "single picture; name the folder"),
    "a pickled npy": (pickled, "Python objects.*run code"),
    "a pickled npz": (pickled_npz, "Python objects.*run code"),
    "a pickle": (pickle_file, r"pickle.*save the data as \.npz"),
    "a text named npz": (text_as("x.npz"), "does not begin like one.*mend its name"),
    "a text named npy": (text_as("x.npy"), "does not begin like one.*mend its name"),
    "a text named zip": (text_as("x.zip"), "archive .* cannot be read"),
    "a text named tar": (text_as("x.tar"), "archive .* cannot be read"),
    "a text named parquet": (text_as("x.parquet"), "cannot be read as Parquet"),
    "a text named idx": (text_as("x.idx"), "no idx file"),
    "prose": (text_as("x.txt"), "has only 1 line of text, and at least 8 are needed; put each sentence on a line"),
    "a cut npz": (cut("x.npz"), "cannot be read"),
    "a cut idx": (cut("x.idx3-ubyte"), "should hold 1,620 bytes .* but holds"),
    "a cut tar": (cut("x.tar.gz"), "archive .* cannot be read"),
    "a cut zip": (cut("x.zip"), "archive .* cannot be read"),
    "a zip that climbs": (zip_with("../evil.png"), "leads out of it"),
    "a zip with a root": (zip_with("/evil.png"), "leads out of it"),
    "a zip with a drive": (zip_with("C:\\evil.png"), "leads out of it"),
    "a zip that climbs backwards": (zip_with("a\\..\\..\\evil.png"), "leads out of it"),
    "a zip with a link": (zip_with("a.png", link=True), "link .* not followed"),
    "a tar that climbs": (tar_with("a/../../evil.png"), "leads out of it"),
    "a tar with a root": (tar_with("/evil.png"), "leads out of it"),
    "a tar with a link": (tar_with("a.png", tarfile.SYMTYPE), "link .* not followed"),
    "a tar with a hard link": (tar_with("a.png", tarfile.LNKTYPE), "link .* not followed"),
    "a tar with a device": (tar_with("a.png", tarfile.CHRTYPE), "link .* not followed"),
    "an npz of two minds": (unclear_npz, "arrays left, right, and which are the data is not clear"),
    "an npz of two shapes": (uneven_npz, "differ in kind"),
    "an npz short of labels": (unlabelled_npz, "9 rows but 8 labels"),
    "several data files": (several, "several data files .* name one"),
    "a link out of the folder": (link_out, "1 link out of it not followed"),
    "decompression bombs": (bomb, "decompression bomb"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_clear_sentence(tmp_path, cache, case):
    make, says = BAD[case]
    if "parquet" in case:
        pytest.importorskip("pyarrow")
    source = make(tmp_path)
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(DataError, match=says) as caught:
        load(source, options=ReadOptions(cache=True))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before
    assert not [p for p in cache.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("mnist5k", "did you mean 'mnist-5k'"),
        ("fashion_mnist", "did you mean 'fashion-mnist'"),
        ("/nowhere/at/all", "name a folder, an archive, a file, or one of: digits8, fashion-mnist"),
        (np.zeros(9), "neither pictures nor points"),
        (np.zeros((9, 8, 8)), "all numbers"),
        (np.full((9, 8, 8), np.nan), "NaN"),
        (np.array([["a"]]), "neither pictures nor points"),
        ((np.zeros((9, 8, 8)), np.zeros(7)), "9 rows but 7 labels"),
        (torch.zeros(9, 8, 8, 2, 2), "holds numbers of a shape nobody knows"),
        (12, "data cannot be a int"),
    ],
)
def test_what_nobody_can_read(given, says):
    with pytest.raises(DataError, match=says):
        load(given)


def test_items_that_differ():
    items = torch.utils.data.StackDataset([torch.zeros(2), torch.zeros(3)])
    with pytest.raises(DataError, match="differ in shape"):
        load(items)


def test_an_empty_data_set():
    with pytest.raises(DataError, match="no items"):
        load(torch.utils.data.StackDataset([]))


def test_named_sets_that_are_not_installed(tmp_path, monkeypatch):
    from pathlib import Path

    from rivalry.data import builtin

    monkeypatch.setattr(builtin, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="mnist-5k"):
        load("mnist-5k")
    gone = builtin.Installed(Path("/nowhere"), (), "install it")
    monkeypatch.setitem(builtin.SETS, "fashion-mnist", gone)
    with pytest.raises(DataError, match="not installed: install it"):
        load("fashion-mnist")


def test_links_inside_a_folder_are_followed(tmp_path):
    save_all(tmp_path, noise(12, 9, 9))
    os.symlink(tmp_path / "003.png", tmp_path / "also.png")
    assert inspect(tmp_path).duplicates == (("003.png", "also.png"),)


def test_links_out_of_a_folder_are_left_out_with_a_note(tmp_path):
    save_all(tmp_path / "set", noise(12, 9, 9))
    other = save_all(tmp_path / "other", noise(1, 9, 9, seed=3))[0]
    os.symlink(other, tmp_path / "set" / "out.png")
    data = load(tmp_path / "set")
    assert len(data.train) + len(data.held) == 12
    assert any("1 link out of" in n and "is not followed: copy" in n and "out.png" not in n for n in data.notes)


def test_only_unknown_classes(tmp_path):
    with pytest.raises(DataError, match="unknown class"):
        load((noise(20, 9, 9), np.arange(20) % 2), options=ReadOptions(only=("7",)))
    with pytest.raises(DataError, match="the data have none"):
        load(noise(20, 9, 9), options=ReadOptions(only=("7",)))


def test_one_group_is_no_split(tmp_path):
    save_all(tmp_path / "set", noise(12, 9, 9), names=[f"p1_{i}.png" for i in range(12)])
    with pytest.raises(DataError, match="in one group"):
        load(tmp_path / "set", options=ReadOptions(group=r"(p\d+)_"))
