"""Localises defects on MVTec AD with the attention maps of a VAE.

python -m experiments.mvtec
python -m experiments.mvtec --data-dir mvtec_anomaly_detection --category screw
python -m experiments.mvtec --data-dir mvtec_anomaly_detection --preset paper

Without --data-dir it runs on the embedded synthetic set, in the layout of MVTec AD.
What the commands print, on which machine and in which time: docs/results.md.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.launch import runner
from experiments.localisation.settings import (
    PUBLISHED_BASELINES,
    QUICK_BASELINES,
    Settings,
)
from vae_jax.spelling import did_you_mean

if TYPE_CHECKING:  # --help must answer at once
    from experiments.localisation.tables import Published, Result
    from vae_jax.data.augment import Augmentation
    from vae_jax.data.category import CategoryData

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
    **QUICK_BASELINES,
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
    """A defect image without a mask: stop, or leave it out of figures of pixels."""
    cache_dir: str = "~/.cache/vae_jax"
    """Folder for the synthetic set and for data sets prepared for reading."""
    settings: Settings = QUICK
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return self.settings.folder


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        settings=dataclasses.replace(
            QUICK,
            workdir="runs/mvtec-standard",
            image_size=128,
            epochs=500,
            batch_size=32,
            learning_rate=1e-3,
            baseline_steps=1000,
            baseline_size=128,
        ),
    ),
    # Of MVTec AD the paper states ResNet-18, 256 px and 32 latents. Likelihood, batch,
    # step size and epochs are those of its reproduction (ML Reproducibility Challenge
    # 2020); the tap is the paper's "last convolutional layer", not the one that the
    # reproduction picked on test images. Warm-up, cosine and averaging are ours.
    "paper": Config(
        preset="paper",
        settings=dataclasses.replace(
            QUICK,
            workdir="runs/mvtec-paper",
            image_size=256,
            network="resnet18",
            latents=32,
            likelihood="bernoulli",
            epochs=512,
            batch_size=8,
            learning_rate=1e-4,
            clip_norm=None,
            tap="stage4/block2/relu2",
            blur=4.0,
            **PUBLISHED_BASELINES,
        ),
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains on and evaluates every category; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.localisation import published
    from experiments.localisation import results as written
    from experiments.localisation.run import run

    source = config.data_dir or "embedded synthetic set"
    results = []
    for each in each_run(config):
        results.append(run(*each))
        # After each run: a failure in the next one loses nothing.
        found = written.write_results(
            results,
            folder=config.settings.folder,
            config=dataclasses.asdict(config),
            source=source,
            published=published_of(results),
        )
    written.report_results(
        results,
        found,
        config.settings,
        title="MVTec AD" if config.data_dir else "Synthetic set",
        source=source,
        notes=[published.CAVEAT] if found.published else [],
    )
    return found.rows


def each_run(config: Config) -> Iterator[tuple[Settings, Any, Any]]:
    """Settings, data and augmentation of each category and seed, one after the other.

    Raises:
        ValueError: On the first of them, for what would fail only after training.
    """
    from experiments.launch import console
    from experiments.localisation import prepare
    from vae_jax.data import mvtec_ad, synthetic

    prepare.check(config.settings)
    cache = Path(config.cache_dir).expanduser()
    data_dir = config.data_dir or synthetic.write_synthetic(
        cache / f"synthetic-{synthetic.VERSION}"
    )
    names = select_categories(config.category, mvtec_ad.find_categories(data_dir))
    # All before the first is trained on: what is wrong shows at once.
    for name in names:
        mvtec_ad.prepare(
            data_dir, name, cache / "prepared", missing_masks=config.missing_masks
        )
    for name, settings in itertools.product(names, config.settings.of_each_seed()):
        console.say(f"{name}, seed {settings.seed}")
        data = prepare.load(
            settings,
            data_dir,
            name,
            prepared_dir=cache / "prepared",
            channels=config.channels,
            missing_masks=config.missing_masks,
        )
        yield settings, data, augmentation_of(settings, data)


def augmentation_of(settings: Settings, data: "CategoryData") -> "Augmentation":
    """What leaves the category normal; of one that is only called so nothing does."""
    from vae_jax.data import augment, mvtec_ad

    is_namesake = data.category in mvtec_ad.DESCRIPTIONS and not data.is_published
    if is_namesake or not settings.augment:
        return augment.NONE
    return augment.augmentation_for(data.category)


def published_of(results: "Sequence[Result]") -> "Published":
    """The figures of the paper, for those of the categories that are MVTec AD's."""
    from experiments.localisation import published

    known = {each.category for each in results if each.about["is_published"]}
    return lambda name: published.table_2_rows(name) if name in known else ()


def select_categories(asked: Sequence[str], found: Sequence[str]) -> list[str]:
    """The categories to run on, each once, in the order asked for.

    Raises:
        ValueError: None was asked for, or one that is not there.
    """
    if "all" in asked:
        return list(found)
    if not asked:
        raise ValueError("--category: name at least one category, or all; got none.")
    for name in asked:
        if name not in found:
            raise ValueError(
                f"--category: there is no {name!r}{did_you_mean(name, found)} "
                f"Found: {', '.join(found)}."
            )
    return list(dict.fromkeys(asked))


if __name__ == "__main__":
    runner.run(main, PRESETS)
