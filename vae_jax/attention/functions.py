"""A model of pure functions: how a network that is no Linen module is explained."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from vae_jax.attention.scores import Images
from vae_jax.models.blocks import Posterior, as_posterior
from vae_jax.models.taps import tap

Params = Any
"""The arrays of a network, as a pytree of any kind."""
Stage = Callable[[Params, Array], Array]


def from_functions(
    features: Stage | Mapping[str, Stage],
    posterior: Callable[[Params, Array], Sequence[Array]],
    *,
    decode: Stage | None = None,
) -> nn.Module:
    """The model that these functions of (params, array) make, for `attention_maps`.

    And for all else here that takes a model, but `layers`. Its variables are
    `{"params": params}`: of flax.nnx the state of `nnx.split`, of equinox the arrays of
    `eqx.partition`; the functions put the network together again (`nnx.merge`,
    `eqx.combine`) and run it as in evaluation (an nnx model is split after `.eval()`).
    Models of the same functions are equal.

    Args:
        features: From images to the activation that is the tap "features"; or a
            function for each tap, by name and in their order, of images or of what the
            one before returned. A map needs [batch rows columns channel]: a network
            with channels first moves them to the end here, and back in what follows.
        posterior: From the last activation to mean and log-variance [batch latent].
        decode: From latents to what a likelihood takes; for scores that decode.

    Raises:
        ValueError: The name of a tap that has another meaning. Later, as the model
            runs: a posterior of other shapes, or a score that wants a missing `decode`.
    """
    stages = features if isinstance(features, Mapping) else {"features": features}
    taken = stages.keys() & {"input", *(f"{name}_channels" for name in stages)}
    if taken:
        raise ValueError(
            f"from_functions: a tap may not be called {min(taken)!r}: 'input' is the "
            "image, '<tap>_channels' a change of whole channels; choose another name."
        )
    return FunctionModel(tuple(stages.items()), posterior, decode)


class FunctionModel(nn.Module):
    """What `from_functions` makes: taps between the stages of an encoder."""

    stages: tuple[tuple[str, Stage], ...]
    posterior: Callable[[Params, Array], Sequence[Array]]
    decoder: Stage | None

    @nn.nowrap
    def apply(self, variables: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        """As any module's, but the parameters may be a pytree of any kind."""
        # Linen's must be a mapping, and it freezes every dict; a tuple it leaves alone.
        params = {"tree": (variables.get("params"),)}
        return super().apply({**variables, "params": params}, *args, **options)

    def encode(self, images: Images) -> Posterior:
        """q(latent | image), past the taps."""
        activation = images
        for name, stage in self.stages:
            activation = tap(self, name, stage(self._params(), activation))
        found = self.posterior(self._params(), activation)
        return as_posterior("from_functions: posterior", found)

    def decode(self, latents: Float[Array, "batch latent"]) -> Array:
        """Whatever the function for it returns."""
        if self.decoder is None:
            raise ValueError(
                "from_functions: this score decodes latents, but the model has no "
                "decode; hand over a function of (params, latents)."
            )
        return self.decoder(self._params(), latents)

    def _params(self) -> Params:
        (params,) = self.get_variable("params", "tree")
        return params
