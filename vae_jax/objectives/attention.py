"""The attention disentanglement loss as a term beside any objective."""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from vae_jax import attention, losses, models


@dataclasses.dataclass(frozen=True)
class AttentionTerm:
    """The attention disentanglement loss, added to any objective with weight lambda.

    Liu et al. 2020, Eq. 5 and 6. They leave open the pair, the resolution and whether
    the weights of a map are differentiated.
    """

    defaults: ClassVar = {"attention": 1.0}
    tap: str = "relu4"
    """The last convolution of the networks for 64x64 pixels."""
    pairs: Literal["random", "strongest", "all"] = "random"
    """Two different latents drawn for each image, the two that respond most to it, or
    the mean over all pairs."""
    rule: attention.Rule = attention.PAPER
    resolution: attention.Resolution = "tap"
    second_order: bool = True

    def __post_init__(self) -> None:
        if self.rule.rectify == "none":
            raise ValueError(
                "AttentionTerm: the overlap is one of maps that are not negative, got "
                "a rule with rectify='none'; choose relu, neg_relu or abs."
            )

    def choose(
        self, mean: Float[Array, "batch latent"], *, key: PRNGKeyArray
    ) -> Int[Array, "batch chosen"]:
        """The latents whose maps are compared, for each image.

        Raises:
            ValueError: If there is only one latent.
        """
        batch, latents = mean.shape
        if latents < 2:
            raise ValueError(
                f"AttentionTerm: a pair needs two latents, got {latents}; give "
                "the model more, or leave the term out."
            )
        match self.pairs:
            case "random":
                return attention.random_pairs(batch=batch, latents=latents, key=key)
            case "strongest":
                return attention.strongest_latents(mean)
            case "all":
                return jnp.broadcast_to(jnp.arange(latents), mean.shape)


class Overlap(NamedTuple):
    """The attention loss of a batch, and what share of its maps is empty."""

    mean: Float[Array, ""]
    empty: Float[Array, ""]
    """Of these maps the loss is 0 although nothing is disentangled."""


def explained_output(
    model: models.VAE,
    variables: PyTree,
    images: Array,
    noise: Array,
    term: AttentionTerm | None,
    *,
    key: PRNGKeyArray,
) -> tuple[models.VAEOutput, dict[str, Any], Overlap | None]:
    """Output, new model state, and the overlap of the chosen maps, if any are."""
    mutable = [name for name in variables if name != "params"]
    if term is None:
        passed = model.apply(
            variables, images, noise=noise, train=True, mutable=mutable
        )
        return *cast(tuple[models.VAEOutput, dict[str, Any]], passed), None
    explained = attention.explained_forward(
        model,
        variables,
        images,
        noise,
        run=_latents_and_output,
        tap=term.tap,
        rule=term.rule,
        resolution=term.resolution,
        second_order=term.second_order,
        mutable=mutable,
    )
    maps = explained.maps(term.choose(explained.output.mean, key=key))
    first, second = np.triu_indices(maps.shape[1], 1)
    overlap = losses.attention_disentanglement(maps[:, first], maps[:, second])
    found = Overlap(overlap.mean(), attention.empty_share(maps))
    return explained.output, explained.state, found


def _latents_and_output(
    vae: models.VAE, images: Array, noise: Array
) -> tuple[Array, models.VAEOutput]:
    output = vae(images, noise=noise, train=True)
    return output.latents, output
