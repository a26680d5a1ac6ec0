"""What a latent space holds: walks through it, and how far they lead in images.

Latents go in and come out as arrays; where images are needed, `decode` is any function
from latents to images, so that nothing here knows a model. What stands for an image is
its posterior mean, unless noise is the question.
"""

from vae_jax.latent.geometry import (
    Geodesic,
    curve_energy,
    curve_length,
    geodesic,
    pull_back_metric,
)
from vae_jax.latent.walks import (
    Decode,
    Range,
    arithmetic,
    decode_all,
    fitted_range,
    linear_interpolation,
    manifold_grid,
    observed_range,
    posterior_range,
    prior_range,
    spherical_interpolation,
    traversals,
)

__all__ = [
    "Decode",
    "Geodesic",
    "Range",
    "arithmetic",
    "curve_energy",
    "curve_length",
    "decode_all",
    "fitted_range",
    "geodesic",
    "linear_interpolation",
    "manifold_grid",
    "observed_range",
    "posterior_range",
    "prior_range",
    "pull_back_metric",
    "spherical_interpolation",
    "traversals",
]
