"""The sanity checks of a network's maps, on images with a defect."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.comparison import select
from experiments.evaluation import Row, artificial_defects
from experiments.explainer import HostImages, Variables, reconstruct
from experiments.localisation import Fit
from experiments.maps import negative_elbo
from experiments.methods import ABLATION, METHODS, HostMaps, make_maps
from experiments.settings import Settings
from experiments.training import initial_pixel_bias
from vae_jax import models, plots, train
from vae_jax.attention import sanity
from vae_jax.attention.sanity import PixelCurves
from vae_jax.data.category import CategoryData
from vae_jax.data.images import to_float

IMAGES = 16
RANDOM = "random"
"""The order of the floor of deletion and insertion."""


class Forgetting(NamedTuple):
    """Layers, the last first, and how alike the maps are once each is forgotten."""

    layers: list[str]
    correlation: dict[str, Float[np.ndarray, " layer"]]
    """Of each method, the mean over images."""


def check(settings: Settings, data: CategoryData, network: Fit) -> list[Row]:
    """A row a method; draws sanity.png into the folder of the category."""
    own = METHODS | ABLATION
    kinds = {n: kind for n, kind in select(settings).items() if n.split("@")[0] in own}
    images = _defective(settings, data)
    forgetting = forget(settings, data, network, tuple(kinds), images)
    curves = go_over(settings, network, tuple(kinds), images)
    if train.is_primary():
        plots.save_sanity(
            settings.folder / data.category / "sanity.png",
            layers=forgetting.layers,
            correlation=forgetting.correlation,
            share=curves[RANDOM].share,
            deletion={name: np.nanmean(c.deletion, 1) for name, c in curves.items()},
            insertion={name: np.nanmean(c.insertion, 1) for name, c in curves.items()},
            title=f"{data.category}: sanity of the maps",
        )
    rows = []
    for name, each in curves.items():
        kept = forgetting.correlation.get(name)
        rows.append(
            {
                "category": data.category,
                "seed": settings.seed,
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
    settings: Settings,
    data: CategoryData,
    network: Fit,
    names: tuple[str, ...],
    images: HostImages,
) -> Forgetting:
    """Maps as one layer after the other goes back to what training began at.

    Statistics of normal images stay those of the trained network.
    """
    explainer, fitted = network
    model = explainer.model
    fresh = models.init(
        model,
        key=jax.random.key(settings.seed + 1),
        pixel_bias=jnp.asarray(initial_pixel_bias(settings, data.train)),
    )
    order = sanity.layers(
        model, fitted.variables, model.image_shape, score=negative_elbo(explainer)
    )

    def explain(variables: Variables) -> HostMaps:
        # All methods at once, as if they were more images: they share their passes.
        forgetful = fitted._replace(variables=variables)
        maps = make_maps(names, explainer, forgetful, images)
        return np.concatenate([maps[name] for name in names])

    found = sanity.parameter_randomisation(
        explain, fitted.variables, fresh, layers=order
    )
    by_method = found.reshape(len(order), len(names), len(images)).mean(-1)
    return Forgetting(list(reversed(order)), dict(zip(names, by_method.T, strict=True)))


def go_over(
    settings: Settings, network: Fit, names: tuple[str, ...], images: HostImages
) -> dict[str, PixelCurves]:
    """The curves of the negative ELBO of each method, and of a random order."""
    explainer, fitted = network
    found = make_maps(names, explainer, fitted, images)
    rng = np.random.default_rng(settings.seed)
    maps = {name: found[name] for name in names}
    maps[RANDOM] = rng.random(images.shape[:3], np.float32)
    score = negative_elbo(explainer)

    @jax.jit
    def score_of(images: Array) -> Array:
        variables = fitted.variables
        return jnp.asarray(explainer.model.apply(variables, images, None, method=score))

    floats = jnp.asarray(to_float(images))
    with jax.default_matmul_precision("highest"):
        drawn = jnp.clip(reconstruct(explainer, fitted.variables, floats), 0.0, 1.0)
        return {
            name: sanity.deletion_insertion(score_of, floats, drawn, each)
            for name, each in maps.items()
        }


def _defective(settings: Settings, data: CategoryData) -> HostImages:
    """Test images with a defect, spread over the kinds; else artificial ones."""
    images = data.test.images[data.test.is_anomalous]
    if not len(images):
        pasted, masks = artificial_defects(data.validation, seed=settings.seed)
        images = pasted[masks.any((1, 2))]
    count = min(IMAGES, len(images))
    return images[np.linspace(0, len(images) - 1, count).round().astype(int)]
