"""Each digit in turn is the anomaly: what a VAE finds, and what complexity hides.

python -m experiments.odd_digits
python -m experiments.odd_digits --preset standard --data-dir tensorflow_datasets

The detector of a well-known lesson, 784-256-256-20 with a Bernoulli likelihood, is
trained once for each class and seed, without that class, all as one program. A table
has the AUROC of its scores, of scores corrected for how much there is to draw, and of
floors that need no network. Without flags on scikit-learn's digits, 8x8 upscaled.
"""

import dataclasses
from typing import Any, Literal

from experiments.family.settings import Family
from experiments.launch import runner


@dataclasses.dataclass(frozen=True)
class Config(Family):
    """Trains a VAE without each class, and scores images of it among normal ones."""

    preset: Literal["quick", "standard"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits.
    standard: MNIST as in the lesson, with --data-dir."""
    workdir: str = "runs/odd_digits"
    """Folder for checkpoints, report.html and results.json; a run resumes from it."""
    epochs: int = 60
    """Passes over the training images; they are drawn with replacement."""
    learning_rate: float = 2e-3
    """Of Adam."""
    latents: int = 20
    """Of each VAE."""
    hidden: int = 256
    """Units of each of two hidden layers, in encoder and decoder."""
    training_images: int = 997
    """The first so many, the class left out among them."""
    held_out: int = 200
    """The last so many training images, which tell what scores are normal."""
    normals: int = 200
    """Test images that are normal, the first ones."""
    odds: int = 200
    """Test images of the class left out, the first ones, as far as there are."""
    samples: int = 10
    """Of each posterior."""
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        workdir="runs/odd_digits-standard",
        epochs=20,
        learning_rate=1e-3,
        training_images=5556,
        held_out=1000,
        seeds=2,
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, or resumes, scores and draws; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.odd_one_out.run import run

    return run(config)


if __name__ == "__main__":
    runner.run(main, PRESETS)
