"""Total correlation by density ratio: a discriminator against the product of marginals.

The discriminator tells samples of q(z) (class 0) from samples whose latents come from
different examples (class 1). What keeps the players apart is the caller's
`stop_gradient`: on the discriminator's parameters in the VAE's objective, on the
latents in the discriminator's loss.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vae_jax.distributions import at_least_float32, require_equal_shapes


def permute_latents(
    latents: Float[Array, "batch latent"], *, key: Key[Array, ""]
) -> Float[Array, "batch latent"]:
    """Shuffles each latent over the batch by itself: samples of prod_d q(z_d).

    Source: Kim and Mnih 2018, algorithm 1.
    """
    return jax.random.permutation(key, latents, axis=0, independent=True)


def density_ratio(logits: Float[Array, "batch 2"]) -> Float[Array, " batch"]:
    """Logit 0 - logit 1: log q(z) / prod_d q(z_d) as the discriminator sees it, nats.

    Its mean over samples of q(z) estimates the total correlation.

    Source: Kim and Mnih 2018, Eq. 3.
    """
    logits = at_least_float32(logits)
    return logits[:, 0] - logits[:, 1]


def discriminator_loss(
    joint_logits: Float[Array, "batch 2"], permuted_logits: Float[Array, "batch 2"]
) -> Float[Array, " batch"]:
    """Mean cross-entropy of one sample of each class, in nats; log 2 if undecided.

    Raises:
        ValueError: If the shapes differ.

    Source: Kim and Mnih 2018, algorithm 2.
    """
    require_equal_shapes(
        "discriminator_loss", joint_logits=joint_logits, permuted_logits=permuted_logits
    )
    missed_joint = jax.nn.softplus(-density_ratio(joint_logits))
    missed_permuted = jax.nn.softplus(density_ratio(permuted_logits))
    return 0.5 * (missed_joint + missed_permuted)


def discriminator_accuracy(
    joint_logits: Float[Array, "batch 2"], permuted_logits: Float[Array, "batch 2"]
) -> Float[Array, " batch"]:
    """Share of one sample of each class that is told right: 0, 1/2 or 1.

    Raises:
        ValueError: If the shapes differ.
    """
    require_equal_shapes(
        "discriminator_accuracy",
        joint_logits=joint_logits,
        permuted_logits=permuted_logits,
    )
    right_joint = density_ratio(joint_logits) > 0
    right_permuted = density_ratio(permuted_logits) < 0
    return 0.5 * (right_joint.astype(jnp.float32) + right_permuted)
