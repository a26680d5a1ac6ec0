"""Looks into the latent spaces of two VAEs of handwritten digits.

python -m experiments.latents
python -m experiments.latents --data-dir tensorflow_datasets --preset standard

One network has ten latents: what each does alone, what lies between two images by
straight line, arc and geodesic, and images moved to other digits by arithmetic. One has
two: its whole manifold, and the plane with the decoder's metric. Without --data-dir it
runs on scikit-learn's digits, 8x8 upscaled, in two minutes of one core's time.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from experiments.launch import runner
from experiments.localisation.settings import Settings

COLUMNS = {
    name: name for name in ("latents", "from", "to", "linear", "spherical", "geodesic")
} | {"is_converged": "geodesic found"}


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains two VAEs on digits, one with two latents, and draws what they hold."""

    preset: Literal["quick", "standard"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits.
    standard: MNIST, with --data-dir."""
    data_dir: str | None = None
    """Folder of TensorFlow Datasets that holds mnist/3.0.1; default: the digits of
    scikit-learn, 8x8 upscaled."""
    workdir: str = "runs/latents"
    """Folder for checkpoints, figures and results.json; a run resumes from it."""
    latents: int = 10
    """Of the larger latent space."""
    width: int = 16
    """Channels after the first convolution."""
    epochs: int = 50
    """Passes over the training images."""
    batch_size: int = 32
    """Images per step over all devices of all hosts."""
    learning_rate: float = 2e-3
    """Peak of Adam's step size; it falls to 0 along a cosine."""
    seed: int = 0
    """Of initial values, noise, order and validation split."""
    pairs: tuple[tuple[int, int], ...] = ((3, 8), (4, 9), (0, 6), (1, 7))
    """Digits between which curves lead."""
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError("--pairs wants at least one pair of digits, as 3 8.")

    def settings(self, latents: int) -> Settings:
        """What `experiments.training` is told of one network."""
        return Settings(
            workdir=f"{self.workdir}/latents-{latents}",
            image_size=28,
            network="mnist",
            width=self.width,
            latents=latents,
            likelihood="bernoulli",
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
            evaluations=2,
            # Maps are not made here.
            tap="conv2",
            blur=1.0,
        )

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return Path(self.workdir).expanduser()


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard", workdir="runs/latents-standard", epochs=10, batch_size=64
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, or resumes, and draws; returns the lengths of all curves."""
    # Imported here: --help must answer at once.
    import jax.numpy as jnp

    from experiments.latent_spaces import pictures
    from experiments.latent_spaces.traversals import draw_traversals
    from experiments.launch import console
    from experiments.localisation.prepare import check
    from vae_jax import report, train
    from vae_jax.data import mnist
    from vae_jax.software import versions

    check(config.settings(config.latents))
    with console.progress_bar("reading MNIST") as progress:
        digits = mnist.load_digits(config.data_dir, progress=progress)
    unknown = {d for pair in config.pairs for d in pair} - {*digits.test_labels}
    if unknown:
        raise ValueError(f"--pairs: there is no digit {min(unknown)}.")
    large, plane = (
        pictures.make_space(config.settings(latents), digits)
        for latents in (config.latents, 2)
    )
    if not train.is_primary():
        return []
    folder = config.folder
    console.say("drawing")
    start = jnp.asarray(large.typical(int(large.labels[0])))
    draw_traversals(folder, "traversals", large.decode, start, large.kl, title="Digits")
    pictures.draw_arithmetic(folder / "arithmetic.png", large)
    pictures.draw_manifold(folder / "manifold.png", plane)
    rows = pictures.draw_curves(folder / "interpolation.png", large, config.pairs)
    rows += pictures.draw_plane(folder / "plane.png", plane, config.pairs)
    content = {
        "lengths": rows,
        "config": dataclasses.asdict(config),
        "data": {"source": digits.source},
        "versions": versions(),
    }
    report.write_json(folder / "results.json", content)
    print(
        f"\nData: {digits.source}",
        "Lengths of the curves between two images, in image space:",
        report.format_table(rows, COLUMNS),
        f"In {folder}: results.json and the pictures.",
        sep="\n\n",
    )
    return rows


if __name__ == "__main__":
    runner.run(main, PRESETS)
