"""What a loss function refuses in one line of its own."""

from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses, models, objectives
from vae_jax.objectives import BetaVAE, FactorVAE

MODEL = models.VAE(
    models.ConvEncoder((2, 2), 4, 2), models.ConvDecoder((2, 2), 4, (8, 8, 1))
)
FACTOR = FactorVAE(models.Discriminator(layers=1, width=4))


class Squared:
    """A rule that nobody of ours wrote."""

    defaults = MappingProxyType({"weight": 0.5})

    def regularise(self, inputs, hyper):
        return objectives.Penalty(hyper["weight"] * inputs.rate**2, {})


def test_a_rule_of_ones_own_is_as_good_as_ours():
    params = objectives.init_params(MODEL, Squared(), key=jax.random.key(0))
    batch = {"image": jnp.full((2, *MODEL.image_shape), 0.5)}
    options = {"key": jax.random.key(1), "step": 0}
    _, found = objectives.make_loss_fn(MODEL, Squared())(params, {}, batch, **options)
    figures = found.metrics
    np.testing.assert_allclose(
        figures["objective"],
        figures["distortion"] + 0.5 * figures["rate"] ** 2,
        rtol=1e-6,
    )


WRONG_PARAMS = [
    lambda params: params["vae"],
    lambda params: {"vae": {"params": params["vae"]}},
    lambda params: {},
    lambda params: [params["vae"]],
]


@pytest.mark.parametrize("spoil", WRONG_PARAMS)
def test_parameters_that_are_not_those_of_init_params_are_refused(spoil):
    loss_fn = objectives.make_loss_fn(MODEL, BetaVAE())
    params = objectives.init_params(MODEL, BetaVAE(), key=jax.random.key(0))
    batch = {"image": jnp.zeros((2, *MODEL.image_shape))}
    with pytest.raises(ValueError, match="begin with init_params") as error:
        loss_fn(spoil(params), {}, batch, key=jax.random.key(0), step=0)
    assert "\n" not in str(error.value)


def test_a_factor_vae_without_its_discriminator_is_refused():
    loss_fn = objectives.make_loss_fn(MODEL, FACTOR)
    params = objectives.init_params(MODEL, BetaVAE(), key=jax.random.key(0))
    batch = {"image": jnp.zeros((2, *MODEL.image_shape))}
    with pytest.raises(ValueError, match="of vae and discriminator"):
        loss_fn(params, {}, batch, key=jax.random.key(0), step=0)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((2, *MODEL.image_shape), np.float32), "got ndarray"),
        ({"images": np.zeros((2, *MODEL.image_shape), np.float32)}, "got dict"),
        ({"image": np.zeros((2, *MODEL.image_shape), np.uint8)}, "them as uint8"),
    ],
)
def test_a_batch_of_another_kind_is_refused(batch, message):
    loss_fn = objectives.make_loss_fn(MODEL, BetaVAE())
    params = objectives.init_params(MODEL, BetaVAE(), key=jax.random.key(0))
    with pytest.raises(ValueError, match=message):
        loss_fn(params, {}, batch, key=jax.random.key(0), step=0)


def test_the_plain_elbo_takes_no_integer_images_either():
    loss_fn = objectives.make_elbo_loss_fn(MODEL, losses.bernoulli_log_likelihood)
    params = models.init(MODEL, key=jax.random.key(0))["params"]
    batch = {"image": np.zeros((2, *MODEL.image_shape), np.uint8)}
    with pytest.raises(ValueError, match=r"make_elbo_loss_fn: batch .* them as uint8"):
        loss_fn(params, {}, batch, key=jax.random.key(0), step=0)
