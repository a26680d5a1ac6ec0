"""What do the attention maps of all latents cost, beside one forward pass?

python benchmarks/attention_maps.py [--batch-size 128] [--repeats 5]

The authors' MNIST network with 32 latents. Each way is timed in turn, round after
round, so that a busy machine slows all alike; read the ratios of the medians. Ours, on
the channels of the last rectifier (a dense layer follows) and on the convolution before
it, where the general path is needed; the usual loop with one backward pass for each
latent, in JAX and, where it is installed, in PyTorch. One line of JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.attention import (
    Rule,
    attention_maps,
    latents,
    sum_of_latents,
    tap_gradient,
)
from vae_jax.attention.rules import PAPER, channel_weights, combine
from vae_jax.models import init, mnist_vae

QUESTION = "What do the maps of all latents cost, beside one forward pass?"


def jax_ways(images: jax.Array) -> dict[str, Callable]:
    """Compiled functions without arguments, each returning when its result is there."""
    model = mnist_vae()
    variables = init(model, key=jax.random.key(0))

    def maps(tap, score, rule=PAPER):
        return lambda v, x: attention_maps(model, v, x, tap=tap, score=score, rule=rule)

    def map_of_latent(v, x, k):
        def score(vae, images, noise):
            return jnp.take(latents(vae, images, noise), k, axis=1)

        activation, gradient = tap_gradient(model, v, x, tap="relu2", score=score)
        return combine(PAPER, channel_weights(PAPER, gradient), activation, (28, 28))

    functions = {
        "forward": lambda v, x: model.apply(v, x, None, method=latents),
        "maps_by_channel": maps("relu2", latents),
        "maps_general": maps("relu2", latents, Rule(grad_norm="rms_image")),
        "score_map": maps("relu2", sum_of_latents),
        "score_map_general": maps("conv2", sum_of_latents),
    }
    ways = {
        name: waiting(
            jax.jit(function).lower(variables, images).compile(), variables, images
        )
        for name, function in functions.items()
    }
    one = jax.jit(map_of_latent).lower(variables, images, 0).compile()
    ways["loop"] = lambda: [
        jax.block_until_ready(one(variables, images, k)) for k in range(32)
    ]
    return ways


def waiting(compiled: Callable, *arguments) -> Callable:
    """Binds the arguments, and waits for the device."""
    return lambda: jax.block_until_ready(compiled(*arguments))


def torch_ways(images: np.ndarray) -> dict[str, Callable]:
    """The same in PyTorch: a forward pass, and a backward pass for each latent."""
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    features = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1), nn.ReLU(), nn.Conv2d(64, 128, 4, 2, 1), nn.ReLU()
    ).to(device)
    tail = nn.Sequential(
        nn.Flatten(), nn.Linear(6272, 1024), nn.ReLU(), nn.Linear(1024, 32)
    ).to(device)

    def wait(result):
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    def forward():
        with torch.no_grad():
            return wait(tail(features(pixels)))

    def loop():
        activation = features(pixels).detach().requires_grad_()
        means = tail(activation)
        maps = []
        for k in range(32):
            (gradient,) = torch.autograd.grad(
                means[:, k].sum(), activation, retain_graph=True
            )
            weighted = (gradient.mean((2, 3), keepdim=True) * activation).sum(
                1, keepdim=True
            )
            maps.append(
                nn.functional.interpolate(weighted.relu(), (28, 28), mode="bilinear")
            )
        return wait(maps)

    return {"torch_forward": forward, "torch_loop": loop}


def seconds(ways: dict[str, Callable], repeats: int) -> dict[str, list[float]]:
    """Wall-clock of each way, in rounds; the first round warms up and is dropped."""
    times = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    return {name: values[1:] for name, values in times.items()}


def main() -> None:
    """Prints medians, spread and ratios."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    images = np.random.default_rng(0).random(
        (arguments.batch_size, 28, 28, 1), np.float32
    )
    ways = jax_ways(jnp.asarray(images))
    try:
        ways |= torch_ways(images)
    except ImportError:
        print("PyTorch is not installed: JAX alone.")
    times = seconds(ways, arguments.repeats)
    median = {name: statistics.median(values) for name, values in times.items()}
    ours = median["maps_by_channel"]
    print(
        json.dumps(
            {
                "question": QUESTION,
                "device": jax.devices()[0].device_kind,
                "batch_size": arguments.batch_size,
                "median_ms": {k: round(1e3 * v, 2) for k, v in median.items()},
                "range_ms": {
                    k: [round(1e3 * min(v), 2), round(1e3 * max(v), 2)]
                    for k, v in times.items()
                },
                "times_maps_by_channel": {
                    k: round(v / ours, 2) for k, v in median.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()
