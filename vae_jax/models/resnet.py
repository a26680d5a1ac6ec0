"""ResNet-18 encoder for small images: no max-pool, a global average at the end."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.models.blocks import (
    Conv,
    Norm,
    Posterior,
    PosteriorHeads,
    normalise,
)
from vae_jax.models.taps import channel_tap, tap


class Stem(nn.Module):
    """A 3x3 convolution of stride 2; taps conv and relu."""

    channels: int
    norm: Norm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool
    ) -> Float[Array, "batch rows columns out"]:
        """Features of half the size."""
        convolution = Conv(
            self.channels, (3, 3), use_bias=False, dtype=self.dtype, name="convolution"
        )
        x = tap(self, "conv", convolution(images))
        x = normalise(x, self.norm, name="norm", train=train, dtype=self.dtype)
        return tap(self, "relu", nn.relu(x))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, Figure 5 left).

    Taps conv1, relu1, conv2 and, after the sum, relu2.
    """

    channels: int
    stride: int
    norm: Norm
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, inputs: Float[Array, "batch height width channel"], *, train: bool
    ) -> Float[Array, "batch rows columns out"]:
        """The block; a 1x1 convolution fits the shortcut where the shape changes."""
        x = tap(self, "conv1", self._conv("convolution1", 3, self.stride)(inputs))
        x = tap(self, "relu1", nn.relu(self._normalise("norm1", x, train=train)))
        x = tap(self, "conv2", self._conv("convolution2", 3, stride=1)(x))
        x = self._normalise("norm2", x, train=train)
        if inputs.shape != x.shape:
            inputs = self._conv("shortcut", 1, self.stride)(inputs)
            inputs = self._normalise("shortcut_norm", inputs, train=train)
        return tap(self, "relu2", nn.relu(x + inputs))

    def _conv(self, name: str, size: int, stride: int) -> Conv:
        return Conv(
            self.channels,
            kernel_size=(size, size),
            stride=stride,
            padding=size // 2,
            use_bias=False,
            dtype=self.dtype,
            name=name,
        )

    def _normalise(self, name: str, x: Array, *, train: bool) -> Array:
        return normalise(x, self.norm, name=name, train=train, dtype=self.dtype)


class Stage(nn.Module):
    """Two basic blocks, of which the first has the stride."""

    channels: int
    stride: int
    norm: Norm
    dtype: DTypeLike = jnp.float32

    def setup(self):
        """Names the blocks, so that what follows a stage can mark its last tap."""
        self.block1 = BasicBlock(self.channels, self.stride, self.norm, self.dtype)
        self.block2 = BasicBlock(self.channels, 1, self.norm, self.dtype)

    def __call__(
        self, inputs: Float[Array, "batch height width channel"], *, train: bool
    ) -> Float[Array, "batch rows columns out"]:
        """Both blocks in turn."""
        return self.block2(self.block1(inputs, train=train), train=train)


class ResNetEncoder(nn.Module):
    """Stem, one stage per entry of `channels`, global average, two heads.

    Stages but the first halve the image. Taps: stem/conv, stem/relu and, for each
    stage I and block J, stageI/blockJ/ conv1, relu1, conv2, relu2; the last relu2 also
    by channel, because the average and the heads that follow it are linear.
    """

    latents: int
    channels: tuple[int, ...] = (64, 128, 256, 512)
    norm: Norm = "batch"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool = False
    ) -> Posterior:
        """q(latent | image)."""
        stem = Stem(self.channels[0], self.norm, self.dtype, name="stem")
        x = stem(images, train=train)
        stages = [
            Stage(channels, min(i, 2), self.norm, self.dtype, name=f"stage{i}")
            for i, channels in enumerate(self.channels, 1)
        ]
        for stage in stages:
            x = stage(x, train=train)
        pooled = x.mean((1, 2), dtype=jnp.float32)
        perturbation = channel_tap(stages[-1].block2, "relu2", x)
        if perturbation is not None:
            pooled += perturbation
        return PosteriorHeads(self.latents, name="heads")(pooled)
