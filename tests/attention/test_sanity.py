"""Known answers of the sanity checks, on networks and scores that are linear."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import models
from vae_jax.attention import sanity


class TwoLayers(nn.Module):
    """A map that is the second layer's weights times the first layer's."""

    def setup(self):
        self.bottom = nn.Dense(4, use_bias=False)
        self.unused = nn.Dense(2)
        self.top = nn.Dense(9, use_bias=False)

    def encode(self, images):
        x = self.top(self.bottom(images.reshape(len(images), -1)))
        return x, x

    def __call__(self, images):
        return self.unused(self.encode(images)[0])


def build(seed):
    model = TwoLayers()
    return model, model.init(jax.random.key(seed), jnp.zeros((1, 3, 3, 1)))


def test_layers_come_in_the_order_of_their_application_and_only_if_used():
    model, variables = build(0)
    assert sanity.layers(model, variables, (3, 3, 1)) == ("bottom", "top")


def test_layers_of_a_vae_end_with_the_decoder():
    vae = models.small_vae(image_size=16, latents=3, width=2)
    variables = models.init(vae, key=jax.random.key(0))

    def reconstruct(vae, images, noise):
        return vae.decode(vae.encode(images).mean).sum((1, 2, 3))

    found = sanity.layers(vae, variables, (16, 16, 1), score=reconstruct)
    assert found[:3] == (
        "encoder/convolution1",
        "encoder/norm1",
        "encoder/convolution2",
    )
    assert found[-2:] == ("decoder/convolution1", "decoder")  # its pixel bias
    owners = {
        "/".join(str(key.key) for key in path[:-1])
        for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"])
    }
    assert set(found) == owners


def test_randomised_replaces_what_the_named_modules_own_and_nothing_else():
    (_, trained), (_, fresh) = build(0), build(1)
    mixed = sanity.randomised(trained, fresh, ["top"])["params"]
    np.testing.assert_array_equal(
        mixed["top"]["kernel"], fresh["params"]["top"]["kernel"]
    )
    np.testing.assert_array_equal(
        mixed["bottom"]["kernel"], trained["params"]["bottom"]["kernel"]
    )
    with pytest.raises(ValueError, match="no module 'tpo'"):
        sanity.randomised(trained, fresh, ["tpo"])


def test_statistics_of_a_layer_are_forgotten_with_its_parameters():
    trained = {
        "params": {"norm": {"scale": jnp.ones(2)}},
        "batch_stats": {"norm": {"mean": jnp.ones(2)}},
    }
    fresh = jax.tree.map(jnp.zeros_like, trained)
    assert jax.tree.all(
        jax.tree.map(
            jnp.array_equal, sanity.randomised(trained, fresh, ["norm"]), fresh
        )
    )


def test_randomisation_goes_from_the_last_layer_down():
    """A map of the bottom layer survives until the bottom is reached."""
    (_, trained), (_, fresh) = build(0), build(1)
    names = ("bottom", "top")

    def map_of(*layers):
        def explain(variables):
            values = [variables["params"][name]["kernel"].ravel() for name in layers]
            return jnp.stack(values)[:, None, :]

        return explain

    bottom = sanity.parameter_randomisation(
        map_of("bottom"), trained, fresh, layers=names
    )
    expected = stats.spearmanr(
        trained["params"]["bottom"]["kernel"].ravel(),
        fresh["params"]["bottom"]["kernel"].ravel(),
    ).statistic
    np.testing.assert_allclose(bottom, [[1.0], [expected]], atol=1e-6)
    top = sanity.parameter_randomisation(map_of("top"), trained, fresh, layers=names)
    assert top[0] == top[1] != 1.0


def test_a_map_that_asks_no_network_never_changes():
    (_, trained), (_, fresh) = build(0), build(1)
    edges = jnp.arange(12.0).reshape(2, 2, 3)
    found = sanity.parameter_randomisation(
        lambda variables: edges, trained, fresh, layers=("bottom", "top")
    )
    np.testing.assert_allclose(found, 1.0)


def test_rank_correlation_equals_scipy_with_ties_and_ignores_monotone_changes():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, (2, 3, 5, 4)).astype(float)
    expected = [
        stats.spearmanr(a.ravel(), b.ravel()).statistic
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(sanity.rank_correlation(first, second), expected)
    np.testing.assert_allclose(sanity.rank_correlation(first, np.exp(first)), 1.0)
    np.testing.assert_allclose(sanity.rank_correlation(first, -first), -1.0)
    flat = np.ones((3, 5, 4))
    np.testing.assert_array_equal(sanity.rank_correlation(first, flat), 0.0)


WEIGHTS = jnp.array([[8.0, 4.0], [2.0, 2.0]])


def linear_score(images):
    return (WEIGHTS[None, :, :, None] * images).sum((1, 2, 3)) + 5.0


def curves_of(maps):
    images, reconstructions = jnp.ones((1, 2, 2, 1)), jnp.zeros((1, 2, 2, 1))
    return sanity.deletion_insertion(
        linear_score, images, reconstructions, maps, steps=4
    )


def test_deletion_and_insertion_of_a_linear_score_by_hand():
    curves = curves_of(WEIGHTS[None])
    np.testing.assert_allclose(curves.share, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(
        curves.deletion[:, 0], np.array([16, 8, 4, 2, 0]) / 16, atol=1e-6
    )
    np.testing.assert_allclose(
        curves.insertion[:, 0], np.array([0, 8, 12, 14, 16]) / 16, atol=1e-6
    )
    # Trapezoids of a quarter's width.
    np.testing.assert_allclose(curves.deletion_area, (8 + 8 + 4 + 2) / 16 / 4)
    np.testing.assert_allclose(curves.insertion_area, (8 + 12 + 14 + 8) / 16 / 4)


def test_no_order_beats_that_of_the_true_shares_and_its_reverse_is_worst():
    best, worst = curves_of(WEIGHTS[None]), curves_of(-WEIGHTS[None])
    for seed in range(5):
        found = curves_of(jax.random.uniform(jax.random.key(seed), (1, 2, 2)))
        assert best.deletion_area <= found.deletion_area <= worst.deletion_area
        assert best.insertion_area >= found.insertion_area >= worst.insertion_area


def test_curves_do_not_depend_on_the_scale_of_the_score_or_of_the_map():
    images = jax.random.uniform(jax.random.key(0), (2, 4, 4, 1))
    maps = jax.random.uniform(jax.random.key(1), (2, 4, 4))

    def squares(x):
        return jnp.square(x).sum((1, 2, 3))

    first = sanity.deletion_insertion(squares, images, images / 2, maps)
    again = sanity.deletion_insertion(
        lambda x: 3 * squares(x) - 1, images, images / 2, jnp.exp(maps)
    )
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_image_that_is_its_reconstruction_has_no_curve():
    images = jnp.ones((1, 2, 2, 1))
    curves = sanity.deletion_insertion(linear_score, images, images, WEIGHTS[None])
    assert np.isnan(curves.deletion_area).all()
