"""What normal residuals are made of, and where they usually lie."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.anomaly.maps import AnyArray, ImageBatch, Maps, gaussian_blur


def normal_spectrum(
    residuals: ImageBatch,
) -> Float[Array, "rows columns channel"]:
    """The power of normal residuals at each frequency, of mean 1, smoothed.

    `residuals` are image - reconstruction of normal images. The frequencies are laid
    out as by `jnp.fft.fft2`, which is also why the smoothing goes around the edges.
    """
    power = jnp.square(jnp.abs(jnp.fft.fft2(residuals, axes=(1, 2)))).mean(0)
    power = power / power.mean((0, 1), keepdims=True)
    # A Gaussian of one bin, as its transform: exp(-2 (pi f)^2) at frequency f.
    rows, columns = (jnp.fft.fftfreq(n) for n in power.shape[:2])
    squares = jnp.square(rows)[:, None] + jnp.square(columns)[None, :]
    kernel = jnp.exp(-2 * jnp.pi**2 * squares)[:, :, None]
    smooth = jnp.fft.ifft2(jnp.fft.fft2(power, axes=(0, 1)) * kernel, axes=(0, 1))
    return jnp.maximum(smooth.real, 0.0) + 1e-4


def whiten(
    values: ImageBatch,
    spectrum: Float[AnyArray, "rows columns channel"],
    *,
    exponent: float = 0.25,
) -> Float[Array, "batch rows columns channel"]:
    """Weakens the frequencies that normal residuals are made of.

    Each frequency is divided by its normal power to the `exponent`: 0 changes nothing,
    1/2 makes normal residuals white. The VAE leaves out of every image what it cannot
    draw, fine texture above all; whitened, that no longer drowns what is not normal.
    """
    transformed = jnp.fft.fft2(values, axes=(1, 2)) / spectrum[None] ** exponent
    return jnp.fft.ifft2(transformed, axes=(1, 2)).real


def calibrate(
    maps: Maps,
    normal_map: Float[AnyArray, "rows columns"],
    *,
    sigma: float,
    floor: float,
) -> Float[Array, "batch rows columns"]:
    """Divides by what is usual at each pixel: for images that are aligned.

    Args:
        maps: anomaly maps, not negative.
        normal_map: their mean over normal images.
        sigma: of the Gaussian that smooths `normal_map`, in pixels.
        floor: added to the divisor, in units of the mean of `normal_map`; the larger,
            the less pixels are told apart.
    """
    usual = gaussian_blur(normal_map[None], sigma=sigma) + floor * normal_map.mean()
    return maps / usual
