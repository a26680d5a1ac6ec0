"""The sanity checks of a network's maps, on images with a defect."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.localisation.fit import Fit
from experiments.localisation.prepare import Prepared
from experiments.localisation.score import Row
from vae_jax import attention, models, plots, train
from vae_jax.attention.sanity import PixelCurves
from vae_jax.data.images import to_float
from vae_jax.detection import (
    ABLATION,
    METHODS,
    HostImages,
    HostMaps,
    Variables,
    initial_pixel_bias,
    make_maps,
    reconstruct,
)

IMAGES = 16
RANDOM = "random"
"""The order of the floor of deletion and insertion."""


class Forgetting(NamedTuple):
    """Layers, the last first, and how alike the maps are once each is forgotten."""

    layers: list[str]
    correlation: dict[str, Float[np.ndarray, " layer"]]
    """Of each method, the mean over images."""


def check(prepared: Prepared, network: Fit) -> list[Row]:
    """A row a method; draws sanity.png into the folder of the category."""
    own = METHODS | ABLATION
    kinds = {n: kind for n, kind in prepared.kinds.items() if n.split("@")[0] in own}
    images = _defective(prepared)
    forgetting = forget(prepared, network, tuple(kinds), images)
    seed, category = prepared.settings.seed, prepared.data.category
    curves = go_over(network, tuple(kinds), images, seed=seed)
    if train.is_primary():
        plots.save_sanity(
            prepared.folder / "sanity.png",
            layers=forgetting.layers,
            correlation=forgetting.correlation,
            share=curves[RANDOM].share,
            deletion={name: np.nanmean(c.deletion, 1) for name, c in curves.items()},
            insertion={name: np.nanmean(c.insertion, 1) for name, c in curves.items()},
            title=f"{category}: sanity of the maps",
        )
    rows = []
    for name, each in curves.items():
        kept = forgetting.correlation.get(name)
        rows.append(
            {
                "category": category,
                "seed": seed,
                "method": name,
                "kind": kinds.get(name, "floor"),
                "correlation": None if kept is None else float(kept[-1]),
                "deletion": float(np.nanmean(each.deletion_area)),
                "insertion": float(np.nanmean(each.insertion_area)),
                "layers": forgetting.layers,
                "correlation_by_layer": None if kept is None else kept.tolist(),
            }
        )
    return rows


def forget(
    prepared: Prepared,
    network: Fit,
    names: tuple[str, ...],
    images: HostImages,
) -> Forgetting:
    """Maps as one layer after the other goes back to what training began at.

    Statistics of normal images stay those of the trained network.
    """
    explainer, evidence = network
    model = explainer.model
    fresh = models.init(
        model,
        key=jax.random.key(prepared.settings.seed + 1),
        pixel_bias=jnp.asarray(initial_pixel_bias(explainer, prepared.data.train)),
    )
    score = attention.negative_elbo(explainer.likelihood)
    order = attention.layers(model, evidence.variables, model.image_shape, score=score)

    def explain(variables: Variables) -> HostMaps:
        # All methods at once, as if they were more images: they share their passes.
        forgetful = evidence._replace(variables=variables)
        maps = make_maps(names, explainer, forgetful, images)
        return np.concatenate([maps[name] for name in names])

    found = attention.parameter_randomisation(
        explain, evidence.variables, fresh, layers=order
    )
    by_method = found.reshape(len(order), len(names), len(images)).mean(-1)
    return Forgetting(list(reversed(order)), dict(zip(names, by_method.T, strict=True)))


def go_over(
    network: Fit, names: tuple[str, ...], images: HostImages, *, seed: int
) -> dict[str, PixelCurves]:
    """The curves of the negative ELBO of each method, and of a random order."""
    explainer, evidence = network
    found = make_maps(names, explainer, evidence, images)
    rng = np.random.default_rng(seed)
    maps = {name: found[name] for name in names}
    maps[RANDOM] = rng.random(images.shape[:3], np.float32)
    score = attention.negative_elbo(explainer.likelihood)

    @jax.jit
    def score_of(images: Array) -> Array:
        variables = evidence.variables
        return jnp.asarray(explainer.model.apply(variables, images, None, method=score))

    floats = jnp.asarray(to_float(images))
    with jax.default_matmul_precision("highest"):
        drawn = jnp.clip(reconstruct(explainer, evidence.variables, floats), 0.0, 1.0)
        return {
            name: attention.deletion_insertion(score_of, floats, drawn, each)
            for name, each in maps.items()
        }


def _defective(prepared: Prepared) -> HostImages:
    """Test images with a defect, spread over the kinds; else artificial ones."""
    test, pasted = prepared.data.test, prepared.pasted
    images = test.images[test.is_anomalous]
    if not len(images):
        images = pasted.images[pasted.masks.any((1, 2))]
    count = min(IMAGES, len(images))
    return images[np.linspace(0, len(images) - 1, count).round().astype(int)]
