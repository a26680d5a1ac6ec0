"""The rules of disentangling VAEs for the rate: what each adds to the distortion.

A rule is a frozen dataclass of what a program is compiled for. The numbers that a sweep
varies are scalars in a dictionary `hyper`, so that runs which differ in nothing else
are one program; `defaults` has their names, with values from papers.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, cast, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from vae_jax import losses, models

Hyper = Mapping[str, Array | float]


class Inputs(NamedTuple):
    """What a regulariser is made from."""

    output: models.VAEOutput
    kl: Float[Array, "batch latent"]
    """Of each latent to its prior, in nats."""
    second_latents: Float[Array, "second latent"]
    """Samples to permute; those of `output` where there is no second batch."""
    discriminator: PyTree
    """Parameters of the discriminator, None where there is none."""
    step: Int[Array, ""]
    key: PRNGKeyArray

    @property
    def rate(self) -> Float[Array, ""]:
        """Mean KL of a posterior to the prior, in nats."""
        return self.kl.sum(-1).mean()


class Penalty(NamedTuple):
    """What an objective adds to the mean distortion."""

    value: Float[Array, ""]
    metrics: dict[str, Array]
    adversary: Float[Array, ""] | float = 0.0
    """The discriminator's own loss, which has no gradient for the VAE."""


@runtime_checkable
class Objective(Protocol):
    """A rule for the rate; those below are some, and a user's own is as welcome."""

    @property
    def defaults(self) -> Mapping[str, float]:
        """The numbers that `regularise` reads, by name, at published values."""
        ...

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """What is added to the distortion, from numbers that may be traced."""
        ...


@dataclasses.dataclass(frozen=True)
class BetaVAE:
    """beta KL; beta 1 is the VAE. Higgins et al. 2017; 4 as in Liu et al. 2020."""

    @property
    def defaults(self) -> dict[str, float]:
        """At published values."""
        return {"beta": 4.0}

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """Beta times the rate."""
        return Penalty(hyper["beta"] * inputs.rate, {})


@dataclasses.dataclass(frozen=True)
class AnnealedVAE:
    """gamma |mean KL - C|, with C rising from 0 to `capacity` nats.

    Burgess et al. 2018, Eq. 8; values of Locatello et al. 2019, who take 5 to 100 nats.
    """

    annealing_steps: int = 100_000

    @property
    def defaults(self) -> dict[str, float]:
        """At published values."""
        return {"gamma": 1000.0, "capacity": 25.0}

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """Gamma times the distance of the mean rate to the risen capacity."""
        risen = losses.linear_beta(inputs.step, warmup_steps=self.annealing_steps)
        capacity = hyper["capacity"] * risen
        distance = losses.capacity_penalty(
            inputs.kl, capacity=capacity, constraint_on="batch_mean"
        )
        return Penalty(hyper["gamma"] * distance.mean(), {"capacity": capacity})


@dataclasses.dataclass(frozen=True)
class BetaTCVAE:
    """KL + (beta - 1) TC, with the total correlation estimated from the batch.

    Chen et al. 2018, Eq. 4 with alpha = gamma = 1 and the KL in closed form, as in
    Locatello et al. 2019, who take beta 1 to 10; 6 is Chen et al.'s for dSprites. The
    parts are logged by "mss" whatever trains: by "mws" every log-density is too small,
    and for 10 latents, batches of 64 and 737,280 images the total correlation 37 to 122
    nats too large.
    """

    dataset_size: int
    estimator: losses.Estimator = "mss"

    @property
    def defaults(self) -> dict[str, float]:
        """At published values."""
        return {"beta": 6.0}

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """The rate, and the total correlation once more for each beta above 1."""
        output = inputs.output
        decompose = functools.partial(
            losses.decompose_rate,
            output.latents,
            output.mean,
            output.logvar,
            dataset_size=self.dataset_size,
        )
        trained = decompose(estimator=self.estimator)
        logged = decompose(estimator="mss")
        metrics = {
            "total_correlation": logged.total_correlation.mean(),
            "mutual_information": logged.mutual_information.mean(),
        }
        value = inputs.rate + (hyper["beta"] - 1) * trained.total_correlation.mean()
        return Penalty(value, metrics)


@dataclasses.dataclass(frozen=True)
class FactorVAE:
    """KL + gamma TC, with the total correlation told by a discriminator.

    Kim and Mnih 2018, Eq. 2 and algorithm 2; gamma 40 as in Liu et al. 2020. Both
    players move at once, each by its own loss alone. The discriminator maps latents to
    logits [batch 2]; its optimiser is the published Adam with b1 0.5 and b2 0.9.
    """

    discriminator: nn.Module
    second_batch: Literal["same", "half", "independent"] = "same"
    """Whose latents are permuted: those of the batch itself (Locatello et al. 2019), of
    its second half, which the VAE then does not see, or of "second_image" (Kim and
    Mnih)."""

    @property
    def defaults(self) -> dict[str, float]:
        """At published values."""
        return {"gamma": 40.0}

    def batches(self, batch: Mapping[str, Array]) -> tuple[Array, Array | None]:
        """The VAE's images, and others to permute the latents of, if any."""
        images = batch["image"]
        match self.second_batch:
            case "same":
                return images, None
            case "independent":
                return images, batch["second_image"]
            case "half":
                if len(images) % 2:
                    raise ValueError(
                        "FactorVAE: second_batch='half' wants an even number of "
                        f"images, got {len(images)}."
                    )
                first, second = jnp.split(images, 2)
                return first, second

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """The rate and gamma times the density ratio, the adversary's loss beside."""
        mine, theirs = inputs.discriminator, inputs.output.latents
        frozen = jax.lax.stop_gradient(mine)
        ratio = losses.density_ratio(self._logits(frozen, theirs)).mean()
        permuted = losses.permute_latents(
            jax.lax.stop_gradient(inputs.second_latents), key=inputs.key
        )
        # In one pass: the discriminator's matrices are larger than a batch of latents.
        both = jnp.concatenate([jax.lax.stop_gradient(theirs), permuted])
        logits = jnp.split(self._logits(mine, both), [len(theirs)])
        adversary = losses.discriminator_loss(*logits).mean()
        metrics = {
            "total_correlation": ratio,
            "discriminator_loss": adversary,
            "discriminator_accuracy": losses.discriminator_accuracy(*logits).mean(),
        }
        value = inputs.rate + hyper["gamma"] * ratio
        return Penalty(value, metrics, adversary)

    def _logits(self, params: PyTree, latents: Array) -> Array:
        return cast(Array, self.discriminator.apply({"params": params}, latents))


@dataclasses.dataclass(frozen=True)
class DIPVAE:
    """KL + distance to the identity of the covariance of means (I) or of samples (II).

    Kumar et al. 2018, Eq. 6 and 7. Locatello et al. 2019 take 1 to 50 for
    `off_diagonal`, and for `diagonal` ten times that (I) or the same (II).
    """

    kind: Literal["i", "ii"] = "ii"

    @property
    def defaults(self) -> dict[str, float]:
        """The weights of the covariance's entries."""
        return {"off_diagonal": 10.0, "diagonal": 100.0 if self.kind == "i" else 10.0}

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """The rate and the weighted distance to the identity."""
        output = inputs.output
        weights = {name: hyper[name] for name in self.defaults}
        match self.kind:
            case "i":
                penalty = losses.dip_i(output.mean, **weights)
            case "ii":
                penalty = losses.dip_ii(output.mean, output.logvar, **weights)
        return Penalty(inputs.rate + penalty, {"covariance_penalty": penalty})


@dataclasses.dataclass(frozen=True)
class InfoVAE:
    """(1 - alpha) KL + (alpha + lambda - 1) MMD.

    Zhao et al. 2019: with alpha 0 the KL stays whole, and the MMD, of the order
    of 1/batch, needs a large lambda. Below 1 - alpha the MMD would be rewarded. Their
    kernel is wider: see `losses.mmd` for what lambda weighs there.
    """

    @property
    def defaults(self) -> dict[str, float]:
        """At published values."""
        return {"alpha": 0.0, "lambda": 1000.0}

    def regularise(self, inputs: Inputs, hyper: Hyper) -> Penalty:
        """The rate and the discrepancy to as many samples of the prior."""
        latents = inputs.output.latents
        prior = jax.random.normal(inputs.key, latents.shape, latents.dtype)
        discrepancy = losses.mmd(latents, prior, kernel="gaussian")
        value = (1 - hyper["alpha"]) * inputs.rate
        value += (hyper["alpha"] + hyper["lambda"] - 1) * discrepancy
        return Penalty(value, {"mmd": discrepancy})
