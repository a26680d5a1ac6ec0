"""The gradient of a score at a tap: one forward pass for all values of the score."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from vae_jax.attention.inputs import require_inputs
from vae_jax.attention.scores import Images, Noise, Score, latents
from vae_jax.spelling import did_you_mean

Variables = Mapping[str, Any]
Path = tuple[str, ...]


class TapGradient(NamedTuple):
    """An activation, and the gradient of the score (of each of its k values) there."""

    activation: Float[Array, "batch ..."]
    gradient: Float[Array, "batch ..."]


def taps(
    model: nn.Module,
    variables: Variables,
    image_shape: tuple[int, int, int],
    *,
    score: Score = latents,
) -> dict[str, tuple[int, ...]]:
    """Names of all taps on the way to `score`, with their shapes for one image.

    A name is the path of the mark in the model, less a leading "encoder/"; "input" is
    the image. A mark that is met several times, as by a module that is called twice, is
    as many taps, "<name>#1" and so on. Nothing is computed.
    """
    require_inputs("taps", model, variables)
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    marks, paths = _marks(model, variables, images, None, score)
    shapes = {name: marks[path].shape[1:] for name, path in paths.items()}
    return {"input": image_shape} | shapes


def activations(
    model: nn.Module,
    variables: Variables,
    images: Images,
    *,
    score: Score = latents,
) -> dict[str, Array]:
    """The activation at every tap of `taps` but the input, from one forward pass."""
    require_inputs("activations", model, variables, images)
    _, captured = model.apply(
        _without_marks(variables),
        images,
        None,
        method=score,
        mutable=["intermediates"],
    )
    found = _flat(captured["intermediates"])
    return {name: found[path] for name, path in _by_name(found).items()}


def tap_gradient(
    model: nn.Module,
    variables: Variables,
    images: Images,
    *,
    tap: str,
    score: Score,
    noise: Noise | None = None,
) -> TapGradient:
    """The gradient that a map is made of, [batch *tap] or [batch k *tap].

    At the tap "input" this is the total derivative: an image that enters the score
    twice, as input and as the target of its reconstruction, counts twice. Float32 is as
    precise as for `attention_maps`.
    """
    require_inputs("tap_gradient", model, variables, images)
    passed = score_pass(
        model, variables, images, noise, tap=tap, score=score, pooled=False
    )
    return TapGradient(
        passed.activation, per_value(passed.pull_back, passed.value, None)
    )


def score_pass(
    model: nn.Module,
    variables: Variables,
    images: Images,
    noise: Noise | None,
    *,
    tap: str,
    score: Score,
    pooled: bool,
) -> "ForwardPass":
    """`forward_pass` of a score, with nothing beside its value."""

    def run(model: nn.Module, images: Images, noise: Noise | None) -> Any:
        return score(model, images, noise), None

    return forward_pass(
        model, variables, images, noise, tap=tap, run=run, pooled=pooled
    )


class ForwardPass(NamedTuple):
    """One forward pass, with a value of it that can be pulled back to a tap."""

    activation: Array
    value: Array
    pull_back: Callable[[Array], Array]
    """From a cotangent of the value to the gradient at the tap."""
    output: Any
    """What the function returned beside the value."""
    state: dict[str, Any]
    """The mutable collections after the pass."""


def forward_pass(
    model: nn.Module,
    variables: Variables,
    images: Images,
    noise: Noise | None,
    *,
    tap: str,
    run: Callable[..., tuple[Array, Any]],
    pooled: bool,
    mutable: Sequence[str] = (),
) -> ForwardPass:
    """The activation at the tap, a value, and its pull-back, from one forward pass.

    `run(model, images, noise)` returns the value to pull back and anything else; a
    training step thus has its output and its maps from one pass. If only the spatial
    mean of the gradient matters (`pooled`), it may be [batch 1 1 channel] of that mean.

    Raises:
        ValueError: A tap that is unknown or met several times, or a value that is not
            one row per image.
    """
    variables = _without_marks(variables)
    if tap == "input":
        return _pass_from_input(model, variables, images, noise, run, mutable)

    marks, paths = _marks(model, variables, images, noise, run, mutable)
    path = _path(tap, paths)
    # The gradient of a change of whole channels is the spatial sum of the gradient of
    # the activation, and never has its size (see `models.blocks.channel_tap`).
    changed = _by_channel(path) if pooled and _by_channel(path) in marks else path
    optional = {_by_channel(p) for p in paths.values()}
    unchanged = {
        p: jnp.zeros((), m.dtype) for p, m in marks.items() if p not in optional
    }

    def run_with(change: Array) -> tuple[Array, Any]:
        changes = unchanged | {changed: change}
        (value, output), captured = model.apply(
            {**variables, "perturbations": unflatten_dict(changes)},
            images,
            noise,
            method=run,
            mutable=["intermediates", *mutable],
        )
        activation = _flat(captured["intermediates"])[path]
        return value, (activation, output, {name: captured[name] for name in mutable})

    value, pull_back, (activation, output, state) = jax.vjp(
        run_with, jnp.zeros_like(marks[changed]), has_aux=True
    )
    value = _one_row_per_image(value, images)

    def to_tap(cotangent: Array) -> Array:
        (gradient,) = pull_back(cotangent)
        if changed == path:
            return gradient
        area = activation.shape[1] * activation.shape[2]
        return gradient[:, None, None, :] / area

    return ForwardPass(activation, value, to_tap, output, state)


def _pass_from_input(
    model: nn.Module,
    variables: Variables,
    images: Images,
    noise: Noise | None,
    run: Callable[..., tuple[Array, Any]],
    mutable: Sequence[str],
) -> ForwardPass:
    def run_on(images: Array) -> tuple[Array, Any]:
        (value, output), state = model.apply(
            variables, images, noise, method=run, mutable=mutable
        )
        return value, (output, state)

    value, pull_back, (output, state) = jax.vjp(run_on, images, has_aux=True)
    value = _one_row_per_image(value, images)
    return ForwardPass(images, value, lambda c: pull_back(c)[0], output, dict(state))


def require_pixels(function: str, tap: str, activation: Array) -> None:
    """Raises a ValueError from `function` if there is no place for a map."""
    if activation.ndim != 4:
        raise ValueError(
            f"{function}: a map needs a tap of rows, columns and channels, but "
            f"{tap!r} has shape {activation.shape[1:]} for one image; choose another "
            "of taps(), or tap_gradient, which takes any."
        )


def per_value(
    function: Callable[[Array], Array], value: Array, chunk: int | None
) -> Array:
    """`function` of the cotangent of each of the k values of a score, along axis 1."""
    if value.ndim == 1:
        return function(jnp.ones_like(value))
    k = value.shape[1]
    one_hot = jnp.broadcast_to(
        jnp.eye(k, dtype=value.dtype)[:, None], (k, *value.shape)
    )
    if chunk is None:
        return jax.vmap(function, out_axes=1)(one_hot)
    return jnp.moveaxis(jax.lax.map(function, one_hot, batch_size=chunk), 0, 1)


def _marks(
    model: nn.Module,
    variables: Variables,
    images: Images | jax.ShapeDtypeStruct,
    noise: Noise | None,
    run: Callable[..., Any],
    mutable: Sequence[str] = (),
) -> tuple[dict[Path, jax.ShapeDtypeStruct], dict[str, Path]]:
    """Shapes of the perturbations that `run` meets; paths of the taps by name."""

    def mark(variables: Variables, images: Images, noise: Noise | None) -> Any:
        marked = ["perturbations", "intermediates", *mutable]
        return model.apply(variables, images, noise, method=run, mutable=marked)[1]

    state = jax.eval_shape(mark, _without_marks(variables), images, noise)
    marks = _flat(state.get("perturbations", {}))
    sown = _flat(state.get("intermediates", {}))
    return marks, _by_name([path for path in marks if path in sown])


def _flat(collection: Mapping[str, Any]) -> dict[Path, Any]:
    return cast(dict[Path, Any], flatten_dict(collection))


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    named = {"/".join(path).removeprefix("encoder/"): path for path in paths}
    # Of a mark that is met again, no single tap may go by its plain name.
    return {f"{n}#1" if f"{n}#2" in named else n: path for n, path in named.items()}


def _path(tap: str, paths: Mapping[str, Path]) -> Path:
    if f"{tap}#2" in paths:
        times = [name for name in paths if name.rpartition("#")[0] == tap]
        raise ValueError(
            f"attention: tap {tap!r} is met {len(times)} times on the way to this "
            f"score, each with a map of its own; choose one of {', '.join(times)}."
        )
    if tap not in paths:
        known = ["input", *paths]
        raise ValueError(
            f"attention: unknown tap {tap!r}{did_you_mean(tap, known)} Taps: "
            f"{', '.join(known)}."
        )
    return paths[tap]


def _by_channel(path: Path) -> Path:
    return (*path[:-1], f"{path[-1]}_channels")


def _without_marks(variables: Variables) -> Variables:
    # init leaves perturbations for its own batch size behind. Of batch size 1, they
    # would broadcast, and their gradient would silently sum over the images.
    left_behind = ("perturbations", "intermediates")
    return {name: v for name, v in variables.items() if name not in left_behind}


def _one_row_per_image(value: Array, images: Images) -> Array:
    if value.ndim not in (1, 2) or len(value) != len(images):
        raise ValueError(
            f"attention: a score must be [batch] or [batch k], one row for each of "
            f"{len(images)} images; got shape {value.shape}. Sum over pixels or "
            "latents, not over images."
        )
    return value
