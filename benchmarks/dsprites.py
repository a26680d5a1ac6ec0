"""How many steps a second do many runs make at once, beside PyTorch one by one?

python -m benchmarks.dsprites
python -m benchmarks.dsprites --runs 1 4 8 16 --steps 10

VAE and FactorVAE, the networks of Locatello et al. 2019, on procedural images like
dSprites that lie on the device. Ours makes the steps of so many runs in one program;
PyTorch makes those of one run, and is taken to need as many times longer for more. The
ratios are PyTorch's time over ours, above 1 where ours is faster.
"""

import argparse
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from vae_jax import factor_images, models, objectives, train
from vae_jax.train.runs import jit_runs

LATENTS = 10
LEARNING_RATE = 1e-4
STRIDES = (1, 1, 4, 2, 2)  # each so many-th value of the factors: 46,080 images


def objective_of(
    discriminator: models.Discriminator | None,
) -> tuple[objectives.Objective, dict[str, float]]:
    """A plain VAE's, with a discriminator FactorVAE's, and its hyper-parameters."""
    if discriminator is None:
        return objectives.BetaVAE(), {"beta": 1.0}
    return objectives.FactorVAE(discriminator), {"gamma": 10.0}


def our_steps(
    images: factor_images.FactorImages,
    discriminator: models.Discriminator | None,
    *,
    runs: int,
    steps: int,
    batch_size: int,
) -> tuple[Callable[[], None], float, dict[str, int]]:
    """`steps` of each run, the seconds to compile, and one run's parameters."""
    vae = models.locatello_vae(latents=LATENTS)
    objective, values = objective_of(discriminator)
    parts = {"vae": train.adam(LEARNING_RATE)}
    if discriminator is not None:
        parts["discriminator"] = train.adam(LEARNING_RATE, betas=(0.5, 0.9))
    optimizer = train.by_part(parts)
    mesh = train.runs_mesh(runs, jax.devices()[:1])
    keys = jax.random.split(jax.random.key(0), runs)
    state = train.create_runs(
        lambda key: (objectives.init_params(vae, objective, key=key), {}),
        optimizer,
        keys=keys,
        mesh=mesh,
    )
    parameters = {
        part: sum(leaf.size for leaf in jax.tree.leaves(params)) // runs
        for part, params in state.params.items()
    }
    take_steps = jit_runs(
        train.make_train_step(objectives.make_loss_fn(vae, objective), optimizer),
        lambda images, key: {"image": images.sample(key, batch_size)[0]},
        mesh,
    )
    hyper = {name: jnp.full(runs, value) for name, value in values.items()}
    program, seconds = timing.compiled(take_steps, steps, state, images, hyper)

    def run():
        nonlocal state
        state, metrics = program(state, images, hyper)
        jax.block_until_ready((state, metrics))

    return run, seconds, parameters


def main(argv: Sequence[str] | None = None) -> None:
    """Measures all by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--discriminator-width", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1, help="of ours in a dispatch")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    train.keep_freed_memory()

    images = factor_images.procedural_dsprites(STRIDES)
    packages, torch_settings, theirs = ["jax", "jaxlib", "flax", "optax"], None, {}
    if timing.torch_is_installed():
        from benchmarks import torch_device, torch_dsprites

        pixels = images.images(jnp.arange(images.grid.size))
        made = torch_dsprites.steps(
            np.asarray(pixels[..., 0], np.uint8),
            batch_size=args.batch_size,
            discriminator_width=args.discriminator_width,
            device=torch_device.match_jax(),
            learning_rate=LEARNING_RATE,
        )
        theirs = {f"torch_{kind}": step for kind, step in made.items()}
        packages.append("torch")
        torch_settings = torch_device.settings()

    discriminator = models.Discriminator(width=args.discriminator_width)
    ours, compile_seconds, parameters = {}, {}, {}
    for kind, network in (("vae", None), ("factor_vae", discriminator)):
        for runs in args.runs:
            name = f"{kind}_{runs}"
            ours[name], compile_seconds[name], parameters = our_steps(
                images, network, runs=runs, steps=args.steps, batch_size=args.batch_size
            )
    # Steps of runs, per call.
    made = {name: args.steps * int(name.rsplit("_", 1)[1]) for name in ours}
    made |= dict.fromkeys(theirs, 1)

    seconds = timing.by_turns(ours | theirs, repeats=args.repeats, in_loop=True)
    per_step = {n: [t / made[n] for t in times] for n, times in seconds.items()}
    result = {
        "in_loop": True,
        **vars(args),
        "parameters": parameters,
        "torch": torch_settings,
        "compile_seconds": compile_seconds,
        "seconds": {name: timing.spread(times) for name, times in seconds.items()},
        "run_steps_per_second": {
            name: timing.rate(times, 1) for name, times in per_step.items()
        },
    }
    if theirs:
        result["torch_over_ours"] = {
            name: timing.ratio(
                per_step[f"torch_{name.rsplit('_', 1)[0]}"], per_step[name]
            )
            for name in ours
        }
    timing.print_result("dsprites", result, packages=packages)


if __name__ == "__main__":
    main()
