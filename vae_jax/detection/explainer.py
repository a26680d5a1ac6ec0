"""A trained network as anomaly maps need it: what is passed through it, and back."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import anomaly, attention, models
from vae_jax.attention import Likelihood, Score
from vae_jax.models import VAE, Posterior, VAEOutput
from vae_jax.spelling import did_you_mean

Images = Float[Array, "batch height width channel"]
Maps = Float[Array, "batch height width"]
Variables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Explainer:
    """A network with what its maps need to know about it."""

    model: VAE
    likelihood: Likelihood
    as_images: Callable[[Array], Array]
    """From the decoder's output to images in [0, 1]."""
    as_decoded: Callable[[Any], Any]
    """From an image in [0, 1] to what the decoder would put out for it."""
    tap: str
    """The encoder activation that attention explains."""
    blur: float
    """Standard deviation, in pixels, that smooths residuals and input gradients."""
    choice: str = "whitened-expected"
    """The method that the method "chosen" stands for, see `choice.choose`."""


def at_posterior_mean(model: VAE, variables: Variables, images: Images) -> VAEOutput:
    """The network's output without noise, so that it does not depend on a draw."""
    noise = jnp.zeros((len(images), model.latents))
    return cast(VAEOutput, model.apply(variables, images, noise=noise))


def encode(model: VAE, variables: Variables, images: Images) -> Posterior:
    """The posterior of each image."""
    return cast(Posterior, model.apply(variables, images, method="encode"))


def reconstruct(explainer: Explainer, variables: Variables, images: Images) -> Images:
    """What the decoder draws from the posterior mean."""
    output = at_posterior_mean(explainer.model, variables, images)
    return explainer.as_images(output.decoded)


def residual(explainer: Explainer, variables: Variables, images: Images) -> Images:
    """The image less its reconstruction."""
    return images - reconstruct(explainer, variables, images)


def input_gradient(
    explainer: Explainer,
    variables: Variables,
    images: Images,
    *,
    score: Score | None = None,
) -> Images:
    """The gradient of a score, by default the reconstruction error in nats."""
    score = score or attention.reconstruction_error(explainer.likelihood)
    return attention.tap_gradient(
        explainer.model, variables, images, tap="input", score=score
    ).gradient


def feature_taps(explainer: Explainer, variables: Variables) -> tuple[str, ...]:
    """One tap of the encoder for each resolution, the finest first.

    Of several it is the last by name, which is a rectified one of our networks.
    """
    model = explainer.model
    shapes = attention.taps(model, variables, model.image_shape)
    by_size = {
        shape[:2]: name
        for name, shape in sorted(shapes.items())
        if len(shape) == 3 and name != "input"
    }
    return tuple(by_size[size] for size in sorted(by_size, reverse=True))


def require_taps(explainer: Explainer, names: Iterable[str]) -> None:
    """Refuses taps that this network has not, or that have no rows and columns.

    Raises:
        ValueError: says which, and which there are.
    """
    model = explainer.model
    variables = jax.eval_shape(
        functools.partial(models.init, model), key=jax.random.key(0)
    )
    known = attention.taps(model, variables, model.image_shape)
    maps = [name for name, shape in known.items() if len(shape) == 3]
    for name in names:
        if name not in maps:
            raise ValueError(
                f"tap (--tap): there is no {name!r}{did_you_mean(name, maps)} Taps of "
                f"this network: {', '.join(maps)}."
            )


def activation_pair(
    explainer: Explainer, variables: Variables, images: Images
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Activations given the images, and given their reconstructions."""
    drawn = jnp.clip(reconstruct(explainer, variables, images), 0.0, 1.0)
    of_images, of_drawn = (
        attention.activations(explainer.model, variables, x) for x in (images, drawn)
    )
    return of_images, of_drawn


def whitened_residual_times_gradient(
    explainer: Explainer,
    variables: Variables,
    spectrum: Float[Array, "height width channel"],
    images: Images,
) -> Maps:
    """Both factors whitened by the spectrum of normal residuals; not yet smoothed."""
    return anomaly.residual_times_gradient(
        anomaly.whiten(residual(explainer, variables, images), spectrum),
        anomaly.whiten(input_gradient(explainer, variables, images), spectrum),
    )


def seen_again(
    explainer: Explainer, variables: Variables, images: Images
) -> tuple[Images, Float[Array, "batch rows columns feature"]]:
    """Reconstructions, and the finest activations of the encoder given them."""
    drawn = jnp.clip(reconstruct(explainer, variables, images), 0.0, 1.0)
    finest = feature_taps(explainer, variables)[0]
    return drawn, attention.activations(explainer.model, variables, drawn)[finest]
