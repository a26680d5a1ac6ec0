"""What a result was made with, to be told beside it."""

import importlib.metadata
import platform

import jax

import vae_jax

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def versions() -> dict[str, str]:
    """The software, as far as it is installed, and the device that made a result."""
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        "vae-jax": vae_jax.__version__,
        **{name: version for name in _PACKAGES if (version := _version_of(name))},
        "device": f"{jax.device_count()} x {device.device_kind}",
        "machine": f"{platform.machine()} {platform.system()}",
    }


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
