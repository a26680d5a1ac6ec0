"""A detector as training leaves it: live, and with all that it rests on."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax import calibration
from vae_jax.detection.batches import HostImages
from vae_jax.detection.evidence import Evidence
from vae_jax.detection.explainer import Explainer, Images, Maps
from vae_jax.detection.methods import DEFAULT_METHOD, HostMaps, latent_maps, lookup
from vae_jax.export import Detector, save_detector

TOLERANCES = {"float32": 1e-5, "bfloat16": 1e-3}
"""Of exported against live maps. Compiled by itself, a program in bfloat16 rounds at
other places than as one of many."""


@dataclasses.dataclass(frozen=True, eq=False)  # of arrays == is no verdict
class FittedDetector(Detector):
    """Maps, scores and verdicts as those of a loaded detector, and the way to a file.

    Its `metadata` say "image" and "about" alone.
    """

    explainer: Explainer
    """The network, and the method that was chosen for it."""
    evidence: Evidence
    """Its variables, and what it knows of normal images."""
    held_out: HostImages
    """Normal images that had no part in training."""
    held_out_maps: HostMaps
    """Theirs, by which the detector is calibrated."""

    def save(self, path: str | Path) -> Detector:
        """Writes the detector as one file for `export.load_detector`; returns it.

        Raises:
            ValueError: the file's maps would not be the live ones.
            OSError: it cannot be written.
        """
        encoder = self.explainer.model.encoder
        dtype = jnp.dtype(getattr(encoder, "dtype", jnp.float32)).name
        return save_detector(
            Path(path).expanduser(),
            functools.partial(_maps, self.explainer),
            self.evidence,
            images=self.held_out,
            maps=self.held_out_maps,
            calibration=self.calibration,
            about=self.metadata["about"],
            tolerance=TOLERANCES.get(dtype, TOLERANCES["bfloat16"]),
        )

    def latent_maps(
        self, image: Float[np.ndarray, "height width channel"]
    ) -> tuple[Float[np.ndarray, "latent height width"], Float[np.ndarray, " latent"]]:
        """What each latent rests on in an image in [0, 1], and its KL in nats."""
        return latent_maps(self.explainer, self.evidence, image)


def make_detector(
    explainer: Explainer,
    evidence: Evidence,
    *,
    held_out: HostImages,
    held_out_maps: HostMaps,
    about: Mapping[str, Any],
    batch_size: int = 32,
) -> FittedDetector:
    """The detector of a trained network, calibrated on held-out normal images.

    Args:
        explainer: the network, and the method that it marks by.
        evidence: its variables and statistics.
        held_out: normal images that training has not seen.
        held_out_maps: their maps by the default method.
        about: what its users should know, as JSON: data, method, settings.
        batch_size: images that the device takes at a time.

    Raises:
        ValueError: there is no held-out image, or a map is not finite.
    """
    _, size, _, channels = held_out.shape
    return FittedDetector(
        metadata={
            "image": {"size": size, "channels": channels},
            "about": dict(about),
        },
        calibration=calibration.from_normal_maps(held_out_maps),
        batch_size=batch_size,
        program=functools.partial(_compiled_maps, explainer, evidence),
        explainer=explainer,
        evidence=evidence,
        held_out=held_out,
        held_out_maps=held_out_maps,
    )


def _compiled_maps(
    explainer: Explainer, evidence: Evidence, images: Float[np.ndarray, "..."]
) -> Array:
    # Accelerators multiply float32 in fewer bits unless they are told not to.
    with jax.default_matmul_precision("highest"):
        return _jitted_maps(explainer, evidence, jnp.asarray(images))


def _maps(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    return lookup(DEFAULT_METHOD).maps(explainer, evidence, images)


_jitted_maps = jax.jit(_maps, static_argnums=0)
