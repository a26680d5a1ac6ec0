"""Unsupervised disentanglement ranking: do runs agree up to order and sign?"""

import functools
from typing import Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae_jax.arrays import known, require_choice
from vae_jax.metrics.disentanglement.checks import Unchecked, checked_kl
from vae_jax.metrics.disentanglement.scaling import average_ranks, standardised

Similarity = Literal["lasso", "spearman"]


class Udr(NamedTuple):
    """A score for each run, and of each pair of runs; the diagonal has no meaning."""

    scores: Float[Array, " run"]
    pairwise: Float[Array, "run run"]


def udr(
    codes: Float[Array | np.ndarray, "run example latent"],
    *,
    similarity: Similarity,
    kl: Float[Array | np.ndarray, "run latent"] | None = None,
    minimum_kl: float = 0.01,
) -> Udr:
    """Scores runs without labels: each by the median of its pairs with the others.

    Args:
        codes: of the same examples in every run.
        similarity: of latents: absolute Lasso weights (penalty 0.1) that predict the
            second run's latents from the first's, or absolute rank correlations.
        kl: mean KL of each latent in nats. Latents that carry at most `minimum_kl`
            are left out; without `kl` all latents count.
        minimum_kl: in nats.

    Raises:
        ValueError: there are fewer than two runs; codes or `kl` are of another shape or
            not finite; the similarity is unknown.

    Source: Duan et al. 2020, ICLR, section 4; settings of `disentanglement_lib`.
    """
    require_choice("udr", "similarity", similarity, Similarity)
    codes = _checked_runs(codes)
    shape = codes.shape[0], codes.shape[2]
    live = jnp.ones(shape, bool)
    if kl is not None:
        live = checked_kl("udr", kl, shape=shape) > minimum_kl
    return _udr(codes, live, similarity=similarity)


def _checked_runs(codes: Unchecked) -> Float[Array, "run example latent"]:
    codes = jnp.asarray(codes, jnp.float32)
    if codes.ndim != 3 or not codes.size:
        raise ValueError(
            "udr: codes must be [run example latent] and not empty, got shape "
            f"{codes.shape}; stack the codes of the runs."
        )
    if len(codes) < 2:
        raise ValueError(f"udr: runs are compared in pairs, got {len(codes)}.")
    finite = known(jnp.isfinite(codes).all((1, 2)))
    if finite is not None and not finite.all():
        raise ValueError(
            f"udr: codes must be finite, run {int(finite.argmin())} is not; leave out "
            "what diverged."
        )
    return codes


@functools.partial(jax.jit, static_argnames="similarity")
def _udr(
    codes: Float[Array, "run example latent"],
    live: Bool[Array, "run latent"],
    *,
    similarity: Similarity,
) -> Udr:
    match similarity:
        case "lasso":
            scaled = codes
            compare = lasso_weights
        case "spearman":
            rank = jax.vmap(average_ranks, in_axes=1, out_axes=1)
            scaled = jax.lax.map(rank, codes)
            compare = _correlations
        case _:
            assert_never(similarity)
    scaled = jax.vmap(lambda run: standardised(run)[0])(scaled) * live[:, None, :]

    def of_pair(
        first: Float[Array, "example latent"],
        second: Float[Array, "example latent"],
        first_live: Bool[Array, " latent"],
        second_live: Bool[Array, " latent"],
    ) -> Float[Array, ""]:
        matrix = jnp.abs(compare(first, second))
        return relative_strength(matrix, rows=first_live, columns=second_live)

    with_all = jax.vmap(of_pair, in_axes=(None, 0, None, 0))
    pairwise = jax.lax.map(
        lambda run: with_all(run[0], scaled, run[1], live), (scaled, live)
    )
    runs = len(codes)
    others = np.array([np.delete(np.arange(runs), i) for i in range(runs)])
    return Udr(jnp.median(pairwise[others, np.arange(runs)[:, None]], 1), pairwise)


@jax.jit
def relative_strength(
    matrix: Float[Array, "first second"],
    *,
    rows: Bool[Array, " first"],
    columns: Bool[Array, " second"],
) -> Float[Array, ""]:
    """Mean over rows and over columns of largest^2 / sum: 1 for a permutation matrix.

    The two means count equally, also where there are more rows than columns; the paper
    sums over all rows and columns and divides by their number together.

    Args:
        matrix: absolute similarities.
        rows: which rows count; the others are left out.
        columns: which columns count.

    Source: Duan et al. 2020, ICLR, section 4; the average of `disentanglement_lib`.
    """
    matrix = jnp.where(rows[:, None] & columns[None], matrix, 0)

    def one_way(matrix: Array, counted: Array) -> Float[Array, ""]:
        total = matrix.sum(0)
        strength = matrix.max(0) ** 2 / jnp.where(total > 0, total, 1)
        return strength.sum() / jnp.maximum(counted.sum(), 1)

    return (one_way(matrix, columns) + one_way(matrix.T, rows)) / 2


def _correlations(
    first: Float[Array, "example first"], second: Float[Array, "example second"]
) -> Float[Array, "first second"]:
    return jnp.matmul(first.T, second, precision="highest") / len(first)


def lasso_weights(
    features: Float[Array, "example feature"],
    targets: Float[Array, "example target"],
    *,
    penalty: float = 0.1,
    iterations: int = 1000,
) -> Float[Array, "feature target"]:
    """Minimises |targets - features w|^2 / (2 examples) + penalty |w|_1 per target.

    Both must have mean 0. Coordinate descent on the covariances, until no weight moves
    by 1e-6.
    """
    gram = _correlations(features, features)
    against = _correlations(features, targets)

    def update(i: Array, weights: Float[Array, "feature target"]) -> Array:
        own = gram[i, i]
        left = against[i] - gram[i] @ weights + own * weights[i]
        shrunk = jnp.sign(left) * jnp.maximum(jnp.abs(left) - penalty, 0)
        return weights.at[i].set(shrunk / jnp.where(own > 0, own, 1))

    def sweep(state: tuple) -> tuple:
        weights, _, iteration = state
        new = jax.lax.fori_loop(0, len(gram), update, weights)
        return new, jnp.abs(new - weights).max(), iteration + 1

    def is_moving(state: tuple) -> Bool[Array, ""]:
        return (state[1] > 1e-6) & (state[2] < iterations)

    start = (jnp.zeros_like(against), jnp.array(jnp.inf), 0)
    return jax.lax.while_loop(is_moving, sweep, start)[0]
