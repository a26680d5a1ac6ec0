import subprocess
import sys
from pathlib import Path

import pytest

import vae_jax

HEAVY = ("flax", "optax", "orbax", "grain", "tensorflow_datasets", "chex", "matplotlib")


def modules_loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `statement`."""
    report = "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    finished = subprocess.run(
        [sys.executable, "-c", statement + report],
        cwd=Path(vae_jax.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(finished.stdout.split())


@pytest.mark.parametrize(
    "statement", ["from vae_jax import losses", "from vae_jax import distributions"]
)
def test_losses_and_distributions_load_nothing_but_jax(statement):
    loaded = modules_loaded_by(statement)
    assert {"vae_jax", "jax"} <= loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_package_itself_costs_nothing():
    loaded = modules_loaded_by("import vae_jax")
    assert "vae_jax" in loaded
    assert loaded.isdisjoint({"jax", "numpy", *HEAVY})
