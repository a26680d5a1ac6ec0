"""Functions of a batch, over any number of images on the host."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from vae_jax.data import pipeline
from vae_jax.detection.explainer import Images

HostImages = UInt8[np.ndarray, "image height width channel"]


def over_batches(
    function: Callable[[Images], Any], images: HostImages, *, batch_size: int = 32
) -> Any:
    """`function` of all images, in batches of one size; a tree of numpy arrays."""
    parts = list(_by_batch(function, images, batch_size))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def mean_over_batches(
    function: Callable[[Images], Any], images: HostImages, *, batch_size: int = 32
) -> Any:
    """The mean over all images of what `function` gives for each, in float64.

    Unlike `over_batches` it never holds the results of more than one batch.
    """
    total = None
    for part in _by_batch(function, images, batch_size):
        sums = jax.tree.map(lambda x: x.sum(0, dtype=np.float64), part)
        total = sums if total is None else jax.tree.map(np.add, total, sums)
    return jax.tree.map(lambda x: x / len(images), total)


def _by_batch(
    function: Callable[[Images], Any], images: HostImages, batch_size: int
) -> Iterator[Any]:
    for batch in pipeline.eval_batches(images, batch_size=batch_size):
        valid = batch["valid"]
        # Accelerators multiply float32 in fewer bits unless they are told not to.
        with jax.default_matmul_precision("highest"):
            result = function(jnp.asarray(batch["image"]))
        yield jax.tree.map(lambda x, valid=valid: np.asarray(x)[valid], result)
