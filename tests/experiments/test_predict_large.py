"""What `experiments.predict` promises of many images and of large ones."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax import models
from vae_jax.calibration import from_normal_maps
from vae_jax.export import save_detector

GIB = 2**30
AS_A_USER = {
    name: value
    for name, value in os.environ.items()
    if name not in ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
}


def write_artifact(path: Path, function, weights, *, size: int) -> Path:
    """A detector in colour, calibrated on noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, size, size, 3), dtype=np.uint8)
    maps = np.asarray(jax.jit(function)(weights, images / np.float32(255)))
    save_detector(
        path,
        function,
        weights,
        images=images,
        maps=maps,
        calibration=from_normal_maps(maps),
        about={},
    )
    return path


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The residual of a VAE that is not trained."""
    network = models.small_vae(image_size=128, image_channels=3, latents=16)
    variables = models.init(network, key=jax.random.key(0))

    def maps_of(variables, images):
        noise = jnp.zeros((len(images), 16))
        decoded = network.apply(variables, images, noise=noise).decoded
        return jnp.abs(images - decoded).mean(-1)

    path = tmp_path_factory.mktemp("run") / "detector.zip"
    return write_artifact(path, maps_of, variables, size=128)


BETWEEN = """
import resource, subprocess, sys
status = subprocess.run([sys.executable, "-m", "experiments.predict", *sys.argv[1:]])
print(status.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""
"""A process counts the memory of the one that started it as its own, and that of these
tests may be large: so a small one stands between."""


def predict(*args: str) -> tuple[int, str, int]:
    """Exit status, what was said, and the most memory in bytes, of a process."""
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, *args],
        env=AS_A_USER,
        capture_output=True,
        text=True,
    )
    status, most = map(int, done.stdout.split()[-2:])
    return status, done.stderr, most


KINDS = [
    ("png", "L"),
    ("png", "RGB"),
    ("png", "RGBA"),
    ("png", "P"),
    ("png", "1"),
    ("png", "I;16"),
    ("jpg", "RGB"),
    ("jpg", "CMYK"),
    ("jpg", "L"),
    ("tif", "RGB"),
    ("tif", "I;16"),
    ("tif", "F"),
    ("bmp", "RGB"),
    ("webp", "RGB"),
    ("gif", "P"),
]


def write_mixed(root: Path, count: int, *, sides: tuple[int, int]) -> list[str]:
    """Images of every kind and many sizes, some on their side, in three folders."""
    rng = np.random.default_rng(0)
    names = []
    for index in range(count):
        suffix, mode = KINDS[index % len(KINDS)]
        height, width = rng.integers(*sides, size=2)
        small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        gray = np.asarray(image.convert("L"))
        if mode == "I;16":
            image = Image.fromarray(gray.astype(np.uint16) * 257)
        elif mode == "F":
            image = Image.fromarray(gray / np.float32(255))
        else:
            image = image.convert(mode)
        options = {}
        if suffix == "jpg" and index % 4 == 0:
            options["exif"] = Image.Exif()
            options["exif"][0x0112] = 1 + index % 8
        name = f"line {index % 3}/{index:04}.{suffix}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(root / name, **options)
        names.append(name)
    return names


def spoil(root: Path, names: list[str]) -> None:
    """Truncated, empty, text, garbage, without pixels, too small, gone; in turn."""
    for index, name in enumerate(names):
        path = root / name
        whole = path.read_bytes()
        match index % 7:
            case 0:
                path.write_bytes(whole[: len(whole) // 2])
            case 1:
                path.write_bytes(b"")
            case 2:
                path.write_text("This is no image.\n" * 40)
            case 3:
                garbage = np.random.default_rng(index).integers(0, 256, 999)
                path.write_bytes(garbage.astype(np.uint8).tobytes())
            case 4:
                path.write_bytes(b"P5 0 0 255\n")
            case 5:
                Image.new("L", (3, 3)).save(path, format="png")
            case 6:
                path.unlink()
                path.symlink_to(root / "nowhere")


def check_mixed(artifact: Path, tmp_path: Path, *, count: int, broken: int, sides):
    root, out = tmp_path / "in", tmp_path / "out"
    names = write_mixed(root, count, sides=sides)
    spoilt = names[:: count // broken][:broken]
    spoil(root, spoilt)
    args = ["--checkpoint", artifact, "--images", root, "--recursive", "--out", out]
    status, said, most = predict(*map(str, args))
    assert status == 3, said
    with (out / "results.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert list(rows) == sorted(names)
    assert {name for name, row in rows.items() if row["error"]} == set(spoilt)
    lines = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert len(lines) == broken
    assert all(any(name in line for line in lines) for name in spoilt)
    assert "Traceback" not in said
    counts = json.loads((out / "results.json").read_text())["counts"]
    assert counts["failed"] == broken
    assert counts["normal"] + counts["anomalous"] == count - broken
    for kind in ("maps", "masks", "overlays"):
        files = {
            str(path.relative_to(out / kind)) for path in (out / kind).rglob("*.png")
        }
        assert files == {f"{name}.png" for name in names if name not in spoilt}
    return most


def test_nothing_is_lost_of_60_mixed_images(tmp_path):
    artifact = write_artifact(
        tmp_path / "detector.zip", lambda w, x: w * x.mean(-1), np.ones(()), size=64
    )
    check_mixed(artifact, tmp_path, count=60, broken=7, sides=(40, 120))


@pytest.mark.slow
def test_nothing_is_lost_of_1000_mixed_images(artifact, tmp_path):
    most = check_mixed(artifact, tmp_path, count=1000, broken=20, sides=(64, 600))
    assert most < 2 * GIB


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--tile", "1024"]], ids=["whole", "tiles"])
def test_large_images_take_less_than_2_gib(artifact, tmp_path, flags):
    """Three in a row, so that reading one overlaps with writing another."""
    rng = np.random.default_rng(0)
    root = tmp_path / "in"
    root.mkdir()
    small = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((8000, 6000), Image.Resampling.BILINEAR)
    for name in ("a.png", "b.jpg", "c.tif"):
        large.save(root / name)
    args = ["--checkpoint", artifact, "--images", root, "--out", tmp_path / "out"]
    status, said, most = predict(*map(str, args), *flags)
    assert status == 0, said
    assert most < 2 * GIB, f"{most / GIB:.2f} GiB"
    with Image.open(tmp_path / "out" / "maps" / "a.png.png") as written:
        assert written.size == (8000, 6000)
    print(f"{most / GIB:.2f} GiB")
