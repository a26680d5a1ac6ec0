"""A network of flax.nnx, equinox or plain functions is explained as if it were Linen's.

One network (`TinyVAE`), three ways to write it beside Linen's, the same weights.
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vae_jax import attention
from vae_jax.losses import attention_disentanglement

IMAGE_SHAPE = (8, 12, 2)
TAPS = {
    "input": IMAGE_SHAPE,
    "conv1": (4, 6, 4),
    "relu1": (4, 6, 4),
    "conv2": (2, 3, 5),
    "relu2": (2, 3, 5),
}
SIGNED = attention.Rule(rectify="none")


def squared_error(images, decoded):
    return -jnp.square(images - decoded).sum((1, 2, 3))


SCORES = {
    "latents": attention.latents,
    "sum": attention.sum_of_latents,
    "norm": attention.squared_norm,
    "kl": attention.kl,
    "difference": attention.normal_difference(
        attention.NormalAggregate(np.zeros(3), np.ones(3))
    ),
    "error": attention.reconstruction_error(squared_error),
    "elbo": attention.negative_elbo(squared_error),
}


def flat(x):
    return x.reshape(len(x), -1)


def plain_twin(params):
    """Functions of a nested dict, one for each tap."""

    def convolve(name):
        def stage(params, x):
            layer = params[name]
            x = jax.lax.conv_general_dilated(
                x, layer["kernel"], (2, 2), "SAME",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
            return x + layer["bias"][None, None, None]

        return stage

    def dense(params, name, x):
        return x @ params[name]["kernel"] + params[name]["bias"][None]

    def rectify(params, x):
        return jax.nn.softplus(x)

    def posterior(params, x):
        hidden = jax.nn.softplus(dense(params, "hidden", flat(x)))
        return jnp.split(dense(params, "heads", hidden), 2, axis=1)

    stages = {
        "conv1": convolve("convolution1"),
        "relu1": rectify,
        "conv2": convolve("convolution2"),
        "relu2": rectify,
    }

    def decode(params, latents):
        return dense(params, "output", latents).reshape(-1, *IMAGE_SHAPE)

    return attention.from_functions(stages, posterior, decode=decode), params


def layers_of(net):
    """As their names in Linen are sorted."""
    return net.conv1, net.conv2, net.heads, net.hidden, net.output


class NnxVAE(nnx.Module):
    def __init__(self, params):
        rngs = nnx.Rngs(0)
        self.conv1 = nnx.Conv(2, 4, (3, 3), strides=2, rngs=rngs)
        self.conv2 = nnx.Conv(4, 5, (3, 3), strides=2, rngs=rngs)
        self.hidden = nnx.Linear(30, 7, rngs=rngs)
        self.heads = nnx.Linear(7, 6, rngs=rngs)
        self.output = nnx.Linear(3, 192, rngs=rngs)
        for name, layer in zip(sorted(params), layers_of(self), strict=True):
            layer.kernel = nnx.Param(params[name]["kernel"])
            layer.bias = nnx.Param(params[name]["bias"])

    def posterior(self, x):
        hidden = nnx.softplus(self.hidden(flat(x)))
        return tuple(jnp.split(self.heads(hidden), 2, axis=1))


def nnx_twin(params):
    graph, state = nnx.split(NnxVAE(params))

    def whole(state):
        return nnx.merge(graph, state)

    stages = {
        "conv1": lambda p, x: whole(p).conv1(x),
        "relu1": lambda p, x: nnx.softplus(x),
        "conv2": lambda p, x: whole(p).conv2(x),
        "relu2": lambda p, x: nnx.softplus(x),
    }
    model = attention.from_functions(
        stages,
        lambda p, x: whole(p).posterior(x),
        decode=lambda p, z: whole(p).output(z).reshape(-1, *IMAGE_SHAPE),
    )
    return model, state


class EqxVAE(eqx.Module):
    """Sees one image, channels first, as is equinox's way."""

    conv1: eqx.nn.Conv2d
    conv2: eqx.nn.Conv2d
    heads: eqx.nn.Linear
    hidden: eqx.nn.Linear
    output: eqx.nn.Linear
    rectify: Callable

    def __init__(self):
        key = jax.random.key(0)
        self.rectify = jax.nn.softplus
        self.conv1 = eqx.nn.Conv2d(2, 4, 3, 2, padding="SAME", key=key)
        self.conv2 = eqx.nn.Conv2d(4, 5, 3, 2, padding="SAME", key=key)
        self.heads = eqx.nn.Linear(7, 6, key=key)
        self.hidden = eqx.nn.Linear(30, 7, key=key)
        self.output = eqx.nn.Linear(3, 192, key=key)

    def posterior(self, x):
        return jnp.split(self.heads(self.rectify(self.hidden(x.ravel()))), 2)


def eqx_twin(params):
    weights = []
    for _, layer in sorted(params.items()):
        kernel, bias = layer["kernel"], layer["bias"]
        if kernel.ndim == 4:
            weights += [kernel.transpose(3, 2, 0, 1), bias[:, None, None]]
        else:
            weights += [kernel.T, bias]
    network = eqx.tree_at(
        lambda net: [w for layer in layers_of(net) for w in (layer.weight, layer.bias)],
        EqxVAE(),
        weights,
    )
    arrays, rest = eqx.partition(network, eqx.is_array)

    def whole(arrays):
        return eqx.combine(arrays, rest)

    def convolve(layer, x):
        return jnp.moveaxis(jax.vmap(layer)(jnp.moveaxis(x, -1, 1)), 1, -1)

    stages = {
        "conv1": lambda p, x: convolve(whole(p).conv1, x),
        "relu1": lambda p, x: whole(p).rectify(x),
        "conv2": lambda p, x: convolve(whole(p).conv2, x),
        "relu2": lambda p, x: whole(p).rectify(x),
    }
    model = attention.from_functions(
        stages,
        lambda p, x: jax.vmap(whole(p).posterior)(x),
        decode=lambda p, z: jax.vmap(whole(p).output)(z).reshape(-1, *IMAGE_SHAPE),
    )
    return model, arrays


TWINS = {"functions": plain_twin, "nnx": nnx_twin, "equinox": eqx_twin}


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def linen(tiny_vae):
    """The network in Linen, its parameters and images, in float64."""
    with jax.enable_x64(True):
        model, variables = tiny_vae(smooth=True, by_channel=False, dtype=jnp.float64)
        rng = np.random.default_rng(0)
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), variables["params"])
        return model, wide, jnp.asarray(rng.uniform(size=(5, *IMAGE_SHAPE)))


def leaf_norms(tree):
    """Sorted: a kernel that is transposed or elsewhere in the tree keeps its norm."""
    norms = [jnp.sqrt(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(tree)]
    return jnp.sort(jnp.stack(norms))


def overlap_of(model, params, images, noise):
    """The attention loss, through `explained_forward`."""

    def run(vae, images, noise):
        mean, logvar = vae.encode(images)
        return mean + jnp.exp(logvar / 2) * noise, vae.decode(mean)

    explained = attention.explained_forward(
        model, {"params": params}, images, noise, run=run, tap="relu2"
    )
    maps = explained.maps(jnp.array([[0, 1], [2, 1], [1, 0], [0, 2], [2, 0]]))
    return attention_disentanglement(maps[:, 0], maps[:, 1]).mean(), explained.output


def everything(model, params, images):
    """All that can be asked of a model, by name."""
    variables, found = {"params": params}, {}
    noise = jax.random.normal(jax.random.key(4), (5, 3))
    for name, score in SCORES.items():
        found[f"{name} at relu2"] = attention.attention_maps(
            model, variables, images, tap="relu2", score=score, rule=SIGNED, noise=noise
        )
    for tap, rule in {
        "conv1": attention.PAPER,
        "relu1": attention.POINTWISE,
        "conv2": attention.Rule(grad_norm="rms_image", rectify="none"),
        "input": attention.SALIENCY,
    }.items():
        found[f"maps at {tap}"] = attention.attention_maps(
            model, variables, images, tap=tap, rule=rule
        )
    found["gradient"] = attention.tap_gradient(
        model, variables, images, tap="conv1", score=attention.latents
    )
    found["samples"] = attention.sampled_attention(
        model, variables, images, tap="conv2", key=jax.random.key(3), samples=2
    )
    activations = attention.activations(model, variables, images)
    found["activations"] = {tap: activations[tap] for tap in TAPS if tap != "input"}
    overlap = functools.partial(overlap_of, model, images=images, noise=noise)
    (overlap, decoded), gradient = jax.value_and_grad(overlap, has_aux=True)(params)
    found["training"] = overlap, decoded, leaf_norms(gradient)
    return found


@pytest.fixture(scope="module")
def of_linen(linen):
    model, params, images = linen
    with jax.enable_x64(True):
        return jax.jit(functools.partial(everything, model))(params, images)


@pytest.mark.parametrize("kind", TWINS)
def test_all_is_as_of_the_same_network_in_linen(linen, of_linen, kind):
    _, params, images = linen
    model, own_params = TWINS[kind](params)
    found = jax.jit(functools.partial(everything, model))(own_params, images)
    assert all(x.dtype == jnp.float64 for x in jax.tree.leaves(found))
    assert all((np.abs(x) > 0).any() for x in jax.tree.leaves(found))
    # Sums of up to 192 terms of order 1, in another order, through five layers.
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-13),
        found,
        of_linen,
    )


@pytest.mark.parametrize("kind", TWINS)
def test_the_names_of_the_functions_are_those_of_the_taps(linen, kind):
    _, params, _ = linen
    model, params = TWINS[kind](jax.tree.map(lambda x: x.astype(jnp.float32), params))
    assert attention.taps(model, {"params": params}, IMAGE_SHAPE) == TAPS


@pytest.mark.parametrize("kind", TWINS)
def test_networks_side_by_side_are_the_networks_alone(linen, kind):
    _, params, images = linen
    model, params = TWINS[kind](params)
    other = jax.tree.map(lambda x: 1.1 * x, params)

    def maps_of(params):
        return attention.attention_maps(model, {"params": params}, images, tap="relu2")

    stacked = jax.tree.map(lambda *x: jnp.stack(x), params, other)
    together = jax.jit(jax.vmap(maps_of))(stacked)
    for found, alone in zip(together, (params, other), strict=True):
        np.testing.assert_allclose(found, jax.jit(maps_of)(alone), rtol=1e-12)
