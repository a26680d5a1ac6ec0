"""The pictures of one category: panel, latents, curves, training."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

from experiments.comparison import Compared
from experiments.evaluation import PRO_LIMIT, typical_images
from experiments.explainer import Explainer, Fitted
from experiments.methods import DEFAULT_METHOD, HostMaps, latent_maps
from vae_jax import anomaly, metrics, plots
from vae_jax.data.category import CategoryData, TestImages
from vae_jax.data.images import to_float
from vae_jax.data.layout import GOOD

PANELS = {DEFAULT_METHOD: "panel.png", "paper": "panel_paper.png"}
MOST_COLUMNS = 12
"""Of a panel: of more kinds of defect the first are shown."""


def draw_all(
    folder: Path,
    explainer: Explainer,
    fitted: Fitted,
    data: CategoryData,
    compared: Compared,
) -> None:
    """Writes the pictures of a category into `folder`, as far as there are images."""
    typical = typical_images(data.test, compared.test[DEFAULT_METHOD])
    chosen = dict(itertools.islice(typical.items(), MOST_COLUMNS))
    for name, file in PANELS.items():
        if chosen and name in compared.kinds:
            limits = anomaly.colour_limits(compared.normal[name])
            examples = _examples(data.test, compared.test[name], chosen)
            title = f"{data.category}: {name}"
            plots.save_panel(folder / file, examples, limits=limits, title=title)
    shown = [data.test.images[i] for kind, i in chosen.items() if kind != GOOD]
    image = to_float((shown or data.validation)[0])
    each, kl = latent_maps(explainer, fitted, image)
    title = f"{data.category}: the maps of the latents at {explainer.tap}, by their KL"
    plots.save_latent_maps(folder / "latents.png", image, each, kl, title=title)
    if data.test.can_score_pixels:
        _draw_curves(folder / "curves.png", compared, data.test)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    plots.save_training_curves(
        folder / "training.png",
        [json.loads(line) for line in lines],
        figures=("loss", "distortion", "rate"),
    )


def _examples(
    test: TestImages, maps: HostMaps, chosen: Mapping[str, int]
) -> list[plots.Example]:
    return [
        plots.Example(kind, to_float(test.images[i]), test.masks[i], maps[i])
        for kind, i in chosen.items()
    ]


def _draw_curves(path: Path, compared: Compared, test: TestImages) -> None:
    roc, pro = (
        [
            plots.Curve(name, kind, *curve_of(compared.test[name], test.masks))
            for name, kind in compared.kinds.items()
        ]
        for curve_of in (metrics.roc_curve, metrics.pro_curve)
    )
    plots.save_curves(path, roc=roc, pro=pro, pro_limit=PRO_LIMIT)
