"""Total correlation by density ratio: a discriminator against the product of marginals.

The discriminator tells samples of q(z) (class 0) from samples whose latents come from
different examples (class 1). What keeps the players apart is the caller's
`stop_gradient`: on the discriminator's parameters in the VAE's objective, on the
latents in the discriminator's loss.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vae_jax.arrays import at_least_float32, require_equal_shapes


def permute_latents(
    latents: Float[Array, "batch latent"], *, key: Key[Array, ""]
) -> Float[Array, "batch latent"]:
    """Shuffles each latent over the batch by itself: samples of prod_d q(z_d).

    Source: Kim and Mnih 2018, algorithm 1.
    """
    return jax.random.permutation(key, latents, axis=0, independent=True)


def density_ratio(logits: Float[Array, "*batch logit"]) -> Float[Array, "*batch"]:
    """Logit 0 - logit 1: log q(z) / prod_d q(z_d) as the discriminator sees it, nats.

    Its mean over samples of q(z) estimates the total correlation.

    Raises:
        ValueError: If the logits are not [batch 2].

    Source: Kim and Mnih 2018, Eq. 3.
    """
    # An index past the end is clamped: one logit would be a ratio of 0, for ever.
    if logits.shape[-1] != 2:
        raise ValueError(
            "density_ratio: logits must be [batch 2], of samples of q(z) and of "
            f"permuted ones, got shape {logits.shape}; end the discriminator in two "
            "units (a single logit l is [l, 0])."
        )
    logits = at_least_float32(logits)
    return logits[..., 0] - logits[..., 1]


def discriminator_loss(
    joint_logits: Float[Array, "*batch logit"],
    permuted_logits: Float[Array, "*batch logit"],
) -> Float[Array, "*batch"]:
    """Mean cross-entropy of one sample of each class, in nats; log 2 if undecided.

    Raises:
        ValueError: If the shapes differ, or are not [batch 2].

    Source: Kim and Mnih 2018, algorithm 2.
    """
    require_equal_shapes(
        "discriminator_loss", joint_logits=joint_logits, permuted_logits=permuted_logits
    )
    missed_joint = jax.nn.softplus(-density_ratio(joint_logits))
    missed_permuted = jax.nn.softplus(density_ratio(permuted_logits))
    return 0.5 * (missed_joint + missed_permuted)


def discriminator_accuracy(
    joint_logits: Float[Array, "*batch logit"],
    permuted_logits: Float[Array, "*batch logit"],
) -> Float[Array, "*batch"]:
    """Share of one sample of each class that is told right; of a tie, half.

    Raises:
        ValueError: If the shapes differ, or are not [batch 2].
    """
    require_equal_shapes(
        "discriminator_accuracy",
        joint_logits=joint_logits,
        permuted_logits=permuted_logits,
    )
    # In {-1, 0, 1}: right, undecided or wrong of the one, and the reverse of the other.
    joint = jnp.sign(density_ratio(joint_logits))
    permuted = jnp.sign(density_ratio(permuted_logits))
    return 0.5 + 0.25 * (joint - permuted)
