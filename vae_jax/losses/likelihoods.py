"""Log-likelihoods of whole images, summed over pixels and channels, in nats."""

from jaxtyping import Array, Float, ScalarLike

from vae_jax import distributions


def bernoulli_log_likelihood(
    images: Float[Array, " batch *event"], logits: Float[Array, " batch *event"]
) -> Float[Array, " batch"]:
    """Bernoulli log p(images | logits); grey levels in [0, 1] are welcome.

    Raises:
        ValueError: If the shapes differ.
    """
    distributions.require_equal_shapes(
        "bernoulli_log_likelihood", images=images, logits=logits
    )
    return _sum_event(distributions.bernoulli_log_prob(images, logits))


def gaussian_log_likelihood(
    images: Float[Array, " batch *event"],
    mean: Float[Array, " batch *event"],
    *,
    logvar: Float[Array, " batch *event"] | ScalarLike,
) -> Float[Array, " batch"]:
    """Gaussian log-density N(images; mean, exp(logvar)), its constant included.

    `logvar` is a number (fixed), a scalar array (learned, shared) or one per pixel.

    Raises:
        ValueError: If the shapes differ.
    """
    distributions.require_equal_shapes(
        "gaussian_log_likelihood", images=images, mean=mean
    )
    return _sum_event(distributions.normal_log_prob(images, mean, logvar))


def discretised_logistic_mixture_log_likelihood(
    images: Float[Array, "batch height width channel"],
    parameters: Float[Array, "batch height width parameter"],
) -> Float[Array, " batch"]:
    """Log-probability of 8-bit images under a mixture of logistics per pixel.

    For M components, `parameter` is 3 M (grey) or 10 M (colour); its layout and errors
    are those of `distributions.discretised_logistic_mixture_log_prob`.
    """
    return _sum_event(
        distributions.discretised_logistic_mixture_log_prob(images, parameters)
    )


def _sum_event(log_prob: Float[Array, " batch *event"]) -> Float[Array, " batch"]:
    return log_prob.sum(axis=tuple(range(1, log_prob.ndim)))
