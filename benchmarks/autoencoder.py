"""How long do AE-L2 and AE-SSIM take to train and to map, ours and PyTorch's?

python -m benchmarks.autoencoder
python -m benchmarks.autoencoder --loss ssim --kind object --batch-size 8

The published network with one set of weights, on the same device and batch:

    train        one update: forward, backward, Adam
    maps         from 8-bit images to their maps, the patches of textures included

The ratios are PyTorch's time over ours, above 1 where ours is faster. The maps of both
are compared too: their largest difference, beside the largest value.
"""

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from vae_jax import train
from vae_jax.baselines import MapFunction
from vae_jax.baselines import autoencoder as ae
from vae_jax.baselines.overlap import map_patches
from vae_jax.train.sharding import data_mesh
from vae_jax.train.step import jit_steps

PATCH, STRIDE = 128, 30
LEARNING_RATE, WEIGHT_DECAY = 2e-4, 1e-5
WINDOW = "gaussian"
TORCH_BATCH = 28  # as ours


def our_step(
    network: ae.Autoencoder, params: dict, batch: np.ndarray, *, loss: ae.Loss
) -> tuple[Callable[[], None], float]:
    """An update, and the seconds to compile it."""
    mesh = data_mesh(jax.devices()[:1])
    optimizer = ae.adam_with_l2(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    copy = jax.tree.map(jnp.array, params)
    state = train.create_state(
        lambda key: (copy, {}), optimizer, key=jax.random.key(0), mesh=mesh, ema=False
    )
    loss_fn = ae.make_loss_fn(network, loss=loss, window=WINDOW)
    step = jit_steps(train.make_train_step(loss_fn, optimizer), mesh)
    batches = {"image": jax.device_put(batch[None], mesh.devices.item())}
    program, compile_seconds = timing.compiled(step, state, batches)

    def run():
        nonlocal state
        state, metrics = program(state, batches)
        jax.block_until_ready((state, metrics))

    return run, compile_seconds


def our_maps(
    network: ae.Autoencoder, params: dict, *, loss: ae.Loss, seen: tuple[int, int, int]
) -> MapFunction:
    """As `fit_autoencoder` returns them; images larger than `seen` are textures."""
    maps = functools.partial(
        ae.error_maps, network, params, loss=loss, window=WINDOW, image_shape=seen
    )
    whole = functools.partial(map_patches, maps, side=PATCH, stride=STRIDE)
    return lambda pixels: (maps if pixels.shape[1:] == seen else whole)(pixels)


def torch_ways(
    network: ae.Autoencoder,
    params: dict,
    batch: np.ndarray,
    pixels: np.ndarray,
    *,
    loss: ae.Loss,
    device: str,
) -> dict[str, Callable[[], Any]]:
    """The same in PyTorch; the maps are returned as numpy arrays."""
    import torch

    from benchmarks import torch_autoencoder, torch_device

    module = torch_autoencoder.autoencoder(network.layers, params).to(device)
    # Its own, for training changes the weights.
    frozen = torch_autoencoder.autoencoder(network.layers, params).to(device)
    inputs = torch.tensor(batch).permute(0, 3, 1, 2).contiguous().to(device)
    optimizer = torch.optim.Adam(
        module.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )

    def update():
        optimizer.zero_grad()
        torch_autoencoder.error_map(module, inputs, loss=loss).mean().backward()
        optimizer.step()
        torch_device.wait(device)

    def maps():
        images = torch.tensor(pixels).to(device).permute(0, 3, 1, 2).contiguous() / 255
        found = torch_autoencoder.texture_maps(
            frozen,
            images,
            loss=loss,
            side=batch.shape[1],
            stride=STRIDE,
            batch_size=TORCH_BATCH,
        )
        return found.cpu().numpy()

    return {"torch_train": update, "torch_maps": maps}


def main(argv: Sequence[str] | None = None) -> None:
    """Measures all by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loss", choices=("l2", "ssim"), default="l2")
    parser.add_argument("--kind", choices=("texture", "object"), default="texture")
    parser.add_argument("--batch-size", type=int, default=16, help="of an update")
    parser.add_argument("--images", type=int, default=1, help="that maps are made of")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    train.keep_freed_memory()

    texture = args.kind == "texture"
    channels = 1 if args.loss == "ssim" else 3
    side = PATCH if texture else ae.OBJECT_SIZE
    size = ae.TEXTURE_SIZE if texture else ae.OBJECT_SIZE
    network = ae.Autoencoder(ae.TEXTURE_LAYERS if texture else ae.OBJECT_LAYERS, 100)
    rng = np.random.default_rng(0)
    batch = rng.random((args.batch_size, side, side, channels), dtype=np.float32)
    pixels = rng.integers(0, 256, (args.images, size, size, channels), dtype=np.uint8)
    params = jax.jit(network.init)(jax.random.key(0), batch[:1])["params"]

    packages, torch_settings, theirs = ["jax", "jaxlib", "flax", "optax"], None, {}
    if timing.torch_is_installed():
        from benchmarks import torch_device

        device = torch_device.match_jax()
        theirs = torch_ways(
            network, params, batch, pixels, loss=args.loss, device=device
        )
        packages.append("torch")
        torch_settings = torch_device.settings()
    update, compile_seconds = our_step(network, params, batch, loss=args.loss)
    maps = our_maps(network, params, loss=args.loss, seen=(side, side, channels))
    ours = {"ours_train": update, "ours_maps": lambda: maps(pixels)}

    seconds = timing.by_turns(ours | theirs, repeats=args.repeats, in_loop=True)
    result = {
        "in_loop": True,
        **vars(args),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "torch": torch_settings,
        "compile_seconds": compile_seconds,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
    }
    if theirs:
        result["torch_over_ours"] = {
            task: timing.ratio(seconds[f"torch_{task}"], seconds[f"ours_{task}"])
            for task in ("train", "maps")
        }
        found = maps(pixels)
        difference = np.abs(theirs["torch_maps"]() - found).max()
        result["largest_map_difference"] = float(difference)
        result["largest_map_value"] = float(found.max())
    timing.print_result("autoencoder", result, packages=packages)


if __name__ == "__main__":
    main()
