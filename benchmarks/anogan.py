"""How long does AnoGAN's latent search take, ours and PyTorch's, on the same device?

python -m benchmarks.anogan
python -m benchmarks.anogan --image-size 64 --width 16 --batch-size 64

One DCGAN with one set of weights, some steps of the search for each image (300 in
earnest, of which each takes as long as the next):

    ours              all images at once
    torch             all images at once
    torch_one_by_one  an image after the other, as public code does

The ratios are PyTorch's time over ours, above 1 where ours is faster. What both find
is compared too: the largest difference in any latent.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from vae_jax import train
from vae_jax.baselines import anogan, dcgan

SEARCH = {"learning_rate": 0.02, "feature_weight": 0.1}


def drawing_gan(
    *, image_size: int, channels: int, width: int
) -> tuple[dcgan.DCGAN, dcgan.Variables]:
    """A GAN that was not trained, with kernels so large that it draws something."""
    gan = dcgan.dcgan(image_size=image_size, channels=channels, latents=64, width=width)
    params, state = jax.jit(lambda key: dcgan.init(gan, key=key))(jax.random.key(0))
    params = jax.tree.map(lambda x: 3 * x, params)
    return gan, {name: {"params": params[name], **state[name]} for name in params}


class OurSearch(NamedTuple):
    """The search for the nearest latents, and what it is made of."""

    run: Callable[[], jax.Array]
    """Returns the latents once the device has found them."""
    gan: dcgan.DCGAN
    variables: dcgan.Variables
    images: np.ndarray
    start: jax.Array


def our_search(
    *, image_size: int, channels: int, width: int, batch_size: int, steps: int
) -> OurSearch:
    """For random images, all at once."""
    gan, variables = drawing_gan(image_size=image_size, channels=channels, width=width)
    shape = (batch_size, *gan.generator.image_shape)
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    start = jax.random.normal(jax.random.key(1), (gan.latents,))

    def run():
        found = anogan.find_latents(
            gan, variables, jnp.asarray(images), start=start, steps=steps, **SEARCH
        )
        return jax.block_until_ready(found)

    return OurSearch(run, gan, variables, images, start)


def torch_searches(
    variables: dcgan.Variables,
    images: np.ndarray,
    start: np.ndarray,
    *,
    device: str,
    steps: int,
) -> dict[str, Callable[[], Any]]:
    """PyTorch's ways to the latents, which they return."""
    import torch

    from benchmarks import torch_device
    from benchmarks.torch_dcgan import TorchDCGAN

    network = TorchDCGAN(jax.device_get(variables)).to(device)
    pixels = torch.tensor(images).permute(0, 3, 1, 2).contiguous().to(device)
    begin = torch.tensor(start).to(device)

    def search(some: torch.Tensor) -> torch.Tensor:
        return network.find_latents(some, start=begin, steps=steps, **SEARCH)

    def all_at_once():
        found = search(pixels)
        torch_device.wait(device)
        return found.cpu().numpy()

    def one_by_one():
        found = torch.cat([search(image[None]) for image in pixels])
        torch_device.wait(device)
        return found.cpu().numpy()

    return {"torch": all_at_once, "torch_one_by_one": one_by_one}


def main(argv: Sequence[str] | None = None) -> None:
    """Measures all by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    train.keep_freed_memory()

    ours = our_search(
        image_size=args.image_size,
        channels=args.channels,
        width=args.width,
        batch_size=args.batch_size,
        steps=args.steps,
    )
    packages, torch_settings, theirs = ["jax", "jaxlib", "flax", "optax"], None, {}
    if timing.torch_is_installed():
        from benchmarks import torch_device

        theirs = torch_searches(
            ours.variables,
            ours.images,
            np.asarray(ours.start),
            device=torch_device.match_jax(),
            steps=args.steps,
        )
        packages.append("torch")
        torch_settings = torch_device.settings()

    seconds = timing.by_turns({"ours": ours.run} | theirs, repeats=args.repeats)
    found = np.asarray(ours.run())
    result = {
        **vars(args),
        "torch": torch_settings,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
        "ratios": {
            f"{name}_over_ours": timing.ratio(seconds[name], seconds["ours"])
            for name in theirs
        },
        "largest_difference": {
            name: float(np.abs(search() - found).max())
            for name, search in theirs.items()
        },
    }
    timing.print_result("anogan", result, packages=packages)


if __name__ == "__main__":
    main()
