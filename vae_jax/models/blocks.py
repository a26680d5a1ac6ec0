"""Layers that the networks share, and the mark that makes an activation explainable."""

import flax.linen as nn
import jax


def tap(module: nn.Module, name: str, activation: jax.Array) -> jax.Array:
    """Returns `activation`, marked so that its value and its gradient can be asked for.

    The value is sown into "intermediates", the gradient is that of a perturbation
    added to it ("perturbations"). Both are free when neither collection is asked for.
    """
    activation = module.perturb(name, activation)
    module.sow(
        "intermediates",
        name,
        activation,
        reduce_fn=lambda _, latest: latest,
        init_fn=lambda: None,
    )
    return activation
