"""Autoencoders whose error is the anomaly map: AE-L2 and AE-SSIM.

Network and objectives of Bergmann et al. 2018, "Improving unsupervised defect
segmentation by applying structural similarity to autoencoders"; one layer more for
whole objects, and the patches of textures, of Bergmann et al. 2019 (MVTec AD).
"""

import functools
from pathlib import Path
from typing import Literal, NamedTuple, assert_never, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from vae_jax import losses, train
from vae_jax.baselines import MapFunction
from vae_jax.baselines.overlap import map_patches, patch_starts
from vae_jax.baselines.training import train_on_normals
from vae_jax.data import pipeline
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import ImageSource
from vae_jax.losses.ssim import Window
from vae_jax.models.blocks import Conv, ConvTranspose
from vae_jax.models.conv import halved_sizes

Loss = Literal["l2", "ssim"]
Images = Float[Array, "batch height width channel"]

OBJECT_SIZE = 256
"""Side in pixels at which whole objects are seen, as published."""
TEXTURE_SIZE = 512
"""Side in pixels to which textures are resized before patches are cut out."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL's grey images
_MAP_BATCH = 28  # seven batches for the 196 patches of a texture


class Layer(NamedTuple):
    """A convolution with padding 1; stride 2 halves the image."""

    channels: int
    kernel: int
    stride: int


TEXTURE_LAYERS = (
    Layer(32, 4, 2),
    Layer(32, 4, 2),
    Layer(32, 3, 1),
    Layer(64, 4, 2),
    Layer(64, 3, 1),
    Layer(128, 4, 2),
    Layer(64, 3, 1),
    Layer(32, 3, 1),
)
OBJECT_LAYERS = (Layer(32, 4, 2), *TEXTURE_LAYERS)
"""With the one layer more that objects get; the paper does not say which."""


def scaled(layers: tuple[Layer, ...], width: int) -> tuple[Layer, ...]:
    """The layers in proportion, the first with `width` channels.

    Raises:
        ValueError: if `width` is not positive.
    """
    if width < 1:
        raise ValueError(f"scaled: width must be at least 1 channel, got {width}.")
    first = layers[0].channels
    return tuple(
        layer._replace(channels=layer.channels * width // first) for layer in layers
    )


class Autoencoder(nn.Module):
    """Convolutions to `latents` numbers, and their mirror image back to the image.

    The last convolution covers what the `layers` leave, 8x8 as published, so that
    images may have other sizes. Leaky rectifiers of slope 0.2 follow each layer but
    the last of the encoder and the last of the decoder.
    """

    layers: tuple[Layer, ...]
    latents: int

    @nn.compact
    def __call__(self, images: Images) -> Images:
        """The reconstructions of `images`, not confined to [0, 1].

        Raises:
            ValueError: if the images are too small for the layers.
        """
        halvings = sum(layer.stride == 2 for layer in self.layers)
        halved_sizes(min(images.shape[1:3]), times=halvings)
        shapes, x = [], images
        for i, (channels, kernel, stride) in enumerate(self.layers, 1):
            shapes.append(x.shape[1:])
            encode = Conv(channels, (kernel, kernel), stride, name=f"encode{i}")
            x = _leaky(encode(x))
        rows, columns, channels = x.shape[1:]
        x = Conv(self.latents, (rows, columns), 1, 0, name="to_latents")(x)
        x = ConvTranspose(channels, (rows, columns), 1, 0, name="from_latents")(x)
        for i in range(len(self.layers), 0, -1):
            rows, columns, channels = shapes[i - 1]
            _, kernel, stride = self.layers[i - 1]
            # One row or column more leads back to an odd size.
            size = (kernel + rows % stride, kernel + columns % stride)
            x = ConvTranspose(channels, size, stride, name=f"decode{i}")(_leaky(x))
        return x


def _leaky(x: Array) -> Array:
    return nn.leaky_relu(x, 0.2)


def error_map(
    network: Autoencoder,
    params: dict,
    images: Images,
    *,
    loss: Loss,
    window: Window,
) -> Float[Array, "batch height width"]:
    """What the loss is the mean of, and the anomaly map, of each pixel.

    "l2" is the squared difference between image and reconstruction, summed over
    channels; "ssim" is 1 - SSIM of the grey images, which are all that the network
    sees then.
    """
    if loss == "ssim" and images.shape[-1] == 3:
        images = jnp.tensordot(images, jnp.array(_LUMA), 1)[..., None]
    reconstructions = cast(Array, network.apply({"params": params}, images))
    match loss:
        case "l2":
            return jnp.square(images - reconstructions).sum(-1)
        case "ssim":
            return 1 - losses.ssim_map(images, reconstructions, window=window)
        case _:
            assert_never(loss)


def make_loss_fn(network: Autoencoder, *, loss: Loss, window: Window) -> train.LossFn:
    """The mean of `error_map` over pixels and images."""

    def loss_fn(params, model_state, batch, *, key, step):
        del key, step
        error = error_map(network, params, batch["image"], loss=loss, window=window)
        return error.mean(), train.Aux({}, model_state)

    return loss_fn


def adam_with_l2(
    learning_rate: float, *, weight_decay: float
) -> optax.GradientTransformation:
    """Adam with `weight_decay` times the parameters added to the gradient.

    So weight decay is in Kingma and Ba's Adam as PyTorch has it, which is what papers
    of the time mean by it; `train.adam` decouples it (Loshchilov and Hutter 2019).
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
    )


def fit_autoencoder(
    normals: ImageSource,
    *,
    loss: Loss,
    is_texture: bool,
    seed: int,
    folder: Path | None,
    augmentation: Augmentation,
    width: int = 32,
    latents: int = 100,
    steps: int = 200 * 10_000 // 128,
    batch_size: int = 128,
    learning_rate: float = 2e-4,
    weight_decay: float = 1e-5,
    window: Window = "gaussian",
    patch: int = 128,
    stride: int = 30,
) -> MapFunction:
    """Trains an autoencoder, or goes on training it, and returns the maps it gives.

    Objects are seen whole, at `OBJECT_SIZE` as published. Textures, at `TEXTURE_SIZE`,
    are seen through patches: random ones in training, for maps one every `stride`
    pixels, the last at the border, and overlaps are averaged.

    Args:
        normals: images of the category, square and of one size.
        loss: "l2" or "ssim"; see `error_map`.
        is_texture: whether a patch is as normal as the whole.
        seed: of the initial values, the order, and the augmentation.
        folder: for checkpoints and logs; None writes nothing.
        augmentation: what may be done to a normal image. Each image and patch is drawn
            anew, where Bergmann et al. fix 10,000 a category.
        width: channels of the first layer; the others grow with it.
        latents: numbers that an image is squeezed into.
        steps: updates; the default is the published 200 epochs of 10,000 images.
        batch_size: images in an update; not published.
        learning_rate: of Adam, constant.
        weight_decay: of Adam, see `adam_with_l2`.
        window: of SSIM, see `losses.ssim_map`; its shape is not published.
        patch: side of a texture's patches in pixels.
        stride: between the patches of a map.

    Raises:
        ValueError: the images are smaller than a patch or too small for the network,
            `stride` leaves gaps, or `folder` holds another run.
    """
    size, _, channels = normals[0].shape
    if is_texture:
        patch_starts(size, side=patch, stride=stride)  # refuses what does not fit
        size = patch
    layers = TEXTURE_LAYERS if is_texture else OBJECT_LAYERS
    network = Autoencoder(scaled(layers, width), latents)

    def init(key: Array):
        images = jnp.zeros((1, size, size, 1 if loss == "ssim" else channels))
        return network.init(key, images)["params"], {}

    params, _ = train_on_normals(
        init,
        make_loss_fn(network, loss=loss, window=window),
        adam_with_l2(learning_rate, weight_decay=weight_decay),
        normals,
        config={
            "loss": loss,
            "window": window,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
        },
        seed=seed,
        folder=folder,
        augmentation=augmentation,
        crop=patch if is_texture else None,
        steps=steps,
        batch_size=batch_size,
    )
    maps = functools.partial(
        error_maps,
        network,
        params,
        loss=loss,
        window=window,
        image_shape=(size, size, channels),
    )
    if not is_texture:
        return maps
    return functools.partial(map_patches, maps, side=patch, stride=stride)


_error_map = jax.jit(error_map, static_argnums=0, static_argnames=("loss", "window"))


def error_maps(
    network: Autoencoder,
    params: dict,
    pixels: UInt8[np.ndarray, "image height width channel"],
    *,
    loss: Loss,
    window: Window,
    image_shape: tuple[int, int, int],
) -> Float[np.ndarray, "image height width"]:
    """`error_map` of 8-bit images, some at a time.

    Raises:
        ValueError: the images are not of the `image_shape` that the network knows.
    """
    if pixels.shape[1:] != image_shape:
        raise ValueError(
            f"error_maps: images must be of the shape {image_shape} that the "
            f"autoencoder was trained on, got {pixels.shape[1:]}; resize or convert "
            "them."
        )
    maps = np.empty(pixels.shape[:3], np.float32)
    first = 0
    for batch in pipeline.eval_batches(pixels, batch_size=_MAP_BATCH):
        valid = batch["valid"]
        # Accelerators multiply float32 in fewer bits unless they are told not to.
        with jax.default_matmul_precision("highest"):
            error = _error_map(
                network, params, jnp.asarray(batch["image"]), loss=loss, window=window
            )
        last = first + int(valid.sum())
        maps[first:last] = np.asarray(error)[valid]
        first = last
    return maps
