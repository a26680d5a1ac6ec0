"""The pictures of a sweep: Figures 8 and 9, curves, traversals, votes."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.explainer import encode
from experiments.sweep import ATTENTION, values_text
from experiments.sweep_results import Scored, by_setting
from experiments.sweep_runs import Trained
from vae_jax import attention, latent, plots
from vae_jax.factor_images import FactorImages
from vae_jax.plots.drawing import LINES

CURVES = {
    "factor_vae": "FactorVAE score",
    "distortion": "distortion (nats)",
    "rate": "rate (nats)",
}
DEVIATIONS = 2.0
"""Of the prior: how far a traversal goes to either side."""
FRAMES = 11
"""Steps of a traversal."""
EXAMPLES = 6
"""Images of Figure 9."""
DEFAULT_TAP = "relu4"
"""Where a model without the attention loss is explained beside one with it."""


def draw_all(
    folder: Path,
    trained: Sequence[Trained],
    results: Sequence[Scored],
    held: FactorImages,
) -> None:
    """Writes all pictures of a sweep into `folder`."""
    settings = by_setting(results)
    networks = {each.group.name: each for each in trained}
    draw_figure_8(folder / "figure8.png", list(settings.values()), held)
    for each in trained:
        _draw_curves(folder / f"curves-{_file(each.group.name)}.png", each)
    typical = [typical_run(members) for members in settings.values()]
    for scored in typical:
        draw_run(folder, networks[scored.group.name], scored, held)
    draw_figure_9(folder / "figure9.png", networks, typical, held)


def typical_run(members: Sequence[Scored]) -> Scored:
    """Of the seeds of a setting that with the median FactorVAE score."""
    ordered = sorted(members, key=lambda scored: scored.scores["factor_vae"])
    return ordered[len(ordered) // 2]


def draw_figure_8(
    path: Path, settings: Sequence[Sequence[Scored]], held: FactorImages
) -> None:
    """Reconstruction error against FactorVAE score (Liu et al. 2020, Figure 8)."""
    plots.save_scatter(
        path,
        [
            plots.Setting(
                members[0].group.name,
                values_text(members[0].run),
                np.array([scored.scores["distortion"] for scored in members]),
                np.array([scored.scores["factor_vae"] for scored in members]),
            )
            for members in settings
        ],
        xlabel="reconstruction error (nats)",
        ylabel="FactorVAE score",
        title=f"{held.source}: mean and 95 % interval over seeds",
    )


def draw_run(
    folder: Path, trained: Trained, scored: Scored, held: FactorImages
) -> None:
    """Traversals, votes and mutual information of one network."""
    name = f"{scored.group.name} {values_text(scored.run)}".strip()
    title = f"{name}, seed {scored.run.seed}"
    order = np.argsort(-scored.kl)
    labels = [f"z{i}  {scored.kl[i]:.2f}" for i in order]
    images = _traverse(trained, scored, held)[order]
    file = _file(name)
    caption = f"{title}: from -{DEVIATIONS:g} to {DEVIATIONS:g}, KL in nats"
    plots.save_traversals(
        folder / f"traversals-{file}.png", images, labels=labels, title=caption
    )
    plots.save_traversal_gif(
        folder / f"traversals-{file}.gif", images, labels=labels, title=title
    )
    latents = [f"z{i}" for i in range(len(scored.kl))]
    votes = np.asarray(scored.suite.votes)
    constant = len(votes) - len(held.grid.names)
    plots.save_heat_map(
        folder / f"votes-{file}.png",
        votes,
        rows=[*constant * ["constant"], *held.grid.names],
        columns=latents,
        title=f"{title}: votes of the FactorVAE score",
    )
    plots.save_heat_map(
        folder / f"information-{file}.png",
        np.asarray(scored.suite.mutual_information).T,
        rows=list(held.grid.names),
        columns=latents,
        title=f"{title}: mutual information in nats",
    )


def draw_figure_9(
    path: Path,
    networks: dict[str, Trained],
    typical: Sequence[Scored],
    held: FactorImages,
) -> None:
    """Maps of the two strongest latents, with and without the attention loss.

    Liu et al. 2020, Figure 9: of the first objective that is there in both ways, at the
    tap of the loss. Nothing is drawn where there is none.
    """
    pairs = [
        (plain, other)
        for plain, other in itertools.product(typical, typical)
        if plain.group.tap is None
        and other.group.objective == ATTENTION + plain.group.objective
    ]
    if not pairs:
        return
    plain, other = pairs[0]
    images = held.images(_spread(held))
    maps, latents = {}, {}
    for scored in (plain, other):
        name = f"{scored.group.objective}\n{values_text(scored.run)}"
        maps[name], latents[name] = _strongest_maps(
            networks[scored.group.name], scored, images, tap=other.group.tap or ""
        )
    plots.save_attention_pair(
        path,
        np.asarray(images),
        maps,
        latents,
        title=f"{held.source}: maps of the two strongest latents at {other.group.tap}",
    )


def _strongest_maps(trained: Trained, scored: Scored, images: Array, *, tap: str):
    """Maps [image 2 rows columns] at the size of the images, and whose they are."""
    variables = {"params": trained.params_of(scored.number)}
    maps = attention.attention_maps(trained.model, variables, images, tap=tap)
    mean = encode(trained.model, variables, images).mean
    chosen = attention.strongest_latents(mean)
    found = jnp.take_along_axis(maps, chosen[:, :, None, None], axis=1)
    return np.asarray(found), np.asarray(chosen)


def _spread(held: FactorImages) -> Array:
    """Places of images that are far from each other in the grid."""
    return jnp.linspace(0, held.grid.size - 1, EXAMPLES + 2).astype(int)[1:-1]


def _traverse(
    trained: Trained, scored: Scored, held: FactorImages
) -> Float[np.ndarray, "latent step height width channel"]:
    """From the posterior mean of the image in the middle of the grid."""
    variables = {"params": trained.params_of(scored.number)}

    def decode(latents: Array) -> Array:
        decoded = trained.model.apply(variables, latents, method="decode")
        return jax.nn.sigmoid(jnp.asarray(decoded))

    image = held.images(jnp.array([held.grid.size // 2]))
    mean = encode(trained.model, variables, image).mean[0]
    within = latent.prior_range(len(mean), deviations=DEVIATIONS)
    walks = latent.traversals(mean, within, steps=FRAMES)
    return np.asarray(latent.decode_all(decode, walks))


def _draw_curves(path: Path, trained: Trained) -> None:
    """A line a setting of the group, over training."""
    places: dict[str, list[int]] = {}
    for number, run in enumerate(trained.group.runs):
        places.setdefault(values_text(run) or trained.group.objective, []).append(
            number
        )
    shown = dict(itertools.islice(places.items(), len(LINES)))
    plots.save_metric_curves(
        path,
        np.array([line["step"] for line in trained.history]),
        {
            title: {
                text: np.array([line[name] for line in trained.history]).T[own]
                for text, own in shown.items()
            }
            for name, title in CURVES.items()
        },
        title=trained.group.name,
    )


def _file(name: str) -> str:
    """Of a name, what every file system takes."""
    return name.replace(",", "").replace(" ", "-")
