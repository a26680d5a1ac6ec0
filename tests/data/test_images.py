import io
import re
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vae_jax.data import images

GRAY = {"channels": 1, "name": "x"}


def png(image: Image.Image, **options: object) -> bytes:
    return saved(image, "png", **options)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]), st.integers(0, 9))
def test_decode_inverts_encode(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, size=(height, width, channels), dtype=np.uint8)
    decoded = images.decode(images.encode(pixels), channels=channels, name="x")
    np.testing.assert_array_equal(decoded, pixels)


def test_a_palette_gives_colours_not_indices():
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    indexed.putpalette([255, 0, 0, 0, 0, 255])
    decoded = images.decode(png(indexed), channels=3, name="x")
    np.testing.assert_array_equal(decoded[0], [[255, 0, 0], [0, 0, 255]])


def test_a_transparent_palette_does_not_warn():
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    indexed.putpalette([255, 0, 0, 0, 0, 255])
    decoded = images.decode(
        png(indexed, transparency=b"\x00\xff"), channels=3, name="x"
    )
    np.testing.assert_array_equal(decoded[0], [[255, 0, 0], [0, 0, 255]])


def test_16_bits_are_rounded_to_8_not_clipped():
    every = np.arange(65536).reshape(256, 256)
    wide = png(Image.fromarray(every.astype(np.uint16)))
    decoded = images.decode(wide, channels=1, name="x")
    np.testing.assert_array_equal(decoded[..., 0], np.rint(every / 257))


@pytest.mark.parametrize("dtype", [">u2", "<u2", "<i4"])
def test_wide_tiffs_have_the_range_of_16_bits(dtype):
    values = np.array([[0, 257 * 100, 65535]])
    kind = {">u2": "I;16B", "<u2": "I;16", "<i4": "I"}[dtype]
    wide = Image.frombytes(kind, (3, 1), values.astype(dtype).tobytes())
    decoded = images.decode(saved(wide, "tiff"), channels=1, name="x")
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 100, 255])
    assert images.read_header(saved(wide, "tiff"), name="x") == (1, 3, 1)


def test_floating_point_has_the_range_of_the_unit_interval():
    real = Image.fromarray(np.array([[0, 100 / 255, 1]], np.float32))
    decoded = images.decode(saved(real, "tiff"), channels=3, name="x")
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 100, 255])


@pytest.mark.parametrize("values", [[-1, 5], [0, 65536]])
def test_whole_numbers_beyond_16_bits_are_refused(values):
    wide = saved(Image.fromarray(np.array([values], np.int32)), "tiff")
    with pytest.raises(ValueError, match=r"a\.tif is whole, but .* 65535\], or"):
        images.decode(wide, channels=1, name="a.tif")


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan])
def test_real_numbers_beyond_the_unit_interval_are_refused(value):
    real = saved(Image.fromarray(np.array([[0.5, value]], np.float32)), "tiff")
    with pytest.raises(ValueError, match=r"floating-point values .* to \[0, 1\], or"):
        images.decode(real, channels=1, name="a.tif")


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "bmp"),
        ("L", "bmp"),
        ("1", "bmp"),
        ("P", "gif"),
        ("CMYK", "jpeg"),
        ("YCbCr", "jpeg"),
        ("RGB", "jpeg"),
        ("L", "jpeg"),
        ("RGB", "jpeg2000"),
        ("RGB", "ppm"),
        ("L", "ppm"),
        ("RGBA", "tiff"),
        ("CMYK", "tiff"),
        ("1", "tiff"),
        ("RGB", "webp"),
        ("RGBA", "webp"),
    ],
)
def test_a_colour_survives_every_format(mode, kind):
    red = Image.new("RGB", (40, 33), (250, 10, 10)).convert(mode)
    encoded = saved(red, kind)
    decoded = images.decode(encoded, channels=3, name="x")
    assert decoded.shape == (33, 40, 3)
    expected = np.asarray(red.convert("RGB"), np.int16)
    assert np.abs(decoded - expected).max() <= 8  # lossy formats
    assert images.read_header(encoded, name="x")[:2] == (33, 40)


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)],
)
def test_the_header_tells_gray_from_colour(mode, channels):
    encoded = png(Image.new(mode, (4, 5)))
    assert images.read_header(encoded, name="x") == (5, 4, channels)


def wide_png(values: np.ndarray) -> bytes:
    """PNG of 16-bit colour, with an alpha channel or not, which PIL does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
        )

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def wide_tiff(values: np.ndarray, order: str, *, packed: bool) -> bytes:
    """TIFF of 16-bit colour, in either byte order, deflated or not."""
    height, width, _ = values.shape
    strip = values.astype(order + "u2").tobytes()
    strip = zlib.compress(strip) if packed else strip
    strip += b"\0" * (len(strip) % 2)
    short, long, first = 3, 4, 8
    entries = [
        (256, short, 1, width),
        (257, short, 1, height),
        (258, short, 3, first + len(strip)),  # three bit depths, behind the strip
        (259, short, 1, 8 if packed else 1),
        (262, short, 1, 2),
        (273, long, 1, first),
        (277, short, 1, 3),
        (278, short, 1, height),
        (279, long, 1, len(strip)),
    ]
    content = (b"II" if order == "<" else b"MM") + struct.pack(
        order + "HI", 42, first + len(strip) + 6
    )
    content += strip + struct.pack(order + "3H", 16, 16, 16)
    content += struct.pack(order + "H", len(entries))
    for tag, kind, count, value in entries:
        is_short = kind == short and count == 1
        shape, padded = ("HH", (value, 0)) if is_short else ("I", (value,))
        content += struct.pack(order + "HHI" + shape, tag, kind, count, *padded)
    return content + struct.pack(order + "I", 0)


def test_colour_of_16_bits_keeps_its_upper_8():
    encoded = wide_png(np.array([[[0x12FF, 0x8000, 0xFF00]]]))
    decoded = images.decode(encoded, channels=3, name="x")
    np.testing.assert_array_equal(decoded[0, 0], [0x12, 0x80, 0xFF])


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_gray_of_fewer_bits_in_16_is_scaled_by_those_in_use(bits):
    white = 2**bits - 1
    every = np.arange(white + 1, dtype=np.uint16).reshape(16, -1)
    encoded = png(Image.fromarray(every))
    assert images.bits_used(encoded, name="x") == bits
    decoded = images.decode(encoded, channels=1, name="x", bits=bits)
    np.testing.assert_array_equal(decoded[..., 0], np.rint(every * (255 / white)))
    brighter = png(Image.fromarray(np.array([[white + 1]], np.uint16)))
    assert images.bits_used(brighter, name="x") == bits + 1
    assert images.decode(brighter, channels=1, name="x", bits=bits).item() == 255


@pytest.mark.parametrize(
    "encode",
    [
        wide_png,
        lambda values: wide_png(np.concatenate([values, values[..., :1]], -1)),
        lambda values: wide_tiff(values, "<", packed=False),
        lambda values: wide_tiff(values, ">", packed=False),
        lambda values: wide_tiff(values, "<", packed=True),
        lambda values: wide_tiff(values, ">", packed=True),
    ],
    ids=["png", "png with alpha", "<", ">", "deflated <", "deflated >"],
)
def test_colour_of_12_bits_in_16_keeps_8_of_them(encode):
    values = np.random.default_rng(0).integers(0, 4096, (5, 7, 3))
    encoded = encode(values)
    assert images.bits_used(encoded, name="x") == 12
    decoded = images.decode(encoded, channels=3, name="x", bits=12)
    np.testing.assert_array_equal(decoded, np.rint(values * (255 / 4095)))
    plain = images.decode(encoded, channels=3, name="x")
    np.testing.assert_array_equal(plain, values >> 8)


def test_files_of_8_bits_and_formats_that_know_their_white_are_as_they_are():
    gray = Image.fromarray(np.full((3, 4), 9, np.uint8))
    assert images.bits_used(png(gray), name="x") == 0
    np.testing.assert_array_equal(images.decode(png(gray), bits=12, **GRAY), 9)
    wide = b"P5 2 1 4095\n" + np.array([0, 4095], ">u2").tobytes()
    assert images.bits_used(wide, name="x") == 0
    np.testing.assert_array_equal(
        images.decode(wide, channels=1, name="x")[..., 0], [[0, 255]]
    )


@pytest.mark.parametrize("kind", ["tiff", "gif", "webp", "png"])
@pytest.mark.parametrize(
    "read", [images.read_header, partial(images.decode, channels=1), images.bits_used]
)
def test_several_images_in_a_file_are_refused(read, kind):
    """A defect on the second page would not be seen."""
    pages = [Image.new("L", (40, 40), value) for value in (7, 200)]
    encoded = saved(pages[0], kind, save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r": a\.tif holds several images, .*save each"):
        read(encoded, name="a.tif")


def test_beside_a_thumbnail_the_image_is_taken():
    pages = [Image.new("L", (3, 2), 7), Image.new("L", (2, 1), 8)]
    encoded = saved(pages[0], "tiff", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(images.decode(encoded, channels=1, name="x"), 7)


def test_postscript_is_not_run():
    with pytest.raises(ValueError, match="none of the formats BMP, DIB, GIF"):
        images.decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", **GRAY)


def test_a_decompression_bomb_is_refused_by_name(monkeypatch):
    encoded = png(Image.new("L", (30, 30)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(ValueError, match=r"x is truncated .*exceeds limit"):
        images.decode(encoded, **GRAY)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["bmp", "gif", "jpeg", "jpeg2000", "png", "tiff", "webp"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=4),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_give_an_image_or_one_line(kind, cut, flips):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(20, 20, 3), dtype=np.uint8)
    damaged = bytearray(saved(Image.fromarray(pixels), kind))
    for place, change in flips:
        damaged[int(place * len(damaged))] ^= change
    del damaged[max(1, int(cut * len(damaged))) :]
    for read in (
        lambda: images.decode(bytes(damaged), **GRAY),
        lambda: images.decode(bytes(damaged), bits=12, **GRAY),
        lambda: images.read_header(bytes(damaged), name="x"),
        lambda: images.bits_used(bytes(damaged), name="x"),
    ):
        assert re.match(
            r"(decode|read_header|bits_used): x is truncated .|$", complaint(read)
        )


def complaint(read) -> str:
    try:
        read()
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("mode", ["1", "LA", "RGBA", "L", "RGB"])
def test_white_is_white_in_every_mode(mode):
    white = png(Image.new("RGBA", (3, 2), "white").convert(mode))
    for channels in (1, 3):
        decoded = images.decode(white, channels=channels, name="x")
        np.testing.assert_array_equal(decoded, np.full((2, 3, channels), 255))


def test_the_exif_orientation_is_applied():
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    decoded = images.decode(
        png(Image.fromarray(pixels), exif=exif), channels=1, name="x"
    )
    np.testing.assert_array_equal(decoded[..., 0], np.rot90(pixels, -1))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_header_is_that_of_the_image_as_shown(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    encoded = saved(Image.new("RGB", (40, 33)), kind, exif=exif)
    assert images.read_header(encoded, name="x") == (40, 33, 3)
    assert images.decode(encoded, channels=3, name="x").shape == (40, 33, 3)


@pytest.mark.parametrize("function", ["decode", "read_header"])
@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-40], lambda _: b"", lambda w: b"no"]
)
def test_a_damaged_file_is_named(function, damage):
    rng = np.random.default_rng(0)
    whole = images.encode(rng.integers(0, 256, size=(30, 30, 3), dtype=np.uint8))
    arguments = {"channels": 3} if function == "decode" else {}
    with pytest.raises(ValueError, match=r"train/good/007\.png is truncated") as error:
        getattr(images, function)(damage(whole), name="train/good/007.png", **arguments)
    assert "\n" not in str(error.value)


def test_decode_refuses_two_channels():
    with pytest.raises(ValueError, match="channels must be 1 or 3, got 2"):
        images.decode(b"", channels=2, name="x")


def test_the_header_tells_size_and_channels():
    colour = images.encode(np.zeros((4, 7, 3), np.uint8))
    assert images.read_header(colour, name="x") == (4, 7, 3)
    gray = images.encode(np.zeros((4, 7), np.uint8))
    assert images.read_header(gray, name="x") == (4, 7, 1)


def test_resize_averages_before_it_samples():
    """A checkerboard of pixels is gray from afar; plain sampling keeps 0 or 255."""
    y, x = np.indices((128, 128))
    board = (255 * ((x + y) % 2)).astype(np.uint8)[..., None]
    small = images.resize(board, 32, name="x")
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 2


def test_resize_keeps_a_constant_and_enlarges_a_little():
    constant = np.full((40, 60, 3), 77, np.uint8)
    np.testing.assert_array_equal(images.resize(constant, 64, name="x"), 77)


@pytest.mark.parametrize(("side", "size"), [(31, 32), (31, 64), (60, 256)])
def test_an_image_far_smaller_than_the_network_is_refused(side, size):
    tiny = np.zeros((100, side, 1), np.uint8)
    with pytest.raises(ValueError, match=rf"a\.png is 100x{side} pixels, smaller"):
        images.resize(tiny, size, name="a.png")


def test_stretch_takes_any_image_and_is_resize_where_that_is_allowed():
    random = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    same = images.resize(random, 64, name="x")
    np.testing.assert_array_equal(images.stretch(random, 64), same)
    assert (
        images.stretch(np.full((8, 5, 1), 9, np.uint8), 256).tolist()
        == [[[9]] * 256] * 256
    )


def test_resize_mask_takes_the_pixel_under_each_centre():
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 4] = True  # the centre of the middle third
    expected = np.zeros((3, 3), np.bool_)
    expected[1, 1] = True
    np.testing.assert_array_equal(images.resize_mask(mask, 3), expected)
    np.testing.assert_array_equal(
        images.resize_mask(mask, 18), np.kron(mask, np.ones((2, 2), np.bool_))
    )


def test_to_float_covers_the_unit_interval_exactly():
    scaled = images.to_float(np.array([0, 51, 255], np.uint8))
    np.testing.assert_array_equal(scaled, np.array([0.0, 0.2, 1.0], np.float32))
    assert scaled.dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_check_finite_names_the_first_broken_image(value):
    batch = np.zeros((3, 2, 2, 1), np.float32)
    images.check_finite(batch)
    batch[1, 0, 0, 0] = batch[1, 1, 1, 0] = batch[2, 0, 0, 0] = value
    with pytest.raises(
        ValueError, match=r"image 1 \(b\.png\) has 2 NaN .*2 such images of 3"
    ):
        images.check_finite(batch, names=["a.png", "b.png", "c.png"])
    with pytest.raises(ValueError, match="image 1 has 2 NaN"):
        images.check_finite(batch)
