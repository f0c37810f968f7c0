import io
import re
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageOps

from rivalry.data import ReadOptions, png16
from rivalry.data.frames import as_frames, scale_of, stored
from rivalry.data.pixels import Look, Plan, decode, look, quiet
from rivalry.data.plan import choose_plan, proposed_size
from rivalry.errors import DataError

from .files import noise, smooth


def encoded(picture, kind="PNG", **settings):
    stream = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(stream, kind, **settings)
    return stream.getvalue()


def pixels(content, *plan, **more):
    with quiet():
        found = decode(content, Plan(*plan, **more))
    assert not found.reason
    return found.pixels


GREY, COLOUR, ALPHA = noise(3, 9, 7)[0], noise(1, 9, 7, 3)[0], noise(1, 9, 7, 4, seed=4)[0]
ALPHA[..., 3] |= 1  # no pixel that cannot be seen


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "TGA", "PPM"])
@pytest.mark.parametrize(("picture", "channels"), [(GREY, 1), (COLOUR, 3)])
def test_lossless_formats_are_exact(kind, picture, channels):
    expected = picture[None] if channels == 1 else picture.transpose(2, 0, 1)
    assert np.array_equal(pixels(encoded(picture, kind), 9, 7, channels), expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_is_exact_where_it_can_be_seen(kind):
    assert np.array_equal(pixels(encoded(ALPHA, kind), 9, 7, 4), ALPHA.transpose(2, 0, 1))
    hidden = ALPHA.copy()
    hidden[2, 3, 3] = 0
    assert not pixels(encoded(hidden, kind), 9, 7, 4)[:, 2, 3].any()


def test_deep_grey_is_exact():
    deep = noise(1, 9, 7, dtype=np.uint16)[0]
    for kind in ("PNG", "TIFF", "PPM"):
        assert np.array_equal(pixels(encoded(deep, kind), 9, 7, 1, bits=16), deep[None]), kind


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_colour_is_exact(channels):
    deep = noise(1, 9, 7, channels, dtype=np.uint16)[0] | 1
    stream = io.BytesIO()
    png16.write(deep, stream)
    assert np.array_equal(pixels(stream.getvalue(), 9, 7, channels, bits=16), deep.transpose(2, 0, 1))
    assert look(stream.getvalue()).bits == 16


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_every_filter_of_deep_png(mode):
    """Against Pillow: the high bytes of 16-bit rows are what it makes of the file."""
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}[mode]
    height, width, pixel = 10, 6, 2 * channels
    raw = noise(1, height, width, pixel, seed=7)[0]
    kinds = np.arange(height) % 5
    plain = np.zeros((height + 1, width + 1, pixel), dtype=int)
    for y in range(height):
        for x in range(width):
            left, up, corner = plain[y + 1, x], plain[y, x + 1], plain[y, x]
            guess = left + up - corner
            nearest = np.argmin(np.abs([guess - left, guess - up, guess - corner]), axis=0)
            paeth = np.choose(nearest, [left, up, corner])
            add = [0 * left, left, up, (left + up) // 2, paeth][kinds[y]]
            plain[y + 1, x + 1] = (raw[y, x] + add) % 256
    lines = np.concatenate([kinds[:, None], raw.reshape(height, -1)], 1).astype(np.uint8)
    colour = {3: 2, 4: 6, 2: 4}[channels]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes())),
        (b"IEND", b""),
    ]
    content = png16.SIGNATURE + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )
    found = png16.read(content)
    expected = plain[1:, 1:].astype(np.uint8).reshape(height, -1).view(">u2").reshape(height, width, channels)
    assert np.array_equal(found, expected)
    if mode != "LA":
        assert np.array_equal(found >> 8, np.asarray(Image.open(io.BytesIO(content))))


def test_truncated_deep_png():
    stream = io.BytesIO()
    png16.write(noise(1, 9, 7, 3, dtype=np.uint16)[0], stream)
    for cut in (-20, -100, 60):
        assert "truncated" in decode(stream.getvalue()[:cut], Plan(9, 7, 3, 16)).reason


@pytest.mark.parametrize(
    ("mode", "channels"),
    [
        ("1", 1),
        ("L", 1),
        ("LA", 4),
        ("P", 3),
        ("PA", 4),
        ("RGB", 3),
        ("RGBA", 4),
        ("CMYK", 3),
        ("YCbCr", 3),
        ("I;16", 1),
    ],
)
@pytest.mark.parametrize("wanted", [1, 3, 4])
def test_any_mode_becomes_any_other(mode, channels, wanted):
    source = Image.fromarray(noise(1, 8, 8, dtype=np.uint16)[0]) if mode == "I;16" else Image.fromarray(ALPHA)
    opaque = source if mode in ("I;16", "LA", "PA", "RGBA") else source.convert("RGB")
    picture = opaque if mode == "I;16" else opaque.convert(mode[:1] if mode == "PA" else mode)
    content = encoded(picture, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    for bits in (8, 16):
        found = pixels(content, 8, 8, wanted, bits=bits)
        assert found.shape == (wanted, 8, 8)
        assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert look(content).channels == channels


def test_eight_bits_in_sixteen_and_back():
    assert np.array_equal(pixels(encoded(GREY), 9, 7, 1, bits=16), GREY[None].astype(int) * 257)
    deep = GREY.astype(np.uint16) * 257
    assert np.array_equal(pixels(encoded(deep), 9, 7, 1), GREY[None])


def test_transparency_is_laid_on_white():
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    assert (pixels(encoded(clear), 4, 4, 3) == 255).all()
    assert (pixels(encoded(clear), 4, 4, 1, bits=16) == 65535).all()


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_turned_upright(turn):
    picture = Image.fromarray(smooth(1, 32, 16)[0])
    exif = Image.Exif()
    exif[0x0112] = turn
    content = encoded(picture, "PNG", exif=exif) if turn == 2 else encoded(picture, "JPEG", quality=95, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    with quiet():
        found = decode(content, Plan(expected.height, expected.width, 3))
    assert np.array_equal(found.pixels, np.asarray(expected).transpose(2, 0, 1))
    assert found.size == expected.size
    assert (look(content).width, look(content).height) == expected.size


@pytest.mark.parametrize("bits", [8, 16])
def test_crop_takes_the_middle_pad_keeps_all_stretch_distorts(bits):
    wide = np.zeros((16, 48), dtype=np.uint8)
    wide[:, 16:32] = 255
    wide[[0, -1]] = 0
    content = encoded(wide if bits == 8 else wide.astype(np.uint16) * 257)
    top = 255 if bits == 8 else 65535
    crop, pad, stretch = (pixels(content, 16, 16, 1, bits=bits, fit=f)[0] for f in ("crop", "pad", "stretch"))
    assert (crop[2:-2] == top).all()
    assert not pad[:5].any()
    assert not pad[-5:].any()
    assert 0.25 < (pad > top / 2).mean() * 3 < 0.4
    assert not stretch[:, :4].any()
    assert stretch[8, 8] == top


def test_padding_of_alpha_is_clear():
    wide = np.full((8, 32, 4), 200, dtype=np.uint8)
    for bits in (8, 16):
        found = pixels(encoded(wide), 16, 16, 4, bits=bits, fit="pad")
        assert not found[:, :4].any()
        assert found[3, 8, 8] > 0


def test_resizing_does_not_bleed_what_is_hidden():
    half = np.zeros((32, 32, 4), dtype=np.uint8)
    half[:, :16] = (0, 255, 0, 255)
    half[:, 16:] = (255, 0, 0, 0)
    assert pixels(encoded(half), 7, 7, 4)[0].max() == 0


def test_deep_resizing_stays_close_to_eight_bits():
    picture = np.asarray(Image.fromarray(smooth(1, 40, 30)[0]).convert("L"))
    eight = pixels(encoded(picture), 16, 16, 1).astype(int)
    sixteen = pixels(encoded(picture.astype(np.uint16) * 257), 16, 16, 1, bits=16) / 257
    assert np.abs(eight - sixteen).max() < 1


def test_big_jpegs_are_drafted_without_visible_change():
    picture = Image.fromarray(smooth(1, 512, 640)[0])
    content = encoded(picture, "JPEG", quality=95)
    full = np.asarray(
        Image.open(io.BytesIO(content)).resize((32, 32), Image.Resampling.LANCZOS, box=(64, 0, 576, 512))
    )
    assert np.abs(pixels(content, 32, 32, 3).astype(int) - full.transpose(2, 0, 1)).mean() < 1


def test_animations_give_their_first_frame():
    frames = [Image.fromarray(f) for f in noise(3, 9, 7)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(content, 9, 7, 1).shape == (1, 9, 7)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello, I am a text file", "no picture"),
        (encoded(COLOUR)[:60], "truncated|broken|end|Truncated"),
        (encoded(smooth(1, 64, 64)[0], "JPEG")[:300], "truncated"),
        (encoded(Image.new("1", (9000, 9000))), "decompression bomb"),
        (encoded(Image.new("1", (15000, 15000))), "decompression bomb"),
        (encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "floating-point"),
        (encoded(Image.fromarray(GREY.astype(np.int32) * 1000), "TIFF"), "32-bit"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
    ],
)
def test_broken_files_give_a_reason(content, says):
    with quiet():
        found = decode(content, Plan(8, 8, 1))
    assert found.pixels is None
    assert re.search(says, found.reason), found.reason


# -- what all pictures become ------------------------------------------------------------------------------------


def looks(*sizes, mode="RGB", **more):
    return [Look(w, h, mode, **more) for h, w in sizes]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(112, 92)] * 3, (112, 92)),
        ([(512, 256)] * 3, (256, 128)),
        ([(256, 512)] * 3, (128, 256)),
        ([(1000, 1000)] * 2, (256, 256)),
        ([(70, 64), (64, 66), (90, 60)], (64, 64)),
        ([(300, 200), (310, 200), (150, 100)], (192, 128)),
        ([(100, 150), (200, 310), (210, 300)], (128, 192)),
        ([(60, 60), (600, 60), (60, 600)], (64, 64)),
        ([(5, 5), (6, 6)], (16, 16)),
        ([(3000, 3000), (4000, 4100)], (256, 256)),
    ],
)
def test_the_size_chosen(sizes, expected):
    assert proposed_size(Counter(sizes)) == expected


def test_what_was_asked_for_goes_first():
    plan, notes = choose_plan(looks((20, 20), (30, 30)), ReadOptions(size=(24, 16), channels=1, fit="pad"))
    assert (plan.height, plan.width, plan.channels, plan.fit) == (24, 16, 1, "pad")
    assert notes == []


def test_channels_follow_the_files():
    grey, colour, clear = looks((8, 8), mode="L"), looks((8, 8)), looks((8, 8), mode="RGBA", alpha=True)
    opaque = looks((8, 8), mode="RGBA")
    for given, expected in [
        (grey, 1),
        (colour, 3),
        (clear, 4),
        (opaque, 3),
        (grey + colour, 3),
        (clear + colour, 4),
        (clear + colour * 5, 3),
    ]:
        assert choose_plan(given, ReadOptions())[0].channels == expected
    assert choose_plan(grey + looks((8, 8), mode="I;16", bits=16), ReadOptions())[0].bits == 16


# -- arrays as pictures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((9, 28, 28), (9, 28, 28, 1)),
        ((9, 28, 20, 3), (9, 28, 20, 3)),
        ((9, 3, 28, 20), (9, 28, 20, 3)),
        ((9, 1, 28, 28), (9, 28, 28, 1)),
        ((9, 784), (9, 28, 28, 1)),
        ((9, 3072), (9, 32, 32, 3)),
    ],
)
def test_axes_of_arrays(shape, expected):
    assert as_frames(np.zeros(shape), "here")[0].shape == expected


@pytest.mark.parametrize("shape", [(32, 32, 3), (9, 28, 28, 2), (9, 5, 28, 28), (2, 2, 2, 2, 2)])
def test_arrays_that_are_no_pictures(shape):
    with pytest.raises(DataError, match="shape"):
        as_frames(np.zeros(shape), "here")


@pytest.mark.parametrize(
    ("values", "bits", "high"),
    [
        (np.array([False, True]), 8, 255),
        (np.array([0, 200], dtype=np.uint8), 8, 255),
        (np.array([0, 200], dtype=np.int64), 8, 255),
        (np.array([0, 1], dtype=np.uint8), 8, 255),
        (np.array([0, 3000], dtype=np.uint16), 16, 4095),
        (np.array([-1024, 2000], dtype=np.int16), 16, 3024),
        (np.array([0, 10**6]), 16, 65535),
        (np.array([0.0, 0.5, 1.0]), 16, 65535),
        (np.array([0.0, 51 / 255, 1.0], dtype=np.float32), 8, 255),
        (np.array([-1.0, 1.0]), 8, 255),
        (np.array([0.0, 100.0, 255.0]), 8, 255),
        (np.array([0.0, 7.0, 16.0]), 8, 255),
        (np.array([-3.5, 2.25, 9.1]), 16, 65535),
    ],
)
def test_what_numbers_mean(values, bits, high):
    scale, _ = scale_of(values, "here")
    assert (scale.bits, scale.high) == (bits, high)
    back = stored(values, scale) * scale.scale + scale.offset
    assert back == pytest.approx(values.astype(float), abs=np.ptp(values.astype(float)) / 254)


@pytest.mark.parametrize("values", [[1.0, np.nan], [1.0, np.inf], [3.0, 3.0]])
def test_numbers_that_mean_nothing(values):
    with pytest.raises(DataError):
        scale_of(np.array(values), "here")
