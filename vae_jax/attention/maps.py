"""Attention maps: where in an image a score comes from."""

import functools
import warnings
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax.attention.gradients import (
    Variables,
    per_value,
    require_pixels,
    score_pass,
)
from vae_jax.attention.inputs import require_inputs
from vae_jax.attention.rules import PAPER, Rule, channel_weights, combine
from vae_jax.attention.scores import Images, Noise, Score, latents


class AttentionSamples(NamedTuple):
    """Mean and standard deviation of each map over samples of the posterior."""

    mean: Float[Array, "batch *k height width"]
    std: Float[Array, "batch *k height width"]


def attention_maps(
    model: nn.Module,
    variables: Variables,
    images: Images,
    *,
    tap: str,
    score: Score = latents,
    rule: Rule = PAPER,
    noise: Noise | None = None,
    latent_chunk: int | None = None,
) -> Float[Array, "batch *k height width"]:
    """What in each image the score rests on (Eq. 1, 2): raw maps at image resolution.

    A score with one value per image gives [batch height width], one with k values
    [batch k height width]; their mean over k is the paper's M. All k maps take one
    forward pass and k backward passes from the score to the tap, vectorised; where
    the rule only pools the gradient and a dense layer follows the tap, the passes
    stop at that layer, and all of them cost about as much as the forward pass. Pure,
    so it can be jitted (do), and differentiated with respect to `variables`.

    Args:
        model: Runs as in evaluation; marks activations with `models.tap`, or comes
            from `from_functions`.
        variables: Its parameters and batch statistics.
        images: In [0, 1].
        tap: Where the gradient is taken; `taps` lists the names.
        score: What is explained.
        rule: From gradient and activation to map.
        noise: Gives the posterior sample; None explains the mean.
        latent_chunk: Maps made at a time, to bound memory; None: all at once.

    Float32 products and convolutions are as precise as jax is told. GPUs and TPUs round
    their factors by default, to 10 or 7 bits after the point; called (or traced) under
    `jax.default_matmul_precision("highest")`, maps take longer and lose nothing by it.

    Raises:
        TypeError: A model that is no Linen module; `from_functions` makes one.
        ValueError: An unknown tap, a tap without rows and columns, a score that is not
            one row per image, a chunk of no map, images that are no batch, or variables
            without "params".

    Warns:
        UserWarning: The rule divides by a statistic of the whole batch, so that a map
            depends on the other images.
    """
    require_inputs("attention_maps", model, variables, images)
    _warn_of_batch("attention_maps", rule)
    return _maps(model, variables, images, noise, tap, score, rule, latent_chunk)


def _maps(
    model: nn.Module,
    variables: Variables,
    images: Images,
    noise: Noise | None,
    tap: str,
    score: Score,
    rule: Rule,
    latent_chunk: int | None,
) -> Float[Array, "batch *k height width"]:
    if latent_chunk is not None and latent_chunk < 1:
        raise ValueError(
            f"attention_maps: latent_chunk must be at least 1 map at a time, got "
            f"{latent_chunk}; None makes all at once."
        )
    explain = functools.partial(
        _maps_of_batch,
        model,
        variables,
        tap=tap,
        score=score,
        rule=rule,
        latent_chunk=latent_chunk,
    )
    if rule.grad_norm == "rms_batch":
        return explain(images, noise)

    def explain_one(image: Array, noise: Array | None) -> Array:
        alone = jax.tree.map(lambda x: x[None], (image, noise))
        return explain(*alone)[0]

    # Each image by itself, vectorised: what belongs to it stays together in memory,
    # which makes the maps of a dense layer's input a third faster on CPUs.
    return jax.vmap(explain_one)(images, noise)


def _maps_of_batch(
    model: nn.Module,
    variables: Variables,
    images: Images,
    noise: Noise | None,
    *,
    tap: str,
    score: Score,
    rule: Rule,
    latent_chunk: int | None,
) -> Float[Array, "batch *k height width"]:
    pooled = rule.needs_only_mean
    passed = score_pass(
        model, variables, images, noise, tap=tap, score=score, pooled=pooled
    )
    require_pixels("attention_maps", tap, passed.activation)
    _, height, width, _ = images.shape

    def map_of(cotangent: Array) -> Array:
        weights = channel_weights(rule, passed.pull_back(cotangent))
        return combine(rule, weights, passed.activation, (height, width))

    return per_value(map_of, passed.value, latent_chunk)


def sampled_attention(
    model: nn.Module,
    variables: Variables,
    images: Images,
    *,
    tap: str,
    score: Score = latents,
    rule: Rule = PAPER,
    latent_chunk: int | None = None,
    key: PRNGKeyArray,
    samples: int,
) -> AttentionSamples:
    """Maps over `samples` draws from the posterior; their spread tells their worth.

    The images share the draws of the noise, so that the maps of an image do not
    depend on its batch. Memory does not grow with `samples`. Errors, the warning and
    precision are those of `attention_maps`.
    """
    if samples < 1:
        raise ValueError(
            f"sampled_attention: samples must be positive, got {samples}; "
            "attention_maps without noise explains the mean."
        )
    require_inputs("sampled_attention", model, variables, images)
    _warn_of_batch("sampled_attention", rule)

    def maps_of(key: PRNGKeyArray) -> Array:
        noise = jax.random.normal(key, (1, size.shape[-1]), size.dtype)
        noise = jnp.broadcast_to(noise, size.shape)
        return _maps(model, variables, images, noise, tap, score, rule, latent_chunk)

    def add(moments: tuple, key: PRNGKeyArray) -> tuple[tuple, None]:
        count, mean, squares = moments
        deviation = maps_of(key) - mean
        mean += deviation / (count + 1)
        # A sum of squares only: rounding cannot make it negative.
        squares += jnp.square(deviation) * (count / (count + 1))
        return (count + 1, mean, squares), None

    # Shapes alone: of the posterior mean, and of the maps.
    size = jax.eval_shape(
        lambda v, x: model.apply(v, x, method="encode")[0], variables, images
    )
    zeros = jnp.zeros_like(jax.eval_shape(maps_of, key))
    (_, mean, squares), _ = jax.lax.scan(
        add, (0, zeros, zeros), jax.random.split(key, samples)
    )
    return AttentionSamples(mean, jnp.sqrt(squares / samples))


def _warn_of_batch(function: str, rule: Rule) -> None:
    if rule.grad_norm == "rms_batch":
        warnings.warn(
            f"{function}: grad_norm='rms_batch' lets a map depend on the other images "
            "of its batch; compare only maps of one batch.",
            stacklevel=3,
        )
