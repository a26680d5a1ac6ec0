"""Maps of chosen latents during training: from the pass that gives the loss."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, assert_never

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from vae_jax.arrays import require_choice, require_index
from vae_jax.attention.gradients import Variables, forward_pass, require_pixels
from vae_jax.attention.inputs import require_inputs
from vae_jax.attention.rules import PAPER, Rule, channel_weights, combine
from vae_jax.attention.scores import Images, Noise

Resolution = Literal["tap", "image"]


class Explained(NamedTuple):
    """A forward pass and the maps of its latents."""

    output: Any
    """What `run` returned beside the latents."""
    state: dict[str, Any]
    """The mutable collections after the pass."""
    maps: Callable[
        [Int[Array, "batch chosen"]], Float[Array, "batch chosen rows columns"]
    ]
    """Maps of the latents that are chosen for each image by number; a ValueError says
    which is none."""


def explained_forward(
    model: nn.Module,
    variables: Variables,
    images: Images,
    noise: Noise | None,
    *,
    run: Callable[..., tuple[Float[Array, "batch latent"], Any]],
    tap: str,
    rule: Rule = PAPER,
    resolution: Resolution = "tap",
    second_order: bool = True,
    mutable: Sequence[str] = (),
) -> Explained:
    """One forward pass whose latents can be explained, differentiable once more.

    A map costs one pass back from the latents to the tap, whatever comes before the
    tap; only chosen maps are made. Differentiating a map with respect to the variables
    goes through its weights too, unless `second_order` is False: then they are numbers,
    and the gradient reaches the layers up to the tap alone.

    Args:
        model: Marks activations with `models.tap`. Batch norm in training mode
            would let a map take gradients of other images.
        variables: Its parameters and other collections.
        images: What the model sees.
        noise: Handed to `run`.
        run: `(model, images, noise)` to the latents and anything else.
        tap: Where the gradient is taken.
        rule: From gradient and activation to map.
        resolution: Whether maps stay as large as the tap or become as large as images.
        second_order: Whether the weights of a map are differentiated.
        mutable: Collections that the pass updates.

    Raises:
        TypeError, ValueError: Those of `attention_maps` for a model, variables, images
            and a tap; an unknown resolution.
    """
    require_choice("explained_forward", "resolution", resolution, Resolution)
    require_inputs("explained_forward", model, variables, images)
    passed = forward_pass(
        model,
        variables,
        images,
        noise,
        tap=tap,
        run=run,
        pooled=rule.needs_only_mean,
        mutable=mutable,
    )
    require_pixels("explained_forward", tap, passed.activation)
    size = _map_size(resolution, images, passed.activation)

    def map_of(cotangent: Array) -> Array:
        weights = channel_weights(rule, passed.pull_back(cotangent))
        if not second_order:
            weights = jax.lax.stop_gradient(weights)
        return combine(rule, weights, passed.activation, size)

    def maps(chosen: Array) -> Array:
        latents = passed.value.shape[1]
        require_index("explained_forward", "chosen latents", chosen, latents)
        cotangents = jax.nn.one_hot(chosen, latents, dtype=passed.value.dtype)
        return jax.vmap(map_of, in_axes=1, out_axes=1)(cotangents)

    return Explained(passed.output, passed.state, maps)


def _map_size(
    resolution: Resolution, images: Images, activation: Array
) -> tuple[int, int]:
    match resolution:
        case "tap":
            _, rows, columns, _ = activation.shape
        case "image":
            _, rows, columns, _ = images.shape
        case _:
            assert_never(resolution)
    return rows, columns


def random_pairs(
    *, batch: int, latents: int, key: Key[Array, ""]
) -> Int[Array, "batch 2"]:
    """Two different latents for each image, each ordered pair equally likely.

    Raises:
        ValueError: If there is only one latent.
    """
    if latents < 2:
        raise ValueError(f"random_pairs: a pair needs two latents, got {latents}.")
    first_key, distance_key = jax.random.split(key)
    first = jax.random.randint(first_key, (batch,), 0, latents)
    distance = jax.random.randint(distance_key, (batch,), 1, latents)
    return jnp.stack([first, (first + distance) % latents], axis=1)


def strongest_latents(
    mean: Float[Array, "batch latent"], *, number: int = 2
) -> Int[Array, "batch number"]:
    """The latents that respond most to each image, by the size of their mean.

    The prior is centred, so a latent that is not used responds to nothing.
    """
    return jax.lax.top_k(jnp.abs(mean), number)[1]


def empty_share(
    maps: Float[Array | np.ndarray, "*batch rows columns"],
) -> Float[Array, ""]:
    """Share of the maps that are zero everywhere, in [0, 1].

    A map that is zero everywhere overlaps with none, so the attention disentanglement
    loss rewards it as it rewards two maps that lie apart: watch this share beside it. A
    map with any other value, NaN among them, is not empty; of no maps the share is NaN.
    """
    return (jnp.asarray(maps) == 0).all((-2, -1)).mean()
