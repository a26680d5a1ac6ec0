"""Normal images in, a detector out that marks what is not normal and explains it."""

import hashlib
import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

from vae_jax import train
from vae_jax.data import images as pictures
from vae_jax.data.augment import NONE, Augmentation
from vae_jax.data.category import ImageSource, load_category, validation_split
from vae_jax.data.layout import find_categories
from vae_jax.detection.batches import HostImages
from vae_jax.detection.choice import artificial_defects, choose
from vae_jax.detection.detector import FittedDetector, make_detector
from vae_jax.detection.evidence import gather_evidence
from vae_jax.detection.explainer import Explainer, Variables, require_taps
from vae_jax.detection.methods import DEFAULT_METHOD, make_maps
from vae_jax.detection.networks import Likelihood, Network, build_explainer
from vae_jax.detection.training import SELECTED_BY, train_vae
from vae_jax.software import versions

NativeImages = Shaped[np.ndarray, "..."]


def fit(
    images: NativeImages | str | Path,
    *,
    image_size: int = 64,
    network: Network = "small",
    latents: int = 64,
    likelihood: Likelihood = "gaussian",
    tap: str = "conv2",
    blur: float = 2.0,
    epochs: int = 120,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    clip_norm: float | None = 5e3,
    beta: float = 1.0,
    augmentation: Augmentation = NONE,
    validation_share: float = 0.1,
    seed: int = 0,
    workdir: str | Path | None = None,
    cache_dir: str | Path = "~/.cache/vae_jax",
    progress: bool = True,
) -> FittedDetector:
    """Trains a VAE on normal images; returns a detector of what is not like them.

    No image with a defect is needed: of four maps the one is taken that finds
    artificial defects on held-out normal images best, and thresholds come from these.

    Args:
        images: normal images, 8-bit, gray (1 channel) or RGB (3), all of one size; or a
            folder of them, of any sizes and depths, laid out as `data.layout` says.
        image_size: side in pixels to which they are resized, whatever their aspect.
        network: see `build_explainer`.
        latents: dimensions of the latent space.
        likelihood: of a pixel given its reconstruction.
        tap: the encoder activation that attention explains.
        blur: smoothing of residuals and input gradients, in pixels.
        epochs: passes over the training images.
        batch_size: images in a step, over all devices.
        learning_rate: peak of Adam's step size.
        clip_norm: gradient norm, in nats of an image, above which it is scaled down.
        beta: weight of the KL.
        augmentation: what leaves an image normal, as `augment.Augmentation(
            mirror_horizontally=True)`; nothing is assumed.
        validation_share: of the images, held out for choice and thresholds.
        seed: of initial values, noise, order, augmentation and the images held out.
        workdir: folder for checkpoints and logs, from which a killed call continues;
            None writes nothing.
        cache_dir: where a folder of images is kept prepared for reading.
        progress: whether steps are told on stderr.

    Raises:
        ValueError: images that are not what they should be, or settings that do not
            fit them or one another.
        FloatingPointError: training diverged.
    """
    _require_numbers(
        {"image_size": image_size, "latents": latents, "epochs": epochs}, least=1
    )
    _require_numbers({"blur": blur, "beta": beta, "seed": seed}, least=0)
    _require_numbers({"learning_rate": learning_rate, "clip_norm": clip_norm})
    train.check_batch_size(batch_size, train.data_mesh())
    built = {
        "network": network,
        "image_size": image_size,
        "latents": latents,
        "likelihood": likelihood,
        "tap": tap,
        "blur": blur,
        **_NETWORK,
    }
    # Before a folder is converted: its taps do not depend on colour.
    require_taps(build_explainer(**built, channels=1), [tap])
    prepared = (
        _from_folder(images, image_size, validation_share, seed, cache_dir)
        if isinstance(images, str | Path)
        else _from_array(images, image_size, validation_share, seed)
    )
    explainer = build_explainer(**built, channels=prepared.held_out.shape[-1])
    trained = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "clip_norm": clip_norm,
        "beta": beta,
        "seed": seed,
        **_TRAINING,
    }
    told = built | trained | {"augmentation": repr(augmentation)}
    variables = train_vae(
        explainer,
        prepared.normal,
        prepared.held_out,
        **trained,
        augmentation=augmentation,
        checkpoints=_checkpoints(workdir, told, prepared),
        progress=progress,
    )
    return _finish(explainer, variables, prepared, told)


_NETWORK: dict[str, Any] = {"width": 16, "noise_scale": 0.1}
_TRAINING: dict[str, Any] = {"warmup_steps": 50, "ema_decay": 0.99, "evaluations": 10}
"""What `fit` asks nobody for; those who go the steps themselves may choose."""


def _require_numbers(numbers: dict[str, Any], *, least: int | None = None) -> None:
    """Raises ValueError for what is below `least`, or without one not positive."""
    for name, value in numbers.items():
        low = value is not None and (value <= 0 if least is None else value < least)
        if value is not None and (low or not math.isfinite(value)):
            wanted = "positive" if least is None else f"at least {least}"
            raise ValueError(f"fit: {name} must be {wanted}, got {value}.")


class _Prepared(NamedTuple):
    """Normal images at the network's size."""

    normal: ImageSource
    held_out: HostImages
    about: dict[str, Any]


def _from_folder(
    folder: str | Path, size: int, share: float, seed: int, cache_dir: str | Path
) -> _Prepared:
    names = find_categories(folder)
    if len(names) != 1:
        raise ValueError(
            f"fit: {folder} holds several sets of normal images, {', '.join(names)}; "
            "give the folder of one of them."
        )
    data = load_category(
        folder,
        names[0],
        prepared_dir=Path(cache_dir).expanduser() / "prepared",
        size=size,
        seed=seed,
        validation_share=share,
    )
    for note in data.notes:
        warnings.warn(f"fit: {folder}: {note}", stacklevel=3)
    about = _about(data.train, data.validation, data.sha256, data.native_size)
    return _Prepared(data.train, data.validation, about | {"bits": data.bits})


def _from_array(images: np.ndarray, size: int, share: float, seed: int) -> _Prepared:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            "fit: images must be uint8 of shape [image height width channel] with 1 or "
            f"3 channels, got {images.dtype} of shape {list(images.shape)}; scale "
            "[0, 1] by 255 and round, and move or add the channel axis."
        )
    names = [f"image {number}" for number in range(len(images))]
    kept, held_out = validation_split(names, share=share, seed=seed)
    resized = np.stack(
        [
            pictures.resize(image, size, name=name)
            for image, name in zip(images, names, strict=True)
        ]
    )
    digest = hashlib.sha256(repr(images.shape).encode())
    digest.update(np.ascontiguousarray(images).data)
    _, height, width, _ = images.shape
    about = _about(kept, held_out, digest.hexdigest(), (height, width))
    return _Prepared(resized[kept], resized[held_out], about)


def _about(normal: Any, held_out: Any, sha256: str, native_size: Any) -> dict[str, Any]:
    return {
        "sha256": sha256,
        "train_images": len(normal),
        "validation_images": len(held_out),
        "native_size": native_size,
    }


def _checkpoints(
    workdir: str | Path | None, told: dict[str, Any], prepared: _Prepared
) -> train.Checkpoints | None:
    if workdir is None:
        return None
    return train.Checkpoints(
        Path(workdir).expanduser(),
        config={"settings": told, "data": prepared.about},
        may_change=["settings.tap", "settings.blur"],
        best_by=SELECTED_BY,
    )


def _finish(
    explainer: Explainer, variables: Variables, prepared: _Prepared, told: dict
) -> FittedDetector:
    """From a trained network to a detector that has chosen its map."""
    evidence = gather_evidence(explainer, variables, prepared.normal)
    pasted = artificial_defects(prepared.held_out, seed=told["seed"])
    explainer = choose(explainer, evidence, pasted)
    maps = make_maps([DEFAULT_METHOD], explainer, evidence, prepared.held_out)
    return make_detector(
        explainer,
        evidence,
        held_out=prepared.held_out,
        held_out_maps=maps[DEFAULT_METHOD],
        about={
            "method": explainer.choice,
            "tap": explainer.tap,
            "settings": told,
            "data": prepared.about,
            "versions": versions(),
        },
    )
