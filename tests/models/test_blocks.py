import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.models.blocks import (
    Conv,
    ConvTranspose,
    Dense,
    DenseOverFeatures,
    PosteriorHeads,
    glorot_scheme,
    normalise,
    small_normal_scheme,
    torch_scheme,
)


class Normalised(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x, *, train=False):
        return normalise(x, self.kind, name="norm", train=train, dtype=jnp.float32)


@pytest.mark.parametrize(
    ("scheme", "bound"), [(torch_scheme, 0.2), (glorot_scheme, math.sqrt(6 / 150))]
)
def test_uniform_kernels_fill_their_interval(scheme, bound):
    values = scheme(25, 125)[0](jax.random.key(0), (100, 10, 10))
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(
        [values.min(), values.mean(), values.max()], [-bound, 0, bound], atol=0.003
    )
    np.testing.assert_allclose(values.std(), bound / math.sqrt(3), rtol=0.02)


def test_small_normal_kernels_have_a_deviation_of_a_fiftieth():
    values = small_normal_scheme(25, 125)[0](jax.random.key(0), (100, 10, 10))
    assert values.dtype == jnp.float32
    np.testing.assert_allclose([values.mean(), values.std()], [0, 0.02], atol=0.0005)
    np.testing.assert_allclose(np.mean(np.abs(values) < 0.02), 0.6827, atol=0.02)


@pytest.mark.parametrize(
    ("layer", "input_shape", "fan_in", "fan_out"),
    [
        (Conv(32, (3, 3)), (1, 8, 8, 16), 3 * 3 * 16, 3 * 3 * 32),
        (ConvTranspose(16, (4, 4)), (1, 4, 4, 32), 4 * 4 * 16, 4 * 4 * 32),
        (Dense(100), (1, 64), 64, 100),
        (DenseOverFeatures(100), (1, 2, 4, 8), 2 * 4 * 8, 100),
    ],
)
def test_layers_start_by_their_scheme(layer, input_shape, fan_in, fan_out):
    def start(layer):
        return layer.init(jax.random.key(0), jnp.zeros(input_shape))["params"]

    params, bound = start(layer), 1 / math.sqrt(fan_in)  # PyTorch's is the default
    np.testing.assert_allclose(jnp.abs(params["kernel"]).max(), bound, rtol=0.01)
    assert 0.5 * bound < jnp.abs(params["bias"]).max() <= bound
    params, bound = start(layer.clone(scheme=glorot_scheme)), 6 / (fan_in + fan_out)
    np.testing.assert_allclose(jnp.square(params["kernel"]).max(), bound, rtol=0.02)
    assert not params["bias"].any()


def test_bias_shifts_each_channel_of_a_convolution():
    x = jnp.ones((2, 4, 4, 3))
    for layer in (Conv(5), ConvTranspose(5)):
        params = layer.init(jax.random.key(0), x)["params"]
        without = layer.clone(use_bias=False).apply(
            {"params": {"kernel": params["kernel"]}}, x
        )
        shift = layer.apply({"params": params}, x) - without
        expected = np.broadcast_to(params["bias"], shift.shape)
        np.testing.assert_allclose(shift, expected, atol=1e-6)


def test_dense_over_features_passes_a_channel_shift_as_the_spatial_sum():
    x, shift = (
        jax.random.normal(jax.random.key(i), s)
        for i, s in enumerate([(2, 3, 5, 4), (2, 4)])
    )
    layer = DenseOverFeatures(6)
    variables = layer.init(jax.random.key(2), x)
    np.testing.assert_allclose(
        layer.apply(variables, x, shift),
        layer.apply(variables, x + shift[:, None, None, :]),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("layer", "products"), [(PosteriorHeads(3), 2), (DenseOverFeatures(6), 2)]
)
def test_heads_and_channel_sums_use_all_of_float32(layer, products):
    """Where products round their factors by default, as on GPUs and TPUs."""
    heads = isinstance(layer, PosteriorHeads)
    x = jnp.ones((2, 4)) if heads else jnp.ones((2, 3, 5, 4))
    shift = () if heads else (jnp.ones((2, 4)),)
    variables = layer.init(jax.random.key(0), x, *shift)
    program = jax.make_jaxpr(lambda v: layer.apply(v, x, *shift))(variables)
    precisions = [
        e.params["precision"] for e in program.eqns if e.primitive.name == "dot_general"
    ]
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert precisions.count(highest) == products


def test_batch_norm_keeps_a_tenth_of_the_new_statistics():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (8, 4, 4, 3))
    model = Normalised("batch")
    variables = model.init(jax.random.key(1), x)
    y, state = model.apply(variables, x, train=True, mutable=["batch_stats"])
    stats = state["batch_stats"]["norm"]
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    np.testing.assert_allclose(stats["mean"], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * variance, rtol=1e-4)
    np.testing.assert_allclose(y.mean((0, 1, 2)), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), np.ones(3), atol=1e-4)


def test_group_norm_takes_sixteen_channels_of_one_image_together():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 4, 4, 32))
    y, variables = Normalised("group").init_with_output(jax.random.key(1), x)
    groups = y.reshape(2, 16, 2, 16)
    np.testing.assert_allclose(groups.mean((1, 3)), np.zeros((2, 2)), atol=1e-5)
    np.testing.assert_allclose(groups.std((1, 3)), np.ones((2, 2)), atol=1e-4)
    assert list(variables) == ["params"]
