"""Every metric of one representation, from codes that were computed once."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key

from vae_jax.distributions import normal_kl
from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    checked_logvar,
    checked_split,
    require_scored,
    require_two_factors,
    require_two_latents,
)
from vae_jax.metrics.disentanglement.dci import Dci, dci_logistic, dci_trees
from vae_jax.metrics.disentanglement.density import mig_density
from vae_jax.metrics.disentanglement.factors import (
    Codes,
    Factors,
    random_split,
    take,
)
from vae_jax.metrics.disentanglement.gaussian import (
    gaussian_total_correlation,
    gaussian_wasserstein,
)
from vae_jax.metrics.disentanglement.information import (
    mean_code_information,
    mig_binned,
    modularity_of,
)
from vae_jax.metrics.disentanglement.protocol import STANDARD, Protocol
from vae_jax.metrics.disentanglement.robustness import irs
from vae_jax.metrics.disentanglement.separability import explicitness, sap
from vae_jax.metrics.disentanglement.votes import beta_vae_score, factor_vae_score


class Suite(NamedTuple):
    """All scores by name, and the matrices that pictures are drawn of."""

    scores: dict[str, float]
    votes: Int[Array, "factor latent"]  # of the FactorVAE score
    mutual_information: Float[Array, "latent factor"]  # binned, in nats
    importance: Float[Array, "latent factor"]  # of trees if asked for, else logistic


def suite(
    codes: Codes,
    factors: Factors,
    *,
    key: Key[Array, ""],
    logvar: Float[Array | np.ndarray, "example latent"] | None = None,
    protocol: Protocol = STANDARD,
    trees: bool = False,
) -> Suite:
    """Every metric of one run; those that count or fit share one sample of examples.

    All scores are finite, but for the total correlation where a latent is a linear
    function of others, which is infinite if rounding does not make it finite. NaN
    means codes whose squares float32 cannot hold, from about 1e19.

    Args:
        codes: posterior means of all examples, [example latent].
        factors: of the same examples.
        key: of the votes and of the sample.
        logvar: of the posteriors, for `mig_density` and for pruning by KL.
        protocol: the numbers of votes and examples.
        trees: whether to fit the trees of `dci_trees` too, which takes minutes.

    Raises:
        ValueError: codes or `logvar` are not finite or not as many as examples; there
            is only one latent or factor; a factor does not vary in the sample; the
            protocol asks for a KL and `logvar` is not given.
    """
    codes, kl = checked_codes("suite", codes, factors), None
    require_two_latents("suite", codes.shape[1])
    require_two_factors("suite", len(factors.sizes))
    if logvar is not None:
        logvar = checked_logvar("suite", logvar, codes)
        kl = normal_kl(codes, logvar, 0.0, 0.0).mean(0)
    votes_key, pairs_key, split_key = jax.random.split(key, 3)
    split = random_split(
        factors.number, train=protocol.train, test=protocol.test, key=split_key
    )
    checked_split("suite", split, factors)
    require_scored("suite", split, factors)
    sample, sampled = codes[split.train], take(factors, split.train)
    voted = factor_vae_score(codes, factors, key=votes_key, protocol=protocol, kl=kl)
    gap = mig_binned(sample, sampled)
    linear = dci_logistic(codes, factors, split)
    scores = {
        "factor_vae": voted.score,
        "beta_vae": beta_vae_score(codes, factors, key=pairs_key, protocol=protocol),
        "mig_binned": gap.score,
        **_dci_scores("dci_logistic", linear),
        "sap": sap(codes, factors, split).score,
        "modularity": modularity_of(gap.mutual_information),
        "explicitness": explicitness(codes, factors, split),
        "irs": irs(sample, sampled).score,
        "gaussian_total_correlation": gaussian_total_correlation(sample),
        "gaussian_wasserstein": gaussian_wasserstein(sample),
        "mean_code_information": mean_code_information(sample),
    }
    importance = linear.importance
    if logvar is not None:
        scores["mig_density"] = mig_density(codes, logvar, factors).score
    if trees:
        boosted = dci_trees(codes, factors, split)
        scores |= _dci_scores("dci_trees", boosted)
        importance = boosted.importance
    plain = {name: float(score) for name, score in scores.items()}
    return Suite(plain, voted.votes, gap.mutual_information, importance)


def _dci_scores(name: str, dci: Dci) -> dict[str, Array]:
    return {
        f"{name}_disentanglement": dci.disentanglement,
        f"{name}_completeness": dci.completeness,
        f"{name}_informativeness": dci.informativeness,
    }
