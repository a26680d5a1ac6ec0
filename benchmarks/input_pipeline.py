"""How many images a second the input pipeline makes, with no model behind it.

python -m benchmarks.input_pipeline --size 128 --batch-size 128

The images are random bytes: decoding happens once, before training, and is no part of
this. Prints one JSON line: images per second at p10, median and p90 over batches made
in threads, and the processor time of one image (which other load does not inflate).
"""

import argparse
import json
import os
import time

import numpy as np

from vae_jax.data.augment import NONE, augmentation_for
from vae_jax.data.pipeline import train_batches


def main() -> None:
    """Measures the pipeline alone and prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--category", default="screw", help="whose augmentation")
    parser.add_argument("--no-augmentation", action="store_true")
    args = parser.parse_args()

    shape = (args.images, args.size, args.size, args.channels)
    source = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    augmentation = NONE if args.no_augmentation else augmentation_for(args.category)
    batches = train_batches(
        source,
        batch_size=args.batch_size,
        seed=0,
        augmentation=augmentation,
        threads=args.threads,
    )
    next(batches)  # starts the threads
    seconds = []
    processor = time.process_time()
    for _ in range(args.batches):
        start = time.perf_counter()
        next(batches)
        seconds.append(time.perf_counter() - start)
    processor = (time.process_time() - processor) / (args.batches * args.batch_size)
    # A prefetched batch comes at once and the next one late: rates over runs of ten.
    runs = [
        np.mean(chunk) for chunk in np.array_split(seconds, max(len(seconds) // 10, 1))
    ]
    slow, median, fast = args.batch_size / np.quantile(runs, [0.9, 0.5, 0.1])
    print(
        json.dumps(
            {
                "benchmark": "input_pipeline",
                **vars(args),
                "cpus": os.cpu_count(),
                "images_per_second": {
                    "p10": round(slow),
                    "median": round(median),
                    "p90": round(fast),
                },
                "processor_microseconds_per_image": round(1e6 * processor),
            }
        )
    )


if __name__ == "__main__":
    main()
