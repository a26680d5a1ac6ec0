"""What a run leaves of one category: pictures, a detector, its part of the page."""

from experiments.launch.console import say
from experiments.localisation.deployment import deploy, describe
from experiments.localisation.explain import Maps
from experiments.localisation.fit import Fit
from experiments.localisation.gallery import gallery
from experiments.localisation.pictures import draw_all
from experiments.localisation.prepare import Prepared
from experiments.localisation.score import Scores
from experiments.localisation.tables import Result, Row
from vae_jax import train
from vae_jax.data.category import CategoryData
from vae_jax.detection import DEFAULT_METHOD, HostImages

REPORT_SIZE = 192
"""Side in pixels of the images of the report, where the model's is smaller."""


def show(prepared: Prepared, network: Fit, maps: Maps, scores: Scores) -> Result:
    """Draws the pictures and writes the detector, from the first process alone."""
    settings, data = prepared.settings, prepared.data
    result = Result(
        data.category,
        settings.seed,
        scores.rows,
        scores.defects,
        {"chosen": network.explainer.choice, **_about(data)},
    )
    if not train.is_primary():
        return result
    draw_all(prepared, network, maps, scores)
    detector = deploy(prepared, network, maps.normal[DEFAULT_METHOD])
    say(f"{data.category}: {describe(detector)}")
    section = gallery(
        prepared,
        network,
        maps,
        scores,
        image_threshold=detector["image_threshold"],
        pixel_threshold=detector["pixel_threshold"],
        fine_images=_fine_images(data),
    )
    return result._replace(detector=detector, section=section)


def _fine_images(data: CategoryData) -> HostImages:
    """The images of the report, large enough to look at if they were to begin with."""
    try:
        resized = data.at_size_on_demand or data.at_size
        fine = resized(max(REPORT_SIZE, len(data.validation[0])))
    except ValueError:  # too small to enlarge so much
        fine = data
    return fine.test.images if len(fine.test.images) else fine.validation


def _about(data: CategoryData) -> Row:
    return {
        "sha256": data.sha256,
        "is_texture": data.is_texture,
        "is_published": data.is_published,
        "train_images": len(data.train),
        "validation_images": len(data.validation),
        "test_images": len(data.test.images),
        "without_a_mask": len(data.test.unmasked),
    }
