"""Pictures and paths that cannot be, odd pictures that must work, and nothing half-written."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from changing.cases import negative, restorer, same, scene
from changing.test_files import pixels, save
from rivalry.changing import Changed, Changer, Ways, apply_files
from rivalry.changing.sink import Shape, fitting
from rivalry.data.png16 import SIGNATURE
from rivalry.errors import DataError, RivalryError
from tiffs import tiff


def left(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*")}


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "text.png": (lambda p: p.write_text("this is no picture"), "its content is no picture"),
    "empty.jpg": (lambda p: p.write_bytes(b""), "the file is empty"),
    "cut.png": (lambda p: _cut(p), "it is truncated"),
    "cut.jpg": (lambda p: _cut(p), "it is truncated"),
    "cut.tif": (lambda p: _cut(p), "cannot be read"),
    "huge.png": (lambda p: p.write_bytes(_header(20000, 20000)), "too many pixels"),
    "float.tif": (lambda p: Image.fromarray(np.zeros((4, 4), np.float32)).save(p), "floating-point pixels"),
    "wide.tif": (lambda p: Image.fromarray(np.full((4, 4), 700, np.int32)).save(p), "32-bit pixels"),
    "signed.tif": (lambda p: p.write_bytes(tiff(np.full((4, 4), -3, np.int16), t339=2)), "numbers with a sign"),
    "planes.tif": (lambda p: p.write_bytes(tiff(np.zeros((3, 5, 4), np.uint16), planes=True)), "colour after colour"),
    "other.tif": (lambda p: p.write_bytes(b"MM\0+\0\x08" + bytes(40)), "BigTIFF"),
}


def _header(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + struct.pack(">I", 99) + b"IDAT" + bytes(20)


def _cut(path: Path) -> None:
    Image.fromarray(scene(80, 80)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_pictures(name: str, tmp_path: Path) -> None:
    make, reason = BAD[name]
    make(tmp_path / name)
    before = left(tmp_path)
    with pytest.raises(DataError, match=reason) as error:
        apply_files(same(), tmp_path / name, tmp_path / "out.png")
    assert name in str(error.value)
    assert left(tmp_path) == before


def test_a_deep_picture_that_is_cut_short(tmp_path: Path) -> None:
    save(tmp_path / "a.png", scene(80, 80, 3, bits=16))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        apply_files(same(), tmp_path / "a.png", tmp_path / "out.png")


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("ending", [".png", ".jpg", ".tif", ".webp"])
def test_a_picture_of_one_pixel(scale: int, ending: str, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (9, 90, 200)).save(tmp_path / f"a{ending}")
    done = apply_files(restorer(scale=scale), tmp_path / f"a{ending}", tmp_path / "out", Ways(self_ensemble=True))
    assert pixels(done.written[0]).shape == (scale, scale, 3)


def test_odd_kinds_of_pictures(tmp_path: Path) -> None:
    """Palettes, palettes with a clear colour, two levels, CMYK, a film."""
    x = Image.fromarray(scene(20, 30))
    x.quantize(16).save(tmp_path / "palette.png")
    x.quantize(16).save(tmp_path / "clear.png", transparency=3)
    x.convert("1").save(tmp_path / "levels.png")
    x.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    x.save(tmp_path / "film.gif", save_all=True, append_images=[x.rotate(90), x.rotate(180)])
    out = tmp_path / "out"
    done = apply_files(same(), tmp_path, out)
    shapes = {p.name: pixels(p).shape for p in done.written}
    assert shapes == {"palette.png": (20, 30, 3), "clear.png": (20, 30, 4), "levels.png": (20, 30, 1), "print.jpg": (20, 30, 3), "film.png": (20, 30, 3)}
    with Image.open(tmp_path / "clear.png") as given:
        assert np.array_equal(pixels(out / "clear.png"), np.asarray(given.convert("RGBA")))
    with Image.open(tmp_path / "print.jpg") as given:
        assert np.abs(pixels(out / "print.jpg").astype(int) - np.asarray(given.convert("RGB"))).mean() < 4
    assert "print.jpg: CMYK became RGB" in done.notes
    assert "film.gif: the first of its 3 pictures was taken" in done.notes


def test_what_a_format_cannot_hold_is_told(tmp_path: Path) -> None:
    x = scene(20, 30, 4)
    x[..., 3] = 0
    done = apply_files(same(), save(tmp_path / "a.png", x), tmp_path / "b.jpg")
    assert pixels(done.written[0]).min() > 250
    assert any("became white" in n for n in done.notes)
    done = apply_files(same(), save(tmp_path / "c.png", scene(20, 30, 3, 16)), tmp_path / "d.webp")
    assert any("16 became 8" in n for n in done.notes)
    with pytest.raises(DataError, match="16383 pixels wide or high at most"):
        fitting(Shape(10, 20000, 3, False, 8), "WEBP")


def call(changer: Changer, source: Path, out: Path, ways: Ways | None = None, mask: Path | None = None, sheet: Path | None = None) -> Changed:
    return apply_files(changer, source, out, ways, mask=mask, sheet=sheet)


@pytest.mark.parametrize(
    ("source", "out", "hint"),
    [
        ("none.png", "x.png", "there is no picture or folder at"),
        ("a.png", "a.png", "would be overwritten, and it is what was given"),
        ("a.png", "there.png", "is there already; say --overwrite"),
        ("a.png", "x.xcf", "cannot be written as .xcf"),
        ("in", "there.png", "is a file, and .* is a folder of pictures"),
        ("in", "in", "name another folder with -o"),
        ("hollow", "x", "there are no pictures in"),
        ("twice", "x", "two pictures would be written to"),
    ],
)
def test_paths_that_cannot_be(source: str, out: str, hint: str, tmp_path: Path) -> None:
    for folder in ("in", "hollow", "twice"):
        (tmp_path / folder).mkdir()
    for name in ("a.png", "there.png", "in/a.png"):
        save(tmp_path / name, scene(8, 8))
    for name in ("twice/a.gif", "twice/a.png", "twice/a.gif.png"):  # a.gif cannot become a.png, nor a.gif.png
        Image.fromarray(scene(8, 8)).save(tmp_path / name)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=hint):
        call(same(), tmp_path / source, tmp_path / out)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_masks_that_do_not_fit(tmp_path: Path) -> None:
    path, small = save(tmp_path / "a.png", scene(20, 30)), save(tmp_path / "m.png", scene(20, 29, 1))
    filler = restorer(mask=True)
    (tmp_path / "masks").mkdir()
    for changer, source, mask, hint in (
        (filler, path, small, "29x20 pixels, and the picture .* is 30x20"),
        (filler, path, None, "say where they are with --mask"),
        (same(), path, small, "no use for --mask"),
        (filler, path, tmp_path / "masks", "has no mask for a.png; it should be at"),
        (filler, tmp_path, small, "so --mask must be a folder"),
        (filler, path, tmp_path / "none.png", "there is no picture at"),
    ):
        with pytest.raises(RivalryError, match=hint):
            call(changer, source, tmp_path / "out", mask=mask)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("ways", "hint"),
    [
        ({"strength": 2.0}, "strength must be from 0"),
        ({"strength": -0.1}, "strength must be from 0"),
        ({"tile": 3}, "tiles must be 16 pixels"),
        ({"draws": 0}, "draws must be 1 or more"),
        ({"draws": 2}, "leave --draws out"),
        ({"quality": 0}, "quality must be from 1"),
    ],
)
def test_settings_that_cannot_be(ways: dict[str, float], hint: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", scene(8, 8))
    with pytest.raises(RivalryError, match=hint):
        call(same(), path, tmp_path / "b.png", Ways(**ways))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"a sheet is a \.png"):
        call(same(), path, tmp_path / "b.png", sheet=tmp_path / "s.jpg")


def test_all_bad_is_an_error_and_some_bad_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(2):
        (folder / f"{i}.png").write_text("no")
    with pytest.raises(DataError, match=r"none of 2 pictures could be changed; the first: .*0.png cannot be read"):
        call(same(), folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stopping_leaves_nothing_half_written(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name, scene(100, 100))

    def tick(what: str, share: float) -> None:
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_files(negative(), tmp_path, tmp_path / "out", Ways(tile=32), tick=tick)
    assert left(tmp_path / "out") == {"a.png"}
    assert np.array_equal(pixels(tmp_path / "out" / "a.png"), 255 - scene(100, 100))
