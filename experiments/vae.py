"""Trains the plain VAE, its autoencoder and their variations, and shows what they do.

python -m experiments.vae
python -m experiments.vae --data-dir tensorflow_datasets --preset standard

As one program: the VAE, three beta-VAEs, the autoencoder of the same networks, and both
denoising. Then a VAE of two latents, and a decoder so strong that latents fall silent,
with two cures. Without --data-dir it runs on scikit-learn's digits, 8x8 upscaled, in
four minutes of one core's time.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal, TypeVar

from experiments.launch import runner

T = TypeVar("T")
Network = Literal["mlp", "conv"]
Likelihood = Literal["bernoulli", "gaussian", "learned_gaussian", "logistic_mixture"]


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains VAEs and autoencoders side by side and compares them."""

    preset: Literal["quick", "standard"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits.
    standard: MNIST, with --data-dir."""
    workdir: str = "runs/vae"
    """Folder for checkpoints, report.html and results.json; a run resumes from it."""
    dataset: (
        Literal["digits", "mnist", "fashion_mnist", "omniglot", "cifar10"] | None
    ) = None
    """Which images; default: mnist with --data-dir, else the digits of scikit-learn,
    8x8 upscaled."""
    data_dir: str | None = None
    """Folder of TensorFlow Datasets that holds mnist/3.0.1 and the like."""
    network: Network = "mlp"
    """mlp: two dense layers each way. conv: two convolutions and a dense layer."""
    likelihood: Likelihood = "bernoulli"
    """Of pixels. bernoulli: binarised anew in every batch. gaussian: of deviation 0.1.
    learned_gaussian: the decoder says each pixel's variance. logistic_mixture: of five
    components, for 8-bit pixels."""
    hidden: int = 200
    """Width of dense layers."""
    latents: int = 20
    """Of all networks but the one of two latents."""
    schedule: Literal["constant", "linear", "cosine", "cyclical"] = "constant"
    """Of the weight of the rate, or of the capacity."""
    warmup_epochs: int = 10
    """Until linear and cosine schedules have risen; cyclical ones take all epochs."""
    free_bits: float = 0.0
    """Nats that each latent has for nothing."""
    capacity: float | None = None
    """Nats that the rate is pulled to, beta being the strength; not with free bits."""
    pair: tuple[int, int] = (4, 9)
    """Classes between which a line leads."""
    epochs: int = 40
    """Passes over the training images."""
    collapse_steps: int = 300
    """Of each run with the autoregressive decoder; 0: none."""
    batch_size: int = 64
    """Images per step of each run."""
    learning_rate: float = 1e-3
    """Of Adam."""
    seed: int = 0
    """Of initial values, noise and order."""
    seeds: int = 1
    """Seeds of every setting, trained as one program."""
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        for name in ("hidden", "latents", "warmup_epochs"):
            if getattr(self, name) < 1:
                found = getattr(self, name)
                raise ValueError(
                    f"{runner.flag(name)} must be at least 1, got {found}."
                )
        if self.free_bits < 0 or (self.free_bits and self.capacity is not None):
            raise ValueError(
                "--free-bits must be at least 0 nats, and 0 beside --capacity, got "
                f"{self.free_bits}; leave one out."
            )

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return Path(self.workdir).expanduser()


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard",
        workdir="runs/vae-standard",
        hidden=400,
        epochs=30,
        batch_size=128,
        collapse_steps=1500,
    ),
}


def main(config: Config) -> dict[str, list[dict[str, Any]]]:
    """Trains, or resumes, and draws; returns the rows of all tables by title."""
    # Imported here: --help must answer at once.
    from experiments.family import fit
    from experiments.family.settings import Family
    from experiments.launch import console
    from experiments.plain_vae import show
    from experiments.plain_vae.collapse import train_collapse
    from experiments.plain_vae.runs import train_settings
    from experiments.plain_vae.settings import SETTINGS, VAE, Options
    from vae_jax import train

    family, options = _taken(Family, config), _taken(Options, config)
    images = fit.load(family)
    if unknown := set(config.pair) - {*images.test_labels.tolist()}:
        raise ValueError(f"--pair: there is no class {min(unknown)}; name others.")
    console.say(f"training {len(SETTINGS)} settings as one program")
    found = train_settings(images, family, options, SETTINGS, name="settings")
    console.say("training with two latents")
    plane = train_settings(
        images,
        dataclasses.replace(family, seeds=1),
        dataclasses.replace(options, latents=2),
        {VAE: {}},
        name="two-latents",
    )
    collapse = None
    if config.collapse_steps:
        console.say("training an autoregressive decoder")
        collapse = train_collapse(images, family, steps=config.collapse_steps)
    if not train.is_primary():
        return {}
    console.say("drawing")
    return show.write(show.Found(found, plane, collapse), config, family, images.source)


def _taken(kind: type[T], config: Config) -> T:
    """A `kind` of the fields that it shares with the configuration."""
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: getattr(config, name) for name in names})


if __name__ == "__main__":
    runner.run(main, PRESETS)
