"""The pictures of one category: panel, latents, curves, training."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

from experiments.localisation.explain import Maps
from experiments.localisation.fit import Fit
from experiments.localisation.prepare import Prepared
from experiments.localisation.score import Scores
from vae_jax import anomaly, plots
from vae_jax.data.category import TestImages
from vae_jax.data.images import to_float
from vae_jax.data.layout import GOOD
from vae_jax.detection import DEFAULT_METHOD, HostMaps, Kind, latent_maps
from vae_jax.metrics import PRO_LIMIT

PANELS = {DEFAULT_METHOD: "panel.png", "paper": "panel_paper.png"}
MOST_COLUMNS = 12
"""Of a panel: of more kinds of defect the first are shown."""


def draw_all(prepared: Prepared, network: Fit, maps: Maps, scores: Scores) -> None:
    """Writes the pictures of a category, as far as there are images."""
    data, folder = prepared.data, prepared.folder
    chosen = dict(itertools.islice(scores.typical.items(), MOST_COLUMNS))
    for name, file in PANELS.items():
        if chosen and name in prepared.kinds:
            limits = anomaly.colour_limits(maps.normal[name])
            examples = _examples(data.test, maps.test[name], chosen)
            title = f"{data.category}: {name}"
            plots.save_panel(folder / file, examples, limits=limits, title=title)
    shown = [data.test.images[i] for kind, i in chosen.items() if kind != GOOD]
    image = to_float((shown or data.validation)[0])
    each, kl = latent_maps(*network, image)
    tap = network.explainer.tap
    title = f"{data.category}: the maps of the latents at {tap}, by their KL"
    plots.save_latent_maps(folder / "latents.png", image, each, kl, title=title)
    if scores.curves:
        _draw_curves(folder / "curves.png", prepared.kinds, scores)
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


def _draw_curves(path: Path, kinds: Mapping[str, Kind], scores: Scores) -> None:
    roc, pro = (
        [
            plots.Curve(name, kinds[name], *getattr(curves, which))
            for name, curves in scores.curves.items()
        ]
        for which in ("roc", "pro")
    )
    plots.save_curves(path, roc=roc, pro=pro, pro_limit=PRO_LIMIT)
