"""Pictures to files and back, bit for bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from rivalry.data import ImageModality, ReadOptions, load, restore
from rivalry.errors import DataError, RivalryError

from .files import contents, everything, noise

CPU = torch.device("cpu")
KINDS = [(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint16, 1), (np.uint16, 3), (np.uint16, 4)]


def made(dtype, channels, n=20):
    x = noise(n, 9, 7, channels, dtype=dtype)
    if channels == 4:
        x[..., 3] |= 1
        x[0, 0, 0, 3] = 7
    x[0, 1, 1] = np.iinfo(dtype).max
    return x


@pytest.mark.parametrize(("dtype", "channels"), KINDS)
@pytest.mark.parametrize("out", ["folder", "set.npz", "set.npy"])
@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_written_comes_back_bit_for_bit(tmp_path, dtype, channels, out, labelled):
    x = made(dtype, channels)
    data = load((x, np.arange(20) % 2) if labelled else x)
    assert data.spec.shape == (channels, 9, 7)
    every = torch.cat([everything(data.train), everything(data.held)])
    labels = torch.cat([data.train.labels, data.held.labels]) if labelled else None
    paths = data.modality.write(
        data.modality.encode(every), tmp_path / out, labels, ("T-shirt/top", "Boot") if labelled else ()
    )
    assert all(p.exists() for p in paths)
    assert len(paths) == (20 if out == "folder" else 1)
    back = load(tmp_path / out)
    assert back.modality.bits == data.modality.bits
    assert set.union(*contents(back)) == {row.numpy().tobytes() for row in every}
    if labelled and out == "folder":
        assert back.spec.class_names == ("Boot", "T-shirt_top")
    if labelled and out == "set.npz":
        assert back.spec.class_names == ("T-shirt/top", "Boot")
    leftovers = [p for p in tmp_path.rglob("*") if "part" in p.name]
    assert not leftovers


def test_integers_are_written_as_they_are(tmp_path):
    raw = torch.from_numpy(made(np.uint8, 3).transpose(0, 3, 1, 2).copy())
    (path,) = ImageModality((3, 9, 7)).write(raw, tmp_path / "a.npy")
    assert np.array_equal(np.load(path), raw.permute(0, 2, 3, 1).numpy())


def test_other_numbers_come_back_as_they_were(tmp_path):
    hounsfield = noise(20, 8, 8, dtype=np.uint16).astype(np.int16) // 16
    data = load(hounsfield)
    every = torch.cat([everything(data.train), everything(data.held)])
    data.modality.write(data.modality.encode(every), tmp_path / "ct.npy")
    assert {r.tobytes() for r in np.load(tmp_path / "ct.npy").astype(np.int16)} == {r.tobytes() for r in hounsfield}
    heights = np.random.default_rng(0).normal(size=(20, 8, 8))
    data = load(heights)
    data.modality.write(data.train.batch(torch.arange(3), CPU).x, tmp_path / "h.npy")
    near = np.abs(heights[:, None] - np.load(tmp_path / "h.npy")).max((2, 3)).min(0)
    assert near.max() < 2e-4


def test_nothing_is_overwritten(tmp_path):
    data = load(made(np.uint8, 1))
    x = data.train.batch(torch.arange(4), CPU).x
    data.modality.write(x, tmp_path / "out")
    before = (tmp_path / "out" / "000000.png").read_bytes()
    with pytest.raises(DataError, match=r"already holds 000000\.png; name another folder"):
        data.modality.write(-x, tmp_path / "out")
    assert (tmp_path / "out" / "000000.png").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    data.modality.write(x, tmp_path / "other")
    assert len(list((tmp_path / "other").iterdir())) == 5


def test_class_names_never_lead_out_of_the_folder(tmp_path):
    data = load((made(np.uint8, 1), np.arange(20) % 4))
    x, labels = data.train.batch(torch.arange(8), CPU).x, torch.arange(8) % 4
    paths = data.modality.write(x, tmp_path / "out", labels, ("../../evil", "/root", "..", "a/b"))
    assert all(p.resolve().is_relative_to((tmp_path / "out").resolve()) for p in paths)
    assert len({p.parent for p in paths}) == 4
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("dtype", "channels"), KINDS)
def test_sheets(tmp_path, dtype, channels):
    data = load(made(dtype, channels))
    x = data.train.batch(torch.arange(10), CPU).x
    data.modality.preview(x, tmp_path / "a.png")
    data.modality.preview(x, tmp_path / "b.png", reference=x[:3])
    assert data.modality.write(x, tmp_path / "c.jpg") == [tmp_path / "c.jpg"]
    with (
        Image.open(tmp_path / "a.png") as a,
        Image.open(tmp_path / "b.png") as b,
        Image.open(tmp_path / "c.jpg") as c,
    ):
        assert a.mode == "RGB"
        assert b.width > a.width
        assert c.format == "JPEG"


def test_a_sheet_holds_every_picture_in_order(tmp_path):
    from rivalry.data.sheets import GAP, grid

    pictures = noise(7, 64, 64, 3)
    sheet = grid(pictures)
    for i in range(7):
        top, left = (GAP + (i // 3) * (64 + GAP), GAP + (i % 3) * (64 + GAP))
        assert np.array_equal(sheet[top : top + 64, left : left + 64], pictures[i])


def test_a_sheet_of_one_and_of_odd_shapes(tmp_path):
    modality = ImageModality((1, 5, 40))
    modality.preview(torch.zeros(1, 1, 5, 40), tmp_path / "one.png")
    modality.preview(torch.full((1000, 1, 5, 40), float("nan")), tmp_path / "many.png")
    with Image.open(tmp_path / "many.png") as many:
        assert many.width < 4200


def test_pictures_are_not_written_as_anything_else(tmp_path):
    with pytest.raises(DataError, match=r"cannot be written as x\.docx"):
        ImageModality((1, 4, 4)).write(torch.zeros(2, 1, 4, 4), tmp_path / "x.docx")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for out in ("file/sheet.png", "file/set.npz"):
        with pytest.raises(RivalryError):
            ImageModality((1, 4, 4)).write(torch.zeros(2, 1, 4, 4), tmp_path / out)
    with pytest.raises(RivalryError):
        ImageModality((1, 4, 4)).write(torch.zeros(2, 1, 4, 4), tmp_path / "file" / "folder")


def test_state_restores(tmp_path):
    data = load(made(np.uint16, 3))
    kept = restore("image", data.modality.state())
    assert kept == data.modality
    assert all(isinstance(v, int | float | str | list) for v in data.modality.state().values())
    with pytest.raises(DataError, match="shape"):
        restore("image", {"shape": [1]})


def test_colours_for_extractors():
    modality = ImageModality()
    grey, clear = torch.rand(2, 1, 4, 4), torch.full((2, 4, 4, 4), -1.0)
    assert torch.equal(modality.rgb(grey), grey.expand(-1, 3, -1, -1))
    assert (modality.rgb(clear) == 1).all()
    solid = torch.rand(2, 4, 4, 4)
    solid[:, 3] = 1
    assert torch.equal(modality.rgb(solid), solid[:, :3])


def test_deep_pictures_are_shown_in_full_light():
    modality = ImageModality((1, 2, 2), bits=16, high=4095)
    assert modality.shown(torch.ones(1, 1, 2, 2)).tolist() == np.full((1, 2, 2, 3), 255).tolist()
    assert modality.shown(torch.full((1, 1, 2, 2), 2048).to(torch.uint16)).max() == 128


def test_distance_is_root_mean_square():
    a = torch.zeros(3, 1, 4, 4)
    assert ImageModality().distance(a, a + 2).tolist() == [2, 2, 2]


def test_names_of_parts_are_known():
    from rivalry.catalogue import names
    from rivalry.data import PointsModality

    for modality in (ImageModality(), PointsModality()):
        assert set(modality.augments()) <= set(names("augment"))
        assert modality.extractors()


def test_size_options_are_kept(tmp_path):
    data = load(made(np.uint8, 3), options=ReadOptions(size=(16, 12), channels=1, fit="pad"))
    assert data.spec.shape == (1, 16, 12)
    assert data.train.batch(torch.arange(2), CPU).x.shape == (2, 1, 16, 12)
