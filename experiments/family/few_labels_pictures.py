"""What in an image speaks for each class, for the classifier of M2."""

from pathlib import Path

import jax
import numpy as np

from experiments.family.conditions import draw_class_maps
from experiments.family.fit import Trained
from vae_jax import attention, models
from vae_jax.data.image_sets import ImageSet


def draw_maps(path: Path, model: models.M2, trained: Trained, data: ImageSet) -> None:
    """A row for a test image of each class, of the last run: it has most labels."""
    classes = model.vae.classes
    places = [int(np.flatnonzero(data.test_labels == c)[0]) for c in range(classes)]
    last = len(jax.tree.leaves(trained.params)[0]) - 1
    draw_class_maps(
        path,
        model,
        trained.variables(last),
        data.test_images[places] / np.float32(255),
        score=attention.class_log_odds,
    )
