"""What every localisation experiment can be told; plain values, quick to import."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

from experiments.launch.runner import flag


@dataclasses.dataclass(frozen=True)
class Settings:
    """Network, objective, training and evaluation."""

    workdir: str
    """Folder for checkpoints, tables and figures; a run resumes from it."""
    image_size: int
    """Side in pixels to which the images are resized."""
    network: Literal["small", "resnet18", "mnist", "ped1"]
    """The convolutional network for quick runs, or one of the paper's: ResNet-18, and
    those of MNIST (28 px) and UCSD Ped1 (100 px)."""
    latents: int
    """Dimensions of the latent space."""
    likelihood: Literal["gaussian", "bernoulli"]
    """Of a pixel given its reconstruction."""
    epochs: int
    """Passes over the training images."""
    batch_size: int
    """Images per step over all devices of all hosts."""
    learning_rate: float
    """Peak of Adam's step size; it falls to 0 along a cosine."""
    tap: str
    """The encoder activation that the attention methods explain."""
    blur: float
    """Smoothing of residuals and input gradients, in pixels of the model's image."""
    width: int = 16
    """Channels after the first convolution of the small network and of that of MNIST,
    whose authors take 64."""
    noise_scale: float = 0.1
    """Standard deviation of the Gaussian likelihood, for intensities in [0, 1]."""
    beta: float = 1.0
    """Weight of the KL term."""
    warmup_steps: int = 50
    """Steps over which the step size rises from 0."""
    clip_norm: float | None = None
    """Gradient norm, in nats of an image, above which gradients are scaled down."""
    ema_decay: float = 0.99
    """Of the running average of the parameters, which is what is evaluated."""
    augment: bool = True
    """Whether training images are mirrored and rotated as the category permits."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the network's computations; likelihood, KL and maps stay float32."""
    seed: int = 0
    """Of initial values, noise, order, augmentation and validation split."""
    evaluations: int = 10
    """Validations over the run, each followed by a checkpoint."""
    seeds: int = 1
    """Runs with the seeds seed, seed + 1, ...; tables then give mean and deviation."""
    resolution: Literal["model", "native"] = "model"
    """Where maps and masks are compared: the model's size or the published one."""
    methods: tuple[str, ...] = ("vae", "floor")
    """Maps to compare: names as in the table, name@tap for another tap, or groups: vae
    (what the VAE alone gives), ablation (and all else that was tried of it), floor,
    baseline (networks of their own), all (but the ablation)."""
    baseline_steps: int | None = None
    """Training steps of each baseline; default: as published, hours without a GPU."""
    baseline_size: int | None = None
    """Side in pixels at which baselines see the images; default: as published."""
    baseline_batch_size: int | None = None
    """Images in a training step of a baseline; default: see each baseline."""
    anogan_width: int = 64
    """Channels after the first layer of AnoGAN's discriminator."""
    feature_weights: str | None = None
    """ImageNet weights of ResNet-18 (.safetensors or .npz, torchvision's names) for the
    feature dictionary; without them its features are random."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise ValueError(f"{flag(name)} must be at least {least}, got {value}.")
        for name in ("noise_scale", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{flag(name)} must be positive, got {value}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"--ema-decay must be in [0, 1), got {self.ema_decay}.")

    def of_each_seed(self) -> "list[Settings]":
        """The settings of each run; several runs get a folder each."""
        if self.seeds == 1:
            return [self]
        return [
            dataclasses.replace(
                self, seed=seed, seeds=1, workdir=f"{self.workdir}/seed-{seed}"
            )
            for seed in range(self.seed, self.seed + self.seeds)
        ]

    def network_options(self) -> dict[str, Any]:
        """What `detection.build_explainer` is told, but for the channels."""
        return self._values(
            *("network", "image_size", "latents", "width", "likelihood"),
            *("noise_scale", "tap", "blur", "dtype"),
        )

    def training_options(self) -> dict[str, Any]:
        """What `detection.train_vae` is told of optimisation."""
        return self._values(
            *("epochs", "batch_size", "learning_rate", "warmup_steps", "clip_norm"),
            *("beta", "ema_decay", "evaluations", "seed"),
        )

    def _values(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return Path(self.workdir).expanduser()


_LEAST = {
    "image_size": 1,
    "latents": 1,
    "width": 1,
    "epochs": 1,
    "batch_size": 1,
    "evaluations": 1,
    "seeds": 1,
    "baseline_steps": 1,
    "baseline_size": 32,
    "baseline_batch_size": 1,
    "anogan_width": 1,
    "warmup_steps": 0,
    "seed": 0,
    "beta": 0.0,
    "blur": 0.0,
}

QUICK_BASELINES: dict[str, Any] = {
    "baseline_steps": 300,
    "baseline_size": 64,
    "baseline_batch_size": 16,
    "anogan_width": 16,
}
"""Fields of `Settings` that make the baselines a matter of minutes on two cores."""
PUBLISHED_BASELINES: dict[str, Any] = {
    name: getattr(Settings, name) for name in QUICK_BASELINES
}
"""The same fields as published, hours without a GPU: the defaults of `Settings`."""
