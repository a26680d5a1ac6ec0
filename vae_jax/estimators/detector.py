"""scikit-learn estimators: a VAE that tells unusual rows of a table from usual ones."""

import math
from typing import Any, NamedTuple, get_args

import numpy as np
import scipy.stats
from sklearn.base import OutlierMixin
from sklearn.utils.validation import check_is_fitted

from vae_jax.estimators.network import ScoreType
from vae_jax.estimators.tabular import TabularVAE


class Drift(NamedTuple):
    """How incoming scores differ from those that the threshold was set on."""

    statistic: float
    """Of Kolmogorov and Smirnov: the largest difference of the two distributions."""
    p_value: float
    """Of a difference as large between samples of one distribution."""


class VAEAnomalyDetector(OutlierMixin, TabularVAE):
    """Detects rows that a variational autoencoder of the training rows cannot explain.

    For tables, and for images flattened to rows. Follows scikit-learn's conventions for
    outlier detection: higher scores are more normal, `predict` gives 1 or -1.

    A score of high reconstruction error means "hard to describe", not "unlike the
    training data": on MNIST, ones, which have little ink, look more normal than the
    digits trained on (An & Cho 2015 saw the same). Compare score types on your data.

    Args:
      latents: dimensions of the latent space.
      hidden: widths of the encoder's dense layers; the decoder mirrors them.
      likelihood: "gaussian" for any features, which are standardised, with one learned
        variance; "bernoulli" for features in [0, 1], taken as they are.
      score_type: what `score_samples` returns, in nats. "reconstruction": log p(x | z)
        at the posterior mean z. "elbo": its mean over samples less the KL. "kl": minus
        the KL. "importance_weighted": the bound of Burda et al. 2016.
      contamination: share of the training rows to be called outliers; sets `offset_`.
      beta: weight of the KL in training (Higgins et al. 2017).
      n_epochs: times that as many rows are drawn as there are.
      batch_size: rows of a training step, drawn with replacement.
      learning_rate: of Adam.
      n_samples: posterior samples of "elbo" and "importance_weighted"; the same noise
        for every row, so that a score depends on its row alone.
      random_state: of initial values, batches and noise.

    Attributes:
      offset_: score below which a row is an outlier.
      params_: parameters of the network, numpy arrays.
      calibration_scores_: sorted scores of the rows that `offset_` was set on.
      n_features_in_: columns seen in `fit`.

    Source of the losses: Kingma & Welling 2014; of the learned variance: Rybkin et al.
    2021 (sigma-VAE).
    """

    def __init__(
        self,
        *,
        latents: Any = 8,
        hidden: Any = (64,),
        likelihood: Any = "gaussian",
        score_type: Any = "reconstruction",
        contamination: Any = 0.05,
        beta: Any = 1.0,
        n_epochs: Any = 30,
        batch_size: Any = 128,
        learning_rate: Any = 1e-3,
        n_samples: Any = 10,
        random_state: Any = None,
    ):
        # Any: scikit-learn wants bad values refused by `fit`, not here.
        self.latents = latents
        self.hidden = hidden
        self.likelihood = likelihood
        self.score_type = score_type
        self.contamination = contamination
        self.beta = beta
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.n_samples = n_samples
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "VAEAnomalyDetector":
        """Trains on the rows of X, most of which should be normal; y is ignored.

        Raises:
          ValueError: bad parameters or rows.
          FloatingPointError: training diverged.
        """
        del y
        return self._calibrate(self._train(X))

    def calibrate(self, X: Any) -> "VAEAnomalyDetector":
        """Sets `offset_` on rows that were not trained on, all of them normal.

        The training rows score better than new ones of the same kind, so that a
        threshold set on them raises more false alarms than `contamination` says; after
        this, in the mean over such sets of n rows, it raises at most as many, or one in
        n + 1 where so few rows cannot promise less.
        """
        check_is_fitted(self)
        self._calibrate(self._validated(X, reset=False))
        count = len(self.calibration_scores_)
        # A new row is as likely below the k-th lowest as to be one of the k lowest of
        # n + 1 (split conformal prediction). In binary 0.29 * 100 is below 29.
        lowest = max(1, math.floor(self.contamination * (count + 1) + 1e-9))
        self.offset_ = float(self.calibration_scores_[lowest - 1])
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The score of each row, in nats; higher is more normal."""
        check_is_fitted(self)
        return self._scores(self._validated(X, reset=False), self.score_type)

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for each normal row, -1 for each outlier."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def drift(self, X: Any) -> Drift:
        """Whether scores of incoming rows are distributed as when calibrated.

        A small p-value over many rows says that the data have changed: then set the
        threshold, or train, anew. It cannot say whether they are anomalous.
        """
        scores = self.score_samples(X)
        found: Any = scipy.stats.ks_2samp(scores, self.calibration_scores_)
        return Drift(float(found.statistic), float(found.pvalue))

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Minus `score_samples`: higher is more anomalous."""
        return -self.score_samples(X)

    def predict_anomaly(self, X: Any) -> np.ndarray:
        """1 for each outlier, 0 for each normal row; `predict` has scikit-learn's."""
        return (self.predict(X) < 0).astype(int)

    @property
    def threshold_(self) -> float:
        """The `anomaly_score` above which a row is an outlier."""
        return -self.offset_

    @property
    def percentile(self) -> float:
        """Of the calibration rows' anomaly scores, where the threshold lies."""
        return 100 * (1 - self.contamination)

    def _wishes(self) -> dict[str, tuple[bool, str]]:
        return super()._wishes() | {
            "contamination": (0 < self.contamination <= 0.5, "in (0, 0.5]"),
            "score_type": (
                self.score_type in get_args(ScoreType),
                f"one of {get_args(ScoreType)}",
            ),
        }

    def _calibrate(self, X: np.ndarray) -> "VAEAnomalyDetector":
        self.calibration_scores_ = np.sort(self._scores(X, self.score_type))
        self.offset_ = float(
            np.percentile(self.calibration_scores_, 100 * self.contamination)
        )
        return self
