"""Localises defects on MVTec AD with the attention maps of a VAE.

python -m experiments.mvtec
python -m experiments.mvtec --data-dir mvtec_anomaly_detection --category screw
python -m experiments.mvtec --data-dir mvtec_anomaly_detection --preset paper

Without --data-dir it runs on the embedded synthetic set, in the layout of MVTec AD.
What the commands print, on which machine and in which time: docs/results.md.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from experiments import runner
from experiments.settings import Settings

PUBLISHED = {
    "carpet": (0.78, 0.10),
    "grid": (0.73, 0.02),
    "leather": (0.95, 0.24),
    "tile": (0.80, 0.23),
    "wood": (0.77, 0.14),
    "bottle": (0.87, 0.27),
    "cable": (0.90, 0.18),
    "capsule": (0.74, 0.11),
    "hazelnut": (0.98, 0.44),
    "metal_nut": (0.94, 0.49),
    "pill": (0.83, 0.18),
    "screw": (0.97, 0.17),
    "toothbrush": (0.94, 0.14),
    "transistor": (0.93, 0.30),
    "zipper": (0.78, 0.06),
}
"""Pixel AUROC and best IoU of the paper's maps (Liu et al. 2020, Table 2)."""

QUICK = Settings(
    workdir="runs/mvtec",
    image_size=64,
    network="small",
    latents=64,
    likelihood="gaussian",
    epochs=120,
    batch_size=16,
    learning_rate=2e-3,
    clip_norm=5e3,
    tap="conv2",
    blur=2.0,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains a VAE on normal images and localises the defects of the test images."""

    preset: Literal["quick", "standard", "paper"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded set in
    minutes on two cores. standard: a real category in half an hour on two cores.
    paper: ResNet-18 at 256 px, for a GPU."""
    data_dir: str | None = None
    """Folder that holds the category folders; default: the embedded synthetic set."""
    category: tuple[str, ...] = ("all",)
    """One or several categories of that folder, or all."""
    channels: Literal[1, 3] | None = None
    """Gray or colour; default: as the category was published."""
    missing_masks: Literal["error", "skip"] = "error"
    """A defect image without a mask: stop, or leave it out and say so."""
    cache_dir: str = "~/.cache/vae_jax"
    """Folder for the synthetic set and for data sets prepared for reading."""
    settings: Settings = QUICK
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        settings=dataclasses.replace(
            QUICK, image_size=128, epochs=500, batch_size=32, learning_rate=1e-3
        ),
    ),
    "paper": Config(
        preset="paper",
        settings=dataclasses.replace(
            QUICK,
            image_size=256,
            network="resnet18",
            latents=32,
            likelihood="bernoulli",
            epochs=512,
            batch_size=8,
            learning_rate=1e-4,
            clip_norm=None,
            tap="stage2/block2/conv1",
            blur=4.0,
        ),
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains on and evaluates every category; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments import localisation
    from vae_jax.data import augment, category, layout, synthetic

    cache = Path(config.cache_dir).expanduser()
    data_dir = config.data_dir or synthetic.write_synthetic(cache / "synthetic")
    found = layout.find_categories(data_dir)
    results = []
    for name in found if config.category == ("all",) else config.category:
        data = category.load_category(
            data_dir,
            name,
            prepared_dir=cache / "prepared",
            size=config.settings.image_size,
            channels=config.channels,
            seed=config.settings.seed,
            missing_masks=config.missing_masks,
        )
        results.append(
            localisation.run(config.settings, data, augment.augmentation_for(name))
        )
    return localisation.publish(
        results,
        workdir=config.settings.workdir,
        config=dataclasses.asdict(config),
        source=config.data_dir or "embedded synthetic set",
        published=PUBLISHED,
    )


if __name__ == "__main__":
    runner.run(main, PRESETS)
