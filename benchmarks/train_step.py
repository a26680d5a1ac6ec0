"""How long does a training step take, ours and PyTorch's, on the same device?

python -m benchmarks.train_step --model mnist
python -m benchmarks.train_step --model resnet18 --batch-size 8 --image-size 128

Same network, batch, data type and number of threads: forward, backward and Adam. The
ratio is PyTorch's time over ours, above 1 where ours is faster; without PyTorch ours is
timed alone. Also the FLOP/s that are achieved, beside the card's peak if it is known.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import card, timing
from vae_jax import losses, models, objectives, train
from vae_jax.train.sharding import data_mesh
from vae_jax.train.step import jit_steps

LEARNING_RATE = 1e-3


class OurStep(NamedTuple):
    """A compiled update, and what it is made of."""

    run: Callable[[], None]
    """Makes updates and waits for the device."""
    flops: float | None
    """Of an update, see `card.flops`."""
    program_bytes: int | None
    compile_seconds: float
    parameters: int


def build_network(name: str, *, image_size: int, dtype: str) -> models.VAE:
    """The network `name`; only the ResNet-18 has more than one size.

    "mnist", "locatello", for dSprites, or "resnet18".
    """
    match name:
        case "mnist":
            return models.mnist_vae(dtype=jnp.dtype(dtype))
        case "locatello":
            return models.locatello_vae(dtype=jnp.dtype(dtype))
        case "resnet18":
            return models.resnet18_vae(image_size=image_size, dtype=jnp.dtype(dtype))
    raise ValueError(f"build_network: there is no {name!r}.")


def our_step(network: models.VAE, images: np.ndarray, *, calls: int = 1) -> OurStep:
    """The update of a plain VAE on these images; `run` makes `calls` of them.

    More than one before the device is waited for, as in training, hide the host's work.
    """
    mesh = data_mesh(jax.devices()[:1])
    optimizer = train.adam(LEARNING_RATE)
    loss_fn = objectives.make_elbo_loss_fn(network, losses.bernoulli_log_likelihood)

    def init(key):
        variables = models.init(network, key=key)
        return variables.pop("params"), variables

    key = jax.random.key(0)
    state = train.create_state(init, optimizer, key=key, mesh=mesh, ema=False)
    batches = jax.device_put({"image": images[None]}, mesh.devices.item())
    step = jit_steps(train.make_train_step(loss_fn, optimizer), mesh)
    built = timing.build(step, state, batches)

    def run():
        nonlocal state
        metrics = None
        for _ in range(calls):
            state, metrics = built.program(state, batches)
        jax.block_until_ready((state, metrics))

    return OurStep(
        run,
        card.flops(built.lowered, built.program),
        card.program_bytes(built.program),
        built.seconds,
        sum(leaf.size for leaf in jax.tree.leaves(state.params)),
    )


def torch_step(
    name: str, images: np.ndarray, *, device: str, dtype: str
) -> tuple[Callable[[], None], int]:
    """PyTorch's step as a function without arguments, and its parameters."""
    import torch

    from benchmarks import torch_device, torch_networks

    if name == "mnist":
        network = torch_networks.mnist_vae()
    else:
        network = torch_networks.resnet18_vae(images.shape[1])
    network.to(device).train()
    batch = torch.tensor(images).permute(0, 3, 1, 2).contiguous().to(device)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    half = dtype == "bfloat16"

    def run():
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            mean, logvar, decoded = network(batch)
        distortion = torch.nn.functional.binary_cross_entropy_with_logits(
            decoded.float(), batch, reduction="sum"
        )
        mean, logvar = mean.float(), logvar.float()
        rate = 0.5 * (mean.square() + torch.expm1(logvar) - logvar).sum()
        ((distortion + rate) / len(batch)).backward()
        optimizer.step()
        torch_device.wait(device)

    return run, sum(p.numel() for p in network.parameters())


def main(argv: Sequence[str] | None = None) -> None:
    """Measures both by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("mnist", "resnet18"), default="mnist")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--image-size", type=int, choices=(64, 128, 256), default=128)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args(argv)
    train.keep_freed_memory()

    network = build_network(args.model, image_size=args.image_size, dtype=args.dtype)
    images = np.random.default_rng(0).random(
        (args.batch_size, *network.image_shape), dtype=np.float32
    )
    packages, torch_settings, theirs = ["jax", "jaxlib", "flax", "optax"], None, {}
    torch_parameters = None
    if timing.torch_is_installed():
        from benchmarks import torch_device

        device = torch_device.match_jax()
        theirs["torch"], torch_parameters = torch_step(
            args.model, images, device=device, dtype=args.dtype
        )
        packages.append("torch")
        torch_settings = torch_device.settings()
    ours = our_step(network, images)
    assert torch_parameters in (None, ours.parameters), (torch_parameters, ours)

    seconds = timing.by_turns(
        {"ours": ours.run} | theirs, repeats=args.repeats, in_loop=True
    )
    result = {
        "in_loop": True,
        "model": args.model,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
        "image_shape": network.image_shape,
        "parameters": ours.parameters,
        "torch": torch_settings,
        "compile_seconds": ours.compile_seconds,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
        "achieved": card.achieved(ours.flops, seconds["ours"], args.dtype),
    }
    if theirs:
        result["torch_over_ours"] = timing.ratio(seconds["torch"], seconds["ours"])
    timing.print_result("train_step", result, packages=packages)


if __name__ == "__main__":
    main()
