"""How sharp reconstructions and samples are, and how near to the images."""

from collections.abc import Mapping
from typing import Any, cast

import jax
import numpy as np
from jaxtyping import Array, Float

from experiments.reconstruction.methods import Images, Method
from vae_jax import losses, models
from vae_jax.metrics import sharpness

COLUMNS = {
    "method": "trained by",
    "sharpness": "sharpness",
    "slope": "spectral slope",
    "sample_sharpness": "sharpness of samples",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "rate": "rate, nats",
}
NOTES = (
    "Reconstructions are decoded posterior means. Sharpness: mean variance of the "
    "Laplacian, over that of the images; 1 is as sharp as they are, more is noise or "
    "edges that they do not have.",
    "Spectral slope: exponent by which power falls with frequency; below the images' "
    "own, detail is missing.",
    "SSIM with the constants of Wang et al. 2004; MS-SSIM with as many scales as fit.",
    "Rate: KL of the posterior to the prior. Only likelihoods weigh it by what bits "
    "cost; the weights of SSIM and of perceptual distance were set by hand.",
    "Perceptual distance by random features is not that of a trained network: "
    "--features names a file of ResNet-18's weights.",
)


def measure(
    method: Method, variables: Mapping[str, Any], images: Images, *, noise: Array
) -> tuple[dict[str, float], Images, Images]:
    """Figures of a method, the reconstructions, and images decoded from `noise`."""
    (mean, logvar), reconstructions, samples = jax.jit(_pass, static_argnums=0)(
        method, variables, images, noise
    )
    scales = losses.scales_of(*images.shape[1:3])
    similarity = losses.ssim_loss(images, reconstructions, c1=0.01**2, c2=0.03**2)
    figures = {
        "sharpness": sharpness.relative_sharpness(reconstructions, images),
        "slope": sharpness.spectral_slope(reconstructions).mean(),
        "sample_sharpness": sharpness.relative_sharpness(samples, images),
        "psnr": sharpness.psnr(images, reconstructions).mean(),
        "ssim": 1 - similarity.mean(),
        "ms_ssim": losses.ms_ssim(images, reconstructions, scales=scales).mean(),
        "rate": losses.gaussian_kl(mean, logvar).sum(-1).mean(),
    }
    return {k: float(v) for k, v in figures.items()}, reconstructions, samples


def of_images(images: Images) -> dict[str, float]:
    """The row that the others are compared with."""
    return {
        "sharpness": 1.0,
        "slope": float(sharpness.spectral_slope(images).mean()),
        "sample_sharpness": 1.0,
    }


def _pass(
    method: Method, variables: Mapping[str, Any], images: Images, noise: Array
) -> tuple[models.Posterior, Images, Images]:
    model = method.model
    encoded = model.apply(variables, images, method="encode")
    posterior = cast(models.Posterior, encoded)

    def draw(latents: Float[Array, "batch latent"]) -> Images:
        decoded = model.apply(variables, latents, method="decode")
        return method.as_images(cast(Array, decoded))

    return posterior, draw(posterior.mean), draw(noise)


def over_seeds(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Means, and of several seeds the deviation of the sharpness (n - 1)."""
    found: dict[str, Any] = {
        key: float(np.mean([row[key] for row in rows])) for key in rows[0]
    }
    if len(rows) > 1:
        deviation = np.std([row["sharpness"] for row in rows], ddof=1)
        found["sharpness_std"] = float(deviation)
    return found
