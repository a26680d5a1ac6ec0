"""Classifies images of which few have labels: M1, M2 and both (Kingma et al. 2014).

python -m experiments.semi_supervised
python -m experiments.semi_supervised --data-dir tensorflow_datasets --preset mnist

M1 is a VAE of all images, in whose latents a classifier looks. M2 is a VAE that knows
classes where they are given, and tries every class where they are not. M1+M2 is M2 on
the latents of M1. Beside them what knows the labelled images alone: a network like M2's
classifier, on pixels and on the latents, and the nearest labelled image. Every number
of labels, with every draw of them, is trained at once.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from experiments.family.settings import Family
from experiments.launch import runner

PUBLISHED = {
    100: {"M2": "11.97 ± 1.71", "M1+M2": "3.33 ± 0.14"},
    600: {"M2": "4.94 ± 0.13", "M1+M2": "2.59 ± 0.05"},
    1000: {"M2": "3.60 ± 0.56", "M1+M2": "2.40 ± 0.02"},
    3000: {"M2": "3.92 ± 0.63", "M1+M2": "2.18 ± 0.04"},
}
"""Test errors in percent on MNIST, Kingma et al. 2014, Table 1."""
METHODS = ("M2", "M1+M2", "M1 + network", "network on pixels", "nearest labelled image")


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains classifiers from few labels and from images without any."""

    preset: Literal["quick", "mnist"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits,
    some minutes. mnist: MNIST, with --data-dir, hours on two cores."""
    labels: tuple[int, ...] = (100,)
    """How many training images have labels; each number is a row of the table."""
    methods: tuple[
        Literal[
            "M2", "M1+M2", "M1 + network", "network on pixels", "nearest labelled image"
        ],
        ...,
    ] = METHODS
    """Which of them."""
    m1_epochs: int = 60
    """Of M1, whose latents M1+M2 looks at."""
    alpha: float = 10.0
    """Weight of the classifier's cross-entropy on the labelled images, for a loss that
    is a mean over all images. 0.1 in the paper, which trained for days: in minutes the
    many images without labels would make classes of their own."""
    hidden: int = 64
    """Units of the hidden layers of classifier, encoder and decoder of M2."""
    family: Family = dataclasses.field(
        default_factory=lambda: Family(
            "runs/semi-supervised", epochs=30, batch_size=50, seeds=5
        )
    )
    launch: runner.Launch = dataclasses.field(default_factory=runner.Launch)

    def __post_init__(self) -> None:
        if not self.labels or not self.methods:
            raise ValueError("--labels and --methods want at least one each.")
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"--alpha must be a number from 0, got {self.alpha}.")
        if min(self.m1_epochs, self.hidden) < 1:
            raise ValueError("--m1-epochs and --hidden must be at least 1.")

    @property
    def folder(self) -> Path:
        """`workdir`, with ~ for the home folder."""
        return self.family.folder


PRESETS = {
    "quick": Config(),
    "mnist": Config(
        preset="mnist",
        labels=(100, 600, 1000, 3000),
        m1_epochs=30,
        hidden=300,
        family=Family("runs/semi-supervised-mnist", epochs=20, batch_size=200, seeds=5),
    ),
}


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, or resumes, and compares; returns the rows of the table."""
    # Imported here: --help must answer at once.
    from experiments.family import fit, page
    from experiments.family.draws import Draws
    from experiments.family.few_labels_pictures import draw_maps
    from vae_jax import train
    from vae_jax.report.html import Table

    data = fit.load(config.family)
    draws = Draws.of(data.train_labels, config.labels, config.family)
    errors, m2 = _errors(config, data, draws)
    rows = _rows(config, errors, draws, is_mnist=data.source == "MNIST")
    if not train.is_primary():
        return rows
    plates = []
    if m2 is not None:
        path = config.folder / "maps.png"
        draw_maps(path, *m2, data)
        plates.append(
            page.plate(
                path,
                "What in an image speaks for each class",
                "The positive part of the pixels times the gradient of the odds of "
                f"q(y | x), of M2 with {draws.numbers[-1]} labels; the brightest pixel "
                "of a row is white.",
            )
        )
    columns = {"labels": "Labels", **{name: name for name in config.methods}}
    published = {"published M2": "M2, published", "published M1+M2": "M1+M2, published"}
    columns |= published if data.source == "MNIST" else {}
    page.write(
        config.folder,
        title="Few labels",
        source=data.source,
        config=config,
        family=config.family,
        verdicts=_verdicts(rows, config.methods),
        tables=[
            Table(
                "Error on test images, in percent",
                rows,
                columns,
                groups=(),
                note=f"Mean and standard deviation over {config.family.seeds} draws of "
                "the labelled images, balanced over the classes.",
            )
        ],
        plates=plates,
        results={"errors": {name: list(map(float, e)) for name, e in errors.items()}},
    )
    return rows


def _errors(config: Config, data, draws):
    """The test error of every run by every method, and M2 on pixels as trained."""
    from experiments.family import few_labels as ways

    hidden = (config.hidden,)
    seen = ways.pixels(data)
    wants_latents = {"M1+M2", "M1 + network"} & set(config.methods)
    if wants_latents:
        m1 = dataclasses.replace(config.family, epochs=config.m1_epochs)
        latents = ways.train_m1(data, m1)
    errors, m2 = {}, None
    for name in config.methods:
        if name == "nearest labelled image":
            errors[name] = ways.nearest_error(data, seen, draws)
            continue
        inputs = latents if name.startswith("M1") else seen
        folder = name.replace(" ", "-").replace("+", "-")
        given = (folder, data, inputs, draws, config.family)
        if name.endswith("M2"):
            model, trained = ways.train_m2(*given, hidden=hidden, alpha=config.alpha)
        else:
            model, trained = ways.train_supervised(*given, hidden=hidden)
        errors[name] = ways.error(model, trained, data, inputs)
        if name == "M2":
            m2 = model, trained
    return errors, m2


def _rows(
    config: Config, errors: Mapping[str, Any], draws, *, is_mnist: bool
) -> list[dict[str, Any]]:
    rows = []
    for number in config.labels:
        runs = [i for i, of_run in enumerate(draws.numbers) if of_run == number]
        row: dict[str, Any] = {"labels": number}
        for name, found in errors.items():
            percent = 100 * found[runs]
            deviation = f" ± {percent.std(ddof=1):.2f}" if len(runs) > 1 else ""
            row[name] = f"{percent.mean():.2f}{deviation}"
        if is_mnist:
            known = PUBLISHED.get(number, {})
            row |= {f"published {name}": value for name, value in known.items()}
        rows.append(row)
    return rows


def _verdicts(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[str]:
    lines = []
    for row in rows:
        best = min(methods, key=lambda name: float(str(row[name]).split(" ")[0]))
        lines.append(
            f"With {row['labels']} labels, {best} errs least: {row[best]} % of test "
            "images."
        )
    return lines


if __name__ == "__main__":
    runner.run(main, PRESETS)
