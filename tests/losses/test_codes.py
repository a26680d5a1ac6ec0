import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses

ENCODED = jax.random.normal(jax.random.key(0), (3, 2, 5))
CODES = jax.random.normal(jax.random.key(1), (3, 2, 5))


def test_both_are_the_squared_distance_of_each_example():
    wanted = np.square(np.float64(ENCODED) - np.float64(CODES)).sum((1, 2))
    for loss in (losses.codebook_loss, losses.commitment_loss):
        np.testing.assert_allclose(loss(ENCODED, CODES), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "moves"), [(losses.codebook_loss, 1), (losses.commitment_loss, 0)]
)
def test_one_moves_the_codes_alone_and_the_other_the_encoder(loss, moves):
    gradients = jax.grad(lambda *both: loss(*both).sum(), argnums=(0, 1))(
        ENCODED, CODES
    )
    wanted = 2 * (CODES - ENCODED) * (1 if moves else -1)
    np.testing.assert_allclose(gradients[moves], wanted, rtol=1e-5)
    assert not gradients[1 - moves].any()


def test_perplexity_counts_the_codes_in_use():
    assert float(losses.perplexity(jnp.zeros((4, 2), int), codes=8)) == 1
    every = jnp.arange(8).reshape(2, 4)
    assert float(losses.perplexity(every, codes=8)) == pytest.approx(8, rel=1e-6)
    # Shares 1/2, 1/4, 1/4: exp(3/2 log 2).
    some = jnp.array([0, 0, 1, 2])
    assert float(losses.perplexity(some, codes=8)) == pytest.approx(2**1.5, rel=1e-6)


def test_what_would_broadcast_or_not_be_counted_is_refused():
    with pytest.raises(ValueError, match="from 0 to 3, got 0 to 4"):
        losses.perplexity(jnp.array([0, 4]), codes=4)
    with pytest.raises(ValueError, match="at least one, got none"):
        losses.perplexity(jnp.zeros((0,), int), codes=4)
