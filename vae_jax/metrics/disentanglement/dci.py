"""Disentanglement, completeness, informativeness, from importances of latents."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vae_jax.metrics.disentanglement import classifiers
from vae_jax.metrics.disentanglement.checks import (
    Unchecked,
    checked_codes,
    checked_split,
    require_two_factors,
    require_two_latents,
)
from vae_jax.metrics.disentanglement.factors import (
    Codes,
    Factors,
    Split,
    split_classes,
)
from vae_jax.metrics.disentanglement.information import entropy
from vae_jax.metrics.disentanglement.scaling import standardised


class Dci(NamedTuple):
    """All in [0, 1]; informativeness is the mean accuracy over factors."""

    disentanglement: Float[Array, ""]
    completeness: Float[Array, ""]
    informativeness: Float[Array, ""]  # on the test examples
    importance: Float[Array, "latent factor"]


@jax.jit
def disentanglement_of(importance: Float[Array, "latent factor"]) -> Float[Array, ""]:
    """1 - entropy over factors (base: their number), weighted by latents' importance.

    Without any importance it is 0.

    Raises:
        ValueError: there is only one factor.
    """
    require_two_factors("disentanglement_of", importance.shape[1])
    # Keeps rows without importance uniform rather than undefined.
    distribution = importance + 1e-11
    each = 1 - entropy(distribution) / jnp.log(importance.shape[1])
    total = importance.sum()
    weight = jnp.where(total > 0, importance.sum(1) / jnp.where(total > 0, total, 1), 0)
    return jnp.minimum((weight * each).sum(), 1)  # rounding might exceed it


def completeness_of(importance: Float[Array, "latent factor"]) -> Float[Array, ""]:
    """The same of factors: 1 - entropy over latents, weighted by importance.

    Raises:
        ValueError: there is only one latent.
    """
    require_two_latents("completeness_of", importance.shape[0])
    return disentanglement_of(importance.T)


def dci_trees(codes: Codes, factors: Factors, split: Split, *, seed: int = 0) -> Dci:
    """DCI by gradient-boosted trees, the number of the literature; on the host, slow.

    The importance of a latent is that of scikit-learn's GradientBoostingClassifier at
    its defaults (impurity), one classifier for each factor.

    Args:
        codes: [example latent].
        factors: of the same examples.
        split: which examples to fit and to score on.
        seed: of the order in which equally good splits are tried.

    Raises:
        ValueError: codes are not finite or not as many as examples; there is only one
            latent or factor; a factor does not vary in the examples to fit on.

    Source: Eastwood and Williams 2018, ICLR, as in Locatello et al. 2019.
    """
    # Imported here, as no other metric of this package needs it.
    from sklearn.ensemble import GradientBoostingClassifier

    codes = _checked("dci_trees", codes, factors, split)
    train, test = (np.asarray(codes[index]) for index in split)
    fitted, scored = map(np.asarray, split_classes(factors, split))
    importance, accuracy = [], []
    for train_classes, test_classes in zip(fitted, scored, strict=True):
        trees = GradientBoostingClassifier(random_state=seed).fit(train, train_classes)
        importance.append(trees.feature_importances_)
        accuracy.append(trees.score(test, test_classes))
    matrix = jnp.asarray(np.stack(importance, 1), jnp.float32)
    return Dci(
        disentanglement_of(matrix),
        completeness_of(matrix),
        jnp.array(np.mean(accuracy), jnp.float32),
        matrix,
    )


def dci_logistic(
    codes: Codes, factors: Factors, split: Split, *, strength: float = 1e-3
) -> Dci:
    """DCI by sparse multinomial logistic regression: on the device, another number.

    The importance of a latent is the sum over classes of its absolute weights. It is
    linear in the code: a factor that is coded by a function that rises and falls, which
    trees find, is missed. Never compare it with `dci_trees`. Its time grows with the
    square of latents times values of a factor.

    Args:
        codes: [example latent]; standardised here by the training examples.
        factors: of the same examples.
        split: which examples to fit and to score on.
        strength: of the L1 penalty, beside the mean cross-entropy in nats.

    Raises:
        ValueError: as of `dci_trees`.

    Source: Eastwood and Williams 2018, ICLR, whose regressors are linear or forests.
    """
    codes = _checked("dci_logistic", codes, factors, split)
    train, test = standardised(codes[split.train], codes[split.test])
    of_factors = zip(factors.sizes, *split_classes(factors, split), strict=True)
    importance, accuracy = zip(
        *(
            _logistic(
                train, train_classes, test, test_classes, size=size, strength=strength
            )
            for size, train_classes, test_classes in of_factors
        ),
        strict=True,
    )
    matrix = jnp.stack(importance, 1)
    return Dci(
        disentanglement_of(matrix),
        completeness_of(matrix),
        jnp.stack(accuracy).mean(),
        matrix,
    )


@functools.partial(jax.jit, static_argnames=("size", "strength"))
def _logistic(
    train: Float[Array, "train latent"],
    train_classes: Int[Array, " train"],
    test: Float[Array, "test latent"],
    test_classes: Int[Array, " test"],
    *,
    size: int,
    strength: float,
) -> tuple[Float[Array, " latent"], Float[Array, ""]]:
    """Importance of each latent for one factor, and the accuracy of the test."""
    classifier = classifiers.fit_sparse_logistic(
        train, train_classes, size=size, strength=strength
    )
    accuracy = classifiers.accuracy(classifier, test, test_classes)
    return jnp.abs(classifier.weights).sum(0), accuracy


def _checked(
    function: str, codes: Unchecked, factors: Factors, split: Split
) -> Float[Array, "example latent"]:
    codes = checked_codes(function, codes, factors)
    require_two_latents(function, codes.shape[1])
    require_two_factors(function, len(factors.sizes))
    checked_split(function, split, factors)
    return codes
