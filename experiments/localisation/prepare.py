"""What a run is about: settings, images, and normal ones with artificial defects."""

from pathlib import Path
from typing import Any, NamedTuple

from experiments.launch.console import progress_bar, say
from experiments.localisation import baselines
from experiments.localisation.selection import select, taps_of
from experiments.localisation.settings import Settings
from vae_jax import detection, train
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData, load_category


class Prepared(NamedTuple):
    """One run on one category, before anything is trained."""

    settings: Settings
    data: CategoryData
    augmentation: Augmentation
    kinds: dict[str, detection.Kind]
    """The methods that are compared."""
    pasted: detection.Pasted
    """What maps are chosen on."""

    @property
    def folder(self) -> Path:
        """Where the category has its checkpoints, pictures and detector."""
        return self.settings.folder / self.data.category


def check(settings: Settings) -> None:
    """Raises ValueError or OSError for what would fail only after training."""
    train.check_batch_size(settings.batch_size, train.data_mesh())
    baselines.check_weights(settings, select(settings))
    explainer = detection.build_explainer(**settings.network_options(), channels=1)
    detection.require_taps(explainer, taps_of(settings))


def load(
    settings: Settings, data_dir: str | Path, name: str, **options: Any
) -> CategoryData:
    """`load_category` with a bar; `options` are its other arguments."""
    with progress_bar(f"{name}: reading images") as progress:
        data = load_category(
            data_dir,
            name,
            size=settings.image_size,
            seed=settings.seed,
            progress=progress,
            **options,
        )
    for note in data.notes:
        say(f"{name}: {note}")
    if data.bits < 16:
        say(f"{name}: of 16 bits a value {data.bits} are in use, and are read so")
    return data


def prepare(
    settings: Settings, data: CategoryData, augmentation: Augmentation
) -> Prepared:
    """Everything that the steps of a run share.

    Raises:
        ValueError: A baseline of the settings could not be trained on these images.
    """
    kinds = select(settings)
    baselines.check(settings, data, kinds)
    pasted = detection.artificial_defects(data.validation, seed=settings.seed)
    return Prepared(settings, data, augmentation, kinds, pasted)
