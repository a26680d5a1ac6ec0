"""Figures of explanations and results, drawn from arrays; only here is matplotlib."""

from vae_jax.plots.curves import (
    Curve,
    save_curves,
    save_metric_curves,
    save_sanity,
    save_training_curves,
)
from vae_jax.plots.disentanglement import (
    Setting,
    save_attention_pair,
    save_scatter,
)
from vae_jax.plots.latents import (
    save_codes,
    save_image_grid,
    save_interpolation,
    save_manifold,
    save_metric_plane,
    save_traversal_gif,
    save_traversals,
)
from vae_jax.plots.localisation import (
    Comparison,
    Example,
    common_limits,
    save_comparison,
    save_latent_maps,
    save_panel,
)
from vae_jax.plots.matrices import save_heat_map, save_matrix

__all__ = [
    "Comparison",
    "Curve",
    "Example",
    "Setting",
    "common_limits",
    "save_attention_pair",
    "save_codes",
    "save_comparison",
    "save_curves",
    "save_heat_map",
    "save_image_grid",
    "save_interpolation",
    "save_latent_maps",
    "save_manifold",
    "save_matrix",
    "save_metric_curves",
    "save_metric_plane",
    "save_panel",
    "save_sanity",
    "save_scatter",
    "save_training_curves",
    "save_traversal_gif",
    "save_traversals",
]
