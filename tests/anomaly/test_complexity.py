import inspect
import io
import math
import zlib

import numpy as np
import pytest
from PIL import Image

from vae_jax import anomaly

RANDOM = np.random.default_rng(0)


def test_noise_cannot_be_compressed_and_flat_images_can():
    noise = RANDOM.integers(0, 256, (1, 64, 64, 1), np.uint8)
    flat = np.full_like(noise, 200)
    bits = anomaly.compressed_nats(np.concatenate([noise, flat])) / math.log(2)
    assert 8 * 64 * 64 <= bits[0] < 1.02 * 8 * 64 * 64
    assert bits[1] < 400


def test_the_least_of_the_filters_is_taken():
    plain = np.zeros((1, 8, 8, 1), np.uint8)
    expected = len(zlib.compress(plain.tobytes(), 9)) * 8 * math.log(2)
    np.testing.assert_allclose(anomaly.compressed_nats(plain), expected)


def test_a_ramp_is_as_short_as_its_differences():
    """Which are 3 everywhere but at the edge; 255 and 0 are neighbours."""
    ramp = (3 * np.arange(64 * 64).reshape(1, 64, 64, 1) % 256).astype(np.uint8)
    assert anomaly.compressed_nats(ramp)[0] < 100 * 8 * math.log(2)


def test_png_files_have_the_same_order():
    blurred = [
        np.asarray(
            Image.fromarray(RANDOM.integers(0, 256, (28, 28), np.uint8))
            .resize((n, n))
            .resize((28, 28))
        )
        for n in (2, 4, 8, 16, 28)
    ]

    def png(image):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "png", optimize=True)
        return len(file.getvalue())

    ours = anomaly.compressed_nats(np.stack(blurred)[..., None]) / math.log(256)
    theirs = np.array([*map(png, blurred)])
    assert (np.argsort(ours) == np.argsort(theirs)).all()
    np.testing.assert_allclose(ours + 70, theirs, rtol=0.15, atol=40)


def test_a_trend_known_answer():
    complexity = np.array([[0.0], [1.0], [2.0], [3.0]])
    scores = 2 * complexity[:, 0] + 5 + np.array([1.0, -1.0, -1.0, 1.0])
    slopes, intercept, deviation = trend = anomaly.fit_trend(complexity, scores)
    np.testing.assert_allclose(slopes, [2.0])
    assert (intercept, deviation) == pytest.approx((5.0, math.sqrt(2)))
    found = trend.standardise(np.array([[10.0]]), np.array([28.0]))
    assert found == pytest.approx(3 / math.sqrt(2))


@pytest.mark.parametrize("measures", [1, 3])
def test_standardised_normal_scores_are_free_of_their_complexity(measures):
    complexity = RANDOM.normal(size=(500, measures)) * [1.0, 50.0, 0.1][:measures]
    scores = 3 * complexity[:, 0] + RANDOM.normal(size=500)
    trend = anomaly.fit_trend(complexity, scores)
    found = trend.standardise(complexity, scores)
    np.testing.assert_allclose(
        (complexity - complexity.mean(0)).T @ found, 0, atol=1e-9
    )
    assert np.square(found).sum() == pytest.approx(499 - measures)


def test_what_is_too_likely_is_as_odd_as_what_is_too_unlikely():
    found = anomaly.typicality(np.array([90.0, 100.0, 115.0]), np.array([99.0, 101.0]))
    np.testing.assert_allclose(found, [10, 0, 15])


@pytest.mark.parametrize(
    ("complexity", "scores", "message"),
    [
        ([[1.0], [2.0]], [1.0, 2.0], r"at least 3 images, got 2 and 2"),
        ([[1.0], [2.0], [3.0]], [1.0, 2.0], r"got 3 and 2"),
        ([[2.0]] * 3, [1.0, 2.0, 4.0], r"1 measures .* must vary, .* got 0"),
        ([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0], [3.0, 6.0]], [1.0] * 4, r"got 1 that do"),
        ([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0], r"must vary around their trend"),
    ],
)
def test_no_trend_is_refused(complexity, scores, message):
    with pytest.raises(ValueError, match="^fit_trend: .*" + message):
        # Unwrapped, because the shape checks of the test run would speak first.
        inspect.unwrap(anomaly.fit_trend)(np.array(complexity), np.array(scores))


def test_typicality_needs_normal_scores():
    with pytest.raises(ValueError, match=r"^typicality: wants scores of normal images"):
        anomaly.typicality(np.ones(2), np.ones(0))
