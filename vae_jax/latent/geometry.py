"""The latent space as the decoder curves it: metric, length, energy, geodesics.

Distances are Euclidean ones between decoded images. Arvanitidis et al. 2018, "Latent
space oddity"; Shao et al. 2018, "The Riemannian geometry of deep generative models".
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from vae_jax.latent.walks import Decode, decode_all, square_root


class Geodesic(NamedTuple):
    """A curve whose ends are held and whose energy is the least of those near it."""

    curve: Float[Array, "step latent"]
    energy: Float[Array, ""]
    is_converged: bool
    """False where the iterations ran out."""


def pull_back_metric(
    decode: Decode, latents: Float[Array, "batch latent"]
) -> Float[Array, "batch latent latent"]:
    """G(z) = JᵀJ, where J is the Jacobian of `decode` at z.

    A small step dz moves the image by sqrt(dzᵀ G dz). One pass per latent, and reverse
    mode only, which is all that our convolutions have: J v is the transpose of the
    pull-back, which is linear.
    """
    images, pull_back = jax.vjp(decode, latents)
    _, push_forward = jax.vjp(pull_back, jnp.zeros_like(images))

    def column(direction: Float[Array, " latent"]) -> Float[Array, "batch pixel"]:
        (moved,) = push_forward((jnp.broadcast_to(direction, latents.shape),))
        return moved.reshape(len(latents), -1)

    jacobian = jax.vmap(column)(jnp.eye(latents.shape[-1], dtype=latents.dtype))
    return jnp.einsum("ibp,jbp->bij", jacobian, jacobian, precision="highest")


def curve_length(
    decode: Decode, curve: Float[Array, "*batch step latent"]
) -> Float[Array, "*batch"]:
    """Sum of the distances between the images of neighbouring points.

    From below it tends to the integral of sqrt(żᵀ G ż) as the steps become many. The
    distance of equal images has a zero gradient.

    Raises:
        ValueError: Fewer than two points.
    """
    return square_root(_squared_chords("curve_length", decode, curve)).sum(-1)


def curve_energy(
    decode: Decode, curve: Float[Array, "*batch step latent"]
) -> Float[Array, "*batch"]:
    """T/2 times the sum of squared distances, over the T steps between points.

    It tends to the integral of żᵀ G ż / 2 over a unit of time, and is at least half the
    squared length, with equality where all distances are equal. No Jacobian is needed.

    Raises:
        ValueError: Fewer than two points.
    """
    squares = _squared_chords("curve_energy", decode, curve)
    return 0.5 * squares.shape[-1] * squares.sum(-1)


def geodesic(
    decode: Decode,
    initial: Float[Array, "step latent"],
    *,
    iterations: int = 500,
    tolerance: float = 1e-6,
) -> Geodesic:
    """Bends `initial`, with its ends held, to the least energy: short, at even speed.

    L-BFGS on `curve_energy`. Bends are sums of sines along the curve, scaled so that in
    a flat space one step would do. The minimum is local: begin where a short curve is
    to be expected, such as `linear_interpolation`. Of one `decode` only the first call
    compiles.

    Args:
        decode: To images; their Euclidean distances are what is made small.
        initial: Points at even times, ends included.
        iterations: At most so many.
        tolerance: Relative decrease of the energy at which it counts as least.

    Raises:
        ValueError: Fewer than three points: nothing could move.
    """
    if len(initial) < 3:
        raise ValueError(
            f"geodesic: initial must have at least 3 points, got {len(initial)}; the "
            "ends are held."
        )
    modes = jnp.asarray(_sines(len(initial) - 1), initial.dtype)
    shape = (modes.shape[1], initial.shape[1])
    # Energies near 1, whatever the images' scale, as the stopping rules assume.
    scale = float(curve_energy(decode, initial)) or 1.0

    def relative_energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        amplitudes = jnp.asarray(flat.reshape(shape), initial.dtype)
        energy, gradient = _energy_and_gradient(decode, amplitudes, initial, modes)
        return float(energy) / scale, np.asarray(gradient, np.float64).ravel() / scale

    found = scipy.optimize.minimize(
        relative_energy,
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": tolerance},
    )
    amplitudes = jnp.asarray(found.x.reshape(shape), initial.dtype)
    curve = _bend(amplitudes, initial, modes)
    return Geodesic(curve, curve_energy(decode, curve), bool(found.success))


@functools.partial(jax.jit, static_argnums=0)
def _energy_and_gradient(
    decode: Decode,
    amplitudes: Float[Array, "mode latent"],
    initial: Float[Array, "step latent"],
    modes: Float[Array, "step mode"],
) -> tuple[Float[Array, ""], Float[Array, "mode latent"]]:
    def energy(amplitudes: Array) -> Array:
        return curve_energy(decode, _bend(amplitudes, initial, modes))

    return jax.value_and_grad(energy)(amplitudes)


def _bend(
    amplitudes: Float[Array, "mode latent"],
    initial: Float[Array, "step latent"],
    modes: Float[Array, "step mode"],
) -> Float[Array, "step latent"]:
    return initial + jnp.matmul(modes, amplitudes, precision="highest")


def _sines(segments: int) -> Float[np.ndarray, "step mode"]:
    """Eigenvectors of the flat energy that vanish at the ends, scaled to Hessian 1."""
    mode = np.arange(1, segments)
    phase = np.pi * np.outer(np.arange(segments + 1), mode) / segments
    curvature = segments * 4 * np.sin(np.pi * mode / (2 * segments)) ** 2
    modes = np.sqrt(2 / segments) * np.sin(phase) / np.sqrt(curvature)
    modes[-1] = 0  # sin(pi) is not quite
    return modes


def _squared_chords(
    name: str, decode: Decode, curve: Float[Array, "*batch step latent"]
) -> Float[Array, "*batch segment"]:
    steps = curve.shape[-2]
    if steps < 2:
        raise ValueError(f"{name}: a curve has at least 2 points, got {steps}.")
    images = decode_all(decode, curve).reshape(*curve.shape[:-1], -1)
    return jnp.square(jnp.diff(images, axis=-2)).sum(-1)
