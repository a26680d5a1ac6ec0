"""Whether a map rests on what the network learned, and on what makes images anomalous.

Parameter randomisation follows Adebayo et al., "Sanity Checks for Saliency Maps"
(NeurIPS 2018), deletion and insertion Petsiuk et al., "RISE" (BMVC 2018). They need no
mask: they judge a map as an explanation, not as a localisation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from vae_jax.attention.functions import FunctionModel
from vae_jax.attention.gradients import Variables
from vae_jax.attention.inputs import require_inputs
from vae_jax.attention.scores import Images, Score, latents

Maps = Float[Array | np.ndarray, "batch rows columns"]


def layers(
    model: nn.Module,
    variables: Variables,
    image_shape: tuple[int, int, int],
    *,
    score: Score = latents,
) -> tuple[str, ...]:
    """The modules with parameters of their own on the way to `score`, first to last.

    A name is the module's path. Nothing is computed.

    Raises:
        TypeError: A model that is no Linen module, or one of `from_functions`, whose
            parameters belong to no module.
    """
    require_inputs("layers", model, variables)
    if isinstance(model, FunctionModel):
        raise TypeError(
            "layers: a model of from_functions has no modules; give the parameters of "
            "each layer of yours fresh values in turn, last layer first."
        )
    owners = {path[:-1] for path in flatten_dict(variables["params"])}
    applied: dict[str, None] = {}

    def record(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        result = call(*args, **kwargs)
        if context.module.path in owners:
            applied["/".join(context.module.path)] = None
        return result

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(
            lambda v, x: model.apply(v, x, None, method=score), variables, images
        )
    return tuple(applied)


def randomised(
    trained: Variables, fresh: Variables, names: Sequence[str]
) -> dict[str, Any]:
    """`trained`, but what the modules `names` own (of every collection) as in `fresh`.

    Raises:
        ValueError: A name owns nothing.
    """
    flat: Mapping[tuple, Any] = flatten_dict(trained)
    initial: Mapping[tuple, Any] = flatten_dict(fresh)
    owners = {key: "/".join(key[1:-1]) for key in flat}
    for name in names:
        if name not in owners.values():
            raise ValueError(
                f"randomised: no module {name!r} has variables; take names of layers()."
            )
    return unflatten_dict(
        {k: initial[k] if owners[k] in names else v for k, v in flat.items()}
    )


def parameter_randomisation(
    explain: Callable[[Variables], Maps],
    trained: Variables,
    fresh: Variables,
    *,
    layers: Sequence[str],
) -> Float[np.ndarray, "layer batch"]:
    """How alike the maps stay while layers forget what they learned, last layer first.

    Row k holds `rank_correlation` of the trained network's maps with those after the
    last k + 1 of `layers` (in the order of their application) are as in `fresh`, an
    untrained network: the cascading randomisation of Adebayo et al., section 3.1. A map
    that stays alike to the end is an edge detector and explains no network.
    """
    reference = explain(trained)
    forgotten = [layers[-k:] for k in range(1, len(layers) + 1)]
    return np.stack(
        [
            rank_correlation(reference, explain(randomised(trained, fresh, names)))
            for names in forgotten
        ]
    )


def rank_correlation(first: Maps, second: Maps) -> Float[np.ndarray, " batch"]:
    """Spearman's, over the pixels of each image; 0 where a map is flat."""
    # Imported here: it takes as long as all the rest of the package.
    from scipy import stats

    ranks = [
        stats.rankdata(np.reshape(maps, (len(maps), -1)), axis=1)
        for maps in (first, second)
    ]
    one, other = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    scale = np.sqrt(np.square(one).sum(1) * np.square(other).sum(1))
    return (one * other).sum(1) / np.where(scale > 0, scale, 1.0)


class PixelCurves(NamedTuple):
    """A score as pixels go over from image to reconstruction, or back.

    It is 1 for the image and 0 for its reconstruction.
    """

    share: Float[np.ndarray, " point"]
    """Of the pixels that have gone over, the most anomalous first."""
    deletion: Float[np.ndarray, "point batch"]
    insertion: Float[np.ndarray, "point batch"]

    @property
    def deletion_area(self) -> Float[np.ndarray, " batch"]:
        """The lower, the better the map says what makes the image anomalous."""
        return np.trapezoid(self.deletion, self.share, axis=0)

    @property
    def insertion_area(self) -> Float[np.ndarray, " batch"]:
        """The higher, the better the map says what makes the image anomalous."""
        return np.trapezoid(self.insertion, self.share, axis=0)


def deletion_insertion(
    score: Callable[[Images], Float[Array, " batch"]],
    images: Images,
    reconstructions: Images,
    maps: Maps,
    *,
    steps: int = 16,
) -> PixelCurves:
    """How soon an anomaly score falls, or comes back, in the order of the maps.

    RISE deletes pixels into a constant and inserts them into a blurred image, and looks
    at a class probability. Here the score is an anomaly score, such as the negative
    ELBO, and what stands for absence is the reconstruction, the image as normal as the
    model can draw it. Random maps give the floor to compare with.

    Args:
        score: Of each image by itself; jitted, since it is called 2 (steps + 1) times.
        images: Of which the maps were made.
        reconstructions: Theirs.
        maps: Higher where more anomalous; pixels of equal value go in their order.
        steps: Equal shares in which the pixels go over.

    An image that scores as its reconstruction does has curves of NaN.
    """
    order = np.argsort(-np.reshape(maps, (len(maps), -1)), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1).reshape(*np.shape(maps), 1)
    share = np.linspace(0.0, 1.0, steps + 1)
    gone = [jnp.asarray(ranks < round(s * order.shape[1])) for s in share]
    deletion, insertion = (
        np.stack([np.asarray(score(jnp.where(g, new, old)), np.float64) for g in gone])
        for new, old in ((reconstructions, images), (images, reconstructions))
    )
    zero, span = insertion[0], insertion[-1] - insertion[0]
    span = np.where(span == 0, np.nan, span)
    return PixelCurves(share, (deletion - zero) / span, (insertion - zero) / span)
