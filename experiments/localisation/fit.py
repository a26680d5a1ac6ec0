"""Trains the network of a run, and chooses the map that explains it."""

import dataclasses
from typing import NamedTuple

from experiments.launch.console import say
from experiments.localisation.prepare import Prepared
from experiments.localisation.settings import Settings
from vae_jax import detection, train
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData
from vae_jax.detection import Evidence, Explainer, Variables

_MAY_CHANGE = (
    "workdir",
    "seeds",
    "resolution",
    "blur",
    "tap",
    "methods",
    "baseline_steps",
    "baseline_size",
    "baseline_batch_size",
    "anogan_width",
    "feature_weights",
)
"""Settings that a finished or broken-off run may be started again with."""


class Fit(NamedTuple):
    """A trained network, ready to explain."""

    explainer: Explainer
    evidence: Evidence


def fit(prepared: Prepared) -> Fit:
    """Trains on the normal images of one category, or resumes, and chooses a map."""
    settings, data, augmentation, _, pasted = prepared
    explainer, variables = train_network(settings, data, augmentation)
    evidence = detection.gather_evidence(explainer, variables, data.train)
    chosen = detection.choose(explainer, evidence, pasted)
    say(f"{data.category}: artificial defects prefer {chosen.choice}")
    return Fit(chosen, evidence)


def train_network(
    settings: Settings, data: CategoryData, augmentation: Augmentation
) -> tuple[Explainer, Variables]:
    """The network of the settings and its best variables by validation, kept on disk.

    The run is in the folder of the category: a broken-off one is gone on with.
    """
    explainer = detection.build_explainer(
        **settings.network_options(), channels=data.channels
    )
    checkpoints = train.Checkpoints(
        settings.folder / data.category,
        config={"settings": dataclasses.asdict(settings), "data": data.sha256},
        may_change=[f"settings.{name}" for name in _MAY_CHANGE],
        best_by=detection.SELECTED_BY,
    )
    variables = detection.train_vae(
        explainer,
        data.train,
        data.validation,
        **settings.training_options(),
        augmentation=augmentation,
        checkpoints=checkpoints,
    )
    return explainer, variables
