"""CNN feature dictionary: how far a patch's features are from those of normal patches.

Napoletano et al. 2018, with the sizes and numbers of Bergmann et al. 2019 (MVTec AD).
"""

import functools
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax.baselines import MapFunction, resnet18
from vae_jax.baselines.patches import resize_all, sliding, spread
from vae_jax.baselines.resnet18 import ResNet18
from vae_jax.data import pipeline
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import ImageSource
from vae_jax.data.concurrency import in_threads

TEXTURE_SIZE, OBJECT_SIZE = 512, 256
"""Sides to which images are resized, in pixels."""
PATCH_BATCH = 1024
"""Patches that pass the network at once: activations of about 100 MB."""
IMAGES_AT_ONCE = 8
"""Their patches are cut out together, so that few batches are filled up."""


class Dictionary(NamedTuple):
    """A projection of features, and some of them projected."""

    mean: Float[Array, " features"]
    components: Float[Array, "component features"]
    entries: Float[Array, "entry component"]


def method_name(weights: Path | None) -> str:
    """What tables call the method: random features are never named like others."""
    return "feature-dictionary" if weights else "feature-dictionary-random"


def fit_feature_dictionary(
    normals: ImageSource,
    *,
    weights: Path | None,
    seed: int,
    augmentation: Augmentation,
    is_texture: bool,
    image_size: int | None = None,
    patch: int = 16,
    stride: int = 4,
    training_patches: int = 10_000,
    explained_variance: float = 0.95,
    entries: int = 10,
    nearest: int = 1,
) -> MapFunction:
    """Chooses normal patches, and returns maps of the distance to the nearest of them.

    The features of random patches are reduced by PCA and clustered by K-means; the
    patches nearest to the centres are the dictionary.

    Args:
        normals: images of the category, square.
        weights: of ResNet-18 trained on ImageNet, see `resnet18`. None: random ones,
            with a warning; no figure with them is one of the published method.
        seed: of the patches, the clustering, and random weights.
        augmentation: what may be done to a normal image.
        is_texture: whether images are resized to 512 pixels, or else 256.
        image_size: another size.
        patch: side of the patches, in pixels of the resized image.
        stride: pixels from one patch to the next.
        training_patches: how many are clustered.
        explained_variance: share of the variance that PCA keeps.
        entries: clusters, and so patches in the dictionary.
        nearest: entries over which the distance is averaged (Napoletano et al. average
            over several; Bergmann et al. do not say).

    Raises:
        ValueError: the file of weights is not of ResNet-18, the images are too small,
            or there are no `entries` different normal patches.
        ImportError: scikit-learn is not installed.
    """
    if not 1 <= nearest <= entries:
        raise ValueError(
            f"fit_feature_dictionary: nearest must be from 1 to the {entries} entries, "
            f"got {nearest}."
        )
    size = image_size or (TEXTURE_SIZE if is_texture else OBJECT_SIZE)
    network = resnet18.build(_weights(weights, seed=seed), image_size=patch)
    batches = pipeline.train_dataset(
        resize_all(normals, size),
        batch_size=PATCH_BATCH,
        seed=seed,
        augmentation=augmentation,
        crop=patch,
    )

    def features_of(k: int) -> Float[np.ndarray, "patch features"]:
        batch: Any = batches[k]
        return np.asarray(patch_features(network, batch["image"]))

    count = math.ceil(training_patches / PATCH_BATCH)
    training = in_threads(features_of, range(count))
    dictionary = choose_entries(
        np.concatenate(training)[:training_patches],
        explained_variance=explained_variance,
        entries=entries,
        seed=seed,
    )
    distances = functools.partial(patch_distances, network, dictionary, nearest=nearest)

    def maps(
        pixels: UInt8[np.ndarray, "image height width channel"],
    ) -> Float[np.ndarray, "image height width"]:
        resized = resize_all(pixels, size)
        coarse = [
            _coarse_maps(distances, sliding(group, side=patch, stride=stride))
            for group in _groups(resized, IMAGES_AT_ONCE)
        ]
        return spread(
            np.concatenate(coarse), side=patch, stride=stride, of=size,
            size=pixels.shape[1],
        )  # fmt: skip

    return maps


@jax.jit
def patch_features(
    network: ResNet18, patches: Float[Array | np.ndarray, "patch side side channel"]
) -> Float[Array, "patch features"]:
    """Features of patches in [0, 1], of sum 1 (Napoletano et al., section 6)."""
    # In all of float32 on every device: distances are small differences.
    with jax.default_matmul_precision("highest"):
        features = resnet18.features(network, jnp.asarray(patches))
    # They are not negative, and all of them may be 0.
    return features / jnp.maximum(features.sum(1, keepdims=True), 1e-12)


def choose_entries(
    features: Float[np.ndarray, "patch features"],
    *,
    explained_variance: float,
    entries: int,
    seed: int,
) -> Dictionary:
    """Projects features by PCA, and keeps those nearest to the centres of K-means.

    Raises:
        ValueError: fewer features than `entries` differ.
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA
        from sklearn.metrics import pairwise_distances_argmin
    except ImportError as error:
        raise ImportError(
            "fit_feature_dictionary: to cluster features, install scikit-learn."
        ) from error
    distinct = len(np.unique(features, axis=0))
    if distinct < max(entries, 2):
        raise ValueError(
            f"fit_feature_dictionary: {entries} entries need as many different normal "
            f"patches, got {distinct}; give more images or ask for fewer entries."
        )
    pca = PCA(explained_variance, svd_solver="full").fit(features)
    projected = pca.transform(features)
    clusters = KMeans(entries, random_state=seed).fit(projected)
    chosen = pairwise_distances_argmin(clusters.cluster_centers_, projected)
    return Dictionary(
        *(jnp.asarray(x) for x in (pca.mean_, pca.components_, projected[chosen]))
    )


@functools.partial(jax.jit, static_argnames="nearest")
def patch_distances(
    network: ResNet18,
    dictionary: Dictionary,
    patches: Float[Array | np.ndarray, "patch side side channel"],
    *,
    nearest: int,
) -> Float[Array, " patch"]:
    """The mean distance of each patch to the `nearest` entries, after projection."""
    centred = patch_features(network, patches) - dictionary.mean[None]
    projected = jnp.matmul(centred, dictionary.components.T, precision="highest")
    differences = projected[:, None] - dictionary.entries[None]
    distances = jnp.linalg.norm(differences, axis=-1)
    return -jax.lax.top_k(-distances, nearest)[0].mean(1)


def _coarse_maps(distances, patches):
    """Distances of [image rows columns side side channel], as [image rows columns]."""
    grid, shape = patches.shape[:3], patches.shape[3:]
    found = [
        np.asarray(distances(batch["image"]))[batch["valid"]]
        for batch in pipeline.eval_batches(
            patches.reshape(-1, *shape), batch_size=PATCH_BATCH
        )
    ]
    return np.concatenate(found).reshape(grid)


def _groups(pixels: np.ndarray, count: int) -> Iterator[np.ndarray]:
    for start in range(0, len(pixels), count):
        yield pixels[start : start + count]


def _weights(path: Path | None, *, seed: int) -> resnet18.Weights:
    if path is not None:
        return resnet18.load_weights(path)
    warnings.warn(
        "fit_feature_dictionary: without a file of ImageNet weights the features are "
        f"random ones; the method is then {method_name(None)}.",
        stacklevel=3,
    )
    return resnet18.random_weights(seed=seed)
