"""The same VAE trained by seven rules for what a good reconstruction is.

python -m experiments.reconstructions
python -m experiments.reconstructions --preset standard --data-dir tensorflow_datasets

Likelihoods (Bernoulli, normal of unit, shared and per-pixel variance), and beside the
Bernoulli one SSIM, MS-SSIM or perceptual distance by the features of a frozen network:
a table of blur, PSNR and SSIM, and pictures. Without flags on scikit-learn's digits,
8x8 upscaled.
"""

import dataclasses
from typing import Any, Literal

from experiments.family.settings import Family
from experiments.launch import runner


@dataclasses.dataclass(frozen=True)
class Config(Family):
    """Trains one VAE by several rules and measures what it draws."""

    preset: Literal["quick", "standard"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits.
    standard: MNIST, with --data-dir."""
    workdir: str = "runs/reconstructions"
    """Folder for checkpoints, report.html and results.json; a run resumes from it."""
    epochs: int = 20
    """Passes over the training images; they are drawn with replacement."""
    batch_size: int = 64
    """Images per step of each run."""
    learning_rate: float = 3e-3
    """Of Adam."""
    latents: int = 20
    """Of each VAE."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of the encoder's layers; the decoder mirrors them."""
    features: str | None = None
    """File of ResNet-18's weights, .safetensors or .npz, for perceptual distance;
    default: random ones."""
    stages: int = 0
    """Of that network, from 0 to 4, whose features count beside those of its stem."""
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        workdir="runs/reconstructions-standard",
        epochs=3,
        batch_size=128,
        learning_rate=1e-3,
        hidden=(400, 400),
        stages=1,
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, or resumes, measures and draws; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.reconstruction.run import run

    return run(config)


if __name__ == "__main__":
    runner.run(main, PRESETS)
