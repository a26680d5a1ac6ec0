"""What speaks for each class: scores of models that know classes.

Their networks may have no activation with rows and columns: take the tap "input" with
the rule `SALIENCY` or `POINTWISE`.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.attention.scores import Images, Likelihood, Noise, Score
from vae_jax.distributions import normal_kl, reparameterise


def class_log_odds(
    model: nn.Module, images: Images, noise: Noise | None
) -> Float[Array, "batch class"]:
    """Log q(y | x) / (1 - q(y | x)) of each class, of a model with `classify`.

    Odds and not probabilities, whose logarithm has no gradient left where a classifier
    is sure. Source: q(y | x) of Kingma et al. 2014.
    """
    del noise
    return _log_odds(model.classify(images))


def class_evidence(likelihood: Likelihood, *, classes: int) -> Score:
    """Score: the log odds of each class against the others, for a conditional VAE.

    By Bayes' rule with equal priors, and with the lower bound on log p(x | y), at the
    posterior mean or one sample, in the place of log p(x | y). The model has
    `encode(images, labels)`, `decode(latents, labels)` and `prior(labels)`.
    """
    return _ClassEvidence(likelihood, classes)


@dataclasses.dataclass(frozen=True)
class _ClassEvidence:
    likelihood: Likelihood
    classes: int

    def __call__(
        self, model: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, "batch class"]:
        bounds = [self._bound(model, images, noise, c) for c in range(self.classes)]
        return _log_odds(jnp.stack(bounds, axis=1))

    def _bound(
        self, model: nn.Module, images: Images, noise: Noise | None, label: int
    ) -> Float[Array, " batch"]:
        labels = jnp.full(len(images), label)
        mean, logvar = model.encode(images, labels)
        latents = mean if noise is None else reparameterise(mean, logvar, noise)
        rate = normal_kl(mean, logvar, *model.prior(labels)).sum(-1)
        return self.likelihood(images, model.decode(latents, labels)) - rate


def _log_odds(logits: Float[Array, "batch class"]) -> Float[Array, "batch class"]:
    """Of each class: its logit minus the logarithm of the sum of the others' exp."""
    classes = logits.shape[1]
    others = jnp.where(jnp.eye(classes, dtype=bool)[None], -jnp.inf, logits[:, None, :])
    return logits - jax.nn.logsumexp(others, axis=2)
