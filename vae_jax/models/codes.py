"""Discrete codes: vector quantisation, with a codebook that is learned or averaged."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vae_jax.arrays import at_least_float32, require_equal_shapes

_LEAST = 1e-5
"""What a count is divided by at least, of a code that nobody chose."""


class Quantised(NamedTuple):
    """What became of encoder outputs."""

    latents: Float[Array, "batch *position feature"]
    """The codes, with the gradient of the encoder outputs."""
    codes: Float[Array, "batch *position feature"]
    """The codes, with their own gradient where they are parameters."""
    indices: Int[Array, " batch *position"]


class VectorQuantizer(nn.Module):
    """The nearest of `codes` learned vectors in the place of each encoder output.

    The features are the last axis; there may be any number of positions, or none.

    Source: van den Oord et al. 2017, Eq. 1 and 2.
    """

    codes: int
    features: int

    @nn.compact
    def __call__(
        self, encoded: Float[Array, "batch *position feature"], *, train: bool = False
    ) -> Quantised:
        """Rounds to the nearest code.

        Raises:
            ValueError: If the last axis is not of as many features.
        """
        del train
        _require_features(encoded, self.features)
        spread = nn.initializers.uniform(2 / self.codes)
        codebook = self.param(
            "codebook",
            lambda key, shape: spread(key, shape) - 1 / self.codes,
            (self.codes, self.features),
        )
        return _quantise(encoded, codebook)


class AveragingQuantizer(nn.Module):
    """The same, with a codebook that is a moving average of what was encoded.

    It is the collection "codebook", which `train` updates: there is no codebook loss.
    Codes begin at outputs spread over the first batch of training; before it they are
    those of `init`. One that is chosen less than
    `least_share` of an even share is put at an output of the batch, chosen by the
    random stream "codes"; without that stream none is.

    Source: van den Oord et al. 2017, appendix A; restarts, Dhariwal et al. 2020.
    """

    codes: int
    features: int
    decay: float = 0.99
    least_share: float = 0.01

    @nn.compact
    def __call__(
        self, encoded: Float[Array, "batch *position feature"], *, train: bool = False
    ) -> Quantised:
        """Rounds to the nearest code; in training the codebook then follows.

        Raises:
            ValueError: If the last axis is not of as many features.
        """
        _require_features(encoded, self.features)
        # Sums over many batches lose in 16 bits what a batch adds.
        rows = at_least_float32(encoded.reshape(-1, self.features))
        rows = jax.lax.stop_gradient(rows)
        is_new = not self.has_variable("codebook", "codes")
        apart = max(1, len(rows) // self.codes)  # not all of the first image
        begin = rows[apart * jnp.arange(self.codes) % len(rows)]
        codes = self.variable("codebook", "codes", lambda: begin)
        counts = self.variable("codebook", "counts", lambda: jnp.zeros(self.codes))
        sums = self.variable("codebook", "sums", lambda: jnp.zeros_like(begin))
        started = self.variable("codebook", "started", lambda: jnp.zeros((), bool))
        # The variables may have been made on a batch of no meaning.
        codebook = jnp.where(started.value | (not train), codes.value, begin)
        found = _quantise(encoded, jax.lax.stop_gradient(codebook))
        if train and not is_new and self.is_mutable_collection("codebook"):
            self._follow(found.indices, rows, codebook, counts, sums, started)
            codes.value = sums.value / jnp.maximum(counts.value, _LEAST)[:, None]
        return found

    def _follow(
        self,
        indices: Array,
        rows: Array,
        codebook: Array,
        counts: nn.Variable,
        sums: nn.Variable,
        started: nn.Variable,
    ) -> None:
        """Moves counts and sums towards those of the batch, both in even shares."""
        # Before the first batch: as if each code had had an even share.
        count = jnp.where(started.value, counts.value, 1.0)
        total = jnp.where(started.value, sums.value, codebook)
        # Per row, so that batches of all lengths weigh the same.
        chosen = jax.nn.one_hot(indices.ravel(), self.codes) * (self.codes / len(rows))
        count = self.decay * count + (1 - self.decay) * chosen.sum(0)
        products = jnp.matmul(chosen.T, rows, precision="highest")
        total = self.decay * total + (1 - self.decay) * products
        counts.value, sums.value = self._restarted(count, total, rows)
        started.value = jnp.ones((), bool)

    def _restarted(
        self, count: Array, total: Array, rows: Array
    ) -> tuple[Array, Array]:
        """Counts and sums, those of dead codes as of an output of the batch."""
        if not self.has_rng("codes"):
            return count, total
        is_dead = count < self.least_share
        places = jax.random.randint(self.make_rng("codes"), (self.codes,), 0, len(rows))
        count = jnp.where(is_dead, 1.0, count)
        return count, jnp.where(is_dead[:, None], rows[places], total)


def straight_through(
    encoded: Float[Array, " *shape"], codes: Float[Array, " *shape"]
) -> Float[Array, " *shape"]:
    """The codes, with a gradient that goes to the encoder as if nothing were rounded.

    Raises:
        ValueError: If the shapes differ.

    Source: Bengio et al. 2013.
    """
    require_equal_shapes("straight_through", encoded=encoded, codes=codes)
    return encoded + jax.lax.stop_gradient(codes - encoded)


def _quantise(encoded: Any, codebook: Float[Array, "code feature"]) -> Quantised:
    rows = encoded.reshape(-1, codebook.shape[1])
    # |x - e|² without |x|², which is the same for all codes; in all of float32, and
    # from the middle of the codes, as they may lie close together far from 0.
    middle = codebook.mean(0, keepdims=True)
    centred = codebook - middle
    products = jnp.matmul(rows - middle, centred.T, precision="highest")
    distances = jnp.square(centred).sum(1)[None] - 2 * products
    indices = jax.lax.stop_gradient(distances).argmin(1)
    codes = codebook[indices].reshape(encoded.shape)
    return Quantised(
        straight_through(encoded, codes), codes, indices.reshape(encoded.shape[:-1])
    )


def _require_features(encoded: Any, features: int) -> None:
    if encoded.ndim < 2 or encoded.shape[-1] != features:
        raise ValueError(
            f"quantizer: the last axis must be of {features} features, got "
            f"{encoded.shape}; move the channels to the end."
        )
