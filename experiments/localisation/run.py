"""One run on one category: prepare, fit, explain, score, show, each once."""

from experiments.launch.console import say
from experiments.localisation.explain import explain
from experiments.localisation.fit import Fit, fit
from experiments.localisation.prepare import Prepared, prepare
from experiments.localisation.score import score
from experiments.localisation.settings import Settings
from experiments.localisation.show import show
from experiments.localisation.tables import Result
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData, TestImages


def run(settings: Settings, data: CategoryData, augmentation: Augmentation) -> Result:
    """Trains on the normal images of one category, or resumes, and evaluates."""
    prepared = prepare(settings, data, augmentation)
    return evaluate(prepared, fit(prepared))


def evaluate(prepared: Prepared, network: Fit) -> Result:
    """Makes all maps, scores them as far as there are labels, draws the pictures."""
    settings, data = prepared.settings, prepared.data
    say(f"{data.category}: making the maps of {len(prepared.kinds)} methods")
    maps = explain(prepared, network)
    say(f"{data.category}: scoring them at {settings.resolution} resolution")
    _say_if_defects_vanished(settings, data.test)
    return show(prepared, network, maps, score(prepared, maps))


def _say_if_defects_vanished(settings: Settings, test: TestImages) -> None:
    if test.has_masks and test.has_both_classes and not test.can_score_pixels:
        say(
            f"no defect is left in the masks at {settings.image_size} pixels, so there "
            "are no figures of pixels at that size: give a larger --image-size, or "
            "--resolution native to compare at the published one"
        )
