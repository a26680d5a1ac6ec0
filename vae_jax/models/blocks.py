"""Layers that the networks share."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, assert_never

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.models.convolution import conv, conv_transpose

Norm = Literal["batch", "group"]


class Posterior(NamedTuple):
    """Mean and log-variance of q(latent | image), a diagonal normal."""

    mean: Float[Array, "batch latent"]
    logvar: Float[Array, "batch latent"]


def as_posterior(who: str, found: Any) -> Posterior:
    """Mean and log-variance of what an encoder returned.

    Raises:
        ValueError: from `who`, if that is anything but two arrays [batch latent].
    """
    shapes = jax.tree.map(np.shape, found)
    # An array of two rows is no sequence, though it would unpack like one.
    is_pair = isinstance(found, Sequence) and len(found) == 2
    if not (is_pair and shapes[0] == shapes[1] and len(shapes[0]) == 2):
        raise ValueError(
            f"{who} must return mean and log-variance, each [batch latent], got "
            f"{shapes}; split the output of a single layer in two."
        )
    return Posterior(*found)


def run_part(module: nn.Module, *inputs: Array, train: bool) -> Any:
    """Its output; a module that knows no `train` behaves alike in both."""
    known = inspect.signature(type(module).__call__).parameters
    return module(*inputs, train=train) if "train" in known else module(*inputs)


Initial = Callable[[jax.Array, tuple[int, ...]], jax.Array]
Scheme = Callable[[int, int], tuple[Initial, Initial]]
"""From the fans, in and out, of a layer to its initial kernel and bias."""


def torch_scheme(fan_in: int, fan_out: int) -> tuple[Initial, Initial]:
    """Uniform on +-1/sqrt(fan_in), PyTorch's default for weights and biases alike.

    The networks that are compared with the authors' start as theirs did. The others
    follow: with a norm after each convolution the scale of its weights hardly matters.
    """
    del fan_out
    initial = functools.partial(_uniform, 1 / math.sqrt(fan_in))
    return initial, initial


def glorot_scheme(fan_in: int, fan_out: int) -> tuple[Initial, Initial]:
    """Uniform on +-sqrt(6 / (fan_in + fan_out)), biases zero: TensorFlow's default.

    Of variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, Eq. 16).
    """
    bound = math.sqrt(6 / (fan_in + fan_out))
    return functools.partial(_uniform, bound), zeros


def small_normal_scheme(fan_in: int, fan_out: int) -> tuple[Initial, Initial]:
    """Normal of standard deviation 0.02, biases zero (Radford et al. 2015)."""
    del fan_in, fan_out
    return _small_normal, zeros


def zeros(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Initial values of 0, float32 as all parameters are, whatever jax is set to."""
    del key
    return jnp.zeros(shape, jnp.float32)


def _uniform(bound: float, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    # Drawn flat: XLA takes seconds to compile a draw of four axes for CPUs.
    values = jax.random.uniform(key, (math.prod(shape),), jnp.float32, -bound, bound)
    return values.reshape(shape)


def _small_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    values = jax.random.normal(key, (math.prod(shape),), jnp.float32)
    return 0.02 * values.reshape(shape)


class Conv(nn.Module):
    """Convolution; the defaults halve the image (an odd size to the floor)."""

    features: int
    kernel_size: tuple[int, int] = (4, 4)
    stride: int = 2
    padding: int = 1
    use_bias: bool = True
    scheme: Scheme = torch_scheme
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"]
    ) -> Float[Array, "batch rows columns out"]:
        """The convolution of `images`, in `dtype`."""
        shape = (*self.kernel_size, images.shape[-1], self.features)
        area = math.prod(self.kernel_size)
        initial = self.scheme(area * images.shape[-1], area * self.features)
        outputs = conv(
            images.astype(self.dtype),
            _kernel(self, shape, initial).astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
        )
        return _add_bias(self, outputs, initial) if self.use_bias else outputs


class ConvTranspose(nn.Module):
    """Transposed convolution; kernel 4 doubles a size n, kernel 5 makes it 2n + 1."""

    features: int
    kernel_size: tuple[int, int] = (4, 4)
    stride: int = 2
    padding: int = 1
    use_bias: bool = True
    scheme: Scheme = torch_scheme
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, features: Float[Array, "batch height width channel"]
    ) -> Float[Array, "batch rows columns out"]:
        """The transposed convolution of `features`, in `dtype`."""
        shape = (*self.kernel_size, features.shape[-1], self.features)
        # PyTorch counts the fan of a transposed convolution by its output channels.
        area = math.prod(self.kernel_size)
        initial = self.scheme(area * self.features, area * features.shape[-1])
        outputs = conv_transpose(
            features.astype(self.dtype),
            _kernel(self, shape, initial).astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
        )
        return _add_bias(self, outputs, initial) if self.use_bias else outputs


class Dense(nn.Module):
    """Affine map of vectors."""

    features: int
    scheme: Scheme = torch_scheme
    dtype: DTypeLike = jnp.float32
    precision: jax.lax.PrecisionLike = None

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "batch channel"]
    ) -> Float[Array, "batch out"]:
        """The map of `inputs`, in `dtype`."""
        fan_in = inputs.shape[-1]
        initial = self.scheme(fan_in, self.features)
        kernel = _kernel(self, (fan_in, self.features), initial).astype(self.dtype)
        outputs = jnp.matmul(
            inputs.astype(self.dtype), kernel, precision=self.precision
        )
        return _add_bias(self, outputs, initial)


class DenseOverFeatures(nn.Module):
    """Affine map of all the activations of an image, flattened."""

    features: int
    scheme: Scheme = torch_scheme
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        activation: Float[Array, "batch height width channel"],
        channel_perturbation: Float[Array, "batch channel"] | None = None,
    ) -> Float[Array, "batch out"]:
        """The map of `activation`, plus that of a perturbation constant over space."""
        batch, *size, channels = activation.shape
        fan_in = math.prod(size) * channels
        initial = self.scheme(fan_in, self.features)
        kernel = _kernel(self, (fan_in, self.features), initial)
        inputs = activation.astype(self.dtype).reshape(batch, fan_in)
        outputs = inputs @ kernel.astype(self.dtype)
        if channel_perturbation is not None:
            # The sum of the kernel over pixels, as the matrix product that XLA's CPU
            # code takes hundreds of times less time for.
            pixels = math.prod(size)
            # And all of float32 where products are shorter by default.
            product = functools.partial(jnp.matmul, precision="highest")
            summed = product(jnp.ones(pixels, kernel.dtype), kernel.reshape(pixels, -1))
            summed = summed.reshape(channels, self.features)
            outputs += product(channel_perturbation, summed).astype(self.dtype)
        return _add_bias(self, outputs, initial)


class PosteriorHeads(nn.Module):
    """The two affine maps that end an encoder."""

    latents: int
    scheme: Scheme = torch_scheme

    @nn.compact
    def __call__(self, features: Float[Array, "batch channel"]) -> Posterior:
        """q(latent | image) from the last features."""
        # In float32 whatever the network computes in: 8 bits of a mean are too few.
        # "highest", because GPUs and TPUs round the factors of float32 by default.
        head = functools.partial(
            Dense, self.latents, scheme=self.scheme, precision="highest"
        )
        features = features.astype(jnp.float32)
        return Posterior(
            mean=head(name="mean")(features),
            logvar=head(name="logvar")(features),
        )


def normalise(
    activation: Float[Array, "batch height width channel"],
    kind: Norm,
    *,
    name: str,
    train: bool,
    dtype: DTypeLike,
) -> Float[Array, "batch height width channel"]:
    """Applies the norm layer `name` of the module whose compact method calls this.

    "batch" keeps running statistics (PyTorch's momentum 0.1), used unless `train`;
    "group" (Wu and He 2018) takes 16 channels a group, has no state, and treats each
    image alone in training too.
    """
    match kind:
        case "batch":
            norm = nn.BatchNorm(
                use_running_average=not train, momentum=0.9, dtype=dtype, name=name
            )
        case "group":
            group_size = math.gcd(activation.shape[-1], 16)
            norm = nn.GroupNorm(
                num_groups=None, group_size=group_size, dtype=dtype, name=name
            )
        case _:
            assert_never(kind)
    return norm(activation)


def _kernel(
    module: nn.Module, shape: tuple[int, ...], initial: tuple[Initial, Initial]
) -> jax.Array:
    return module.param("kernel", initial[0], shape)


def _add_bias(
    module: nn.Module, outputs: jax.Array, initial: tuple[Initial, Initial]
) -> jax.Array:
    bias = module.param("bias", initial[1], outputs.shape[-1:])
    return outputs + jnp.expand_dims(
        bias.astype(outputs.dtype), range(outputs.ndim - 1)
    )
