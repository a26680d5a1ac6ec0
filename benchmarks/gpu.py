"""What does this GPU do with a VAE? One run of at most 9 minutes answers.

python -m benchmarks.gpu --out gpu.json
python -m benchmarks.gpu --out gpu.json --workdir runs/dsprites-kim
python -m benchmarks.gpu --tiny

Section after section, each timed apart, needs no network and no data:

    training   an update of three networks, float32 and bfloat16: FLOP/s and the peak
    maps       the attention maps of 32 latents, beside a forward pass
    runs       the steps of 1, 8 and 16 VAEs and FactorVAEs at once
    search     AnoGAN's latent search
    sweep      `experiments.dsprites --preset kim --seeds 8`, as far as the time goes

What fails, for want of memory say, is named with its reason, what was left out for want
of time by its name. The sweep goes on from --workdir in a later run, here or by
`experiments.dsprites`, which then scores it. `peak_bytes` is of the process so far.
--tiny tries all of it at sizes for a CPU.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import budget, card, dsprites, gpu_sections, timing
from benchmarks.budget import Section
from experiments.dsprites import PRESETS, Config
from vae_jax import train

SAVING = 20.0
"""Seconds of the time that are kept for the checkpoint of a sweep that is stopped."""
PACKAGES = ["jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    dtypes: tuple[str, ...]
    """Of training and maps."""
    batch_sizes: Mapping[str, int]
    """Images in an update, by network."""
    image_size: int
    """In pixels, for the ResNet-18."""
    calls: int
    """Updates before the device is waited for."""
    map_images: int
    runs: tuple[int, ...]
    run_options: Mapping[str, Any]
    """Of `gpu_sections.many_runs`."""
    search_options: Mapping[str, Any]
    """Of `gpu_sections.latent_search`."""
    sweep: Config
    strides: tuple[int, int, int, int, int]
    """The sweep's data have every so many-th value of the factors."""
    repeats: int


def _sweep(**changes: Any) -> Config:
    kim = PRESETS["kim"]
    return dataclasses.replace(kim, sweep=dataclasses.replace(kim.sweep, **changes))


FULL = Sizes(
    dtypes=("float32", "bfloat16"),
    batch_sizes={"mnist": 128, "locatello": 64, "resnet18": 64},
    image_size=256,
    calls=20,
    map_images=128,
    runs=(1, 8, 16),
    run_options={
        "strides": dsprites.STRIDES,
        "batch_size": 64,
        "width": 1000,
        "steps": 100,
    },
    search_options={"image_size": 128, "width": 64, "batch_size": 16, "steps": 30},
    sweep=_sweep(seeds=8),
    strides=(1, 1, 1, 1, 1),
    repeats=10,
)
_FEW = (1, 3, 20, 16, 16)
TINY = Sizes(
    dtypes=("bfloat16",),
    batch_sizes={"mnist": 2, "locatello": 2, "resnet18": 1},
    image_size=64,
    calls=1,
    map_images=2,
    runs=(2,),
    run_options={"strides": _FEW, "batch_size": 2, "width": 10, "steps": 1},
    search_options={"image_size": 16, "width": 4, "batch_size": 2, "steps": 2},
    # 50 steps, for there is a line in the log then.
    sweep=_sweep(
        objectives=("vae",),
        seeds=2,
        steps=50,
        batch_size=2,
        evaluations=1,
        steps_per_call=1,
    ),
    strides=_FEW,
    repeats=1,
)


def sections(sizes: Sizes, *, workdir: str | None) -> list[Section]:
    """All, in the order of their worth; seconds that they need are a slow card's."""
    repeats = sizes.repeats
    training = [
        Section(
            f"training {network} {dtype}",
            functools.partial(
                gpu_sections.training,
                network,
                dtype=dtype,
                image_size=sizes.image_size,
                batch_size=batch_size,
                calls=sizes.calls,
                repeats=repeats,
            ),
            needs=60,
        )
        for network, batch_size in sizes.batch_sizes.items()
        for dtype in sizes.dtypes
    ]
    maps = [
        Section(
            f"maps {dtype}",
            functools.partial(
                gpu_sections.maps,
                dtype=dtype,
                batch_size=sizes.map_images,
                repeats=repeats,
            ),
            needs=40,
        )
        for dtype in sizes.dtypes
    ]
    runs = [
        Section(
            f"runs {kind}",
            functools.partial(
                gpu_sections.many_runs,
                kind,
                runs=sizes.runs,
                repeats=repeats,
                **sizes.run_options,
            ),
            needs=60,
        )
        for kind in ("vae", "factor_vae")
    ]
    search = functools.partial(
        gpu_sections.latent_search, repeats=repeats, **sizes.search_options
    )
    sweep = functools.partial(_go_on, sizes, workdir)
    return [
        *training,
        *maps,
        *runs,
        Section("search", search, needs=40),
        Section("sweep", sweep, needs=60),
    ]


def _go_on(sizes: Sizes, workdir: str | None) -> dict[str, Any]:
    from benchmarks import gpu_sweep

    config = sizes.sweep
    if workdir is not None:
        sweep = dataclasses.replace(config.sweep, workdir=workdir)
        config = dataclasses.replace(config, sweep=sweep)
    return gpu_sweep.go_on(config, strides=sizes.strides)


def main(argv: Sequence[str] | None = None) -> None:
    """Measures section after section and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="at sizes for a CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="for everything")
    parser.add_argument("--out", type=Path, help="file for the result, kept up to date")
    parser.add_argument("--workdir", help="of the sweep, for its checkpoints")
    args = parser.parse_args(argv)
    train.keep_freed_memory()
    if args.tiny:
        # Compiled fast rather than to run fast.
        jax.config.update("jax_disable_most_optimizations", True)
    about = {
        "tiny": args.tiny,
        "minutes": args.minutes,
        "devices": jax.device_count(),
    }

    def record(found: Mapping[str, Any]) -> dict[str, Any]:
        result = timing.record("gpu", {**about, **found}, packages=PACKAGES)
        if args.out is not None:
            _write(args.out, result)
        return result

    record({})  # a folder that is not there is complained of at once
    with contextlib.ExitStack() as stack:
        workdir = args.workdir
        if workdir is None and args.tiny:
            workdir = stack.enter_context(tempfile.TemporaryDirectory())
        found = budget.measure(
            sections(TINY if args.tiny else FULL, workdir=workdir),
            seconds=60 * args.minutes - SAVING,
            observe=lambda: {"peak_bytes": card.peak_bytes()},
            after_each=record,
        )
    print(json.dumps(record(found)))


def _write(path: Path, result: Mapping[str, Any]) -> None:
    """Beside the old one and moved over it: a kill leaves no half."""
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.write_text(json.dumps(result, indent=1) + "\n")
    unfinished.replace(path)


if __name__ == "__main__":
    main()
