"""The way of a run: train by each rule, measure, show side by side."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.family import fit, page
from experiments.launch import console
from experiments.reconstruction import measures, methods
from vae_jax import models, objectives, plots, train
from vae_jax.data.image_sets import ImageSet
from vae_jax.data.images import to_float
from vae_jax.report.html import Table

SHOWN = 10
"""Images in a row of a picture."""
MEASURED = 1000
"""Test images, at most, and as many samples."""


def run(config: Any) -> list[dict[str, Any]]:
    """Does it all; `config` is that of the command."""
    images = fit.load(config)
    weights = Path(config.features).expanduser() if config.features else None
    look = methods.make_look(
        images.image_shape, weights, stages=config.stages, seed=config.seed
    )
    rules = methods.make_methods(
        images.image_shape,
        hidden=tuple(config.hidden),
        latents=config.latents,
        look=look,
    )
    shown = jnp.asarray(to_float(images.test_images[:MEASURED]))
    noise = jax.random.normal(
        jax.random.key(config.seed), (len(shown) * config.latents,)
    ).reshape(len(shown), -1)
    rows = [{"method": "the images themselves"} | measures.of_images(shown)]
    drawn = {"images": (shown, shown)}
    for name, rule in rules.items():
        console.say(f"training by {name}")
        trained = train_one(config, images, name, rule)
        measured = [
            measures.measure(rule, trained.variables(i), shown, noise=noise)
            for i in range(config.seeds)
        ]
        rows.append({"method": name} | measures.over_seeds([m[0] for m in measured]))
        drawn[name] = measured[0][1:]
    if train.is_primary():
        _show(config, images.source, rows, drawn)
    return rows


def train_one(
    config: Any, images: ImageSet, name: str, rule: methods.Method
) -> fit.Trained:
    """All seeds of one rule."""

    def init(key):
        return models.init(rule.model, key=key)["params"], {}

    kept = ("latents", "hidden", "features", "stages")
    identity = {"source": images.source} | {k: getattr(config, k) for k in kept}
    return fit.train_runs(
        config.folder / "networks" / "-".join(re.findall(r"\w+", name)).lower(),
        objectives.make_elbo_loss_fn(rule.model, rule.likelihood),
        init,
        {"image": images.train_images},
        family=config,
        draw=fit.make_draw(config.batch_size),
        epoch_steps=config.steps_per_epoch(len(images.train_images)),
        identity=identity,
        loops=rule.loops,
    )


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Which rule blurs most and least, and what it pays."""
    trained = rows[1:]
    blurred = min(trained, key=lambda row: row["sharpness"])
    nearest = min(trained, key=lambda row: abs(row["sharpness"] - 1))
    exact = max(trained, key=lambda row: row["psnr"])
    alike = max(trained, key=lambda row: row["ssim"])
    return [
        f"Trained by {blurred['method']}, reconstructions keep "
        f"{blurred['sharpness']:.0%} of the images' sharpness; by {nearest['method']}, "
        f"{nearest['sharpness']:.0%}.",
        f"Nearest in squared error is {exact['method']} ({exact['psnr']:.1f} dB), most "
        f"alike in structure {alike['method']} (SSIM {alike['ssim']:.3f}).",
    ]


def _show(
    config: Any, source: str, rows: list[dict[str, Any]], drawn: Mapping[str, Any]
) -> None:
    titles = {
        "reconstructions": "Test images and their reconstructions",
        "samples": "Test images, and what is decoded from the same draws of the prior",
    }
    for place, name in enumerate(titles):
        plots.save_image_grid(
            config.folder / f"{name}.png",
            np.stack([np.asarray(pair[place][:SHOWN]) for pair in drawn.values()]),
            rows=[*drawn],
            columns=(),
            title=titles[name],
        )
    page.write(
        config.folder,
        title="Reconstructions",
        source=source,
        config=config,
        family=config,
        verdicts=verdicts(rows),
        tables=[Table("Sharpness and nearness", rows, _columns(rows), groups=())],
        plates=[
            page.plate(config.folder / f"{name}.png", title)
            for name, title in titles.items()
        ],
        notes=measures.NOTES,
    )


def _columns(rows: list[dict[str, Any]]) -> dict[str, str]:
    extra = {"sharpness_std": "its sd over seeds"}
    return measures.COLUMNS | (extra if "sharpness_std" in rows[-1] else {})
