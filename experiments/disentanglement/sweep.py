"""What a sweep over disentangling VAEs can be told; plain values, quick to import."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from experiments.launch.runner import flag

ATTENTION = "ad-"
"""Before the name of an objective: with the attention disentanglement loss."""
SWEPT = {
    "vae": (),
    "beta-vae": ("beta",),
    "annealed-vae": ("capacity",),
    "beta-tcvae": ("tc_beta",),
    "factor-vae": ("gamma",),
    "dip-vae-i": ("off_diagonal",),
    "dip-vae-ii": ("off_diagonal",),
    "info-vae": ("mmd",),
}
"""Of each objective the fields of `Sweep` that its runs differ in, beside the seed."""


class Run(NamedTuple):
    """One network to train."""

    seed: int
    values: Mapping[str, float]
    """Of the swept fields."""


def values_text(run: Run) -> str:
    """As "gamma 40, attention 20"."""
    return ", ".join(f"{name} {value:g}" for name, value in run.values.items())


def run_name(run: Run) -> str:
    """As "gamma 40, attention 20, seed 3"."""
    return ", ".join([*filter(None, [values_text(run)]), f"seed {run.seed}"])


class Group(NamedTuple):
    """Runs of one objective, which are trained as one program."""

    objective: str
    tap: str | None
    """Whose maps the attention loss compares, None without it."""
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """For files and tables, as "ad-factor-vae relu4"."""
        return self.objective if self.tap is None else f"{self.objective} {self.tap}"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Objectives, their weights and seeds; network and training, which all share."""

    workdir: str
    """Folder for checkpoints, tables and figures; a sweep resumes from it."""
    objectives: tuple[str, ...]
    """Any of vae, beta-vae, annealed-vae, beta-tcvae, factor-vae, dip-vae-i, dip-vae-ii
    and info-vae; ad- before it adds the attention disentanglement loss."""
    network: Literal["locatello", "burgess", "kim", "repro2021"]
    """The convolutional network of that publication."""
    latents: int
    """Dimensions of the latent space."""
    steps: int
    """Updates of each run."""
    seeds: int
    """Runs of every setting, with the seeds seed, seed + 1, ..."""
    learning_rate: float
    """Adam's step size, constant."""
    batch_size: int
    """Images in a step of one run, drawn with replacement."""
    seed: int = 0
    """The first; of initial values, batches and noise."""
    beta: tuple[float, ...] = (4.0,)
    """beta-vae: weights of the rate."""
    capacity: tuple[float, ...] = (25.0,)
    """annealed-vae: nats that the rate is led to."""
    annealing_steps: int = 100_000
    """annealed-vae: steps until the capacity is reached."""
    tc_beta: tuple[float, ...] = (6.0,)
    """beta-tcvae: weights of the total correlation."""
    estimator: Literal["mws", "mss"] = "mss"
    """beta-tcvae: minibatch-weighted or minibatch-stratified sampling."""
    gamma: tuple[float, ...] = (40.0,)
    """factor-vae: weights of the total correlation."""
    second_batch: Literal["same", "half", "independent"] = "same"
    """factor-vae: whose latents are permuted: the batch's own, those of its second
    half, which the VAE then does not see, or those of another batch."""
    discriminator_layers: int = 6
    """factor-vae: hidden layers of the discriminator."""
    discriminator_width: int = 1000
    """factor-vae: units of each of them."""
    discriminator_learning_rate: float = 1e-4
    """factor-vae: step size of the discriminator's Adam."""
    off_diagonal: tuple[float, ...] = (10.0,)
    """dip-vae: weights of the covariances; those of the variances are ten times these
    (I) or the same (II)."""
    mmd: tuple[float, ...] = (1000.0,)
    """info-vae: values of lambda, the weight of the maximum mean discrepancy."""
    attention: tuple[float, ...] = (1.0, 20.0, 40.0)
    """ad-: weights of the mean overlap of two attention maps, which is in [0, 1]."""
    taps: tuple[str, ...] = ("relu4",)
    """ad-: activations whose maps are compared; a set of runs for each."""
    pairs: Literal["random", "strongest", "all"] = "random"
    """ad-: latents compared: two drawn for each image, its two strongest, or all."""
    map_rule: Literal["paper", "repro2021"] = "paper"
    """ad-: how gradient and activation make a map: Eq. 2, or as in the reproduction of
    2021, rectified channel by channel."""
    map_size: Literal["tap", "image"] = "tap"
    """ad-: where maps are compared: at the size of the activation or of the image."""
    second_order: bool = True
    """ad-: whether the gradient reaches the weights of a map too."""
    evaluations: int = 5
    """Points of the curves over training, each followed by a checkpoint."""
    steps_per_call: int = 1
    """Steps in one dispatch: more pays on accelerators, and compiles longer on CPU."""

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{flag(name)} must be at least 1, got {getattr(self, name)}."
                )
        for name in ("learning_rate", "discriminator_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"{flag(name)} must be positive, got {getattr(self, name)}."
                )
        for name in _WEIGHTS:
            values = getattr(self, name)
            if not values or not all(0 <= value < math.inf for value in values):
                raise ValueError(
                    f"{flag(name)} must be one or more numbers from 0, got {values}."
                )
        unknown = [o for o in self.objectives if o.removeprefix(ATTENTION) not in SWEPT]
        if unknown or not self.objectives:
            what = f"there is no {unknown[0]!r}" if unknown else "name at least one"
            raise ValueError(
                f"--objectives: {what}; known: {', '.join(SWEPT)}, and each with "
                f"{ATTENTION} before it."
            )
        if not self.taps and any(o.startswith(ATTENTION) for o in self.objectives):
            raise ValueError(f"--taps: {ATTENTION} objectives want at least one.")
        if self.second_batch == "half" and self.batch_size % 2:
            raise ValueError(
                "--batch-size must be even for --second-batch half, got "
                f"{self.batch_size}."
            )
        self._require_enough()
        if not 0 <= self.seed <= _LARGEST_SEED - self.seeds:
            raise ValueError(
                f"--seed must be at least 0, and with --seeds {self.seeds} at most "
                f"{_LARGEST_SEED - self.seeds}, got {self.seed}."
            )

    def _require_enough(self) -> None:
        """Of latents and images, for what compares two of them."""
        if self.latents < 2:
            raise ValueError(
                f"--latents must be at least 2, which scores compare, got "
                f"{self.latents}."
            )
        for objective in self.objectives:
            plain = objective.removeprefix(ATTENTION)
            if plain in _OVER_THE_BATCH and self.batch_size < 2:
                raise ValueError(
                    f"--batch-size must be at least 2 for {plain}, which compares "
                    f"images of a batch, got {self.batch_size}."
                )

    def groups(self) -> list[Group]:
        """The runs of the sweep, by what can be trained as one program."""
        return [
            Group(objective, tap, self._runs(objective))
            for objective in dict.fromkeys(self.objectives)
            for tap in self._taps(objective)
        ]

    def _taps(self, objective: str) -> Sequence[str | None]:
        return self.taps if objective.startswith(ATTENTION) else (None,)

    def _runs(self, objective: str) -> tuple[Run, ...]:
        swept = SWEPT[objective.removeprefix(ATTENTION)]
        if objective.startswith(ATTENTION):
            swept = (*swept, "attention")
        grid = itertools.product(*(getattr(self, name) for name in swept))
        seeds = range(self.seed, self.seed + self.seeds)
        return tuple(
            Run(seed, dict(zip(swept, values, strict=True)))
            for values, seed in itertools.product(grid, seeds)
        )

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return Path(self.workdir).expanduser()


_AT_LEAST_ONE = (
    "steps",
    "seeds",
    "batch_size",
    "annealing_steps",
    "discriminator_layers",
    "discriminator_width",
    "evaluations",
    "steps_per_call",
)
_OVER_THE_BATCH = ("beta-tcvae", "dip-vae-i", "dip-vae-ii", "info-vae")
_LARGEST_SEED = 2**31 - 1
_WEIGHTS = ("beta", "capacity", "tc_beta", "gamma", "off_diagonal", "mmd", "attention")
