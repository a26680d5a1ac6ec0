"""scikit-learn estimators."""

from vae_jax.estimators.detector import Drift, VAEAnomalyDetector

__all__ = ["Drift", "VAEAnomalyDetector"]
