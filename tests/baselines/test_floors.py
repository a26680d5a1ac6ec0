"""Facts about the trivial floors."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import metrics
from vae_jax.baselines import floors

MEAN = np.full((32, 32, 1), 0.8, np.float32)
EACH_FLOOR = pytest.mark.parametrize(
    "floor",
    [
        floors.local_contrast,
        lambda images: floors.distance_from_mean(
            images, jnp.broadcast_to(MEAN, images.shape[1:])
        ),
        floors.silhouette,
        lambda images: floors.variation(
            images, MEAN[..., 0], np.full((32, 32), 0.25, np.float32)
        ),
    ],
    ids=["local_contrast", "distance_from_mean", "silhouette", "variation"],
)


def noisy_patches():
    """Flat bright images, half of them with a dark noisy patch, and its masks."""
    generator = np.random.default_rng(0)
    images = np.full((4, 32, 32, 1), 0.8, np.float32)
    masks = np.zeros((4, 32, 32), bool)
    masks[:2, 10:20, 8:16] = True
    images[masks] = generator.uniform(0.2, 0.6, (masks.sum(), 1))
    return images, masks


@EACH_FLOOR
def test_an_isolated_patch_is_found(floor):
    images, masks = noisy_patches()
    figures = metrics.localisation_figures(floor(images), masks)
    assert figures.pixel_auroc > 0.98
    assert figures.best_iou > 0.6
    assert figures.image_auroc == 1


@EACH_FLOOR
def test_a_flat_image_at_the_mean_has_no_anomaly(floor):
    np.testing.assert_allclose(floor(MEAN[None]), 0, atol=1e-6)


@EACH_FLOOR
def test_gray_in_three_channels_gives_the_same_map(floor):
    images, _ = noisy_patches()
    gray, colour = floor(images), floor(np.repeat(images, 3, axis=-1))
    np.testing.assert_allclose(gray, colour, atol=1e-6)


@EACH_FLOOR
def test_an_image_has_the_same_map_alone_and_in_a_batch(floor):
    images, _ = noisy_patches()
    np.testing.assert_allclose(floor(images)[1:2], floor(images[1:2]), atol=1e-6)


def test_local_contrast_of_alternating_columns():
    amplitude, sigma = 0.25, 0.5
    columns = np.arange(64)
    images = np.broadcast_to(0.5 + amplitude * (-1.0) ** columns, (1, 64, 64))
    maps = floors.local_contrast(
        images[..., None].astype(np.float32), detail=sigma, window=1 / 32
    )
    # The small blur multiplies the alternation by its response at that frequency.
    taps = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    response = (taps * (-1.0) ** np.arange(-2, 3)).sum() / taps.sum()
    interior = maps[0, :, 16:-16]  # the reflected edge repeats a column
    np.testing.assert_allclose(interior, amplitude * (1 - response), rtol=1e-5)


def test_local_contrast_scales_with_contrast_and_ignores_brightness():
    images, _ = noisy_patches()
    maps = floors.local_contrast(images)
    np.testing.assert_allclose(
        floors.local_contrast(0.5 * images + 0.3), 0.5 * maps, atol=1e-6
    )


def test_sharp_distance_from_mean_is_the_distance():
    images = np.full((2, 4, 4, 2), 0.75, np.float32)
    mean = np.stack([np.full((4, 4), 0.5), np.full((4, 4), 1.0)], -1).astype(np.float32)
    mean[0, 0] = 0.75
    maps = floors.distance_from_mean(images, mean, window=0.0)
    expected = np.full((2, 4, 4), 0.25)
    expected[:, 0, 0] = 0
    np.testing.assert_allclose(maps, expected)


def test_sharp_silhouette_is_the_distance_from_the_border_whatever_its_sign():
    image = np.full((4, 4), 0.5, np.float32)
    image[1, 1], image[2, 2] = 0.75, 0.0
    image[0, 0] = 1.0  # one odd pixel of the border does not move the median
    maps = floors.silhouette(image[None, :, :, None], window=0.0)
    expected = np.zeros((1, 4, 4))
    expected[0, 1, 1], expected[0, 2, 2], expected[0, 0, 0] = 0.25, 0.5, 0.5
    np.testing.assert_allclose(maps, expected)


def test_the_window_is_a_share_of_the_image():
    image = np.zeros((1, 32, 32, 1), np.float32)
    image[0, 16, 16] = 1
    small = floors.silhouette(image, window=1 / 16)
    same = floors.silhouette(image[:, 8:, 8:], window=1 / 12)
    np.testing.assert_allclose(small[0, 10:22, 10:22], same[0, 2:14, 2:14], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_statistics_are_those_of_numpy(channels):
    random = np.random.default_rng(0)
    normals = random.integers(0, 256, (9, 6, 6, channels), dtype=np.uint8)
    normals[:, 0, 0] = 77
    mean, std = floors.gray_statistics(normals)
    gray = normals.mean(-1) / 255
    np.testing.assert_allclose(mean, gray.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, gray.std(0), rtol=1e-5, atol=1e-7)
    assert std[0, 0] < 1e-7


def test_variation_counts_standard_deviations():
    mean = np.full((2, 2), 0.5, np.float32)
    std = np.array([[0.1, 0.2], [0.0, 0.001]], np.float32)
    image = np.array([[0.8, 0.1], [0.5, 0.6]], np.float32)[None, :, :, None]
    maps = floors.variation(image, mean, std, least=0.01)
    np.testing.assert_allclose(maps, [[[3, 2], [0, 10]]], rtol=1e-5)


def test_variation_does_not_change_with_the_contrast_of_all_images():
    random = np.random.default_rng(0)
    normals = random.integers(100, 200, (20, 32, 32, 1), dtype=np.uint8)
    images = random.random((2, 32, 32, 1), dtype=np.float32)
    mean, std = floors.gray_statistics(normals)
    maps = floors.variation(images, mean, std)
    half = floors.variation(images / 2, mean / 2, std / 2)
    np.testing.assert_allclose(half, maps, rtol=1e-5)
