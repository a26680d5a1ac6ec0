"""Trains a baseline of its own network on normal images."""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import optax
from jaxtyping import Array, PyTree

from vae_jax import train
from vae_jax.data import pipeline
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import ImageSource


def train_on_normals(
    init: Callable[[Array], tuple[PyTree, PyTree]],
    loss_fn: train.LossFn,
    optimizer: optax.GradientTransformation,
    normals: ImageSource,
    *,
    config: Mapping[str, Any],
    seed: int,
    folder: Path | None,
    augmentation: Augmentation,
    crop: int | None,
    steps: int,
    batch_size: int,
) -> tuple[PyTree, PyTree]:
    """Makes `steps` updates, or those that are left; returns parameters and state.

    Args:
        init: from a key to the parameters and the model state, `{}` where it has none.
        loss_fn: of a batch {"image": float32 in [0, 1]}.
        optimizer: of the parameters.
        normals: the training images.
        config: all else that the run depends on, as plain values.
        seed: of the initial values, the order of the images, and the augmentation.
        folder: for checkpoints and logs; None writes nothing.
        augmentation: what may be done to a normal image.
        crop: side of the random crops that are seen; None for whole images.
        steps: length of the run; a finished one may be made longer.
        batch_size: images per step over all devices.

    Raises:
        ValueError: `folder` holds a run with another configuration or other images.
    """
    mesh = train.data_mesh()
    key = jax.random.key(seed)
    state = train.create_state(init, optimizer, key=key, mesh=mesh, ema=False)

    def batches(start_step: int):
        return pipeline.train_batches(
            normals,
            batch_size=batch_size,
            seed=seed,
            augmentation=augmentation,
            crop=crop,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            start_step=start_step,
        )

    config = {
        **config,
        "seed": seed,
        "augmentation": vars(augmentation),
        "crop": crop,
        "batch_size": batch_size,
        "images": len(normals),
        "sha256": _sha256(normals),
    }
    with contextlib.ExitStack() as stack:
        checkpoints = None
        if folder is not None:
            checkpoints = train.Checkpoints(folder, config=config)
            stack.enter_context(checkpoints)
        state = train.fit(
            state,
            train.make_train_step(loss_fn, optimizer),
            batches,
            steps=steps,
            mesh=mesh,
            checkpoints=checkpoints,
        )
    # For maps, which every process makes by itself.
    return train.local_copy((state.params, state.model_state))


def _sha256(source: ImageSource) -> str:
    digest = hashlib.sha256()
    for i in range(len(source)):
        digest.update(source[i].tobytes())
    return digest.hexdigest()
