import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.models.blocks import DenseOverFeatures, Posterior
from vae_jax.models.taps import channel_tap, tap

IMAGE_SHAPE = (8, 12, 2)  # Taps: 4x6x4, then 2x3x5; no two sizes agree.


class TinyVAE(nn.Module):
    """Any module with taps will do; this one is not built from the library's."""

    smooth: bool = False
    norm: bool = False
    by_channel: bool = True
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        dtypes = {"dtype": self.dtype, "param_dtype": jnp.zeros(()).dtype}
        self.convolution1 = nn.Conv(4, (3, 3), strides=2, **dtypes)
        self.convolution2 = nn.Conv(5, (3, 3), strides=2, **dtypes)
        self.statistics = nn.BatchNorm(use_running_average=True, **dtypes)
        self.hidden = DenseOverFeatures(7, dtype=self.dtype)
        self.heads = nn.Dense(6, dtype=self.dtype, param_dtype=dtypes["param_dtype"])
        self.output = nn.Dense(8 * 12 * 2, **dtypes)

    def rectify(self, x):
        return nn.softplus(x) if self.smooth else nn.relu(x)

    def encode(self, images):
        x = tap(self, "conv1", self.convolution1(images))
        x = tap(self, "relu1", self.rectify(x))
        x = self.statistics(x) if self.norm else x
        x = tap(self, "conv2", self.convolution2(x))
        return self.tail(tap(self, "relu2", self.rectify(x)))

    def tail(self, relu2):
        change = channel_tap(self, "relu2", relu2) if self.by_channel else None
        hidden = tap(self, "vector", self.rectify(self.hidden(relu2, change)))
        mean, logvar = jnp.split(self.heads(hidden), 2, axis=1)
        return Posterior(mean, logvar)

    def decode(self, latents):
        return tap(self, "decoded", self.output(latents).reshape(-1, *IMAGE_SHAPE))

    def __call__(self, images):
        return self.decode(self.encode(images).mean)


def make_variables(model, *, seed=0):
    images = jnp.zeros((1, *IMAGE_SHAPE))
    variables = jax.jit(model.init)(jax.random.key(seed), images)
    rng = np.random.default_rng(seed)

    def off_centre(x):
        # Biases and statistics start at 0 and 1, where leaving one out would not show.
        shift = rng.uniform(0.1, 0.5, x.shape) if x.ndim == 1 else 0
        return x + jnp.asarray(shift, x.dtype)

    return {
        name: jax.tree.map(off_centre, tree)
        for name, tree in variables.items()
        if name in ("params", "batch_stats")
    }


@pytest.fixture(scope="session")
def tiny_vae():
    """Builds a `TinyVAE` and variables for it."""

    @functools.cache
    def build(**fields):
        model = TinyVAE(**fields)
        return model, make_variables(model)

    return build


@pytest.fixture(scope="session")
def images():
    return jax.random.uniform(jax.random.key(1), (5, *IMAGE_SHAPE))
