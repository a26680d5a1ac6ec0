"""The marks that make an activation explainable."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def tap(module: nn.Module, name: str, activation: jax.Array) -> jax.Array:
    """Returns `activation`, marked so that its value and its gradient can be asked for.

    The value is sown into "intermediates", the gradient is that of a perturbation
    added to it ("perturbations"). Both are free when neither collection is asked for.
    Met again in one pass, by a loop or by a module that is called twice, it is a tap of
    its own: "<name>#2" and so on.
    """
    name = _numbered(name, _times_met(module, name) + 1)
    activation = module.perturb(name, activation)
    # Once for each name, so there is nothing to reduce.
    module.sow(
        "intermediates",
        name,
        activation,
        reduce_fn=lambda _, only: only,
        init_fn=lambda: activation,
    )
    return activation


def channel_tap(
    module: nn.Module, name: str, activation: Float[Array, "batch height width channel"]
) -> Float[Array, "batch channel"] | None:
    """A perturbation of the tap `name` that is constant over space, if asked for.

    It is the entry "<name>_channels" of the "perturbations" of `module`, of the tap as
    it was met last; None without one. A linear layer that follows the tap adds the
    perturbation to its own output, so that the gradient with respect to it, the spatial
    sum of the gradient with respect to the activation, comes without an array of the
    activation's size.
    """
    name = f"{_numbered(name, max(1, _times_met(module, name)))}_channels"
    if not (
        module.has_variable("perturbations", name)
        or module.is_mutable_collection("perturbations")
    ):
        return None
    batch, _, _, channels = activation.shape
    dtype = jnp.promote_types(activation.dtype, jnp.float32)
    return module.perturb(name, jnp.zeros((batch, channels), dtype))


def _numbered(name: str, time: int) -> str:
    return name if time == 1 else f"{name}#{time}"


def _times_met(module: nn.Module, name: str) -> int:
    """How often the tap was passed so far, if it is asked for."""
    # What is made in this pass tells; what is given is there from the beginning.
    is_new = module.is_mutable_collection("perturbations")
    made = "perturbations" if is_new else "intermediates"
    times = 0
    while module.has_variable(made, _numbered(name, times + 1)):
        times += 1
    return times
