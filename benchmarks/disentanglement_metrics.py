"""How long does each disentanglement metric take on the codes of all of dSprites?

python -m benchmarks.disentanglement_metrics
python -m benchmarks.disentanglement_metrics --trees

The codes stand for a network's: of ten latents five follow a factor each, with noise,
and five are noise. `first_seconds` are those of the first call, compilation included;
`seconds` those of calls after it, by turns. Each `total` is that of the metrics of
the suite without trees. `--sizes` takes another full grid.
"""

import argparse
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks import timing
from vae_jax.metrics import disentanglement as metrics

SIZES = (3, 6, 40, 32, 32)
LATENTS = 10


def codes_of(grid: metrics.FullGrid, *, key: jax.Array) -> jax.Array:
    """[example 10]: standardised factors, then idle latents; noise of sd 0.1 on all."""
    factors = grid.classes(jnp.arange(grid.number)).astype(jnp.float32)
    factors = (factors - factors.mean(0)[None]) / factors.std(0)[None]
    noise = jax.random.normal(key, (grid.number, LATENTS))
    return (0.1 * noise).at[:, : factors.shape[1]].add(factors)


def ways(grid: metrics.FullGrid, codes: jax.Array) -> dict[str, Callable[[], object]]:
    """Each metric as the suite calls it."""
    key = jax.random.key(0)
    counts = metrics.STANDARD
    split = metrics.random_split(
        grid.number, train=counts.train, test=counts.test, key=key
    )
    sample, factors = codes[split.train], metrics.take(grid, split.train)
    logvar = jnp.full_like(codes, -4.0)
    return {
        "split": lambda: metrics.random_split(
            grid.number, train=counts.train, test=counts.test, key=key
        ),
        "factor_vae": lambda: metrics.factor_vae_score(codes, grid, key=key),
        "beta_vae": lambda: metrics.beta_vae_score(codes, grid, key=key),
        "mig_binned": lambda: metrics.mig_binned(sample, factors),
        "mig_density": lambda: metrics.mig_density(codes, logvar, grid),
        "dci_logistic": lambda: metrics.dci_logistic(codes, grid, split),
        "sap": lambda: metrics.sap(codes, grid, split),
        "modularity": lambda: metrics.modularity(sample, factors),
        "explicitness": lambda: metrics.explicitness(codes, grid, split),
        "irs": lambda: metrics.irs(sample, factors),
        "gaussian_total_correlation": lambda: metrics.gaussian_total_correlation(
            sample
        ),
        "gaussian_wasserstein": lambda: metrics.gaussian_wasserstein(sample),
        "mean_code_information": lambda: metrics.mean_code_information(sample),
        "dci_trees": lambda: metrics.dci_trees(codes, grid, split),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measures every metric by turns and prints one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help="values of each factor"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trees", action="store_true", help="once; takes minutes")
    args = parser.parse_args(argv)

    grid = metrics.FullGrid(tuple(args.sizes))
    functions = ways(grid, codes_of(grid, key=jax.random.key(1)))
    trees = functions.pop("dci_trees")
    first = {name: timing.seconds_of(each) for name, each in functions.items()}
    waiting = {
        name: functools.partial(timing.seconds_of, function)
        for name, function in functions.items()
    }
    seconds = timing.by_turns(waiting, repeats=args.repeats)
    spreads = {name: timing.spread(times) for name, times in seconds.items()}
    result = {
        **vars(args),
        "examples": grid.number,
        "first_seconds": first | {"total": sum(first.values())},
        "seconds": spreads
        | {
            "total": timing.spread(
                [sum(turn) for turn in zip(*seconds.values(), strict=True)]
            )
        },
    }
    if args.trees:
        result["trees_seconds"] = timing.seconds_of(trees)
    packages = ["jax", "jaxlib", "numpy", "scikit-learn"]
    timing.print_result("disentanglement_metrics", result, packages=packages)


if __name__ == "__main__":
    main()
