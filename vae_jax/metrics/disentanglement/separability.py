"""How well factors can be read from latents by linear classifiers."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vae_jax.metrics.disentanglement import classifiers
from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    checked_split,
    require_scored,
    require_two_latents,
)
from vae_jax.metrics.disentanglement.factors import (
    Codes,
    Factors,
    Split,
    split_classes,
)
from vae_jax.metrics.disentanglement.scaling import average_ranks, standardised


class Sap(NamedTuple):
    """The gap in [0, 1], and how well each latent alone predicts each factor."""

    score: Float[Array, ""]
    predictability: Float[Array, "latent factor"]


@jax.jit
def gap_of(predictability: Float[Array, "latent factor"]) -> Float[Array, ""]:
    """Mean over factors of the gap between the best two latents."""
    first, second = jax.lax.top_k(predictability.T, 2)[0].T
    return (first - second).mean()


def sap(codes: Codes, factors: Factors, split: Split) -> Sap:
    """Separated attribute predictability: accuracy gap of the best two latents.

    For each latent and factor a linear support vector machine (C = 0.01, balanced
    classes) predicts the factor from this latent alone.

    Raises:
        ValueError: codes are not finite, not as many as examples, or of one latent; a
            factor does not vary in the examples to fit on.

    Source: Kumar et al. 2018, ICLR, section 3; settings of Locatello et al. 2019.
    """
    codes = checked_codes("sap", codes, factors)
    require_two_latents("sap", codes.shape[1])
    checked_split("sap", split, factors)
    predictability = _accuracies(codes, factors, split)
    return Sap(gap_of(predictability), predictability)


@jax.jit
def _accuracies(
    codes: Float[Array, "example latent"], factors: Factors, split: Split
) -> Float[Array, "latent factor"]:
    def of_latent(
        latent: tuple[Float[Array, " train"], Float[Array, " test"]],
        classes: tuple[Int[Array, " train"], Int[Array, " test"]],
    ) -> Float[Array, ""]:
        classifier = classifiers.fit_support_vectors(
            latent[0], classes[0], size=max(factors.sizes), slack_cost=0.01
        )
        return classifiers.accuracy(classifier, latent[1][:, None], classes[1])

    latents = codes[split.train].T, codes[split.test].T

    def of_factor(classes: tuple[Array, Array]) -> Float[Array, " latent"]:
        return jax.lax.map(functools.partial(of_latent, classes=classes), latents)

    return jax.lax.map(of_factor, split_classes(factors, split)).T


def sap_correlation(codes: Codes, factors: Factors) -> Sap:
    """SAP of ordered factors: squared correlation of latent and class number.

    A constant latent has correlation 0.

    Raises:
        ValueError: codes are not finite, not as many as examples, or of one latent.

    Source: Kumar et al. 2018, ICLR, section 3.
    """
    codes = checked_codes("sap_correlation", codes, factors)
    require_two_latents("sap_correlation", codes.shape[1])
    classes = factors.classes(jnp.arange(factors.number)).astype(jnp.float32)
    (latents,), (values,) = standardised(codes), standardised(classes)
    product = jnp.matmul(latents.T, values, precision="highest")
    # Rounding might exceed 1.
    predictability = jnp.minimum((product / len(codes)) ** 2, 1)
    return Sap(gap_of(predictability), predictability)


def explicitness(codes: Codes, factors: Factors, split: Split) -> Float[Array, ""]:
    """Whether factors can be read from all latents together by a linear classifier.

    A multinomial logistic regression on standardised codes for each factor, scored by
    the area under the ROC curve of each class against the rest, mean over the classes
    of each factor and the factors. Chance is 0.5; it is not rescaled, as in
    `disentanglement_lib`. Classes that were not fitted, or that the examples to
    score on lack, are left out; inside a trace, as of `jax.vmap` over splits, a factor
    of which none is left gives NaN instead of an error.

    Raises:
        ValueError: codes are not finite or not as many as examples; a factor does not
            vary in the examples to fit or to score on.

    Source: Ridgeway and Mozer 2018, NeurIPS, section 3.
    """
    codes = checked_codes("explicitness", codes, factors)
    checked_split("explicitness", split, factors)
    require_scored("explicitness", split, factors)
    train, test = standardised(codes[split.train], codes[split.test])
    of_factors = zip(factors.sizes, *split_classes(factors, split), strict=True)
    scores = [
        _mean_auroc(train, train_classes, test, test_classes, size=size)
        for size, train_classes, test_classes in of_factors
    ]
    return jnp.stack(scores).mean()


@functools.partial(jax.jit, static_argnames="size")
def _mean_auroc(
    train: Float[Array, "train latent"],
    train_classes: Int[Array, " train"],
    test: Float[Array, "test latent"],
    test_classes: Int[Array, " test"],
    *,
    size: int,
) -> Float[Array, ""]:
    """Of one factor, mean over its classes."""
    classifier = classifiers.fit_logistic(train, train_classes, size=size)
    scores = classifiers.class_scores(classifier, test)
    is_class = test_classes[None] == jnp.arange(size)[:, None]
    found = jax.vmap(auroc)(jax.nn.softmax(scores).T, is_class)
    # What was not fitted has no score that could rank examples.
    return jnp.nanmean(jnp.where(jnp.isfinite(classifier.bias), found, jnp.nan))


def auroc(
    scores: Float[Array, " example"], is_class: Bool[Array, " example"]
) -> Float[Array, ""]:
    """P(one of the class scores above another), ties half; NaN without either."""
    inside = is_class.sum()
    outside = len(scores) - inside
    # Ranks about their mean: their sum stays small enough for float32.
    centred = average_ranks(scores) - (len(scores) + 1) / 2
    above = jnp.where(is_class, centred, 0).sum()
    pairs = inside * 1.0 * outside
    return jnp.where(pairs > 0, 0.5 + above / pairs, jnp.nan)
