"""What every command of the VAE family is told."""

import dataclasses
import math
from pathlib import Path

from vae_jax.data.image_sets import Name


@dataclasses.dataclass(frozen=True)
class Family:
    """Which images, how long, and how many runs at once."""

    workdir: str
    """Folder for checkpoints, report.html and results.json; a run resumes from it."""
    epochs: int
    """Passes over the training images; they are drawn with replacement."""
    batch_size: int = 128
    """Images per step of each run."""
    learning_rate: float = 1e-3
    """Of Adam."""
    dataset: Name | None = None
    """Which images; default: mnist with --data-dir, else the digits of scikit-learn,
    8x8 upscaled."""
    data_dir: str | None = None
    """Folder of TensorFlow Datasets that holds mnist/3.0.1, fashion_mnist/3.0.1,
    omniglot/3.0.0 or cifar10/3.0.2."""
    seed: int = 0
    """Of initial values, noise and order."""
    seeds: int = 1
    """Runs with seeds from --seed on, trained as one program."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "seeds"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ValueError(
                    f"--{flag} must be at least 1, got {getattr(self, name)}."
                )
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"--learning-rate must be a positive number, got {self.learning_rate}."
            )

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return Path(self.workdir).expanduser()

    @property
    def all_seeds(self) -> list[int]:
        """Of the runs."""
        return list(range(self.seed, self.seed + self.seeds))

    def steps_per_epoch(self, images: int) -> int:
        """How many batches it takes to draw as many images as there are."""
        return -(-images // self.batch_size)
