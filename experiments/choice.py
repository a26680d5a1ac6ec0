"""The map that a run explains its images by, chosen without a look at defects."""

import dataclasses

from experiments.evaluation import artificial_defects, score_choice
from experiments.explainer import Explainer, Fitted, HostImages
from experiments.methods import CANDIDATES, make_maps


def choose(
    explainer: Explainer, fitted: Fitted, validation: HostImages, *, seed: int
) -> Explainer:
    """The explainer, its `choice` the best of `CANDIDATES` for these images.

    That is the one with the highest AUPRO + best IoU on artificial defects, which are
    not those of any test set. Its own figures on them are, as the highest of several,
    a little too good.
    """
    images, masks = artificial_defects(validation, seed=seed)
    figures = score_choice(make_maps(CANDIDATES, explainer, fitted, images), masks)
    best = max(CANDIDATES, key=lambda name: sum(figures[name].values()))
    return dataclasses.replace(explainer, choice=best)
