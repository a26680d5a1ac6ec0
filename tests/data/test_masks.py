import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import masks

SQUARE = np.zeros((20, 24), bool)
SQUARE[4:10, 5:12] = True


def saved(pixels, kind="png", **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(encoded):
    with pytest.raises(ValueError, match=r"^decode_mask: gt\.png ") as error:
        masks.decode_mask(encoded, name="gt.png")
    assert "\n" not in str(error.value)
    return str(error.value)


def gray(value, dtype=np.uint8):
    return np.where(SQUARE, value, 0).astype(dtype)


def painted(colour, mode):
    """A square of a colour on a plain ground: of RGBA a transparent one."""
    image = Image.new(mode, SQUARE.shape[::-1], (0,) * len(mode))
    image.paste(colour, (5, 4, 12, 10))
    return image


def palette():
    image = Image.fromarray(gray(1)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0])
    return image


@pytest.mark.parametrize(
    ("image", "is_black_and_white"),
    [
        (gray(255), True),
        (Image.fromarray(SQUARE), True),
        (gray(1), False),
        (gray(60), False),
        (gray(1, np.uint16), False),
        (gray(65535, np.uint16), False),
        (painted((255, 0, 0), "RGB"), False),
        (palette(), False),
        (painted((255, 255, 255, 255), "RGBA"), False),
        (painted((255, 0, 0, 128), "RGBA"), False),
    ],
)
def test_one_colour_on_black_marks_the_defect(image, is_black_and_white):
    found = masks.read_mask(saved(image), name="gt.png")
    np.testing.assert_array_equal(found.defect, SQUARE)
    assert found.is_black_and_white == is_black_and_white


def test_truth_in_the_alpha_channel_is_read_from_there():
    """All is white, and but for the defect transparent."""
    rgba = np.full((*SQUARE.shape, 4), 255, np.uint8)
    rgba[..., 3] = gray(255)
    np.testing.assert_array_equal(masks.decode_mask(saved(rgba), name="x"), SQUARE)
    np.testing.assert_array_equal(
        masks.decode_mask(saved(rgba[..., 2:]), name="x"), SQUARE
    )


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_smooth_edges_are_cut_in_the_middle(kind):
    large = Image.fromarray(np.kron(gray(255), np.full((8, 8), 1, np.uint8)))
    smooth = large.resize((48, 40), Image.Resampling.BILINEAR)
    found = masks.read_mask(saved(smooth, kind), name="x")
    np.testing.assert_array_equal(found.defect, np.kron(SQUARE, np.ones((2, 2), bool)))
    assert found.is_black_and_white


def test_an_empty_mask_is_empty():
    assert not masks.decode_mask(saved(gray(0)), name="x").any()


@pytest.mark.parametrize(
    ("ground", "first", "second", "said"),
    [
        (0, 60, 200, "of values 60 to 200;"),
        (0, 128, 255, "of values 128 to 128;"),
        (127, 63, 63, "of values 63 to 127;"),
    ],
)
def test_grays_that_are_no_edges_are_refused(ground, first, second, said):
    pixels = np.full(SQUARE.shape, ground, np.uint8)
    pixels[2:9, 2:9], pixels[11:18, 11:18] = first, second
    message = refusal(saved(pixels))
    assert "neither black nor white nor at an edge" in message
    assert said in message


def test_several_colours_are_refused():
    image = painted((255, 0, 0), "RGB")
    image.paste((0, 255, 0), (14, 12, 20, 18))
    assert "holds several colours" in refusal(saved(image))


def test_an_inverted_mask_is_refused_and_a_large_defect_is_not():
    inverted = np.where(SQUARE, 0, 255).astype(np.uint8)
    assert "marks all four corners and 91% of the image" in refusal(saved(inverted))
    assert "100%" in refusal(saved(np.full_like(inverted, 255)))
    inverted[-1, -1] = 0
    found = masks.decode_mask(saved(inverted), name="x")
    assert found.sum() == SQUARE.size - SQUARE.sum() - 1


@pytest.mark.parametrize("damage", [lambda whole: whole[:-40], lambda _: b"no"])
def test_a_damaged_mask_is_named(damage):
    assert "is truncated" in refusal(damage(saved(gray(255))))
