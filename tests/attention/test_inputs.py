"""What is handed over by mistake is answered in one line that says what to do."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from vae_jax import attention, models

CALLS = {
    "taps": {},
    "layers": {},
    "activations": {},
    "attention_maps": {"tap": "relu4"},
    "tap_gradient": {"tap": "relu4", "score": attention.kl},
    "sampled_attention": {"tap": "relu4", "key": jax.random.key(0), "samples": 2},
    "explained_forward": {"noise": None, "run": attention.latents, "tap": "relu4"},
}
OF_IMAGES = [name for name in CALLS if name not in ("taps", "layers")]
IMAGES = jnp.zeros((1, 64, 64, 1))


def call(name, model, variables, images=IMAGES):
    """Unwrapped, because the type checks of the test run would speak first."""
    seen = images if name in OF_IMAGES else images.shape[1:]
    return inspect.unwrap(getattr(attention, name))(
        model, variables, seen, **CALLS[name]
    )


@pytest.fixture(scope="module")
def vae():
    return models.mnist_vae(width=2, latents=2)


@pytest.mark.parametrize("name", CALLS)
def test_a_model_that_is_not_linens_is_led_to_from_functions(name):
    wanted = rf"^{name}: model must be a Flax Linen module, got Linear; .*from_funct"
    for model in (
        nnx.Linear(2, 2, rngs=nnx.Rngs(0)),
        eqx.nn.Linear(2, 2, key=jax.random.key(0)),
    ):
        with pytest.raises(TypeError, match=wanted):
            call(name, model, {"params": {}})
    with pytest.raises(TypeError, match="got function"):
        call(name, lambda x: x, {"params": {}})


@pytest.mark.parametrize("name", CALLS)
def test_variables_without_their_collections_are_refused(vae, name):
    wanted = rf"^{name}: variables must hold the parameters as 'params', got "
    with pytest.raises(ValueError, match=wanted + r"\['encoder', 'decoder'\]; hand"):
        call(name, vae, {"encoder": {}, "decoder": {}})
    network = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    with pytest.raises(ValueError, match=f"{wanted}Linear; hand over {{'params': par"):
        call(name, vae, network)
    with pytest.raises(ValueError, match=r"\[0, 1, 2, 3, 4, 5, \.\.\.\]; hand over"):
        call(name, vae, dict.fromkeys(range(40)))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_single_image_is_refused(vae, name):
    wanted = rf"^{name}: images must be \[batch height width channel\], got shape \(64"
    with pytest.raises(ValueError, match=rf"{wanted}, 64, 1\); .* as image\[None\]"):
        call(name, vae, {"params": {}}, IMAGES[0])


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32, jnp.bool])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_images_of_whole_numbers_are_refused(vae, name, dtype):
    wanted = rf"^{name}: images must be floating-point, got {jnp.dtype(dtype)}; divide"
    with pytest.raises(ValueError, match=wanted):
        call(name, vae, {"params": {}}, IMAGES.astype(dtype))
