"""How disentangled a representation is, by labels of the factors or without.

Every supervised metric takes `codes` [example latent] and the `factors` of the same
examples: `FullGrid(sizes)` for all combinations in order, `labelled(classes)` for any
other set. They are jitted, and but for `dci_trees` can be vmapped over codes.
"""

from vae_jax.metrics.disentanglement.agreement import Udr, relative_strength, udr
from vae_jax.metrics.disentanglement.dci import (
    Dci,
    completeness_of,
    dci_logistic,
    dci_trees,
    disentanglement_of,
)
from vae_jax.metrics.disentanglement.density import mig_density
from vae_jax.metrics.disentanglement.factors import (
    Codes,
    Factors,
    FullGrid,
    Labelled,
    Split,
    labelled,
    random_split,
    split_sizes,
    take,
)
from vae_jax.metrics.disentanglement.gaussian import (
    gaussian_total_correlation,
    gaussian_wasserstein,
    total_correlation_of,
    wasserstein_of,
)
from vae_jax.metrics.disentanglement.information import (
    InformationGap,
    mean_code_information,
    mig_binned,
    modularity,
    modularity_of,
)
from vae_jax.metrics.disentanglement.protocol import REPRO2021, STANDARD, Protocol
from vae_jax.metrics.disentanglement.robustness import Irs, irs
from vae_jax.metrics.disentanglement.scoring import Suite, suite
from vae_jax.metrics.disentanglement.separability import (
    Sap,
    explicitness,
    sap,
    sap_correlation,
)
from vae_jax.metrics.disentanglement.votes import (
    FactorVaeScore,
    beta_vae_score,
    factor_vae_score,
)

__all__ = [
    "REPRO2021",
    "STANDARD",
    "Codes",
    "Dci",
    "FactorVaeScore",
    "Factors",
    "FullGrid",
    "InformationGap",
    "Irs",
    "Labelled",
    "Protocol",
    "Sap",
    "Split",
    "Suite",
    "Udr",
    "beta_vae_score",
    "completeness_of",
    "dci_logistic",
    "dci_trees",
    "disentanglement_of",
    "explicitness",
    "factor_vae_score",
    "gaussian_total_correlation",
    "gaussian_wasserstein",
    "irs",
    "labelled",
    "mean_code_information",
    "mig_binned",
    "mig_density",
    "modularity",
    "modularity_of",
    "random_split",
    "relative_strength",
    "sap",
    "sap_correlation",
    "split_sizes",
    "suite",
    "take",
    "total_correlation_of",
    "udr",
    "wasserstein_of",
]
