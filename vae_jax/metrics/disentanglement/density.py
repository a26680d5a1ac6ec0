"""The mutual information gap of posterior samples rather than of their means."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    checked_logvar,
    require_bins,
    require_two_latents,
)
from vae_jax.metrics.disentanglement.factors import Codes, Factors
from vae_jax.metrics.disentanglement.information import (
    InformationGap,
    entropy,
    information_gap,
)

_CHUNK = 2048  # examples whose distribution functions are held at a time
_TAIL = 5.0  # usual standard deviations beyond the outermost means
_DRAWN = 8192  # examples at most whose posteriors say where there is mass
_POINTS = 16  # of each of these, at equal shares of its mass
_LARGEST_LOG_STD = 60.0  # beyond, float32 could not square what is as wide


def mig_density(
    mean: Codes,
    logvar: Float[Array | np.ndarray, "example latent"],
    factors: Factors,
    *,
    intervals: int = 256,
) -> InformationGap:
    """Mutual information gap of z ~ q(z|x), whose densities are known.

    q(z_j) and each q(z_j | v_k) are mixtures of the examples' Gaussians. Chen et al.
    estimate their entropies from samples; here the mass of the mixtures in each of
    `intervals` intervals is summed exactly, so the information is that about the
    interval: at most the true one, and close to it where posteriors are about as wide
    as an interval or wider. Half of the edges lie at equal distances over the range of
    the means, half where they part q(z_j) into about equal masses: a posterior far
    wider than the others takes no edges from them.

    Args:
        mean: [example latent].
        logvar: log-variance of the posteriors, [example latent].
        factors: of the same examples.
        intervals: of each latent; the outermost two have no end.

    Raises:
        ValueError: codes or `logvar` are not finite, not of one shape, not as many as
            examples, or of one latent; there are fewer than two intervals.

    Source: Chen et al. 2018, NeurIPS, Eq. 6 and appendix C.
    """
    mean = checked_codes("mig_density", mean, factors)
    logvar = checked_logvar("mig_density", logvar, mean)
    require_two_latents("mig_density", mean.shape[1])
    require_bins("mig_density", intervals, name="intervals")
    information, factor_entropy = _information(
        mean, logvar, factors, intervals=intervals
    )
    score = information_gap(information, factor_entropy)
    return InformationGap(score, information, factor_entropy)


@functools.partial(jax.jit, static_argnames="intervals")
def _information(
    mean: Float[Array, "example latent"],
    logvar: Float[Array, "example latent"],
    factors: Factors,
    *,
    intervals: int,
) -> tuple[Float[Array, "latent factor"], Float[Array, " factor"]]:
    number, sizes = factors.number, factors.sizes
    classes = factors.classes(jnp.arange(number))
    counts = [jnp.bincount(classes[:, k], length=size) for k, size in enumerate(sizes)]

    def of_latent(posterior: tuple[Array, Array]) -> Float[Array, " factor"]:
        mass = _mass(*posterior, classes, sizes=sizes, intervals=intervals)
        parts = jnp.split(mass, np.cumsum(sizes)[:-1])
        within = [
            (count * entropy(part)).sum() / number
            for count, part in zip(counts, parts, strict=True)
        ]
        return jnp.maximum(entropy(parts[0].sum(0)) - jnp.stack(within), 0)

    log_std = jnp.clip(logvar / 2, -_LARGEST_LOG_STD, _LARGEST_LOG_STD)
    information = jax.lax.map(of_latent, (mean.T, jnp.exp(log_std.T)))
    return information, jnp.stack([entropy(count) for count in counts])


def _edges(
    mean: Float[Array, " example"], std: Float[Array, " example"], *, number: int
) -> Float[Array, " edge"]:
    """In order: half evenly over the means' range, half evenly over the mass."""
    over_mass = number // 2
    usual = _TAIL * jnp.median(std)
    even = jnp.linspace(mean.min() - usual, mean.max() + usual, number - over_mass + 2)

    if len(mean) > _DRAWN:
        # One choice for all runs, at random lest it step in time with a grid.
        drawn = jax.random.randint(jax.random.key(0), (_DRAWN,), 0, len(mean))
        mean, std = mean[drawn], std[drawn]
    share = (jnp.arange(_POINTS) + 0.5) / _POINTS
    points = mean[:, None] + std[:, None] * jax.scipy.stats.norm.ppf(share)[None]
    massed = jnp.quantile(points, jnp.linspace(0, 1, over_mass + 2)[1:-1])
    return jnp.sort(jnp.concatenate([even[1:-1], massed]))


def _mass(
    mean: Float[Array, " example"],
    std: Float[Array, " example"],
    classes: Int[Array, "example factor"],
    *,
    sizes: tuple[int, ...],
    intervals: int,
) -> Float[Array, "value interval"]:
    """Summed over the examples of each value of each factor, factor by factor."""
    edges = _edges(mean, std, number=intervals - 1)
    offsets = jnp.array([0, *np.cumsum(sizes)[:-1]])
    chunks = -(-len(mean) // _CHUNK)
    # Added examples have no class: their one-hot rows are zero.
    added = (0, chunks * _CHUNK - len(mean))
    rows = (
        jnp.pad(mean, added).reshape(chunks, _CHUNK),
        jnp.pad(std, added, constant_values=1).reshape(chunks, _CHUNK),
        jnp.pad(classes + offsets[None], (added, (0, 0)), constant_values=-1).reshape(
            chunks, _CHUNK, len(sizes)
        ),
    )

    def add(below: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
        means, stds, values = chunk
        scaled = (edges[None] - means[:, None]) * (2**-0.5 / stds)[:, None]
        # Half the error function: antisymmetric, so its sums round less than 0 to 1.
        half = jax.lax.erf(scaled) / 2
        belongs = jax.nn.one_hot(values, sum(sizes)).sum(1)
        product = jnp.matmul(belongs.T, half, precision="highest")
        return below + product, None

    start = jnp.zeros((sum(sizes), intervals - 1))
    below, _ = jax.lax.scan(add, start, rows)
    total = jnp.concatenate(
        [jnp.bincount(classes[:, k], length=size) for k, size in enumerate(sizes)]
    )
    ends = total[:, None] / 2
    cumulative = jnp.concatenate([-ends, below, ends], axis=1)
    return jnp.maximum(jnp.diff(cumulative, axis=1), 0)
