"""Does the input pipeline alone deliver at least twice what training consumes?

python -m benchmarks.input_pipeline
python -m benchmarks.input_pipeline --preset standard

By turns, each alone: the pipeline with augmentation makes some batches, from nothing;
the training step of the preset of `experiments.mvtec` makes as many updates on a batch
that lies on the device. Above 2 the ratio of their rates answers yes. The images are
random bytes in memory: decoding happens once, before training, and is no part of this.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from experiments.localisation.settings import Settings
from experiments.mvtec import PRESETS
from vae_jax import detection, models, objectives, train
from vae_jax.data.augment import augmentation_for
from vae_jax.data.pipeline import train_batches
from vae_jax.train.sharding import put_batches
from vae_jax.train.step import jit_steps


def pipeline_turn(
    source: np.ndarray, settings: Settings, *, category: str, batches: int
) -> Callable[[], None]:
    """Makes `batches` batches, its threads started anew so that none is made before."""

    def run():
        made = train_batches(
            source,
            batch_size=settings.batch_size,
            seed=settings.seed,
            augmentation=augmentation_for(category),
        )
        for _ in itertools.islice(made, batches):
            pass

    return run


def training_turn(
    settings: Settings, images: np.ndarray, *, updates: int
) -> tuple[Callable[[], None], float]:
    """Makes `updates` updates as `detection.train_vae` does; seconds to compile."""
    explainer = detection.build_explainer(
        **settings.network_options(), channels=images.shape[-1]
    )
    optimizer = train.adam(settings.learning_rate, clip_norm=settings.clip_norm)
    mesh = train.data_mesh()

    def init(key):
        variables = models.init(
            explainer.model, key=key, pixel_bias=jnp.asarray(images.mean(0))
        )
        return variables.pop("params"), variables

    step = train.make_train_step(
        objectives.make_elbo_loss_fn(
            explainer.model, explainer.likelihood, beta=settings.beta
        ),
        optimizer,
        ema_decay=settings.ema_decay,
    )
    key = jax.random.key(settings.seed)
    state = train.create_state(init, optimizer, key=key, mesh=mesh)
    batch = put_batches([{"image": images}], mesh)
    program, seconds = timing.compiled(jit_steps(step, mesh), state, batch)

    def run():
        nonlocal state
        for _ in range(updates):
            state, metrics = program(state, batch)
            jax.block_until_ready(metrics)

    return run, seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Measures both by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=tuple(PRESETS), default="quick")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=1)
    parser.add_argument(
        "--category",
        default="screw",
        help="whose augmentation; screw's, any pose, takes the longest",
    )
    parser.add_argument("--images", type=int, default=320, help="in the data set")
    parser.add_argument("--batches", type=int, default=20, help="in a turn")
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args(argv)

    settings = PRESETS[args.preset].settings
    shape = (args.images, settings.image_size, settings.image_size, args.channels)
    source = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    first = next(train_batches(source, batch_size=settings.batch_size, seed=0))["image"]
    train_some, compile_seconds = training_turn(settings, first, updates=args.batches)
    make_some = pipeline_turn(
        source, settings, category=args.category, batches=args.batches
    )

    seconds = timing.by_turns(
        {"pipeline": make_some, "training": train_some}, repeats=args.repeats
    )
    images = args.batches * settings.batch_size
    result = {
        **vars(args),
        "network": settings.network,
        "width": settings.width,
        "dtype": settings.dtype,
        "image_size": settings.image_size,
        "batch_size": settings.batch_size,
        "compile_seconds": compile_seconds,
        "images_per_second": {
            name: timing.rate(times, images) for name, times in seconds.items()
        },
        "pipeline_over_training": timing.ratio(
            seconds["training"], seconds["pipeline"]
        ),
    }
    timing.print_result(
        "input_pipeline", result, packages=["jax", "jaxlib", "grain", "numpy", "pillow"]
    )


if __name__ == "__main__":
    main()
