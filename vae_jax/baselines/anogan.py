"""AnoGAN: how far an image is from what a GAN of normal images can draw.

Schlegl et al. 2017, with the sizes and numbers of Bergmann et al. 2019 (MVTec AD).
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, UInt8

from vae_jax.anomaly import squared_residual
from vae_jax.baselines import MapFunction, dcgan
from vae_jax.baselines.dcgan import DCGAN, Variables
from vae_jax.baselines.overlap import map_patches
from vae_jax.baselines.patches import resize_all
from vae_jax.baselines.training import train_on_normals
from vae_jax.data import pipeline
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import ImageSource

MOST_TILES = 4
"""A texture is cut into at most 4x4 tiles: 512 pixels into tiles of 128."""

Latents = Float[Array, "batch latent"]
Batch = Float[Array | np.ndarray, "batch height width channel"]


def fit_anogan(
    normals: ImageSource,
    *,
    seed: int,
    folder: Path | None,
    augmentation: Augmentation,
    is_texture: bool,
    image_size: int = 128,
    width: int = 64,
    latents: int = 64,
    steps: int = 50 * 10_000 // 64,
    batch_size: int = 64,
    learning_rate: float = 2e-4,
    search_steps: int = 300,
    search_learning_rate: float = 0.02,
    feature_weight: float = 0.1,
    search_batch: int = 16,
) -> MapFunction:
    """Trains the GAN, or goes on training it, and returns the maps that it gives.

    A map is the squared difference between an image and the nearest one that the
    generator draws, averaged over channels. Objects are seen whole, textures in tiles
    side by side: as many of `image_size` pixels as fit into the images, at most 4x4.

    Args:
        normals: images of the category, square.
        seed: of the initial values, the order, the noise, and where searches begin.
        folder: for checkpoints and logs; None writes nothing.
        augmentation: what may be done to a normal image.
        is_texture: whether a part of an image is as normal as the whole.
        image_size: side of the images that the GAN draws, a power of two.
        width: channels of the discriminator's first layer; the networks grow with it.
        latents: dimensions of the latent space.
        steps: updates of both players; the default is the published 50 epochs, of
            10,000 augmented images each.
        batch_size: images in an update; not published, as usual for this GAN.
        learning_rate: of both players, for Adam with beta1 = 0.5.
        search_steps: updates of the latents, for each image.
        search_learning_rate: of these, for Adam.
        feature_weight: of the discriminator's features, beside the pixels, in what
            the search minimises.
        search_batch: images that are searched for at once; the last batch is filled up.

    Raises:
        ValueError: `image_size` is not a power of two, the images are too small for it,
            or `folder` holds another run.
    """
    channels = normals[0].shape[-1]
    gan = dcgan.dcgan(
        image_size=image_size, channels=channels, latents=latents, width=width
    )
    tiles = min(MOST_TILES, max(1, len(normals[0]) // image_size)) if is_texture else 1
    params, statistics = train_on_normals(
        lambda key: dcgan.init(gan, key=key),
        dcgan.make_loss_fn(gan),
        optax.adam(learning_rate, b1=0.5),
        resize_all(normals, tiles * image_size),
        config={"width": width, "latents": latents, "learning_rate": learning_rate},
        seed=seed,
        folder=folder,
        augmentation=augmentation,
        crop=image_size if tiles > 1 else None,
        steps=steps,
        batch_size=batch_size,
    )
    variables = {name: {"params": params[name], **statistics[name]} for name in params}
    find = functools.partial(
        find_latents,
        gan,
        variables,
        start=jax.random.normal(jax.random.key(seed), (latents,)),
        steps=search_steps,
        learning_rate=search_learning_rate,
        feature_weight=feature_weight,
    )

    def maps_of_tiles(
        pixels: UInt8[np.ndarray, "image height width channel"],
    ) -> Float[np.ndarray, "image height width"]:
        maps = []
        for batch in pipeline.eval_batches(pixels, batch_size=search_batch):
            drawn = _draw(gan, variables, find(batch["image"]))
            residual = squared_residual(batch["image"], drawn)
            maps.append(np.asarray(residual)[batch["valid"]])
        return np.concatenate(maps)

    def maps(
        pixels: UInt8[np.ndarray, "image height width channel"],
    ) -> Float[np.ndarray, "image height width"]:
        resized = resize_all(pixels, tiles * image_size)
        side_by_side = {"side": image_size, "stride": image_size}
        whole = map_patches(maps_of_tiles, resized, **side_by_side)
        return np.asarray(jax.image.resize(whole, pixels.shape[:3], "linear"))

    return maps


def find_latents(
    gan: DCGAN,
    variables: Variables,
    batch: Batch,
    *,
    start: Float[Array, " latent"],
    steps: int,
    learning_rate: float,
    feature_weight: float,
) -> Latents:
    """The latents whose image is nearest to each image of the batch.

    All images are searched for at once, each from `start` and with its own
    `search_loss`: Adam treats every latent of every image by itself.
    """
    batch = jnp.asarray(batch)
    features = _judge(gan, variables, batch).features
    latents = jnp.broadcast_to(start, (len(batch), *start.shape))
    state = optax.adam(learning_rate).init(latents)
    # A loop on the host: XLA's CPU convolutions are 15 times slower inside its own.
    for _ in range(steps):
        latents, state = _search_step(
            gan,
            variables,
            latents,
            state,
            batch,
            features,
            learning_rate=learning_rate,
            feature_weight=feature_weight,
        )
    return latents


def search_loss(
    gan: DCGAN,
    variables: Variables,
    latents: Latents,
    batch: Batch,
    features: Float[Array, "batch rows columns features"],
    *,
    feature_weight: float,
) -> Float[Array, " batch"]:
    """(1 - w) sum |x - G(z)| + w sum |f(x) - f(G(z))| (Schlegl et al. 2017, Eq. 6).

    `features` are f(x), what the discriminator's last convolution makes of the images.
    """
    drawn = dcgan.draw(gan, variables, latents)
    # In the range [-1, 1] that the weight was published for.
    residual = 2 * jnp.abs(batch - drawn).sum((1, 2, 3))
    judged = dcgan.judge(gan, variables, drawn)
    discrimination = jnp.abs(features - judged.features).sum((1, 2, 3))
    return (1 - feature_weight) * residual + feature_weight * discrimination


_draw = jax.jit(dcgan.draw, static_argnums=0)
_judge = jax.jit(dcgan.judge, static_argnums=0)


@functools.partial(
    jax.jit, static_argnums=0, static_argnames=("learning_rate", "feature_weight")
)
def _search_step(
    gan, variables, latents, state, batch, features, *, learning_rate, feature_weight
):
    def total(latents):
        losses = search_loss(
            gan, variables, latents, batch, features, feature_weight=feature_weight
        )
        return losses.sum()

    updates, state = optax.adam(learning_rate).update(jax.grad(total)(latents), state)
    return optax.apply_updates(latents, updates), state
