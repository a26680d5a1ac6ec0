"""Facts about what a map is expected to be."""

import numpy as np
from scipy import optimize

from vae_jax import anomaly


def random_terms(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def fit(terms, maps):
    sums = [np.float64(each).sum(0) for each in anomaly.moments(terms, maps)]
    return anomaly.nonnegative_weights(*sums)


def test_weights_of_a_map_that_is_a_sum_of_terms_are_found():
    terms = random_terms(3, 9, 8, 4)
    truth = np.array([0.5, 0.0, 2.0, 0.1])
    np.testing.assert_allclose(fit(terms, terms @ truth), truth, atol=1e-4)


def test_weights_equal_those_of_scipy_from_all_pixels():
    terms, maps = random_terms(2, 7, 6, 5), random_terms(2, 7, 6, seed=1)
    maps = maps - 0.4 * terms[..., 2]  # which asks for a negative weight
    expected, _ = optimize.nnls(terms.reshape(-1, 5), maps.ravel())
    assert expected[2] == 0
    np.testing.assert_allclose(fit(terms, maps), expected, atol=1e-4)


def test_the_unit_of_a_term_does_not_matter_and_an_empty_one_has_no_weight():
    terms, maps = random_terms(2, 7, 6, 3), random_terms(2, 7, 6, seed=1)
    scaled = terms * np.float32([1e3, 1.0, 1e-3])
    scaled = np.concatenate([scaled, np.zeros_like(scaled[..., :1])], axis=-1)
    expected = fit(terms, maps)
    found = fit(scaled, maps)
    np.testing.assert_allclose(
        found[:3], expected / [1e3, 1.0, 1e-3], rtol=1e-3, atol=1e-9
    )
    assert found[3] == 0


def test_sums_of_an_image_are_its_own():
    terms, maps = random_terms(4, 5, 5, 3), random_terms(4, 5, 5, seed=1)
    together = anomaly.moments(terms, maps)
    for i in range(4):
        alone = anomaly.moments(terms[i : i + 1], maps[i : i + 1])
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_[i], rtol=1e-5)


def test_terms_are_a_constant_the_place_contrasts_and_channels():
    flat = np.full((2, 16, 16, 1), 0.5, np.float32)
    activation = np.full((2, 8, 8, 3), 7.0, np.float32)
    activation[..., 1] = -7.0
    place = np.zeros((16, 16), np.float32)
    place[:, :8] = 2.0
    terms = np.asarray(anomaly.appearance(flat, activation, place, sigma=1.0))
    assert terms.shape == (2, 16, 16, 2 + 2 + 3)
    np.testing.assert_array_equal(terms[..., 0], 1.0)
    smooth = anomaly.gaussian_blur(place[None], sigma=2.0)
    np.testing.assert_allclose(terms[..., 1], np.broadcast_to(smooth, (2, 16, 16)))
    np.testing.assert_allclose(terms[..., 2:4], 0.0, atol=1e-6)
    np.testing.assert_allclose(terms[0, 3, 3, 4:], [7.0, 0.0, 7.0], atol=1e-5)
    assert (terms >= 0).all()


def test_the_expected_map_is_the_weighted_sum_of_the_terms():
    rng = np.random.default_rng(0)
    images, activation = rng.random((2, 12, 16, 3)), rng.normal(size=(2, 6, 8, 4))
    place, weights = rng.random((12, 16)), rng.random(8).astype(np.float32)
    seen = images, activation, place
    terms = anomaly.appearance(*seen, sigma=1.5)
    found = anomaly.expected_map(*seen, weights, sigma=1.5)
    np.testing.assert_allclose(found, terms @ weights, rtol=1e-5)


def test_what_is_expected_follows_the_object_wherever_it_lies():
    """Normal maps are bright on the object; the mean map alone would not know where."""
    rng = np.random.default_rng(0)
    images = np.zeros((12, 24, 24, 1), np.float32)
    for image in images:
        row, column = rng.integers(2, 16, 2)
        image[row : row + 6, column : column + 6] = (
            np.indices((6, 6)).sum(0)[..., None] % 2
        )
    activation = images[:, ::2, ::2]
    maps = np.asarray(anomaly.local_contrast(images, detail=1.0, window=2.0))
    terms = np.asarray(anomaly.appearance(images, activation, maps.mean(0), sigma=2.0))
    expected = terms @ np.float32(fit(terms, maps))
    unexplained = np.square(maps - expected).mean() / maps.var()
    assert unexplained < 0.1
    place_alone = np.square(maps - maps.mean(0)).mean() / maps.var()
    assert place_alone > 0.5


def test_division_by_what_is_expected_by_hand():
    maps, expected = np.full((1, 1, 2), 6.0), np.array([[[1.0, 4.0]]])
    found = anomaly.divide_by_expected(maps, expected, floor=2.0)
    np.testing.assert_allclose(found, [[[2.0, 1.0]]])
