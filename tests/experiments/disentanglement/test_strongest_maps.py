import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.disentanglement.strongest_maps import (
    share_of_empty_maps,
    strongest_maps,
)
from vae_jax import attention, factor_images, models

TAP = "relu4"


@pytest.fixture(scope="module")
def data():
    return factor_images.procedural_dsprites((1, 5, 20, 16, 16))


@pytest.fixture(scope="module")
def model():
    return models.kim_vae(latents=4)


@pytest.fixture(scope="module")
def params(model):
    return models.init(model, key=jax.random.key(1))["params"]


def test_the_map_of_a_latent_that_sees_nothing_is_empty(data, model, params):
    """It is the strongest of every image by its bias, so that half the maps are its."""
    heads = params["encoder"]["heads"]
    head = heads["mean"]
    deaf = {
        "kernel": head["kernel"].at[:, 0].set(0),
        "bias": head["bias"].at[0].set(100),
    }
    encoder = {**params["encoder"], "heads": {**heads, "mean": deaf}}
    changed = {**params, "encoder": encoder}
    share = functools.partial(
        share_of_empty_maps, model, data=data, tap=TAP, rule=attention.PAPER
    )
    assert share(params=params) == 0
    assert share(params=changed) == 0.5
    images = data.images(jnp.arange(4))
    maps, latents = strongest_maps(
        model, changed, images, tap=TAP, rule=attention.PAPER
    )
    assert maps.shape == (4, 2, 64, 64)
    np.testing.assert_array_equal(latents[:, 0], 0)
    np.testing.assert_array_equal(maps[:, 0], 0)
    assert (maps[:, 1].max((1, 2)) > 0).all()
