"""Factor-labelled sets whose scores are known."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics import disentanglement


@pytest.fixture(scope="session")
def ten():
    """Ten independent factors of ten values; the observation is the factors."""
    classes = np.random.default_rng(0).integers(0, 10, (3000, 10))
    return SimpleNamespace(
        factors=disentanglement.labelled(classes),
        classes=classes,
        identity=classes.astype(np.float32) + 1,
        zeros=np.zeros((3000, 10), np.float32),
        duplicated=np.tile(classes, 2).astype(np.float32),
    )


@pytest.fixture(scope="session")
def mixed():
    """Two unbalanced factors, of two and of four values, and codes that half know."""
    rng = np.random.default_rng(1)
    classes = np.stack(
        [rng.random(400) < 0.3, np.minimum(rng.geometric(0.4, 400) - 1, 3)], 1
    ).astype(np.int64)
    codes = rng.normal(size=(400, 3))
    codes[:, 0] += 2 * classes[:, 0]
    codes[:, 1] += classes[:, 1] - classes[:, 0]
    codes = codes.astype(np.float32)
    order = rng.permutation(400)
    return SimpleNamespace(
        factors=disentanglement.labelled(classes),
        classes=classes,
        codes=codes,
        split=disentanglement.Split(jnp.asarray(order[:250]), jnp.asarray(order[250:])),
    )
