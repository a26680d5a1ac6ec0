import numpy as np
import pytest
from jax.image import resize
from PIL import Image

from vae_jax.inspection import marking
from vae_jax.inspection.marking import Marks, Scale


@pytest.fixture
def marks(tmp_path):
    scale = Scale(0.0, 1.0)
    return Marks(tmp_path, map_scale=scale, colours=scale)


def draw(marks, pixels, values, *, threshold=0.5):
    """The three pictures, read back, and the share that is marked."""
    mask = marking.draw(marks, "deep/a.jpg", pixels, values, threshold=threshold)
    kinds = ("maps", "masks", "overlays")
    files = [marks.folder / kind / "deep" / "a.jpg.png" for kind in kinds]
    return [np.asarray(Image.open(file)) for file in files], mask.mean()


def gray(height, width, value=100):
    return np.full((height, width, 1), value, np.uint8)


def test_the_map_is_16_bits_of_the_scale(marks):
    marks = marks._replace(map_scale=Scale(-1.0, 3.0))
    values = np.array([[-2.0, -1.0, 0.0], [1.0, 3.0, 9.0]], np.float32)
    (codes, _, _), _ = draw(marks, gray(2, 3), values)
    assert codes.dtype == np.uint16
    expected = [[0, 0, 16384], [32768, 65535, 65535]]
    np.testing.assert_allclose(codes, expected, atol=1)


def test_what_reaches_the_threshold_is_marked(marks):
    values = np.array([[0.49, 0.5], [0.2, 0.9]], np.float32)
    (_, mask, _), share = draw(marks, gray(2, 2), values)
    np.testing.assert_array_equal(mask, [[False, True], [False, True]])
    assert share == 0.5


def test_the_overlay_is_the_image_where_the_map_is_weak(marks):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    (_, _, overlay), _ = draw(marks, pixels, np.zeros((5, 7), np.float32))
    np.testing.assert_array_equal(overlay, pixels)


def test_the_overlay_outlines_what_is_marked(marks):
    values = np.zeros((40, 40), np.float32)
    values[10:20, 10:20] = 1
    (_, _, overlay), _ = draw(marks, gray(40, 40), values)
    outlined = (overlay == marking._OUTLINE).all(-1)
    expected = np.zeros((40, 40), np.bool_)
    expected[10:20, 10:20] = True
    expected[11:19, 11:19] = False
    np.testing.assert_array_equal(outlined, expected)


def test_the_colours_get_brighter_with_the_map(marks):
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    (_, _, overlay), _ = draw(marks, gray(1, 256, value=0), ramp, threshold=2.0)
    luminance = overlay[0] @ [0.299, 0.587, 0.114]
    assert (np.diff(luminance) > -1).all()
    assert luminance[-1] > 190


@pytest.mark.parametrize("size", [(57, 90), (20, 300)])
def test_strips_join_without_a_seam(marks, monkeypatch, size):
    values = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    (whole, _, _), _ = draw(marks, gray(*size), values)
    monkeypatch.setattr(marking, "STRIP_PIXELS", 500)
    (strips, _, _), _ = draw(marks, gray(*size), values)
    np.testing.assert_allclose(strips.astype(int), whole, atol=1)


@pytest.mark.parametrize("size", [(16, 16), (40, 33), (9, 30)])
def test_maps_are_enlarged_as_in_evaluation(size):
    values = np.random.default_rng(0).random((16, 16), dtype=np.float32)
    ours = marking.resized(values, size, slice(0, size[0]))
    np.testing.assert_allclose(ours, resize(values, size, "bilinear"), atol=1e-5)


def test_a_picture_that_cannot_be_finished_leaves_the_former_one(marks, monkeypatch):
    draw(marks, gray(4, 4), np.zeros((4, 4), np.float32))
    file = marks.file("maps", "deep/a.jpg")
    before = file.read_bytes()

    def fill_the_disk(image, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        draw(marks, gray(4, 4), np.ones((4, 4), np.float32))
    assert file.read_bytes() == before


def test_names_that_differ_in_their_ending_only_do_not_share_a_file(marks):
    assert marks.file("maps", "a.png") != marks.file("maps", "a.jpg")
