"""Does the attention loss disentangle? Many VAEs on dSprites, many seeds at once.

python -m experiments.dsprites
python -m experiments.dsprites --preset locatello
python -m experiments.dsprites --data-dir dsprites.npz --preset repro_ad

Trains every setting of every objective on several seeds, scores all networks on one
encoding of the factor grid, and draws Figures 8 and 9 of Liu et al. 2020: error of
reconstruction against FactorVAE score, and maps of the two strongest latents. Without
--data-dir it runs on a procedural set that is compatible with dSprites.
What the commands print, on which machine and in which time: docs/results.md.
"""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.disentanglement import presets
from experiments.disentanglement.sweep import Sweep
from experiments.launch import runner

if TYPE_CHECKING:  # --help must answer at once
    from experiments.disentanglement.representation import Evaluation
    from experiments.disentanglement.runs import Trained
    from experiments.disentanglement.scores import Scored
    from vae_jax.factor_images import FactorImages

FULL = (1, 1, 1, 1, 1)


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains a sweep of VAEs on dSprites and measures how they disentangle."""

    preset: Literal["quick", "locatello", "burgess", "kim", "chen", "repro_ad"] = (
        "quick"
    )
    """Settings that the other flags replace one by one. quick: some minutes on two
    cores, far from converged. The others are for a GPU, and the published settings of
    these authors but for: locatello, 10 seeds and not 50; kim, scored by --protocol;
    chen, with convolutions and not their dense network, started as TensorFlow does, the
    KL in closed form, and batches drawn with replacement. repro_ad is that of the
    attention loss's reproduction, but for: a pair of two different latents for each
    image and not one pair for the batch, the overlap of each image by itself, all
    weights at both taps, gradients with respect to the activation after the rectifier
    and not before it, and a discriminator's loss that does not reach the encoder."""
    data_dir: str | None = None
    """The dSprites .npz, its folder, or the data_dir of TensorFlow Datasets; default:
    the procedural set."""
    variant: Literal["plain", "colour", "noisy"] = "plain"
    """White sprites on black, each in a colour of its own, or on a background of noise
    (Locatello et al. 2019)."""
    evaluation_strides: tuple[int, int, int, int, int] = FULL
    """Evaluations see every so many-th shape, scale, orientation, x and y."""
    protocol: Literal["standard", "repro2021"] = "standard"
    """Of the FactorVAE score: that of Locatello et al. 2019, or the reproduction's,
    which votes on the constant colour too and cannot reach 1."""
    trees: bool = False
    """Also DCI by boosted trees as published, minutes for each network."""
    collapse_nats: float = 0.5
    """A network of which no latent has this KL is said to have collapsed."""
    sweep: Sweep = presets.QUICK
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        if min(self.evaluation_strides) < 1:
            raise ValueError(
                "--evaluation-strides must be at least 1 each, got "
                f"{self.evaluation_strides}."
            )
        if not 0 <= self.collapse_nats < math.inf:
            raise ValueError(
                f"--collapse-nats must be a number from 0, got {self.collapse_nats}."
            )

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return self.sweep.folder


PRESETS = {
    "quick": Config(evaluation_strides=(1, 2, 5, 5, 5)),
    "locatello": Config(preset="locatello", sweep=presets.LOCATELLO),
    "burgess": Config(preset="burgess", sweep=presets.BURGESS),
    "kim": Config(preset="kim", sweep=presets.KIM),
    "chen": Config(preset="chen", sweep=presets.CHEN),
    "repro_ad": Config(preset="repro_ad", protocol="repro2021", sweep=presets.REPRO_AD),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains and scores every run; returns the rows of the table.

    Raises:
        FloatingPointError: Of some objectives a run diverged; what could be finished
            is scored and drawn.
    """
    # Imported here: --help must answer at once.
    from experiments.disentanglement import pictures, runs
    from experiments.disentanglement import results as written
    from experiments.launch.console import say
    from vae_jax import train

    data, evaluation = load(config)
    folder, images = config.sweep.folder, evaluation.images
    runs.check(config.sweep, data)
    say(f"{data.source}: {data.grid.size:,} images, evaluated on {images.grid.size:,}")
    trained, results, rows = _train_and_score(config, data, evaluation)
    if trained and train.is_primary():
        made_of = _made_of(config, evaluation)
        written.print_results(results, rows, made_of=made_of)
        drawn = pictures.draw_all(config.sweep, trained, results, images)
        figures = [file for file in drawn if file.startswith("figure")]
        print(
            f"\nIn {folder}: results.json, results.csv, {', '.join(figures)} and "
            f"{len(drawn) - len(figures)} more pictures."
        )
    finished = {networks.group.name for networks in trained}
    groups = [group.name for group in config.sweep.groups()]
    if diverged := [name for name in groups if name not in finished]:
        raise FloatingPointError(
            f"dsprites: runs of {', '.join(diverged)} diverged, see above; lower "
            "--learning-rate or their weights, in another --workdir."
        )
    return rows


def _train_and_score(
    config: Config, data: "FactorImages", evaluation: "Evaluation"
) -> "tuple[list[Trained], list[Scored], list[dict[str, Any]]]":
    """The groups that did not diverge, the scores of all runs, and the table's rows.

    After each group the results are on disk; those of later groups, from before an
    interruption, are among them.
    """
    from experiments.disentanglement import results as written
    from experiments.disentanglement import runs
    from experiments.disentanglement import scores as scoring
    from experiments.launch.console import say

    sweep, groups = config.sweep, config.sweep.groups()
    scores = {
        group.name: scoring.kept_scores(sweep, group, evaluation) for group in groups
    }
    trained, results, rows = [], [], []
    for number, group in enumerate(groups, 1):
        say(f"{group.name}: {len(group.runs)} runs, group {number} of {len(groups)}")
        try:
            networks = runs.train_group(sweep, group, data, evaluation)
        except FloatingPointError as error:
            say(f"{group.name}: {error} Going on with the next group.")
            continue
        trained.append(networks)
        scores[group.name] = scoring.score_group(sweep, networks, evaluation)
        results = [scored for found in scores.values() for scored in found]
        about = {
            "unfinished": [name for name, found in scores.items() if not found],
            "config": dataclasses.asdict(config),
        }
        rows = written.write_results(results, about=about, folder=sweep.folder)
    return trained, results, rows


def load(config: Config) -> "tuple[FactorImages, Evaluation]":
    """The whole set, and what networks are evaluated on.

    Raises:
        ValueError: Of a factor a single value is left, or the data cannot be read.
    """
    from experiments.disentanglement.representation import Evaluation
    from experiments.disentanglement.scores import protocol_named
    from vae_jax import factor_images

    if config.data_dir is None:
        data = factor_images.procedural_dsprites()
    else:
        data = factor_images.load_dsprites(config.data_dir)
    data = data.as_variant(config.variant)
    evaluated = data.every(config.evaluation_strides)
    for name, size in zip(evaluated.grid.names, evaluated.grid.sizes, strict=True):
        if size < 2:
            raise ValueError(
                "--evaluation-strides must leave two values of each factor, got one "
                f"of {name}."
            )
    protocol = protocol_named(config.protocol)
    return data, Evaluation(evaluated, protocol, config.trees, config.collapse_nats)


def _made_of(config: Config, evaluation: "Evaluation") -> str:
    """What the figures of a table rest on."""
    from vae_jax.metrics.disentanglement import split_sizes

    images, protocol = evaluation.images, evaluation.protocol
    train, test = split_sizes(
        images.grid.size, train=protocol.train, test=protocol.test
    )
    return (
        f"Data: {images.source}. {config.sweep.steps:,} steps of "
        f"{config.sweep.batch_size} images; scored by the protocol {config.protocol} "
        f"on {images.grid.size:,} images. DCI, SAP and explicitness are fitted on "
        f"{train:,} of them and tested on {test:,}."
    )


if __name__ == "__main__":
    runner.run(main, PRESETS)
