"""Facts about distances of activations from normal ones."""

import jax.numpy as jnp
import numpy as np

from vae_jax import anomaly


def normal_activations(seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.array([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.3, 0.2, 5.0]])
    return rng.normal(size=(6, 20, 20, 3)) @ mixing.T + np.array([1.0, -2.0, 30.0])


def fit(activations, **options):
    pixels = activations.reshape(-1, activations.shape[-1])
    second = pixels.T @ pixels / len(pixels)
    return anomaly.channel_statistics(pixels.mean(0), second, **options)


def test_distance_by_hand():
    mean, second = np.array([1.0, 0.0]), np.array([[5.0, 0.0], [0.0, 9.0]])
    statistics = anomaly.channel_statistics(mean, second, shrinkage=0.0)
    activation = jnp.array([[[[5.0, 3.0]]]])  # variances 4 and 9
    distance = anomaly.channel_distance(activation, statistics)
    np.testing.assert_allclose(distance, (16 / 4 + 9 / 9) / 2, rtol=1e-6)


def test_distance_of_normal_pixels_is_one_in_the_mean():
    activations = normal_activations()
    exact = anomaly.channel_distance(activations, fit(activations, shrinkage=0.0))
    np.testing.assert_allclose(exact.mean(), 1.0, rtol=1e-4)
    shrunk = anomaly.channel_distance(activations, fit(activations))
    assert 0.7 < float(shrunk.mean()) < 1.0


def test_distance_does_not_depend_on_how_channels_are_mixed():
    activations = normal_activations()
    mixing = np.random.default_rng(1).normal(size=(3, 3)) + 2 * np.eye(3)
    mixed = activations @ mixing
    np.testing.assert_allclose(
        anomaly.channel_distance(mixed, fit(mixed, shrinkage=0.0)),
        anomaly.channel_distance(activations, fit(activations, shrinkage=0.0)),
        rtol=2e-3,
    )


def test_a_channel_that_is_never_active_does_not_decide_alone():
    activations = np.concatenate(
        [normal_activations(), np.zeros((6, 20, 20, 1))], axis=-1
    )
    statistics = fit(activations)
    seen = activations[:1].copy()
    seen[..., 3] += 1.0
    change = anomaly.channel_distance(seen, statistics) - anomaly.channel_distance(
        activations[:1], statistics
    )
    variance = np.var(activations.reshape(-1, 4), axis=0).mean()
    np.testing.assert_allclose(change, 1 / (0.01 * variance) / 4, rtol=1e-2)
    unseen = anomaly.channel_statistics(np.zeros(2), np.zeros((2, 2)))
    assert np.isfinite(unseen.precision).all()
