"""scikit-learn estimators."""

from vae_jax.estimators.detector import Drift, VAEAnomalyDetector
from vae_jax.estimators.transformer import VAE

__all__ = ["VAE", "Drift", "VAEAnomalyDetector"]
