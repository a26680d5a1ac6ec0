"""Generates images of a class asked for, and changes the class of others.

python -m experiments.cvae
python -m experiments.cvae --data-dir tensorflow_datasets --preset mnist

A conditional VAE (Sohn et al. 2015) is told the class in encoder and decoder. Shown are
images of every class, the style of one image in all classes, ways from one style to
another within a class, and what in an image speaks for each class. A classifier that
never saw them says how many of the generated images are of the class asked for.
"""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from experiments.family.settings import Family
from experiments.launch import runner


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains a conditional VAE and draws what it holds."""

    preset: Literal["quick", "mnist"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits, a
    minute. mnist: MNIST, with --data-dir, a quarter of an hour on two cores."""
    latents: int = 20
    """Of the style."""
    hidden: int = 400
    """Units of each of two hidden layers."""
    embedding: int | None = None
    """Numbers by which the networks are told a class; default: one-hot."""
    prior: Literal["standard", "class"] = "standard"
    """Of the style: N(0, 1), or a normal of each class's own."""
    generated: int = 1000
    """Images that are judged by the classifier, as many of each class."""
    family: Family = dataclasses.field(
        default_factory=lambda: Family("runs/cvae", epochs=150)
    )
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        for name in ("latents", "hidden", "generated", "embedding"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} must be at least 1, got {value}.")

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return self.family.folder


PRESETS = {
    "quick": Config(),
    "mnist": Config(preset="mnist", family=Family("runs/cvae-mnist", epochs=30)),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, or resumes, generates and draws; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.family import conditions, fit, page
    from vae_jax import train
    from vae_jax.report.html import Table

    data = fit.load(config.family)
    space = conditions.train(
        data,
        config.family,
        latents=config.latents,
        hidden=(config.hidden, config.hidden),
        embedding=config.embedding,
        prior=config.prior,
    )
    judge = conditions.train_judge(data, config.family.seed)
    rows = conditions.judge_runs(space, judge, data, number=config.generated)
    if not train.is_primary():
        return rows
    columns = {
        "seed": "Seed",
        "distortion": "Distortion (nats)",
        "rate": "Rate (nats)",
        "asked": "Generated as asked (%)",
        "swapped": "Class changed as asked (%)",
        "real": "Judge right on test images (%)",
    }
    mean = sum(row["asked"] for row in rows) / len(rows)
    page.write(
        config.folder,
        title="Images of a class",
        source=data.source,
        config=config,
        family=config.family,
        verdicts=[
            f"{mean:.1f} % of generated images are taken for the class asked for, by a "
            f"classifier that is right on {rows[0]['real']:.1f} % of test images."
        ],
        tables=[
            Table(
                "Each run, on test images",
                rows,
                columns,
                groups=(),
                note="Distortion and rate at one posterior sample of binarised test "
                "images. The classifier is a network trained on the training images.",
            )
        ],
        plates=conditions.draw_all(config.folder, space, data),
    )
    return rows


if __name__ == "__main__":
    runner.run(main, PRESETS)
