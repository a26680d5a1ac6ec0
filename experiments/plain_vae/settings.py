"""What is trained side by side as one program: numbers of one loss function."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Array

from experiments.family.settings import Family
from experiments.plain_vae.networks import Likelihood, Network
from vae_jax import losses, objectives

ScheduleName = Literal["constant", "linear", "cosine", "cyclical"]
BETAS = (1, 2, 4, 10)
MASKED = 0.5
"""Share of the pixels that a denoising network is not shown."""
AUTOENCODER = {"beta": 0.0, "noise": 0.0}

VAE, AE = "VAE", "autoencoder"
DENOISING_VAE, DENOISING_AE = "denoising VAE", "denoising autoencoder"
BY_BETA = {beta: VAE if beta == 1 else f"beta-VAE, {beta}" for beta in BETAS}
SETTINGS: Mapping[str, Mapping[str, float]] = {
    **{name: {"beta": float(beta)} for beta, name in BY_BETA.items()},
    AE: AUTOENCODER,
    DENOISING_VAE: {"masked": MASKED},
    DENOISING_AE: {"masked": MASKED, **AUTOENCODER},
}
_PLAIN = {"beta": 1.0, "noise": 1.0, "masked": 0.0}


@dataclasses.dataclass(frozen=True)
class Options:
    """What all of them are."""

    network: Network
    likelihood: Likelihood
    hidden: int
    latents: int
    schedule: ScheduleName
    warmup_epochs: int
    free_bits: float
    capacity: float | None

    @property
    def binarise(self) -> bool:
        """Whether pixels are drawn as zeros and ones."""
        return self.likelihood == "bernoulli"


def hyper_of(
    settings: Mapping[str, Mapping[str, float]], options: Options, seeds: int
) -> dict[str, np.ndarray]:
    """Every number of every run: all settings with the first seed, and so on."""
    rows = [{**_PLAIN, **setting} for setting in settings.values()] * seeds
    if options.capacity is not None:
        rows = [row | {"capacity": options.capacity} for row in rows]
    elif options.free_bits:
        rows = [row | {"free_bits": options.free_bits} for row in rows]
    return {name: np.array([row[name] for row in rows], np.float32) for name in rows[0]}


def schedule_of(
    options: Options, family: Family, epoch_steps: int
) -> objectives.Schedule | None:
    """The weight of the rate by step, None where it is constant."""
    warmup, total = options.warmup_epochs * epoch_steps, family.epochs * epoch_steps

    def schedule(step: Array, hyper: Mapping[str, Array]) -> Array:
        del hyper
        match options.schedule:
            case "linear":
                return losses.linear_beta(step, warmup_steps=warmup)
            case "cosine":
                return losses.cosine_beta(step, warmup_steps=warmup)
            case _:
                return losses.cyclical_beta(step, total_steps=total)

    return None if options.schedule == "constant" else schedule


def folder_of(family: Family, name: str) -> Path:
    """Of the checkpoints and curves of one program."""
    return family.folder / name
