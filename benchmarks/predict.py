"""How many images a second does an inspection do, beside one written in PyTorch?

python -m benchmarks.predict
python -m benchmarks.predict --side 512 --format jpg

End to end: read, decode, resize, forward pass, gradient map, enlarge, and write map,
mask and overlay at the size of the image. A turn is a whole folder. Both sides decode
and draw with the same functions, in as many threads or processes, and map with networks
of one shape with random parameters: what differs is the gradient of the network and how
the stages overlap. `map` is the device's part of it alone, from 8-bit images to maps.
"""

import argparse
import functools
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks import timing
from vae_jax import anomaly, attention, losses, models
from vae_jax.data.concurrency import thread_count
from vae_jax.inspection import stream
from vae_jax.inspection.marking import Marks, Scale
from vae_jax.inspection.plan import Plan, Thresholds

BLUR = 2.0
NOISE_SCALE = 0.1
SCALE = Scale(0.0, 1.0)
THRESHOLDS = Thresholds(0.5, 0.5)


class OurDetector:
    """Residual times gradient of the reconstruction error, smoothed; one batch size."""

    def __init__(self, network: models.VAE, *, batch_size: int):
        self.image_size, _, self.channels = network.image_shape
        self.batch_size = batch_size
        variables = models.init(network, key=jax.random.key(0))
        self.parameters = sum(x.size for x in jax.tree.leaves(variables["params"]))
        likelihood = functools.partial(
            losses.gaussian_log_likelihood, logvar=2 * math.log(NOISE_SCALE)
        )

        @jax.jit
        def maps(variables, images):
            images = images.astype(jnp.float32) / 255
            gradient = attention.tap_gradient(
                network,
                variables,
                images,
                tap="input",
                score=attention.reconstruction_error(likelihood),
            ).gradient
            noise = jnp.zeros((len(images), network.latents))
            output: Any = network.apply(variables, images, noise=noise)
            product = anomaly.residual_times_gradient(images - output.decoded, gradient)
            return anomaly.gaussian_blur(product, sigma=BLUR)

        shape = (batch_size, *network.image_shape)
        self._program, self.compile_seconds = timing.compiled(
            maps, variables, jax.ShapeDtypeStruct(shape, jnp.uint8)
        )
        self._variables = variables

    def maps(self, images: np.ndarray) -> np.ndarray:
        """Batches that are not full are filled up."""
        missing = self.batch_size - len(images)
        full = np.pad(images, [(0, missing), *[(0, 0)] * 3])
        return np.asarray(self._program(self._variables, full))[: len(images)]

    def scores(self, maps: np.ndarray) -> np.ndarray:
        """The highest value of each map."""
        return maps.max((1, 2))


def write_images(
    root: Path, count: int, *, side: int, channels: int, kind: str
) -> list[str]:
    """Smooth noise with some grain, which compresses as photographs do."""
    rng = np.random.default_rng(0)
    names = []
    for index in range(count):
        coarse = rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        grain = rng.integers(-4, 5, (side, side, 3))
        pixels = np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8)
        image = Image.fromarray(pixels).convert("RGB" if channels == 3 else "L")
        names.append(f"{index:04}.{kind}")
        image.save(root / names[-1])
    return names


def our_turns(
    detector: OurDetector, root: Path, marks: Marks, names: Sequence[str]
) -> dict[str, Callable[[], Any]]:
    """The whole folder, and the maps of one batch alone."""
    plan = Plan(detector, root, THRESHOLDS, marks)
    shape = detector.batch_size, detector.image_size, detector.image_size
    views = np.zeros((*shape, detector.channels), np.uint8)

    def whole() -> None:
        found = list(stream.look_at(plan, names))
        assert all(isinstance(each, stream.Inspected) for each in found)

    return {"ours": whole, "ours_map": lambda: detector.maps(views)}


def torch_turns(
    detector: OurDetector, root: Path, marks: Marks, names: Sequence[str]
) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """The same in PyTorch, and how it is run."""
    import torch

    from benchmarks import torch_device, torch_predict
    from benchmarks.torch_networks import small_vae

    device = torch_device.match_jax()
    size, channels = detector.image_size, detector.channels
    network = small_vae(image_size=size, channels=channels)
    parameters = sum(each.numel() for each in network.parameters())
    assert parameters == detector.parameters, (parameters, detector.parameters)
    maps = torch_predict.Maps(network, blur=BLUR, device=device)
    batches = torch_predict.loader(
        torch_predict.Folder(root, names, size=size, channels=channels),
        batch_size=detector.batch_size,
        workers=thread_count(),
    )
    views = [torch.zeros((size, size, channels), dtype=torch.uint8)]
    views *= detector.batch_size
    turns = {
        "torch": lambda: torch_predict.predict(
            batches, maps, marks, threshold=THRESHOLDS.pixel
        ),
        "torch_map": lambda: maps(views),
    }
    return turns, torch_device.settings()


def main(argv: Sequence[str] | None = None) -> None:
    """Measures by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=64, help="in the folder")
    parser.add_argument("--side", type=int, default=1024, help="of an image")
    parser.add_argument("--format", choices=("png", "jpg", "bmp"), default="png")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    parser.add_argument("--image-size", type=int, default=128, help="of the network")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)

    network = models.small_vae(image_size=args.image_size, image_channels=args.channels)
    detector = OurDetector(network, batch_size=args.batch_size)
    packages, torch_settings = ["jax", "jaxlib", "flax", "pillow"], None
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "in")
        root.mkdir()
        names = write_images(
            root, args.images, side=args.side, channels=args.channels, kind=args.format
        )
        marks = Marks(Path(scratch, "out"), SCALE, SCALE)
        turns = our_turns(detector, root, marks, names)
        if timing.torch_is_installed():
            theirs, torch_settings = torch_turns(detector, root, marks, names)
            turns |= theirs
            packages.append("torch")
        seconds = timing.by_turns(turns, repeats=args.repeats)
    per_turn = {"": args.images, "_map": args.batch_size}
    result = {
        **vars(args),
        "parameters": detector.parameters,
        "threads": thread_count(),
        "torch": torch_settings,
        "compile_seconds": detector.compile_seconds,
        "images_per_second": {
            f"{side}{part}": timing.rate(seconds[f"{side}{part}"], images)
            for side in ("ours", "torch")
            for part, images in per_turn.items()
            if side in seconds
        },
    }
    if "torch" in seconds:
        result["torch_over_ours"] = timing.ratio(seconds["torch"], seconds["ours"])
        result["torch_map_over_ours_map"] = timing.ratio(
            seconds["torch_map"], seconds["ours_map"]
        )
    timing.print_result("predict", result, packages=packages)


if __name__ == "__main__":
    main()
