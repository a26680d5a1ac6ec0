"""What the report of a run shows: of each category its images, of all the tables."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from experiments import tables
from experiments.comparison import Compared
from experiments.evaluation import PRO_LIMIT, typical_images
from experiments.explainer import Explainer, Fitted, HostImages
from experiments.methods import DEFAULT_METHOD, HostMaps, latent_maps
from experiments.settings import Settings
from vae_jax import anomaly, metrics, report
from vae_jax.data.category import CategoryData
from vae_jax.data.images import to_float
from vae_jax.data.layout import GOOD
from vae_jax.report import html

RANKED = tuple(
    name for name in tables.COLUMNS if name not in ("category", "method", "kind")
)
"""Columns of which the report marks the highest value."""


def gallery(
    explainer: Explainer,
    fitted: Fitted,
    data: CategoryData,
    compared: Compared,
    *,
    curves: Sequence[str],
    image_threshold: float,
    pixel_threshold: float,
    fine_images: HostImages | None = None,
) -> html.Section:
    """One category of the report: the maps of the default method, encoded.

    Where there are no test images, it shows the held-out normal ones.

    Args:
        explainer: the network.
        fitted: its variables.
        data: test images, and held-out normal ones.
        compared: their maps.
        curves: methods whose ROC and PRO curves are drawn, the first one boldly.
        image_threshold: for the highest value of a raw map of the default method.
        pixel_threshold: for its raw values.
        fine_images: the images at a finer size than the model's, for the eye.
    """
    normal_maps = compared.normal[DEFAULT_METHOD]
    has_test = len(data.test.images) > 0
    shown = _test_items(data, compared) if has_test else _held_out_items(data, compared)
    items = list(_explained(explainer, fitted, data, compared, list(shown)))
    if fine_images is not None:
        items = [
            dataclasses.replace(item, image=image)
            for item, image in zip(items, fine_images, strict=True)
        ]
    return html.make_section(
        data.category,
        items,
        method=explainer.choice,
        normal_scores=_image_scores(normal_maps),
        normal_maps=normal_maps,
        image_threshold=image_threshold,
        pixel_threshold=pixel_threshold,
        limits=anomaly.colour_limits(normal_maps),
        charts=_charts(data, compared, curves),
        are_held_out=not has_test,
    )


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    settings: Settings,
    found: tables.Tables,
    sections: Sequence[html.Section],
    notes: Sequence[str] = (),
) -> None:
    """Writes the page of a run.

    Args:
        path: of the page.
        title: of the run.
        facts: what was run, on which data, drawn or photographed.
        settings: of the run; they are added to the facts, as are time and software.
        found: the results.
        sections: one a category.
        notes: what a reader of the tables must know, besides `tables.NOTES`.
    """
    html.write_html(
        path,
        title=title,
        facts={**facts, **_facts(settings)},
        verdicts=tables.verdict(found.rows).splitlines(),
        tables=list(_tables(settings, found)),
        sections=sections,
        notes=[*tables.NOTES.splitlines(), *notes],
    )


def _test_items(data: CategoryData, compared: Compared) -> Iterator[html.Item]:
    test, maps = data.test, compared.test[DEFAULT_METHOD]
    scores = _image_scores(maps).tolist()
    for index, name in enumerate(test.paths):
        yield html.Item(
            name,
            test.defects[index],
            test.images[index],
            maps[index],
            scores[index],
            test.masks[index] if test.has_masks else None,
        )


def _held_out_items(data: CategoryData, compared: Compared) -> Iterator[html.Item]:
    maps = compared.normal[DEFAULT_METHOD]
    scores = _image_scores(maps).tolist()
    for index, image in enumerate(data.validation):
        yield html.Item(
            f"held-out image {index + 1}", GOOD, image, maps[index], scores[index]
        )


def _explained(
    explainer: Explainer,
    fitted: Fitted,
    data: CategoryData,
    compared: Compared,
    items: Sequence[html.Item],
) -> Iterator[html.Item]:
    """Adds the maps of the latents to one image of each kind: else there is no end."""
    typical = typical_images(data.test, compared.test[DEFAULT_METHOD])
    highest = int(np.argmax([item.score for item in items]))
    chosen = set(typical.values()) or {highest}
    for index, item in enumerate(items):
        if index not in chosen:
            yield item
            continue
        each, kl = latent_maps(explainer, fitted, to_float(item.image))
        yield dataclasses.replace(item, latent_maps=each, latent_kl=kl)


def _image_scores(maps: HostMaps) -> Float[np.ndarray, " image"]:
    return maps.max((1, 2))


def _charts(
    data: CategoryData, compared: Compared, methods: Sequence[str]
) -> list[html.Chart]:
    if not data.test.can_score_pixels:
        return []
    curves = {
        "ROC": (metrics.roc_curve, "true positive rate", 1.0),
        f"PRO up to {PRO_LIMIT:g}": (
            metrics.pro_curve,
            "mean per-region overlap",
            PRO_LIMIT,
        ),
    }
    return [
        html.Chart(
            title,
            "false positive rate, all pixels",
            label,
            limit,
            tuple(
                html.Line(
                    name,
                    compared.kinds[name],
                    *curve_of(compared.test[name], data.test.masks),
                )
                for name in dict.fromkeys(methods)
            ),
        )
        for title, (curve_of, label, limit) in curves.items()
    ]


def _facts(settings: Settings) -> dict[str, str]:
    versions = report.versions()
    seeds = [str(each.seed) for each in settings.of_each_seed()]
    return {
        "Network": f"{settings.network}, {settings.latents} latents, {settings.tap}",
        "Images": f"{settings.image_size} px, {settings.likelihood} likelihood",
        "Training": f"{settings.epochs} epochs, batches of {settings.batch_size}",
        "Seeds" if len(seeds) > 1 else "Seed": ", ".join(seeds),
        "Device": versions["device"],
        "Software": f"vae-jax {versions['vae-jax']}, jax {versions['jax']}, "
        f"flax {versions['flax']}, Python {versions['python']}",
        "Written": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    }


def _tables(settings: Settings, found: tables.Tables) -> Iterator[html.Table]:
    yield html.Table(
        f"All test images, at {settings.resolution} resolution",
        [tables.spread(row, tables.COLUMNS) for row in found.rows] + found.published,
        tables.COLUMNS,
        highest=RANKED,
        is_ranked=lambda row: row not in found.published,
        note="Bold: the best of each category; published figures are not ranked.",
    )
    if found.defects:
        yield html.Table(
            "By kind of defect, at the model's resolution",
            [tables.spread(row, tables.DEFECT_COLUMNS) for row in found.defects],
            tables.DEFECT_COLUMNS,
            highest=("aupro", "best_iou"),
            groups=("category", "defect"),
        )
