"""How a gradient and an activation become a map: Eq. 2 and its variants."""

import dataclasses
from typing import Literal, assert_never

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import at_least_float32, require_choice


@dataclasses.dataclass(frozen=True)
class Rule:
    """From gradient G and activation A of a tap, the steps to a map, in their order.

    The defaults are Eq. 2, relu(sum_k a_k A_k) with a_k the spatial mean of G_k. The
    paper names neither the interpolation nor its place; here it is bilinear and last.

    Raises:
        ValueError: An unknown choice.
    """

    grad_norm: Literal["none", "rms_image", "rms_batch"] = "none"
    """Divide G by its root mean square (+ 1e-5) over the image or the whole batch."""
    term: Literal["pooled", "pointwise", "gradient"] = "pooled"
    """A channel's share: mean(G) A (Grad-CAM), G A (keeps where), or G alone."""
    rectify: Literal["relu", "neg_relu", "abs", "none"] = "relu"
    """The part that is kept: positive, negative (as positive numbers), both, signed."""
    rectify_at: Literal["channel", "sum", "resized"] = "sum"
    """Rectify each channel's share, their sum, or the sum at image resolution."""
    reduce: Literal["sum", "mean"] = "sum"
    """How the channels are joined."""
    resize: Literal["bilinear", "bilinear_aligned", "nearest", "cubic"] = "bilinear"
    """To image resolution, half-pixel centres; aligned: corner to corner."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            require_choice("Rule", field.name, getattr(self, field.name), field.type)

    @property
    def needs_only_mean(self) -> bool:
        """Whether nothing of G matters but its spatial mean."""
        return self.term == "pooled" and self.grad_norm == "none"


PAPER = Rule()
"""Liu et al., CVPR 2020, Eq. 2; with `latents` or `sum_of_latents`."""

OFFICIAL = Rule(grad_norm="rms_batch", rectify="abs", rectify_at="resized")
"""The authors' code; there with `sum_of_latents` at "conv2" of the MNIST network.

It cannot run on a batch of one, whose axis it squeezes away; that of one image, by
which maps of all images compare, is this rule's own."""

REPRO2021 = Rule(
    grad_norm="rms_batch",
    rectify="abs",
    rectify_at="channel",
    reduce="mean",
    resize="bilinear_aligned",
)
"""The reproduction of the ML Reproducibility Challenge 2020, with `sum_of_latents`.

Its code differs at a convolution that an in-place rectifier follows, as its layers for
Ped1 are: the rectifier overwrites what was kept of the convolution, so that the
gradient before it meets the activation after it. Here both are of the one tap."""

POINTWISE = Rule(term="pointwise")
"""relu(sum_k G_k A_k): Eq. 2 without pooling, which keeps where the gradient is."""

SALIENCY = Rule(term="gradient", rectify="abs", rectify_at="channel")
"""sum_k |G_k|, usually at the tap "input"."""


def channel_weights(
    rule: Rule, gradient: Float[Array, "batch rows columns channel"]
) -> Float[Array, "batch channel"] | Float[Array, "batch rows columns channel"]:
    """What `combine` multiplies the activation by: a_k where the rule pools, else G."""
    gradient = at_least_float32(gradient)
    if rule.grad_norm != "none":
        axis = (1, 2, 3) if rule.grad_norm == "rms_image" else (0, 1, 2, 3)
        gradient = gradient / (_rms(gradient, axis=axis) + 1e-5)
    return gradient.mean((1, 2)) if rule.term == "pooled" else gradient


def combine(
    rule: Rule,
    weights: Float[Array, "batch channel"] | Float[Array, "batch rows columns channel"],
    activation: Float[Array, "batch rows columns channel"],
    size: tuple[int, int],
) -> Float[Array, "batch height width"]:
    """The map of each image, resized to `size` (height, width); not normalised."""
    weights, activation = at_least_float32(weights), at_least_float32(activation)
    if rule.rectify_at == "channel":
        maps = _rectify(rule, _channel_terms(rule, weights, activation)).sum(-1)
    elif rule.term == "pooled":
        # A matrix product per image: the terms of all latents never exist at once.
        maps = jnp.einsum("bc,bhwc->bhw", weights, activation, precision="highest")
    else:
        maps = _channel_terms(rule, weights, activation).sum(-1)
    if rule.reduce == "mean":
        maps = maps / activation.shape[-1]
    if rule.rectify_at == "sum":
        maps = _rectify(rule, maps)
    maps = _resize(rule, maps, size)
    return _rectify(rule, maps) if rule.rectify_at == "resized" else maps


def _channel_terms(rule: Rule, weights: Array, activation: Array) -> Array:
    match rule.term:
        case "pooled":
            return weights[:, None, None, :] * activation
        case "pointwise":
            return weights * activation
        case "gradient":
            return weights
        case _:
            assert_never(rule.term)


def _rectify(rule: Rule, values: Array) -> Array:
    match rule.rectify:
        case "relu":
            return jax.nn.relu(values)
        case "neg_relu":
            return jax.nn.relu(-values)
        case "abs":
            return jnp.abs(values)
        case "none":
            return values
        case _:
            assert_never(rule.rectify)


def _resize(rule: Rule, maps: Array, size: tuple[int, int]) -> Array:
    shape = (maps.shape[0], *size)
    if maps.shape == shape:
        return maps
    if rule.resize != "bilinear_aligned":
        return jax.image.resize(maps, shape, rule.resize)
    pairs = zip(maps.shape[1:], size, strict=True)
    scale, shift = zip(*(_corners_on_corners(*pair) for pair in pairs), strict=True)
    return jax.image.scale_and_translate(
        maps,
        shape,
        (1, 2),
        jnp.array(scale, maps.dtype),
        jnp.array(shift, maps.dtype),
        "bilinear",
        antialias=False,
    )


def _corners_on_corners(size: int, new_size: int) -> tuple[float, float]:
    """Scale and translation (of half-pixel centres) that keep end pixels in place."""
    if min(size, new_size) == 1:
        return new_size / size, 0.0  # A single pixel has no ends: it is repeated.
    scale = (new_size - 1) / (size - 1)
    return scale, 0.5 * (1 - scale)


def _rms(values: Array, *, axis: tuple[int, ...]) -> Array:
    mean_square = jnp.square(values).mean(axis, keepdims=True)
    # The slope of a square root at 0 is infinite: a flat map must not differentiate it.
    flat = mean_square == 0
    return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, mean_square)))
