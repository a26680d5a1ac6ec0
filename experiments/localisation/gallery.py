"""One category of the report: its images beside their maps, and its curves."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from experiments.localisation.explain import Maps
from experiments.localisation.fit import Fit
from experiments.localisation.prepare import Prepared
from experiments.localisation.score import Scores
from vae_jax import anomaly
from vae_jax.data.category import CategoryData
from vae_jax.data.images import to_float
from vae_jax.data.layout import GOOD
from vae_jax.detection import DEFAULT_METHOD, HostImages, HostMaps, latent_maps
from vae_jax.metrics import PRO_LIMIT
from vae_jax.report import html


def gallery(
    prepared: Prepared,
    network: Fit,
    maps: Maps,
    scores: Scores,
    *,
    image_threshold: float,
    pixel_threshold: float,
    fine_images: HostImages | None = None,
) -> html.Section:
    """One category of the report: the maps of the default method, encoded.

    Where there are no test images, it shows the held-out normal ones.

    Args:
        prepared: test images, and held-out normal ones.
        network: draws the maps of the latents.
        maps: of the images.
        scores: the typical images, and curves of the methods of interest.
        image_threshold: for the highest value of a raw map of the default method.
        pixel_threshold: for its raw values.
        fine_images: the images at a finer size than the model's, for the eye.
    """
    data, normal_maps = prepared.data, maps.normal[DEFAULT_METHOD]
    has_test = len(data.test.images) > 0
    if has_test:
        shown = _test_items(data, maps.test[DEFAULT_METHOD])
    else:
        shown = _held_out_items(data, normal_maps)
    items = list(_explained(network, scores, list(shown)))
    if fine_images is not None:
        items = [
            dataclasses.replace(item, image=image)
            for item, image in zip(items, fine_images, strict=True)
        ]
    return html.make_section(
        data.category,
        items,
        method=network.explainer.choice,
        normal_scores=_image_scores(normal_maps),
        normal_maps=normal_maps,
        image_threshold=image_threshold,
        pixel_threshold=pixel_threshold,
        limits=anomaly.colour_limits(normal_maps),
        charts=_charts(prepared, scores),
        are_held_out=not has_test,
    )


def _test_items(data: CategoryData, maps: HostMaps) -> Iterator[html.Item]:
    test, scores = data.test, _image_scores(maps).tolist()
    is_masked = test.is_masked
    for index, name in enumerate(test.paths):
        yield html.Item(
            name,
            test.defects[index],
            test.images[index],
            maps[index],
            scores[index],
            test.masks[index] if is_masked[index] else None,
        )


def _held_out_items(data: CategoryData, maps: HostMaps) -> Iterator[html.Item]:
    scores = _image_scores(maps).tolist()
    for index, image in enumerate(data.validation):
        yield html.Item(
            f"held-out image {index + 1}", GOOD, image, maps[index], scores[index]
        )


def _explained(
    network: Fit, scores: Scores, items: Sequence[html.Item]
) -> Iterator[html.Item]:
    """Adds the maps of the latents to one image of each kind: else there is no end."""
    highest = int(np.argmax([item.score for item in items]))
    chosen = set(scores.typical.values()) or {highest}
    for index, item in enumerate(items):
        if index not in chosen:
            yield item
            continue
        each, kl = latent_maps(*network, to_float(item.image))
        yield dataclasses.replace(item, latent_maps=each, latent_kl=kl)


def _image_scores(maps: HostMaps) -> Float[np.ndarray, " image"]:
    return maps.max((1, 2))


def _charts(prepared: Prepared, scores: Scores) -> list[html.Chart]:
    """The curves of the methods of interest, the first one boldly."""
    if not scores.curves:
        return []
    axes = {
        "roc": ("ROC", "true positive rate", 1.0),
        "pro": (f"PRO up to {PRO_LIMIT:g}", "mean per-region overlap", PRO_LIMIT),
    }
    return [
        html.Chart(
            title,
            "false positive rate, all pixels",
            label,
            limit,
            tuple(
                html.Line(
                    name, prepared.kinds[name], *getattr(scores.curves[name], which)
                )
                for name in dict.fromkeys(scores.of_interest)
            ),
        )
        for which, (title, label, limit) in axes.items()
    ]
