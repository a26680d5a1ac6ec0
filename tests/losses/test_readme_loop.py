"""The README's plain training loop, run as it is printed."""

import math

import jax

SNIPPET = """\
import jax, jax.numpy as jnp, optax
from vae_jax import losses

images = jnp.kron(jnp.eye(8), jnp.ones((1, 8)))  # Eight 8x8 images of one white bar.
params = {"encoder": jnp.zeros((64, 4)), "decoder": jnp.zeros((3, 64))}
optimizer = optax.adam(0.1)
state = optimizer.init(params)

def loss_fn(params, key):
    mean, logvar = jnp.split(images @ params["encoder"], 2, axis=-1)
    latents = mean + jnp.exp(logvar / 2) * jax.random.normal(key, mean.shape)
    logits = latents @ params["decoder"][:2] + params["decoder"][2:]
    log_likelihood = losses.bernoulli_log_likelihood(images, logits)
    terms = losses.negative_elbo(log_likelihood, losses.gaussian_kl(mean, logvar))
    return terms.loss.mean()

step = jax.jit(jax.value_and_grad(loss_fn))
for key in jax.random.split(jax.random.key(0), 300):
    loss, gradients = step(params, key)
    updates, state = optimizer.update(gradients, state)
    params = optax.apply_updates(params, updates)
"""


def test_the_loop_learns_what_the_latents_are_for():
    loop: dict = {}
    exec(SNIPPET, loop)
    # Without latents the best model pays for 64 pixels of probability 1/8; with them
    # no model pays less than the entropy of the eight images.
    without_latents = 8 * (8 * math.log(8) - 7 * math.log(7))
    keys = jax.random.split(jax.random.key(1), 100)
    found = jax.vmap(loop["loss_fn"], in_axes=(None, 0))(loop["params"], keys).mean()
    assert math.log(8) < found < 0.7 * without_latents
