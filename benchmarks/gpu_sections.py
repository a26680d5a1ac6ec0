"""What `benchmarks.gpu` measures: each function is a section, its result plain figures.

Imports of what a section alone needs are in it: one that cannot be had fails alone.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import attention_maps, card, dsprites, timing, train_step
from vae_jax import factor_images, models

Figures = dict[str, Any]


def training(
    network: str,
    *,
    dtype: str,
    image_size: int,
    batch_size: int,
    calls: int,
    repeats: int,
) -> Figures:
    """An update: its seconds, the FLOP/s achieved, and the memory of the program."""
    model = train_step.build_network(network, image_size=image_size, dtype=dtype)
    step = train_step.our_step(model, random_images(model, batch_size), calls=calls)
    seconds = timing.by_turns({"calls": step.run}, repeats=repeats)["calls"]
    per_update = [each / calls for each in seconds]
    return {
        "batch_size": batch_size,
        "image_shape": model.image_shape,
        "parameters": step.parameters,
        "compile_seconds": step.compile_seconds,
        "seconds": timing.spread(per_update),
        "images_per_second": timing.rate(per_update, batch_size),
        "achieved": card.achieved(step.flops, per_update, dtype),
        "program_bytes": step.program_bytes,
    }


def maps(*, dtype: str, batch_size: int, repeats: int) -> Figures:
    """Maps of all latents at two taps, beside a forward pass and the loop over them."""
    latents = attention_maps.LATENTS
    model = models.mnist_vae(latents=latents, dtype=jnp.dtype(dtype))
    images = jnp.asarray(random_images(model, batch_size))
    ways, compile_seconds = attention_maps.our_ways(model, images)
    seconds = timing.by_turns(ways, repeats=repeats)
    return {
        "batch_size": batch_size,
        "latents": latents,
        "compile_seconds": compile_seconds,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
        "ratios": attention_maps.ratios(seconds),
    }


def many_runs(
    kind: str,
    *,
    runs: tuple[int, ...],
    strides: tuple[int, int, int, int, int],
    batch_size: int,
    width: int,
    steps: int,
    repeats: int,
) -> Figures:
    """`steps` of so many runs in one program, and how many times one run's steps.

    `kind` is "vae" or "factor_vae", whose discriminator has layers of this width.
    """
    images = factor_images.procedural_dsprites(strides)
    discriminator = None if kind == "vae" else models.Discriminator(width=width)
    ways, compile_seconds = {}, {}
    for number in runs:
        ways[f"{number}"], compile_seconds[f"{number}"], _ = dsprites.our_steps(
            images, discriminator, runs=number, steps=steps, batch_size=batch_size
        )
    seconds = timing.by_turns(ways, repeats=repeats)
    each = {n: [t / (steps * int(n)) for t in times] for n, times in seconds.items()}
    first = each[f"{runs[0]}"]
    return {
        "batch_size": batch_size,
        "steps": steps,
        "compile_seconds": compile_seconds,
        "seconds": {n: timing.spread(times) for n, times in seconds.items()},
        "run_steps_per_second": {n: timing.rate(times, 1) for n, times in each.items()},
        f"over_{runs[0]}": {n: timing.ratio(first, times) for n, times in each.items()},
    }


def latent_search(
    *, image_size: int, width: int, batch_size: int, steps: int, repeats: int
) -> Figures:
    """Some steps of AnoGAN's search for all images at once, of 300 in earnest."""
    from benchmarks import anogan

    search = anogan.our_search(
        image_size=image_size,
        channels=3,
        width=width,
        batch_size=batch_size,
        steps=steps,
    ).run
    first_seconds = timing.seconds_of(search)
    seconds = timing.by_turns({"search": search}, repeats=repeats)["search"]
    return {
        "image_size": image_size,
        "batch_size": batch_size,
        "steps": steps,
        "first_seconds": first_seconds,
        "seconds": timing.spread(seconds),
        "image_steps_per_second": timing.rate(seconds, batch_size * steps),
    }


def random_images(model: models.VAE, number: int) -> np.ndarray:
    """[number height width channel] of the model's shape."""
    shape = (number, *model.image_shape)
    return np.random.default_rng(0).random(shape, dtype=np.float32)
