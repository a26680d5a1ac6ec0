"""The pictures of a sweep: Figures 8 and 9, curves, traversals, votes.

Each function writes into a folder and returns the names of its files.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.disentanglement.runs import MAP_RULES, Trained
from experiments.disentanglement.scores import Scored, by_setting
from experiments.disentanglement.strongest_maps import strongest_maps
from experiments.disentanglement.sweep import ATTENTION, Sweep, run_name, values_text
from experiments.latent_spaces.traversals import draw_traversals
from vae_jax import attention, plots
from vae_jax.detection.explainer import encode
from vae_jax.factor_images import FactorImages

CURVES = {
    "factor_vae": "FactorVAE score",
    "distortion": "distortion (nats)",
    "rate": "rate (nats)",
    "active_units": "active units",
}
EXAMPLES = 6
"""Images of Figure 9."""


def draw_all(
    sweep: Sweep,
    trained: Sequence[Trained],
    results: Sequence[Scored],
    evaluated: FactorImages,
) -> list[str]:
    """All pictures of a sweep, into its folder."""
    folder, settings = sweep.folder, by_setting(results)
    networks = {each.group.name: each for each in trained}
    files = draw_figure_8(folder, list(settings.values()), evaluated)
    rule = MAP_RULES[sweep.map_rule]
    files += draw_figure_9(folder, networks, results, evaluated, rule=rule)
    for each in trained:
        files += draw_curves(folder, each)
    for members in settings.values():
        typical = typical_run(members)
        files += draw_run(folder, networks[typical.group.name], typical, evaluated)
    return files


def typical_run(members: Sequence[Scored]) -> Scored:
    """Of the seeds of a setting that with the median score, the lower one of two."""
    ordered = sorted(members, key=lambda scored: scored.scores["factor_vae"])
    return ordered[(len(ordered) - 1) // 2]


def draw_figure_8(
    folder: Path, settings: Sequence[Sequence[Scored]], evaluated: FactorImages
) -> list[str]:
    """Reconstruction error against FactorVAE score (Liu et al. 2020, Figure 8)."""
    seeds = max(len(members) for members in settings)
    over = f"mean and 95 % interval over {seeds} seeds" if seeds > 1 else "one seed"
    plots.save_scatter(
        folder / "figure8.png",
        [
            plots.Setting(
                members[0].group.name,
                _what_differs(members[0], settings),
                np.array([scored.scores["distortion"] for scored in members]),
                np.array([scored.scores["factor_vae"] for scored in members]),
            )
            for members in settings
        ],
        xlabel="reconstruction error (nats)",
        ylabel="FactorVAE score",
        title=f"{evaluated.source}: {over}",
    )
    return ["figure8.png"]


def _what_differs(scored: Scored, settings: Sequence[Sequence[Scored]]) -> str:
    """The values in which a setting differs from the others of its group, if any do."""
    group = [
        each[0].run.values
        for each in settings
        if each[0].group.name == scored.group.name
    ]
    values = scored.run.values
    apart = {k: v for k, v in values.items() if any(each[k] != v for each in group)}
    return values_text(scored.run._replace(values=apart or values))


def draw_run(
    folder: Path, trained: Trained, scored: Scored, evaluated: FactorImages
) -> list[str]:
    """Traversals, votes and mutual information of one network."""
    name = f"{scored.group.name} {values_text(scored.run)}".strip()
    title = f"{scored.group.name} {run_name(scored.run)}"
    file = name.replace(",", "").replace(" ", "-")
    variables = {"params": trained.params_of(scored.number)}

    def decode(latents: Array) -> Array:
        decoded = trained.model.apply(variables, latents, method="decode")
        return jax.nn.sigmoid(jnp.asarray(decoded))

    middle = evaluated.images(jnp.array([evaluated.grid.size // 2]))
    start = encode(trained.model, variables, middle).mean[0]
    files = draw_traversals(
        folder, f"traversals-{file}", decode, start, scored.kl, title=title
    )
    latents = [f"z{i}" for i in range(len(scored.kl))]
    constant = len(scored.votes) - len(evaluated.grid.names)
    plots.save_heat_map(
        folder / f"votes-{file}.png",
        scored.votes,
        rows=[*constant * ["constant"], *evaluated.grid.names],
        columns=latents,
        title=f"{title}: votes of the FactorVAE score",
    )
    plots.save_heat_map(
        folder / f"information-{file}.png",
        scored.information.T,
        rows=list(evaluated.grid.names),
        columns=latents,
        title=f"{title}: mutual information in nats",
    )
    return [*files, f"votes-{file}.png", f"information-{file}.png"]


def draw_figure_9(
    folder: Path,
    networks: dict[str, Trained],
    results: Sequence[Scored],
    evaluated: FactorImages,
    *,
    rule: attention.Rule,
) -> list[str]:
    """Maps of the two strongest latents, with and without the attention loss.

    Liu et al. 2020, Figure 9: of the first objective that is there in both ways, at the
    tap of the loss, by its rule, and at its largest weight; the typical run without the
    loss beside that of the same seed with it. Nothing is drawn where there is none.
    """
    pair = _with_and_without(results)
    if pair is None:
        return []
    tap = pair[1].group.tap or ""
    images = evaluated.images(_spread(evaluated))
    maps, latents = {}, {}
    for scored in pair:
        name = f"{scored.group.objective}\n{values_text(scored.run)}"
        trained = networks[scored.group.name]
        maps[name], latents[name] = strongest_maps(
            trained.model,
            trained.params_of(scored.number),
            images,
            tap=tap,
            rule=rule,
        )
    plots.save_attention_pair(
        folder / "figure9.png",
        np.asarray(images),
        maps,
        latents,
        title=f"{evaluated.source}, seed {pair[0].run.seed}: maps of the two strongest "
        f"latents at {tap}",
    )
    return ["figure9.png"]


def _with_and_without(results: Sequence[Scored]) -> tuple[Scored, Scored] | None:
    settings = by_setting(results).values()
    for plain in (typical_run(members) for members in settings):
        others = [
            other
            for other in results
            if plain.group.tap is None
            and other.group.objective == ATTENTION + plain.group.objective
            and other.run.seed == plain.run.seed
            and plain.run.values.items() <= other.run.values.items()
        ]
        if others:
            return plain, max(others, key=lambda other: other.run.values["attention"])
    return None


def _spread(evaluated: FactorImages) -> Array:
    """Places of images that are far from each other in the grid."""
    return jnp.linspace(0, evaluated.grid.size - 1, EXAMPLES + 2).astype(int)[1:-1]


def draw_curves(folder: Path, trained: Trained) -> list[str]:
    """A line a setting of the group, over training."""
    places: dict[str, list[int]] = {}
    for number, run in enumerate(trained.group.runs):
        setting = values_text(run) or trained.group.objective
        places.setdefault(setting, []).append(number)
    file = f"curves-{trained.group.name.replace(' ', '-')}.png"
    plots.save_metric_curves(
        folder / file,
        np.array([line["step"] for line in trained.history]),
        {
            title: {
                text: np.array([line[name] for line in trained.history]).T[own]
                for text, own in places.items()
            }
            for name, title in CURVES.items()
        },
        title=trained.group.name,
    )
    return [file]
