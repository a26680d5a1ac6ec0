"""The networks that detectors are made of, by name, with how their output is read."""

import functools
import math
from typing import Any, Literal, assert_never

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float

from vae_jax import losses, models
from vae_jax.detection.explainer import Explainer

Network = Literal["small", "resnet18", "mnist", "ped1"]
Likelihood = Literal["gaussian", "bernoulli"]


def build_explainer(
    network: Network,
    *,
    image_size: int,
    channels: int,
    latents: int,
    width: int,
    likelihood: Likelihood,
    noise_scale: float,
    tap: str,
    blur: float,
    dtype: Literal["float32", "bfloat16"] = "float32",
) -> Explainer:
    """A network that is not trained yet, with its likelihood and its tap.

    The same object for the same arguments, so that what was compiled for it serves
    every detector.

    Args:
        network: small, a convolutional network of four halvings; or one of the
            paper's: resnet18, mnist (28 px, gray) and ped1 (100 px, gray).
        image_size: side of the square images, in pixels.
        channels: 1, gray, or 3.
        latents: dimensions of the latent space.
        width: channels after the first convolution, of small and mnist.
        likelihood: of a pixel given its reconstruction.
        noise_scale: standard deviation of the Gaussian, for intensities in [0, 1].
        tap: the encoder activation that attention explains.
        blur: smoothing of residuals and input gradients, in pixels.
        dtype: of the network's computations.

    Raises:
        ValueError: the network is for images of another shape.
    """
    return _built(
        *(network, image_size, channels, latents, width),
        *(likelihood, noise_scale, tap, blur, dtype),
    )


@functools.cache
def _built(
    network: Network,
    image_size: int,
    channels: int,
    latents: int,
    width: int,
    likelihood: Likelihood,
    noise_scale: float,
    tap: str,
    blur: float,
    dtype: str,
) -> Explainer:
    model = _build_model(
        network,
        shape=(image_size, image_size, channels),
        latents=latents,
        width=width,
        dtype=dtype,
    )
    match likelihood:
        case "gaussian":
            logvar = 2 * math.log(noise_scale)
            log_likelihood = functools.partial(
                losses.gaussian_log_likelihood, logvar=logvar
            )
            reading = _identity, _identity
        case "bernoulli":
            log_likelihood = losses.bernoulli_log_likelihood
            reading = jax.nn.sigmoid, _clipped_logit
        case _:
            assert_never(likelihood)
    return Explainer(model, log_likelihood, *reading, tap=tap, blur=blur)


def _build_model(
    network: Network,
    *,
    shape: tuple[int, int, int],
    latents: int,
    width: int,
    dtype: str,
) -> models.VAE:
    image_size, _, channels = shape
    options = {"latents": latents, "dtype": jnp.dtype(dtype)}
    sizes = {"image_size": image_size, "image_channels": channels}
    match network:
        case "small":
            return models.small_vae(width=width, **sizes, **options)
        case "resnet18":
            return models.resnet18_vae(**sizes, **options)
        case "mnist":
            model = models.mnist_vae(width=width, **options)
        case "ped1":
            model = models.ped1_vae(**options)
        case _:
            assert_never(network)
    if model.image_shape != shape:
        raise ValueError(
            f"build_explainer: the network {network} wants images of shape "
            f"{model.image_shape}, got {shape}; set image_size (--image-size) and "
            "channels (--channels) to these."
        )
    return model


def _identity(values: Any) -> Any:
    return values


def _clipped_logit(
    image: Float[np.ndarray, "height width channel"],
) -> Float[np.ndarray, "height width channel"]:
    return scipy.special.logit(np.clip(image, 0.01, 0.99))
