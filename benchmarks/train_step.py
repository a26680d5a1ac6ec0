"""How long does a training step take, ours and PyTorch's, on the same device?

python -m benchmarks.train_step --model mnist
python -m benchmarks.train_step --model resnet18 --batch-size 8 --image-size 128

Same network, batch, data type and number of threads: forward, backward and Adam. The
ratio is PyTorch's time over ours, above 1 where ours is faster; without PyTorch ours is
timed alone. On a GPU also the FLOP/s that are achieved, beside the card's ceiling.
"""

import argparse
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from vae_jax import losses, models, train
from vae_jax.train.sharding import data_mesh
from vae_jax.train.step import jit_steps

LEARNING_RATE = 1e-3
# TFLOP/s of the tensor cores without sparsity, from the data sheets. JAX multiplies
# float32 as TF32 on these cards unless told otherwise.
CEILINGS = {
    "A100": {"float32": 156.0, "bfloat16": 312.0},
    "H100": {"float32": 494.0, "bfloat16": 989.0},
    "H200": {"float32": 494.0, "bfloat16": 989.0},
}


def build_network(name: str, *, image_size: int, dtype: str) -> models.VAE:
    """The network `name`; the MNIST one has only the one size."""
    if name == "mnist":
        return models.mnist_vae(dtype=jnp.dtype(dtype))
    return models.resnet18_vae(image_size=image_size, dtype=jnp.dtype(dtype))


def our_step(network: models.VAE, images: np.ndarray):
    """The step to call, as it was compiled, in how many seconds, and parameters."""
    mesh = data_mesh(jax.devices()[:1])
    optimizer = train.adam(LEARNING_RATE)

    def loss_fn(params, model_state, batch, *, key, step):
        del step
        noise = jax.random.normal(key, (len(batch), network.encoder.latents))
        outputs, model_state = network.apply(
            {"params": params, **model_state},
            batch,
            noise=noise,
            train=True,
            mutable=["batch_stats"],
        )
        log_likelihood = losses.bernoulli_log_likelihood(batch, outputs.decoded)
        rate = losses.gaussian_kl(outputs.mean, outputs.logvar)
        loss = losses.negative_elbo(log_likelihood, rate).loss.mean()
        return loss, train.Aux({}, model_state)

    def init(key):
        variables = models.init(network, key=key)
        return variables.pop("params"), variables

    key = jax.random.key(0)
    state = train.create_state(init, optimizer, key=key, mesh=mesh, ema=False)
    batches = jax.device_put(images[None], mesh.devices.item())
    step = jit_steps(train.make_train_step(loss_fn, optimizer), mesh)
    program, compile_seconds = timing.compiled(step, state, batches)

    def run():
        nonlocal state
        state, metrics = program(state, batches)
        jax.block_until_ready((state, metrics))

    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return run, program, compile_seconds, parameters


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


def achieved(program: jax.stages.Compiled, seconds: float, dtype: str) -> dict:
    """TFLOP/s by XLA's count of operations, and the card's ceiling if it is known."""
    cost = program.cost_analysis() or {}
    kind = jax.devices()[0].device_kind
    ceiling = next((c[dtype] for card, c in CEILINGS.items() if card in kind), None)
    return {"tflops": cost.get("flops", 0.0) / seconds / 1e12, "ceiling": ceiling}


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
    ours, program, compile_seconds, parameters = our_step(network, images)
    assert torch_parameters in (None, parameters), (torch_parameters, parameters)

    seconds = timing.by_turns(
        {"ours": ours} | theirs, repeats=args.repeats, in_loop=True
    )
    result = {
        "in_loop": True,
        "model": args.model,
        "dtype": args.dtype,
        "batch_size": args.batch_size,
        "image_shape": network.image_shape,
        "parameters": parameters,
        "torch": torch_settings,
        "compile_seconds": compile_seconds,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
    }
    if theirs:
        result["torch_over_ours"] = timing.ratio(seconds["torch"], seconds["ours"])
    if jax.default_backend() != "cpu":
        median = result["seconds"]["ours"]["median"]
        result["achieved"] = achieved(program, median, args.dtype)
    timing.print_result("train_step", result, packages=packages)


if __name__ == "__main__":
    main()
