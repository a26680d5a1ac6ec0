"""scikit-learn estimators: a VAE as a transformer, of rows to latents and back."""

import math
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from vae_jax.estimators.network import decode_rows, encode_rows
from vae_jax.estimators.tabular import TabularVAE


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, TabularVAE):
    """A variational autoencoder of the rows of a table, where PCA would be linear.

    For tables, and for images flattened to rows. Everything but `sample` is
    deterministic once fitted: a row's latents are its posterior mean.

    Args:
      latents: dimensions of the latent space.
      hidden: widths of the encoder's dense layers; the decoder mirrors them. () is a
        linear VAE, whose best is probabilistic PCA.
      likelihood: "gaussian" for any features, which are standardised, with one learned
        variance; "bernoulli" for features in [0, 1], taken as they are.
      beta: weight of the KL in training (Higgins et al. 2017).
      n_epochs: times that as many rows are drawn as there are.
      batch_size: rows of a training step, drawn with replacement.
      learning_rate: of Adam.
      n_samples: posterior samples of `score_samples`, the same noise for every row.
      random_state: of initial values, batches and noise.

    Attributes:
      params_: parameters of the network, numpy arrays.
      mean_: of the features, 0 for "bernoulli".
      scale_: their standard deviation, 1 for "bernoulli".
      n_features_in_: columns seen in `fit`.

    Source: Kingma & Welling 2014; of the learned variance: Rybkin et al. 2021
    (sigma-VAE).
    """

    def __init__(
        self,
        *,
        latents: Any = 2,
        hidden: Any = (64,),
        likelihood: Any = "gaussian",
        beta: Any = 1.0,
        n_epochs: Any = 30,
        batch_size: Any = 128,
        learning_rate: Any = 1e-3,
        n_samples: Any = 100,
        random_state: Any = None,
    ):
        # Any: scikit-learn wants bad values refused by `fit`, not here.
        self.latents = latents
        self.hidden = hidden
        self.likelihood = likelihood
        self.beta = beta
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.n_samples = n_samples
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "VAE":
        """Trains on the rows of X; y is ignored.

        Raises:
          ValueError: bad parameters or rows.
          FloatingPointError: training diverged.
        """
        del y
        self._train(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The posterior mean of each row, [row latent]."""
        check_is_fitted(self)
        rows = self._standardise(self._validated(X, reset=False))
        return encode_rows(self._model(), self.params_, rows).astype(np.float64)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The expected features of each row of latents, [row feature].

        Raises:
          ValueError: X has not one column for each latent.
        """
        check_is_fitted(self)
        latents = check_array(X, dtype="float64").astype(np.float32)
        if latents.shape[1] != self.latents:
            raise ValueError(
                f"VAE: inverse_transform wants {self.latents} latents a row, got "
                f"{latents.shape[1]} columns; give what transform returns."
            )
        found = decode_rows(self._model(), self.likelihood, self.params_, latents)
        return found.astype(np.float64) * self.scale_ + self.mean_

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Rows drawn from the model, [row feature], the likelihood's noise included.

        Without that noise they would be `inverse_transform` of normal latents, which
        vary less than the data do.
        """
        check_is_fitted(self)
        rng = check_random_state(random_state)
        expected = self.inverse_transform(
            rng.standard_normal((n_samples, self.latents))
        )
        if self.likelihood == "bernoulli":
            return (rng.random_sample(expected.shape) < expected).astype(np.float64)
        deviation = math.exp(float(self.params_["logvar"]) / 2) * self.scale_
        return expected + deviation * rng.standard_normal(expected.shape)

    def score_samples(self, X: Any) -> np.ndarray:
        """A lower bound of log p(row) of each row, in nats, as densities of X are.

        The importance-weighted bound of Burda et al. 2016 with `n_samples` samples;
        comparable with scikit-learn's PCA and FactorAnalysis, and with other numbers of
        latents. A density may exceed 1, and its log 0. Of "bernoulli" it is that of
        bits, and of gray values only a score.
        """
        check_is_fitted(self)
        rows = self._validated(X, reset=False)
        return self._scores(rows, "importance_weighted") - self._log_volume()

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        del y
        return float(self.score_samples(X).mean())

    @property
    def _n_features_out(self) -> int:
        return self.latents
