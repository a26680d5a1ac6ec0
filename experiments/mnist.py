"""Makes each digit in turn the normal one, and looks for what is not.

python -m experiments.mnist
python -m experiments.mnist --data-dir tensorflow_datasets --preset standard
python -m experiments.mnist --data-dir tensorflow_datasets --preset paper

The maps of all other digits are Figure 4 of Liu et al. 2020; where the paper has only
pictures there are numbers here, on pairs of digits and on strokes of known mask.
Without --data-dir it runs on scikit-learn's digits, 8x8 upscaled.
What the commands print, on which machine and in which time: docs/results.md.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from experiments.launch import runner
from experiments.localisation.settings import (
    PUBLISHED_BASELINES,
    QUICK_BASELINES,
    Settings,
)

QUICK = Settings(
    workdir="runs/mnist",
    image_size=28,
    network="mnist",
    width=16,
    latents=32,
    likelihood="bernoulli",
    epochs=150,
    batch_size=16,
    learning_rate=3e-3,
    tap="conv2",
    blur=1.0,
    evaluations=4,
    **QUICK_BASELINES,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains a VAE on each digit; finds the other digits, and strokes on its own."""

    preset: Literal["quick", "standard", "paper"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits in
    minutes on two cores. standard: MNIST in about 20 minutes on two cores. paper: the
    network and training of the authors' code, on all test images; for a GPU."""
    data_dir: str | None = None
    """Folder of TensorFlow Datasets that holds mnist/3.0.1; default: the digits of
    scikit-learn, 8x8 upscaled."""
    normal: tuple[int, ...] = (1, 3, 8)
    """The digits that are made normal, a network each; all ten in the other presets."""
    test_images: int | None = None
    """Of each digit, spread over its test images, to score whole; default: all."""
    samples: int = 100
    """Posterior samples of the importance-weighted likelihood."""
    settings: Settings = QUICK
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        if self.settings.image_size != QUICK.image_size:
            raise ValueError(
                f"--image-size must be that of the digits, {QUICK.image_size}, got "
                f"{self.settings.image_size}."
            )
        for flag, value in (
            ("--test-images", self.test_images),
            ("--samples", self.samples),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{flag} must be at least 1, got {value}.")

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return self.settings.folder


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        normal=tuple(range(10)),
        test_images=200,
        settings=dataclasses.replace(
            QUICK,
            workdir="runs/mnist-standard",
            epochs=20,
            batch_size=64,
            learning_rate=2e-3,
            baseline_steps=1000,
        ),
    ),
    # The authors' code: this network, Adam at 1e-3, 100 epochs, no augmentation; the
    # tap is theirs and, before the rectifier, the paper's "last convolutional layer".
    # Warm-up, cosine and averaging are ours, and so is the choice of the best network
    # by training images held out: theirs is by test images.
    "paper": Config(
        preset="paper",
        normal=tuple(range(10)),
        settings=dataclasses.replace(
            QUICK,
            workdir="runs/mnist-paper",
            width=64,
            epochs=100,
            batch_size=128,
            learning_rate=1e-3,
            evaluations=10,
            **PUBLISHED_BASELINES,
        ),
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains on and evaluates every normal digit; returns the rows of all pairs."""
    # Imported here: --help must answer at once.
    import numpy as np

    from experiments.launch import console
    from experiments.localisation import results as written
    from experiments.localisation.fit import fit
    from experiments.localisation.prepare import check, prepare
    from experiments.localisation.run import evaluate
    from experiments.one_class import pairs
    from experiments.one_class.scores import image_scores
    from vae_jax.data import augment, mnist

    check(config.settings)
    with console.progress_bar("reading MNIST") as progress:
        digits = mnist.load_digits(config.data_dir, progress=progress)
    normals = select_digits(config.normal, sorted(set(digits.test_labels.tolist())))
    others = pairs.spread(digits.test_images, digits.test_labels, config.test_images)
    results, rows = [], []
    folder, about = config.settings.folder, dataclasses.asdict(config)
    for digit, settings in itertools.product(normals, config.settings.of_each_seed()):
        console.say(f"normal: {digit}, seed {settings.seed}")
        data = mnist.one_digit(digits, digit, seed=settings.seed)
        prepared = prepare(settings, data, augment.NONE)
        network = fit(prepared)
        results.append(evaluate(prepared, network))
        pairs.draw_others(prepared.folder, network, data, digit, others)
        with console.progress_bar(f"{data.category}: scoring images") as progress:
            scores = image_scores(
                network,
                np.asarray(data.train),
                others.images,
                samples=config.samples,
                seed=settings.seed,
                progress=progress,
            )
        rows += pairs.pair_rows(scores, others.labels, normal=digit, seed=settings.seed)
        # After each digit: a failure in the next one loses nothing.
        found = written.write_results(
            results, folder=folder, config=about, source=digits.source
        )
        pairs.write(rows, folder=folder, config=about, source=digits.source)
    pairs.draw_matrices(rows, folder=folder)
    written.write_page(
        results,
        found,
        config.settings,
        title="Digits with strokes",
        source=digits.source,
        notes=pairs.verdict(pairs.summary(rows)).splitlines(),
    )
    pairs.print_results(found, rows, folder=folder, source=digits.source)
    return rows


def select_digits(asked: Sequence[int], known: Sequence[int]) -> list[int]:
    """The digits to make normal, each once, in the order asked for.

    Raises:
        ValueError: None was asked for, or one that is not there.
    """
    if not asked:
        raise ValueError("--normal: name at least one digit, got none.")
    for digit in asked:
        if digit not in known:
            raise ValueError(
                f"--normal: there is no digit {digit}; known: "
                f"{', '.join(map(str, known))}."
            )
    return list(dict.fromkeys(asked))


if __name__ == "__main__":
    runner.run(main, PRESETS)
