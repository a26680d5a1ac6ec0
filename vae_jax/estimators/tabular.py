"""What estimators of tables share: checks, standardised features, a trained VAE."""

import math
from typing import Any, get_args

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from vae_jax import models
from vae_jax.estimators.network import Likelihood, score_rows, train_rows


class TabularVAE(BaseEstimator):
    """A VAE of the rows of a table, by parameters that the estimators store.

    Fitted, it has `params_`, the network's parameters as numpy arrays, `mean_` and
    `scale_` of the features, and `noise_`, the same for every row that is scored, so
    that a score depends on its row alone.
    """

    latents: Any
    hidden: Any
    likelihood: Any
    beta: Any
    n_epochs: Any
    batch_size: Any
    learning_rate: Any
    n_samples: Any
    random_state: Any
    n_features_in_: int

    def _wishes(self) -> dict[str, tuple[bool, str]]:
        """Of each parameter whether it is as it must be, and how that is."""
        return {
            "latents": (self.latents >= 1, "at least 1"),
            "n_epochs": (self.n_epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "n_samples": (self.n_samples >= 1, "at least 1"),
            "learning_rate": (self.learning_rate > 0, "positive"),
            "beta": (self.beta >= 0, "at least 0"),
            "likelihood": (
                self.likelihood in get_args(Likelihood),
                f"one of {get_args(Likelihood)}",
            ),
        }

    def _train(self, X: Any) -> np.ndarray:
        """Checks everything and trains; returns the rows as they were checked."""
        for name, (holds, wish) in self._wishes().items():
            if not holds:
                raise ValueError(
                    f"{self._name}: {name} must be {wish}, got {getattr(self, name)!r}."
                )
        X = self._validated(X, ensure_min_samples=2)
        rng = check_random_state(self.random_state)
        key = jax.random.key(rng.randint(2**31))
        self.mean_, self.scale_ = self._statistics(X)
        noise = rng.standard_normal((self.n_samples, self.latents))
        self.noise_ = noise.astype(np.float32)
        self.params_, loss = train_rows(
            self._model(),
            self.likelihood,
            self._standardise(X),
            epochs=self.n_epochs,
            batch_size=self.batch_size,
            learning_rate=float(self.learning_rate),
            beta=float(self.beta),
            key=key,
        )
        if not np.isfinite(loss):
            raise FloatingPointError(
                f"{self._name}: the loss must stay finite, got {loss}; lower "
                "learning_rate or remove extreme values."
            )
        return X

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _model(self) -> models.VAE:
        return models.mlp_vae(
            image_shape=(1, self.n_features_in_, 1),
            hidden=tuple(self.hidden),
            latents=self.latents,
        )

    def _validated(self, X: Any, **options: Any) -> np.ndarray:
        # In float32 rows far from 0, such as dates, would lose what tells them apart.
        found = validate_data(self, X, dtype=(np.float64, np.float32), **options)
        assert isinstance(found, np.ndarray)
        # Also when scoring: beyond 1 the likelihood has no bound, and calls any row
        # normal that is bright enough.
        if self.likelihood == "bernoulli" and (found.min() < 0 or found.max() > 1):
            raise ValueError(
                f"{self._name}: likelihood='bernoulli' wants features in [0, 1], "
                f"got values from {found.min()} to {found.max()}; scale them or take "
                "'gaussian'."
            )
        return found

    def _statistics(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.likelihood == "bernoulli":
            return np.zeros(X.shape[1]), np.ones(X.shape[1])
        scale = X.std(axis=0, dtype=np.float64)
        return X.mean(axis=0, dtype=np.float64), np.where(scale > 0, scale, 1.0)

    def _standardise(self, X: np.ndarray) -> np.ndarray:
        # So far, and no further, the squares of a row are finite.
        standard = np.clip((X - self.mean_) / self.scale_, -1e15, 1e15)
        return standard.astype(np.float32)[:, None, :, None]

    def _scores(self, X: np.ndarray, score_type: Any) -> np.ndarray:
        """Of standardised features, in nats."""
        scores = score_rows(
            self._model(),
            self.likelihood,
            score_type,
            self.params_,
            self._standardise(X),
            self.noise_,
        )
        return scores.astype(np.float64)

    def _log_volume(self) -> float:
        """What standardising takes off the log-density of a row, in nats."""
        return math.fsum(np.log(self.scale_))
