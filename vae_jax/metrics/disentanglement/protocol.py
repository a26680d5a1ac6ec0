"""How many examples and votes a score is made of, and which latents may vote."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """The defaults are those of Locatello et al. 2019, ICML, and of their code.

    Raises:
        ValueError: a number is too small for a vote, a variance or a score.
    """

    votes: int = 10_000
    """Of the FactorVAE score, or points of the beta-VAE score, to fit on."""
    evaluation_votes: int | None = 5_000
    """The same to score on; None scores on the votes that were fitted."""
    group: int = 64
    """Examples (beta-VAE: pairs) that share a factor value in one vote."""
    variance_examples: int | None = 10_000
    """Random examples for the global variances; None takes all."""
    minimum_std: float = 0.05
    """A latent of smaller global standard deviation does not vote."""
    minimum_kl: float | None = None
    """In nats: a latent with at most this KL does not vote."""
    constant_factors: int = 0
    """Factors of a single value that are voted on too; they come first."""
    balanced: bool = False
    """Each factor gets votes // factors votes, instead of a random number."""
    train: int = 10_000
    """Examples for every metric that fits or counts."""
    test: int = 5_000
    """Other examples to score classifiers on."""

    def __post_init__(self):
        least = {
            "votes": 1,
            "evaluation_votes": 1,
            "group": 2,
            "variance_examples": 2,
            "minimum_std": 0,
            "constant_factors": 0,
            "train": 2,
            "test": 1,
        }
        for name, wanted in least.items():
            got = getattr(self, name)
            # Written so that NaN is refused; None is a choice of its own.
            if got is not None and not got >= wanted:
                raise ValueError(
                    f"Protocol: {name} must be at least {wanted}, got {got}."
                )
        if self.minimum_kl is not None and math.isnan(self.minimum_kl):
            raise ValueError("Protocol: minimum_kl must be a number of nats, got nan.")


STANDARD = Protocol()
"""Locatello et al. 2019: five factors of dSprites, new votes to score on."""

REPRO2021 = Protocol(
    votes=800,
    evaluation_votes=None,
    group=100,
    variance_examples=None,
    minimum_std=0.0,
    minimum_kl=1e-5,
    constant_factors=1,
    balanced=True,
)
"""The reproduction of Liu et al. 2020 in the Reproducibility Challenge of 2020/21.

The constant colour is voted on as a sixth factor, so 133 votes for each make 798,
which are divided by 800. A perfect code without idle latents scores 665 / 800 = 0.831,
and more only as idle latents attract the votes for the colour.
"""
