"""Looks into the latent spaces of two VAEs of handwritten digits.

python -m experiments.latents
python -m experiments.latents --data-dir tensorflow_datasets --preset standard

One network has ten latents: what each does alone, what lies between two images by
straight line, arc and geodesic, and images moved to other digits by arithmetic. One has
two: its whole manifold, and the plane with the decoder's metric. Without --data-dir it
runs on scikit-learn's digits, 8x8 upscaled, in two minutes on two cores.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from experiments import runner
from experiments.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Array, Float, Int

    from vae_jax.data.mnist import Digits
    from vae_jax.latent import Decode

CURVES = ("linear", "spherical", "geodesic")
COLUMNS = {"latents": "latents", "from": "from", "to": "to"} | {c: c for c in CURVES}
POINTS = 31
"""Of a curve, ends included; every third is drawn."""
DEVIATIONS = 2.0
"""Of the prior: how far traversals go to either side."""
FRAMES = 11
"""Steps of a traversal."""
MANIFOLD = 20
"""Images along each side of the manifold."""
PLANE = 80
"""Places along each side of the plane at which the metric is computed."""
ROWS = 6
"""Images that are moved to other digits."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains two VAEs on digits, one with two latents, and draws what they hold."""

    preset: Literal["quick", "standard"] = "quick"
    """Settings that the other flags replace one by one. quick: the embedded digits.
    standard: MNIST in some ten minutes on two cores."""
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


PRESETS = {
    "quick": Config(),
    "standard": Config(
        preset="standard", workdir="runs/latents-standard", epochs=10, batch_size=64
    ),
}


class Space(NamedTuple):
    """A trained network as far as its latents are concerned, with test images."""

    decode: "Decode"
    images: "Float[np.ndarray, 'image height width channel']"
    means: "Float[np.ndarray, 'image latent']"
    kl: "Float[np.ndarray, ' latent']"
    labels: "Int[np.ndarray, ' image']"

    def typical(self, digit: int) -> "Float[np.ndarray, ' latent']":
        """The posterior mean that is nearest to the mean of its digit's."""
        own = self.means[self.labels == digit]
        return own[((own - own.mean(0)) ** 2).sum(-1).argmin()]


def main(config: Config) -> list[dict[str, Any]]:
    """Trains, or resumes, and draws; returns the lengths of all curves."""
    # Imported here: --help must answer at once.
    from experiments import console, localisation
    from vae_jax import report, train
    from vae_jax.data import mnist

    localisation.check(config.settings(config.latents))
    with console.progress_bar("reading MNIST") as progress:
        digits = mnist.load_digits(config.data_dir, progress=progress)
    unknown = {d for pair in config.pairs for d in pair} - {*digits.test_labels}
    if unknown:
        raise ValueError(f"--pairs: there is no digit {min(unknown)}.")
    large, plane = (make_space(config, digits, n) for n in (config.latents, 2))
    if not train.is_primary():
        return []
    folder = Path(config.workdir).expanduser()
    console.say("drawing")
    draw_traversals(folder, large)
    draw_arithmetic(folder / "arithmetic.png", large)
    draw_manifold(folder / "manifold.png", plane)
    rows = draw_curves(folder / "interpolation.png", large, config.pairs)
    rows += draw_plane(folder / "plane.png", plane, config.pairs)
    content = {
        "lengths": rows,
        "config": dataclasses.asdict(config),
        "data": {"source": digits.source},
        "versions": report.versions(),
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


def make_space(config: Config, digits: "Digits", latents: int) -> Space:
    """Trains one network, or resumes it, and encodes the test images."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from experiments import console, explainer, training
    from vae_jax import losses
    from vae_jax.data import augment, images, mnist

    console.say(f"training with {latents} latents")
    settings = config.settings(latents)
    built = training.build_explainer(settings, channels=1)
    data = mnist.all_digits(digits, seed=config.seed)
    variables = training.train_vae(settings, built, data, augment.NONE)
    # At most so many: the pictures need no more.
    shown = jnp.asarray(images.to_float(digits.test_images[:1000]))
    mean, logvar = explainer.encode(built.model, variables, shown)

    @jax.jit
    def decode(latents):
        decoded = built.model.apply(variables, latents, method="decode")
        return built.as_images(cast("Array", decoded))

    kl = losses.gaussian_kl(mean, logvar).mean(0)
    labels = digits.test_labels[: len(shown)]
    return Space(decode, *map(np.asarray, (shown, mean, kl, labels)))


def draw_traversals(folder: Path, space: Space) -> None:
    """What each latent does alone, the most telling first, as picture and as GIF."""
    import jax.numpy as jnp
    import numpy as np

    from vae_jax import latent, plots

    order = np.argsort(-space.kl)
    start = jnp.asarray(space.typical(int(space.labels[0])))
    within = latent.prior_range(len(start), deviations=DEVIATIONS)
    moved = latent.traversals(start, within, steps=FRAMES)[order]
    images = np.asarray(latent.decode_all(space.decode, moved))
    labels = [f"z{i}: {space.kl[i]:.1f} nats" for i in order]
    title = f"Each latent from -{DEVIATIONS:g} to {DEVIATIONS:g}"
    plots.save_traversals(folder / "traversals.png", images, labels=labels, title=title)
    plots.save_traversal_gif(
        folder / "traversals.gif", images, labels=labels, title=title
    )


def draw_arithmetic(path: Path, space: Space) -> None:
    """Images less the mean of their digit, plus the mean of every other one.

    What is left of an image without its digit is how it was written.
    """
    import jax.numpy as jnp
    import numpy as np

    from vae_jax import latent, plots

    digits, first = np.unique(space.labels, return_index=True)
    codes = {d: jnp.asarray(space.means[space.labels == d]) for d in digits}
    rows = []
    for own, image in zip(digits[:ROWS], first[:ROWS], strict=True):
        start = jnp.asarray(space.means[image])
        moved = [
            latent.arithmetic(start, add=codes[other], subtract=codes[own])
            for other in digits
        ]
        drawn = latent.decode_all(space.decode, jnp.stack([start, *moved]))
        rows.append(np.concatenate([space.images[image][None], drawn]))
    plots.save_image_grid(
        path,
        np.stack(rows),
        rows=[f"a {digit}" for digit in digits[:ROWS]],
        columns=["image", "drawn", *(f"to {digit}" for digit in digits)],
        title="Latents less the mean of their digit, plus the mean of another",
    )


def draw_manifold(path: Path, space: Space) -> None:
    """What the plane of two latents decodes to."""
    import numpy as np

    from vae_jax import latent, plots

    grid = latent.manifold_grid(steps=MANIFOLD)
    images = np.asarray(latent.decode_all(space.decode, grid))
    title = "The prior of two latents, in equally likely cells"
    plots.save_manifold(path, images, np.asarray(grid), title=title)


def draw_curves(
    path: Path, space: Space, pairs: tuple[tuple[int, int], ...]
) -> list[dict[str, Any]]:
    """Three ways from one digit to another, a row each."""
    import numpy as np

    from vae_jax import latent, plots

    rows, curves = find_curves(space, pairs)
    plots.save_interpolation(
        path,
        {
            name: np.asarray(latent.decode_all(space.decode, each[:, ::3]))
            for name, each in curves.items()
        },
        {name: np.array([row[name] for row in rows]) for name in CURVES},
        title="From one posterior mean to another, and the length in image space",
    )
    return rows


def draw_plane(
    path: Path, space: Space, pairs: tuple[tuple[int, int], ...]
) -> list[dict[str, Any]]:
    """The same curves over the plane of two latents and the decoder's metric."""
    import jax.numpy as jnp
    import numpy as np

    from vae_jax import latent, plots

    rows, curves = find_curves(space, pairs)
    reach = 1.05 * float(np.abs(space.means).max())
    places = jnp.linspace(-reach, reach, PLANE)
    plane = jnp.stack(jnp.meshgrid(places, places), axis=-1)
    metric = latent.pull_back_metric(space.decode, plane.reshape(-1, 2))
    volume = jnp.sqrt(jnp.linalg.det(metric)).reshape(plane.shape[:2])
    plots.save_metric_plane(
        path,
        np.asarray(volume),
        reach,
        codes=space.means[:300],
        labels=space.labels[:300],
        curves={name: np.asarray(each) for name, each in curves.items()},
        title="Two latents: dark where a small step changes the image much",
    )
    return rows


def find_curves(
    space: Space, pairs: tuple[tuple[int, int], ...]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lengths of the curves, a row a pair, and the curves [pair step latent]."""
    import jax.numpy as jnp

    from vae_jax import latent

    start, end = (
        jnp.stack([jnp.asarray(space.typical(pair[side])) for pair in pairs])
        for side in (0, 1)
    )
    linear = latent.linear_interpolation(start, end, steps=POINTS)
    bent = [latent.geodesic(space.decode, line) for line in linear]
    curves = {
        "linear": linear,
        "spherical": latent.spherical_interpolation(start, end, steps=POINTS),
        "geodesic": jnp.stack([each.curve for each in bent]),
    }
    lengths = {
        name: latent.curve_length(space.decode, curve).tolist()
        for name, curve in curves.items()
    }
    rows = [
        {"latents": start.shape[-1], "from": a, "to": b}
        | {name: lengths[name][i] for name in CURVES}
        | {"is_converged": bent[i].is_converged}
        for i, (a, b) in enumerate(pairs)
    ]
    return rows, curves


if __name__ == "__main__":
    runner.run(main, PRESETS)
