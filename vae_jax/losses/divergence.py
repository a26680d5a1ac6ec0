"""How far samples of the aggregate posterior are from samples of the prior."""

from typing import Literal, assert_never

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import at_least_float32, require_choice

Kernel = Literal["gaussian", "inverse_multiquadratic"]

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def mmd(
    samples: Float[Array, "sample latent"],
    prior_samples: Float[Array, "prior_sample latent"],
    *,
    kernel: Kernel = "gaussian",
) -> Float[Array, ""]:
    """Squared maximum mean discrepancy of two sets of samples, without bias.

    Zero in expectation where both follow one law, so it may be slightly negative. Not
    in nats. Distances d are measured against 2 `latent`, the mean of d² between two
    samples of a standard normal.

    Args:
        samples: At least two, such as a batch of posterior samples.
        prior_samples: At least two, of another number if need be.
        kernel: "gaussian", exp(-d² / (2 latent)), or "inverse_multiquadratic", the sum
            of C / (C + d²) over seven C from 0.1 to 10 times 2 latent, whose gradient
            reaches samples far out (Tolstikhin et al. 2018).

    Raises:
        ValueError: If the kernel is unknown, the numbers of latents differ, or a set
            has less than two.

    Source: Gretton et al. 2012, Eq. 3; as a regulariser Zhao et al. 2019 (InfoVAE),
    whose code has exp(-d² / latent²) and the estimate with bias. A weight of theirs is
    therefore stronger here: the means of two standard normals of 10 latents 0.5 apart
    cost 0.0083 here and, without the bias, 0.0039 there, 2.1 times less.
    """
    require_choice("mmd", "kernel", kernel, Kernel)
    if samples.shape[1] != prior_samples.shape[1]:
        raise ValueError(
            "mmd: samples and prior_samples must have the same number of latents, got "
            f"{samples.shape[1]} and {prior_samples.shape[1]}."
        )
    if min(len(samples), len(prior_samples)) < 2:
        raise ValueError(
            "mmd: at least two samples of each kind are compared, got "
            f"{len(samples)} and {len(prior_samples)}; take a larger batch."
        )
    x, y = at_least_float32(samples), at_least_float32(prior_samples)
    within = sum(_mean_of_pairs(_kernel(s, s, kernel)) for s in (x, y))
    return within - 2 * _kernel(x, y, kernel).mean()


def _kernel(
    x: Float[Array, "sample latent"], y: Float[Array, "other latent"], kernel: Kernel
) -> Float[Array, "sample other"]:
    # From differences: a product of samples would lose small distances to rounding.
    squared_distance = jnp.square(x[:, None] - y[None]).sum(-1)
    expected = 2.0 * x.shape[1]
    match kernel:
        case "gaussian":
            return jnp.exp(-squared_distance / expected)
        case "inverse_multiquadratic":
            scales = [scale * expected for scale in _SCALES]
            return jnp.stack([c / (c + squared_distance) for c in scales]).sum(0)
        case _:
            assert_never(kernel)


def _mean_of_pairs(kernel: Float[Array, "sample sample"]) -> Float[Array, ""]:
    """Over pairs of different samples."""
    number = len(kernel)
    return (kernel.sum() - jnp.diagonal(kernel).sum()) / (number * (number - 1))
