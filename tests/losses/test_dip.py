import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses

RNG = np.random.default_rng(0)
MEAN = RNG.normal(2.0, 1.5, (20, 4)).astype(np.float32)
LOGVAR = RNG.normal(size=(20, 4)).astype(np.float32)


def penalty(covariance, *, off_diagonal, diagonal):
    """By numpy, from a covariance."""
    excess = covariance - np.eye(len(covariance))
    on_diagonal = (np.diag(excess) ** 2).sum()
    return off_diagonal * ((excess**2).sum() - on_diagonal) + diagonal * on_diagonal


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (5.0, 50.0)])
def test_both_agree_with_numpys_covariance(weights):
    weights = dict(zip(("off_diagonal", "diagonal"), weights, strict=True))
    means = np.cov(np.float64(MEAN), rowvar=False, ddof=0)
    samples = means + np.diag(np.exp(np.float64(LOGVAR)).mean(0))
    one = losses.dip_i(jnp.asarray(MEAN), **weights)
    two = losses.dip_ii(jnp.asarray(MEAN), jnp.asarray(LOGVAR), **weights)
    np.testing.assert_allclose(one, penalty(means, **weights), rtol=1e-5)
    np.testing.assert_allclose(two, penalty(samples, **weights), rtol=1e-5)


def test_whitened_means_cost_nothing_and_their_samples_the_variance():
    # Orthogonal columns of mean 0 and mean square 1: the covariance is the identity.
    mean = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    logvar = jnp.full(mean.shape, jnp.log(0.5))
    weights = {"off_diagonal": 3.0, "diagonal": 7.0}
    np.testing.assert_allclose(losses.dip_i(mean, **weights), 0, atol=1e-6)
    # Each variance is 1/2 too large: 2 * 7 * (1/2)².
    np.testing.assert_allclose(losses.dip_ii(mean, logvar, **weights), 3.5, rtol=1e-6)


def test_collapsed_means_cost_the_diagonal():
    cost = losses.dip_i(jnp.full((6, 5), 4.0), off_diagonal=1.0, diagonal=10.0)
    np.testing.assert_allclose(cost, 5 * 10.0)


def test_shapes_must_agree():
    # Unwrapped, because the shape checks of the test run would speak first.
    dip_ii = inspect.unwrap(losses.dip_ii)
    with pytest.raises(ValueError, match="dip_ii: mean and logvar must have equal"):
        dip_ii(jnp.zeros((3, 2)), jnp.zeros((2, 2)), off_diagonal=1.0, diagonal=1.0)


def test_half_precision_in_is_float32_inside_and_out():
    # Far from the origin, where rounding to half precision is coarse.
    mean, logvar = (jnp.asarray(x, jnp.bfloat16) for x in (MEAN + 300, LOGVAR))
    weights = {"off_diagonal": 3.0, "diagonal": 7.0}

    def both(mean, logvar):
        return losses.dip_i(mean, **weights), losses.dip_ii(mean, logvar, **weights)

    wide = both(*(x.astype(jnp.float32) for x in (mean, logvar)))
    for from_half, from_wide in zip(both(mean, logvar), wide, strict=True):
        assert from_half.dtype == jnp.float32
        np.testing.assert_array_equal(from_half, from_wide)
