"""What do the attention maps of all latents cost, beside one forward pass?

python -m benchmarks.attention_maps
python -m benchmarks.attention_maps --batch-size 16 --dtype bfloat16

The authors' MNIST network with 32 latents, from images to maps of their size:

    forward      the means of the latents, without a map
    maps_relu2   32 maps at the last rectifier, which a dense layer follows: fast path
    maps_conv2   32 maps at the convolution before it: general path
    loop_relu2   the usual way to the first: one forward pass, 32 backward passes
    score_conv2  one map, of the sum of the latents

and the same in PyTorch, where it is installed, all but the two of `vae_jax` alone.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from vae_jax.attention import PAPER, attention_maps, latents, sum_of_latents
from vae_jax.attention.rules import channel_weights, combine
from vae_jax.models import VAE, init, mnist_vae

LATENTS = 32
RATIOS = [
    ("maps_relu2", "forward"),
    ("maps_conv2", "forward"),
    ("loop_relu2", "maps_relu2"),
    ("loop_relu2", "maps_conv2"),
    ("torch_loop_relu2", "maps_relu2"),
    ("torch_loop_relu2", "maps_conv2"),
    ("torch_score_conv2", "score_conv2"),
    ("torch_forward", "forward"),
]
Ways = dict[str, Callable[[], Any]]


def our_ways(model: VAE, images: jax.Array) -> tuple[Ways, dict[str, float]]:
    """Functions that return when the device is done, and seconds to compile each."""
    variables = init(model, key=jax.random.key(0))

    def maps(tap, score):
        return lambda v, x: attention_maps(model, v, x, tap=tap, score=score)

    functions = {
        "forward": lambda v, x: model.apply(v, x, None, method=latents),
        "maps_relu2": maps("relu2", latents),
        "maps_conv2": maps("conv2", latents),
        "score_conv2": maps("conv2", sum_of_latents),
    }
    ways, seconds = {}, {}
    for name, function in functions.items():
        program, seconds[name] = timing.compiled(jax.jit(function), variables, images)
        ways[name] = _waiting(program, variables, images)
    ways["loop_relu2"], seconds["loop_relu2"] = our_loop(model, variables, images)
    return ways, seconds


def _waiting(program: Callable, *arguments: Any) -> Callable[[], Any]:
    return lambda: jax.block_until_ready(program(*arguments))


def our_loop(model: VAE, variables: dict[str, Any], images: jax.Array):
    """A backward pass for each latent, as one would write it; seconds to compile."""
    _, height, width, _ = images.shape
    activation = (len(images), height // 4, width // 4, 128)
    change = jnp.zeros(activation, model.encoder.dtype)

    @jax.jit
    def forward(variables, images):
        def run(change):
            others = {"conv1": 0.0, "relu1": 0.0, "conv2": 0.0}
            marked = {"encoder": {**others, "relu2": change}}
            means, captured = model.apply(
                {**variables, "perturbations": marked},
                images,
                None,
                method=latents,
                mutable=["intermediates"],
            )
            return means, captured["intermediates"]["encoder"]["relu2"]

        _, pull_back, activation = jax.vjp(run, change, has_aux=True)
        return pull_back, activation

    @jax.jit
    def map_of_latent(pull_back, activation, k):
        one_hot = jax.nn.one_hot(k, LATENTS, dtype=jnp.float32)
        (gradient,) = pull_back(jnp.tile(one_hot, (len(activation), 1)))
        weights = channel_weights(PAPER, gradient)
        return combine(PAPER, weights, activation, (height, width))

    first, seconds = timing.compiled(forward, variables, images)
    each, more = timing.compiled(map_of_latent, *first(variables, images), 0)

    def loop():
        passed = first(variables, images)
        return jax.block_until_ready([each(*passed, k) for k in range(LATENTS)])

    return loop, seconds + more


def torch_ways(images: np.ndarray, *, device: str, dtype: str) -> Ways:
    """The same in PyTorch, by `torch.autograd.grad` from each latent to the tap."""
    import torch

    from benchmarks import torch_device, torch_networks

    network = torch_networks.mnist_vae().to(device).eval().requires_grad_(False)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)

    def means(activation, layer):
        return network.mean(network.encoder[layer:](activation))

    def map_of(value, activation, *, again):
        (gradient,) = torch.autograd.grad(value, activation, retain_graph=again)
        weights = gradient.float().mean((2, 3), keepdim=True)
        maps = (weights * activation.float()).sum(1, keepdim=True).relu()
        size = images.shape[1:3]
        return torch.nn.functional.interpolate(maps, size, mode="bilinear")

    def forward():
        return means(pixels, 0)

    def loop():
        activation = network.encoder[:4](pixels).requires_grad_()
        values = means(activation, 4).sum(0)
        return [map_of(value, activation, again=True) for value in values]

    def score():
        activation = network.encoder[:3](pixels).requires_grad_()
        return map_of(means(activation, 3).sum(), activation, again=False)

    def waiting(function):
        def run():
            with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
                function()
            torch_device.wait(device)

        return run

    ways = {"forward": forward, "loop_relu2": loop, "score_conv2": score}
    return {f"torch_{name}": waiting(way) for name, way in ways.items()}


def ratios(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Of the pairs in `RATIOS` that were timed, turn by turn."""
    return {
        f"{above}_over_{below}": timing.ratio(seconds[above], seconds[below])
        for above, below in RATIOS
        if above in seconds
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measures all by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args(argv)

    model = mnist_vae(latents=LATENTS, dtype=jnp.dtype(args.dtype))
    images = np.random.default_rng(0).random(
        (args.batch_size, *model.image_shape), dtype=np.float32
    )
    packages, torch_settings, theirs = ["jax", "jaxlib", "flax"], None, {}
    if timing.torch_is_installed():
        from benchmarks import torch_device

        device = torch_device.match_jax()
        theirs = torch_ways(images, device=device, dtype=args.dtype)
        packages.append("torch")
        torch_settings = torch_device.settings()
    ours, compile_seconds = our_ways(model, jnp.asarray(images))

    seconds = timing.by_turns(ours | theirs, repeats=args.repeats)
    result = {
        "model": "mnist",
        "dtype": args.dtype,
        "batch_size": args.batch_size,
        "latents": LATENTS,
        "torch": torch_settings,
        "compile_seconds": compile_seconds,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
        "ratios": ratios(seconds),
    }
    timing.print_result("attention_maps", result, packages=packages)


if __name__ == "__main__":
    main()
