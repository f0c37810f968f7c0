"""Pictures in files: what goes in and what comes out."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from changing.cases import negative, restorer, same, scene
from rivalry.changing import Changer, Ways, apply_files
from rivalry.changing.kept import EXIF_IFD, ORIENTATION, Kept
from rivalry.changing.sink import PngSink, Shape
from rivalry.changing.source import open_picture
from rivalry.data import png16
from rivalry.data.pixels import Plan, decode, look
from rivalry.errors import DataError
from tiffs import tiff

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def camera(orientation: int, width: int, height: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION], exif[271] = orientation, "Maker"
    exif.get_ifd(EXIF_IFD).update({0x9003: "2024:05:06 07:08:09", 0xA002: width, 0xA003: height})
    exif[EXIF_IFD] = dict(exif.get_ifd(EXIF_IFD))
    return exif


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]:
    """[H, W, C] as rivalry reads them."""
    source = open_picture(path)
    return source.take(0, source.height)


def save(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.uint16]]) -> Path:
    if values.dtype == np.uint16 and values.shape[2] > 1:
        with path.open("wb") as out:
            png16.write(values, out)  # type: ignore[arg-type]
    else:
        Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(path)
    return path


@pytest.mark.parametrize("ending", [".png", ".tif", ".webp", ".bmp", ".ppm", ".tga"])
@pytest.mark.parametrize("channels", [1, 3])
def test_formats_without_loss_come_back_as_they_are(ending: str, channels: int, tmp_path: Path) -> None:
    x = scene(70, 45, channels)
    lossless = {"lossless": True} if ending == ".webp" else {}
    Image.fromarray(x[..., 0] if channels == 1 else x).save(tmp_path / f"a{ending}", **lossless)  # type: ignore[arg-type]
    done = apply_files(same(), tmp_path / f"a{ending}", tmp_path / "out")
    assert done.written == (tmp_path / "out" / f"a{ending}",)
    with Image.open(done.written[0]) as made, Image.open(tmp_path / f"a{ending}") as given:
        assert np.array_equal(np.asarray(made.convert("RGB")), x.repeat(3 // channels, 2))
        assert (made.format, made.size) == (given.format, (45, 70))


@pytest.mark.parametrize(("ending", "channels"), [(".png", 1), (".png", 3), (".png", 4), (".tif", 1), (".tif", 3), (".tif", 4)])
def test_sixteen_bits_come_back_as_they_are(ending: str, channels: int, tmp_path: Path) -> None:
    """TIFFs are made by a network that changes nothing, from PNGs; then they are what is read."""
    x = scene(150, 45, channels, bits=16)
    save(tmp_path / "a.png", x)
    made = apply_files(same(), tmp_path / "a.png", tmp_path / f"b{ending}").written[0]
    again = apply_files(same(), made, tmp_path / f"c{ending}").written[0]
    for path in (made, again):
        assert open_picture(path).bits == 16
        assert np.array_equal(pixels(path), x)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiffs_of_others_with_sixteen_bits_a_colour(compression: str, tmp_path: Path) -> None:
    """The compressed strip of a grey TIFF three times as wide, as Pillow writes it, told to be colour."""
    x = scene(20, 30, 3, bits=16)
    grey = io.BytesIO()
    Image.fromarray(x.reshape(20, 90)).save(grey, "TIFF", compression=compression)
    with Image.open(grey) as told:
        (at,), (size,), code = told.tag_v2[273], told.tag_v2[279], told.tag_v2[259]
    body = grey.getvalue()[at : at + size]
    entries = [(256, 4, 1, 30), (257, 4, 1, 20), (258, 3, 3, 8), (259, 3, 1, code), (262, 3, 1, 2), (273, 4, 1, 16), (277, 3, 1, 3),
               (278, 4, 1, 20), (279, 4, 1, size)]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
    head = b"II*\0" + struct.pack("<I", 16 + size) + struct.pack("<4H", 16, 16, 16, 0)
    (tmp_path / "a.tif").write_bytes(head + body + directory)
    assert np.array_equal(pixels(tmp_path / "a.tif"), x)


def test_numbers_of_which_nought_is_white(tmp_path: Path) -> None:
    """Pillow turns them round at 8 bits, and not at 16."""
    x = scene(20, 30, 1, bits=16)[..., 0]
    (tmp_path / "a.tif").write_bytes(tiff(65535 - x, t262=0))
    made = apply_files(same(1), tmp_path / "a.tif", tmp_path / "b.tif").written[0]
    for path in (tmp_path / "a.tif", made):
        assert np.array_equal(pixels(path)[..., 0], x)
    plain = decode((tmp_path / "a.tif").read_bytes(), Plan(20, 30, 1, 16)).pixels
    assert plain is not None
    assert np.array_equal(plain[0], x)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_of_sixteen_bits_becomes_alpha(channels: int, tmp_path: Path) -> None:
    x = scene(20, 30, channels, bits=16)
    x[3:9, 4:7] = x[0, 0]
    x[0, 1] = x[0, 0] ^ 1  # the same in 8 bits: not the colour
    content = io.BytesIO()
    if channels == 3:
        png16.write(x, content)
    else:
        Image.fromarray(x[..., 0]).save(content, "PNG")
    key = b"tRNS" + x[0, 0].astype(">u2").tobytes()
    chunk = struct.pack(">I", 2 * channels) + key + struct.pack(">I", zlib.crc32(key))
    (tmp_path / "a.png").write_bytes(content.getvalue()[:33] + chunk + content.getvalue()[33:])
    clear = (x == x[0, 0]).all(-1)
    for path in (tmp_path / "a.png", apply_files(same(channels), tmp_path / "a.png", tmp_path / "b.png").written[0]):
        found = pixels(path)
        assert found.shape[2] == channels + 1
        assert np.array_equal(found[..., -1], np.where(clear, 0, 65535))
        assert np.array_equal(found[~clear][:, :channels], x[~clear])
    assert look((tmp_path / "a.png").read_bytes()).alpha
    made = decode((tmp_path / "a.png").read_bytes(), Plan(20, 30, 4, 16)).pixels
    assert made is not None
    assert np.array_equal(made[3], np.where(clear, 0, 65535))


def test_grey_with_alpha_of_sixteen_bits(tmp_path: Path) -> None:
    x = scene(40, 30, 2, bits=16)
    with (tmp_path / "a.png").open("wb") as out:
        sink = PngSink(out, Shape(40, 30, 1, True, 16), Kept())
        sink.write(x)
        sink.close()
    made = apply_files(same(1), tmp_path / "a.png", tmp_path / "b.png").written[0]
    assert np.array_equal(pixels(made), x)
    with Image.open(made) as theirs:  # as Pillow reads it, in 8 bits
        assert np.abs(np.asarray(theirs.convert("RGBA"))[..., 3] - x[..., 1] / 257).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp"])
def test_results_stand_upright_and_the_camera_is_kept(orientation: int, ending: str, tmp_path: Path) -> None:
    x = np.zeros((48, 64, 3), np.uint8)
    x[:16, :16] = 255
    path = tmp_path / f"a{ending}"
    Image.fromarray(x).save(path, exif=camera(orientation, 64, 48), icc_profile=SRGB)
    made = apply_files(negative(), path, tmp_path / f"b{ending}").written[0]
    with Image.open(path) as before, Image.open(made) as after:
        expected = 255 - np.asarray(ImageOps.exif_transpose(before).convert("RGB")).astype(int)
        exif = after.getexif()
        assert np.abs(np.asarray(after.convert("RGB")).astype(int) - expected).mean() < 4
        assert exif.get(ORIENTATION, 1) == 1
        assert exif[271] == "Maker"
        inner = exif.get_ifd(EXIF_IFD)
        assert inner[0x9003] == "2024:05:06 07:08:09"
        assert (inner[0xA002], inner[0xA003]) == after.size
        assert after.info["icc_profile"] == SRGB


def test_the_camera_goes_from_jpeg_to_tiff_and_back(tmp_path: Path) -> None:
    Image.fromarray(scene(30, 40)).save(tmp_path / "a.jpg", exif=camera(6, 40, 30), icc_profile=SRGB, dpi=(300, 300))
    tiff = apply_files(same(), tmp_path / "a.jpg", tmp_path / "b.tif").written[0]
    back = apply_files(same(), tiff, tmp_path / "c.jpg").written[0]
    for path in (tiff, back):
        with Image.open(path) as made:
            assert made.size == (30, 40)
            assert made.getexif()[271] == "Maker"
            assert made.getexif().get_ifd(EXIF_IFD)[0x9003] == "2024:05:06 07:08:09"
            assert made.info["icc_profile"] == SRGB
            assert [round(float(d)) for d in made.info["dpi"]] == [300, 300]


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_kept_and_enlarged_and_colours_are_not_multiplied_by_it(bits: int, tmp_path: Path) -> None:
    x = scene(20, 30, 4, bits)
    x[:10, :, 3] = 0
    save(tmp_path / "a.png", x)
    made = pixels(apply_files(negative(), tmp_path / "a.png", tmp_path / "b.png").written[0])
    top = 255 if bits == 8 else 65535
    assert np.array_equal(made[..., :3], top - x[..., :3])
    assert np.array_equal(made[..., 3], x[..., 3])
    large = pixels(apply_files(same(scale=2), tmp_path / "a.png", tmp_path / "c.png").written[0])
    assert large.shape == (40, 60, 4)
    assert np.array_equal(large[::2, ::2, :3], x[..., :3])
    assert large[:16, :, 3].max() == 0
    assert large[24:, :, 3].min() > 0 or x[10:, :, 3].min() == 0


def test_a_grey_network_changes_the_luma_of_colours(tmp_path: Path) -> None:
    x = scene(40, 50) // 4 + 96  # so that no colour is clipped
    path = save(tmp_path / "a.png", x)
    done = apply_files(negative(1), path, tmp_path / "b.png")
    weights = np.array([0.299, 0.587, 0.114])
    before, after = x.astype(float), pixels(done.written[0]).astype(float)
    assert np.abs(after @ weights - (255 - before @ weights)).max() < 1
    assert np.abs((after - before) - (after - before)[..., :1]).max() <= 1  # Cb and Cr stay
    assert any("luma was changed" in n for n in done.notes)
    grey = apply_files(negative(1, keeps_colour=False), path, tmp_path / "c.png")
    assert pixels(grey.written[0]).shape == (40, 50, 1)


def test_a_colour_network_gives_grey_back_as_grey(tmp_path: Path) -> None:
    x = scene(40, 50, 1, bits=16)
    done = apply_files(negative(), save(tmp_path / "a.png", x), tmp_path / "b.png")
    assert np.array_equal(pixels(done.written[0]), 65535 - x)
    colour = apply_files(negative(keeps_colour=False), tmp_path / "a.png", tmp_path / "c.png")
    assert pixels(colour.written[0]).shape == (40, 50, 3)


def test_a_network_that_colours_makes_colour(tmp_path: Path) -> None:
    changer = restorer(1, 3)
    for channels in (1, 3):
        path = save(tmp_path / f"{channels}.png", scene(30, 20, channels))
        done = apply_files(changer, path, tmp_path / f"out{channels}.png")
        assert pixels(done.written[0]).shape == (30, 20, 3)


def test_networks_with_alpha(tmp_path: Path) -> None:
    with_alpha = save(tmp_path / "a.png", scene(30, 20, 4))
    assert np.array_equal(pixels(apply_files(same(4), with_alpha, tmp_path / "b.png").written[0]), pixels(with_alpha))
    without = save(tmp_path / "c.png", scene(30, 20, 3))
    assert pixels(apply_files(same(4), without, tmp_path / "d.png").written[0]).shape == (30, 20, 3)


@pytest.mark.parametrize("scale", [1, 2])
def test_strength_goes_from_the_picture_to_the_network_and_beyond(scale: int, tmp_path: Path) -> None:
    x = scene(30, 40) // 4 + 96
    path, changer = save(tmp_path / "a.png", x), restorer(scale=scale)
    at = {s: pixels(apply_files(changer, path, tmp_path / f"{s}.png", Ways(strength=s)).written[0]).astype(int) for s in (0.0, 0.5, 1.0)}
    if scale == 1:
        assert np.array_equal(at[0.0], x)
    assert np.abs(at[0.5] - (at[0.0] + at[1.0]) / 2)[(at[1.0] > 0) & (at[1.0] < 255)].max() <= 1.5
    far = pixels(apply_files(negative(), path, tmp_path / "far.png", Ways(strength=1.5)).written[0]).astype(float)
    assert np.abs(far - np.clip(x + 1.5 * (255.0 - 2.0 * x), 0, 255)).max() <= 1


def test_folders_are_mirrored_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "inner").mkdir(parents=True)
    save(folder / "a.png", scene(20, 30))
    Image.fromarray(scene(20, 30)).save(folder / "inner" / "b.jpg")
    Image.fromarray(scene(20, 30)).save(folder / "c.gif", save_all=True, append_images=[Image.fromarray(scene(20, 30, seed=1))])
    (folder / "note.txt").write_text("no picture")
    (folder / "text.png").write_text("no picture either")
    done = apply_files(negative(), folder, tmp_path / "out", sheet=tmp_path / "sheet.png")
    made = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert made == ["a.png", "c.png", "inner/b.jpg"]
    assert [name for name, _ in done.failed] == ["text.png"]
    assert "its content is no picture" in done.text()
    assert "c.gif: the first of its 2 pictures was taken" in done.text()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 288
        assert sheet.height > 3 * 288
    assert len(done.written) == 3
    assert done.sheet == tmp_path / "sheet.png"


def test_pictures_of_formats_that_are_not_read_are_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save(folder / "a.png", scene(20, 30))
    for name in ("IMG_1.HEIC", "IMG_2.heic", "DSC_3.NEF"):
        (folder / name).write_bytes(b"\0\0\0\x18ftypheic")
    done = apply_files(negative(), folder, tmp_path / "out")
    assert "3 pictures of a format that is not read (DSC_3.NEF, IMG_1.HEIC, IMG_2.heic): left out; convert to JPEG, PNG or TIFF first" in done.text()
    with pytest.raises(DataError, match=r"cannot be read.*its format is not read: convert it"):
        apply_files(negative(), folder / "IMG_1.HEIC", tmp_path / "b.png")
    (folder / "a.png").unlink()
    with pytest.raises(DataError, match=r"no pictures in .*3 pictures of a format that is not read"):
        apply_files(negative(), folder, tmp_path / "out2")


def test_pictures_that_differ_in_their_endings_alone_are_both_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    first, second = save(tmp_path / "in" / "a.png", scene(20, 30)), save(tmp_path / "in" / "a.gif", scene(24, 36, 1))
    save(tmp_path / "in" / "b.gif", scene(24, 36, 1))
    Image.fromarray(scene(20, 30)).save(tmp_path / "in" / "b.pcx")
    done = apply_files(same(), tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in done.written) == ["a.gif.png", "a.png", "b.gif.png", "b.pcx.png"]
    assert np.array_equal(pixels(tmp_path / "out" / "a.png"), pixels(first))
    assert np.array_equal(pixels(tmp_path / "out" / "a.gif.png"), pixels(second))


def test_results_inside_the_folder_are_not_taken_for_pictures(tmp_path: Path) -> None:
    save(tmp_path / "a.png", scene(20, 30))
    apply_files(negative(), tmp_path, tmp_path / "out")
    done = apply_files(negative(), tmp_path, tmp_path / "out", overwrite=True)
    assert done.written == (tmp_path / "out" / "a.png",)


def test_tiles_of_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="16 pixels wide or more, not 0"):
        Ways(tile=0)


def test_draws_are_numbered_and_differ(tmp_path: Path) -> None:
    path, changer = save(tmp_path / "a.png", scene(20, 30)), restorer(latent=3)
    done = apply_files(changer, path, tmp_path / "b.png", Ways(draws=3))
    assert done.text().splitlines()[-1] == f"3 pictures, {tmp_path / 'b-1.png'} and so on"
    assert [p.name for p in done.written] == ["b-1.png", "b-2.png", "b-3.png"]
    first = [pixels(p) for p in done.written]
    again = [pixels(p) for p in apply_files(changer, path, tmp_path / "c.png", Ways(draws=3)).written]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({a.tobytes() for a in first}) == 3


def test_masks_say_what_is_replaced(tmp_path: Path) -> None:
    x, hole = scene(90, 120), np.zeros((90, 120, 1), np.uint8)
    hole[20:50, 30:80] = 255
    path, mask = save(tmp_path / "a.png", x), save(tmp_path / "hole.png", hole)
    changer = restorer(3, 3, mask=True)
    made = pixels(apply_files(changer, path, tmp_path / "b.png", Ways(tile=32), mask=mask).written[0])
    changed = (made != x).any(2)
    assert not changed[hole[..., 0] == 0].any()
    assert changed[hole[..., 0] > 0].mean() > 0.9
    x[20:50, 30:80] = 0  # what is in a hole is nothing to the network
    other = pixels(apply_files(changer, save(tmp_path / "c.png", x), tmp_path / "d.png", Ways(tile=64), mask=mask).written[0])
    assert np.abs(other.astype(int) - made)[hole[..., 0] > 0].max() <= 1
    (tmp_path / "masks").mkdir()
    save(tmp_path / "masks" / "a.png", hole)
    (tmp_path / "in").mkdir()
    Image.fromarray(scene(90, 120)).save(tmp_path / "in" / "a.jpg")
    assert apply_files(changer, tmp_path / "in", tmp_path / "out", mask=tmp_path / "masks").written[0].name == "a.jpg"
    black = save(tmp_path / "black.png", np.zeros((90, 120, 1), np.uint8))
    done = apply_files(changer, path, tmp_path / "e.png", mask=black)
    assert "its mask is white nowhere, so nothing was filled" in done.text()
    assert np.array_equal(pixels(done.written[0]), pixels(path))
    assert "white nowhere" not in apply_files(changer, path, tmp_path / "f.png", mask=mask).text()


@pytest.mark.parametrize("kind", ["colour", "transparent white", "grey with alpha"])
def test_masks_are_white_where_they_are_light_and_opaque(kind: str, tmp_path: Path) -> None:
    """A picture with red in it marks nothing, nor does white that nobody sees."""
    x, hole = scene(40, 50), np.zeros((40, 50, 1), np.uint8)
    hole[10:20, 15:30] = 255
    if kind == "colour":
        mask = hole.repeat(3, 2)
        mask[25:35, 5:15] = (255, 0, 0)
    else:
        mask = np.concatenate([np.full((40, 50, 3 if kind == "transparent white" else 1), 255, np.uint8), hole], 2)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    changer = restorer(3, 3, mask=True)
    expected = pixels(apply_files(changer, save(tmp_path / "a.png", x), tmp_path / "b.png", mask=save(tmp_path / "hole.png", hole)).written[0])
    made = pixels(apply_files(changer, tmp_path / "a.png", tmp_path / "c.png", mask=tmp_path / "mask.png").written[0])
    assert np.array_equal(made, expected)


def test_lab_becomes_rgb_without_the_profile_of_lab(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(scene(20, 30)).convert("LAB").save(tmp_path / "a.tif", icc_profile=lab)
    done = apply_files(same(), tmp_path / "a.tif", tmp_path / "b.tif")
    assert "Lab became RGB" in done.text()
    with Image.open(done.written[0]) as made:
        assert made.mode == "RGB"
        assert not made.info.get("icc_profile")
        assert np.abs(np.asarray(made).astype(int) - scene(20, 30)).mean() < 4


def test_jpegs_keep_their_quality(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(scene(128, 128)).save(path, quality=90)
    made = apply_files(same(), path, tmp_path / "b.jpg").written[0]
    assert np.abs(pixels(made).astype(int) - pixels(path)).mean() < 2
    small = apply_files(same(), path, tmp_path / "c.jpg", Ways(quality=30)).written[0]
    assert small.stat().st_size < made.stat().st_size / 2


def test_a_network_is_never_asked_for_more_than_it_is(tmp_path: Path) -> None:
    """The Changer itself says what cannot be."""
    from rivalry.errors import RecipeError

    for settings in ({"inputs": 2}, {"scale": 5}, {"mask": True, "scale": 2}, {"multiple": 0}):
        with pytest.raises(RecipeError):
            Changer(**{"net": same().net, "inputs": 3, "outputs": 3, **settings})  # type: ignore[arg-type]
