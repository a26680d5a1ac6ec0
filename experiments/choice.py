"""The map that a run explains its images by, chosen without a look at defects."""

import dataclasses

import numpy as np

from experiments.evaluation import artificial_defects, score_choice
from experiments.explainer import Explainer, Fitted, HostImages
from experiments.methods import CANDIDATES, make_maps

IMAGES = 32
"""Held-out normal images to choose on; each is shown with every kind of defect."""


def choose(
    explainer: Explainer, fitted: Fitted, validation: HostImages, *, seed: int
) -> Explainer:
    """The explainer, its `choice` the best of `CANDIDATES` for these images.

    That is the one with the highest AUPRO + best IoU on artificial defects, which are
    not those of any test set. Its own figures on them are, as the highest of several,
    a little too good.
    """
    # Spread over all of them: the first frames of a clip are one image.
    places = np.linspace(0, len(validation) - 1, min(IMAGES, len(validation)))
    shown = validation[np.rint(places).astype(int)]
    images, masks = artificial_defects(shown, seed=seed)
    figures = score_choice(make_maps(CANDIDATES, explainer, fitted, images), masks)
    best = max(CANDIDATES, key=lambda name: sum(figures[name].values()))
    return dataclasses.replace(explainer, choice=best)
