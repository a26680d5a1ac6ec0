"""The ground-truth factors of a set of examples: their classes, and who shares one.

`FullGrid` and `Labelled` answer the same questions, so every metric takes either. Both
are pytrees whose `sizes`, the number of values of each factor, are static.
"""

import dataclasses
import itertools
import math
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Real

from vae_jax.arrays import known
from vae_jax.metrics.disentanglement.scaling import is_constant

Codes: TypeAlias = Float[Array | np.ndarray, "example latent"]
"""Representations, usually posterior means; example by example as the factors."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Labelled:
    """Any set of examples whose factor classes are known; see `labelled`."""

    all_classes: Int[Array, "example factor"]
    sizes: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    @property
    def number(self) -> int:
        """Of examples."""
        return len(self.all_classes)

    def classes(self, index: Int[Array, " n"]) -> Int[Array, "n factor"]:
        """Of some examples."""
        return self.all_classes[index]

    def matching(
        self, index: Int[Array, " n"], factor: Int[Array, " n"], *, key: Key[Array, ""]
    ) -> Int[Array, " n"]:
        """For each example a random one, it included, of the same class of `factor`."""
        order = jnp.argsort(self.all_classes, axis=0)
        counts = jax.vmap(
            lambda classes: jnp.bincount(classes, length=max(self.sizes)), in_axes=1
        )(self.all_classes)
        first = jnp.cumsum(counts, axis=1) - counts
        value = self.all_classes[index, factor]
        place = jax.random.randint(key, index.shape, 0, counts[factor, value])
        return order[first[factor, value] + place, factor]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FullGrid:
    """Every combination of factor values exactly once, the last factor fastest.

    Nothing is stored: classes and matching examples are arithmetic on the index.

    Raises:
        ValueError: there is no factor, or one of fewer than two values.
    """

    sizes: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    def __post_init__(self):
        if not self.sizes:
            raise ValueError("FullGrid: sizes must be of at least one factor, got ().")
        for factor, size in enumerate(self.sizes):
            if size < 2:
                raise ValueError(
                    "FullGrid: every factor must have at least two values, factor "
                    f"{factor} has {size}; leave it out of sizes."
                )

    @property
    def number(self) -> int:
        """Of examples."""
        return math.prod(self.sizes)

    @property
    def _strides(self) -> Int[Array, " factor"]:
        products = itertools.accumulate(self.sizes[:0:-1], int.__mul__, initial=1)
        return jnp.array(list(products)[::-1], jnp.int32)

    def classes(self, index: Int[Array, " n"]) -> Int[Array, "n factor"]:
        """Of some examples."""
        return index[:, None] // self._strides[None] % jnp.array(self.sizes)[None]

    def matching(
        self, index: Int[Array, " n"], factor: Int[Array, " n"], *, key: Key[Array, ""]
    ) -> Int[Array, " n"]:
        """For each example a random one, it included, of the same class of `factor`."""
        other = jax.random.randint(key, index.shape, 0, self.number)
        stride, size = self._strides[factor], jnp.array(self.sizes)[factor]
        shift = index // stride % size - other // stride % size
        return other + shift * stride


Factors: TypeAlias = FullGrid | Labelled


def labelled(classes: Real[Array | np.ndarray, "example factor"]) -> Labelled:
    """Factors known by their classes alone, of any set of examples.

    The values that a factor has are numbered 0, 1, ... in their order: of 1990, 2000
    and 2010 there are three.

    Raises:
        ValueError: classes are not [example factor], one is negative or no whole
            number, or a factor has one value in all examples.
    """
    host = np.asarray(classes)
    if host.ndim != 2 or not host.size:
        raise ValueError(
            "labelled: classes must be [example factor] and not empty, got shape "
            f"{host.shape}; one factor is classes[:, None]."
        )
    whole = host if host.dtype.kind in "biu" else _whole(host)
    if whole.min() < 0:
        raise ValueError(
            f"labelled: classes must count from 0, got {whole.min()}; "
            "number the values."
        )
    constant = constant_factor(whole)
    if constant is not None:
        raise ValueError(
            f"labelled: factor {constant} has one value in all examples; drop it."
        )
    numbered = [np.unique(values, return_inverse=True) for values in whole.T]
    classes = np.stack([place for _, place in numbered], axis=1)
    sizes = tuple(len(values) for values, _ in numbered)
    return Labelled(jnp.asarray(classes, jnp.int32), sizes)


def _whole(values: np.ndarray) -> Int[np.ndarray, "example factor"]:
    """Floats that are whole numbers, as such."""
    got = values.dtype
    if values.dtype.kind == "f":
        is_whole = np.isfinite(values) & (values == np.floor(values))
        if is_whole.all():
            return values.astype(np.int64)
        got = values[~is_whole][0]
    raise ValueError(
        f"labelled: classes must be whole numbers, got {got}; number the values of "
        "each factor by np.unique(values, return_inverse=True)[1]."
    )


def constant_factor(classes: Real[Array | np.ndarray, "n factor"]) -> int | None:
    """The first factor that has one value in all of these, as far as that is known."""
    host = known(classes)
    if host is None:
        return None
    constant = np.flatnonzero(is_constant(host))
    return int(constant[0]) if constant.size else None


def take(factors: Factors, index: Int[Array, " n"]) -> Labelled:
    """The factors of some of the examples.

    Raises:
        ValueError: a factor has one value in all of them.
    """
    classes = factors.classes(index)
    constant = constant_factor(classes)
    if constant is not None:
        raise ValueError(
            f"take: every factor must vary in the examples taken, factor {constant} "
            f"has one value in all {len(index)}; take more."
        )
    return Labelled(classes, factors.sizes)


class Split(NamedTuple):
    """Indices of examples to fit on and of others to score on."""

    train: Int[Array, " train"]
    test: Int[Array, " test"]


def split_classes(
    factors: Factors, split: Split
) -> tuple[Int[Array, "factor train"], Int[Array, "factor test"]]:
    """The classes of the examples to fit on and to score on, factor by factor."""
    return factors.classes(split.train).T, factors.classes(split.test).T


def split_sizes(number: int, *, train: int, test: int) -> tuple[int, int]:
    """`train` and `test`, or as much in their proportion where `number` is less."""
    if number >= train + test:
        return train, test
    train = min(max(number * train // (train + test), 1), number - 1)
    return train, number - train


def random_split(number: int, *, train: int, test: int, key: Key[Array, ""]) -> Split:
    """Disjoint random examples; in the same proportion where there are too few.

    Raises:
        ValueError: an example for each part is not there or not asked for.
    """
    if min(train, test) < 1 or number < 2:
        raise ValueError(
            "random_split: train and test must be one example each at least, got "
            f"{train} and {test} of {number}."
        )
    train, test = split_sizes(number, train=train, test=test)
    order = jax.random.permutation(key, number)
    return Split(order[:train], order[train : train + test])
