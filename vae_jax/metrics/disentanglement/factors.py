"""The ground-truth factors of a set of examples: their classes, and who shares one.

`FullGrid` and `Labelled` answer the same questions, so every metric takes either. Both
are pytrees whose `sizes`, the number of values of each factor, are static.
"""

import dataclasses
import itertools
import math
from typing import NamedTuple, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

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

    def with_constants(self, count: int) -> "Labelled":
        """The same with `count` factors of a single value put first."""
        classes = jnp.pad(self.all_classes, ((0, 0), (count, 0)))
        return Labelled(classes, (1,) * count + self.sizes)

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
    """

    sizes: tuple[int, ...] = dataclasses.field(metadata={"static": True})

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

    def with_constants(self, count: int) -> "FullGrid":
        """The same with `count` factors of a single value put first."""
        return FullGrid((1,) * count + self.sizes)

    def matching(
        self, index: Int[Array, " n"], factor: Int[Array, " n"], *, key: Key[Array, ""]
    ) -> Int[Array, " n"]:
        """For each example a random one, it included, of the same class of `factor`."""
        other = jax.random.randint(key, index.shape, 0, self.number)
        stride, size = self._strides[factor], jnp.array(self.sizes)[factor]
        shift = index // stride % size - other // stride % size
        return other + shift * stride


Factors: TypeAlias = FullGrid | Labelled


def labelled(classes: Int[Array | np.ndarray, "example factor"]) -> Labelled:
    """Factors known by their classes 0, 1, ... alone, of any set of examples.

    Raises:
        ValueError: a class is negative, or a factor has one value in all examples.
    """
    host = np.asarray(classes)
    if host.min() < 0:
        raise ValueError(
            f"labelled: classes must count from 0, got {host.min()}; number the values."
        )
    constant = np.flatnonzero((host == host[:1]).all(0))
    if constant.size:
        raise ValueError(
            f"labelled: factor {constant[0]} has one value in all examples; drop it."
        )
    sizes = tuple(int(largest) + 1 for largest in host.max(0))
    return Labelled(jnp.asarray(host, jnp.int32), sizes)


def take(factors: Factors, index: Int[Array, " n"]) -> Labelled:
    """The factors of some of the examples."""
    return Labelled(factors.classes(index), factors.sizes)


class Split(NamedTuple):
    """Indices of examples to fit on and of others to score on."""

    train: Int[Array, " train"]
    test: Int[Array, " test"]


def split_classes(
    factors: Factors, split: Split
) -> tuple[Int[Array, "factor train"], Int[Array, "factor test"]]:
    """The classes of the examples to fit on and to score on, factor by factor."""
    return factors.classes(split.train).T, factors.classes(split.test).T


def random_split(number: int, *, train: int, test: int, key: Key[Array, ""]) -> Split:
    """Disjoint random examples; in the same proportion where there are too few."""
    if number < train + test:
        train = number * train // (train + test)
        test = number - train
    order = jax.random.permutation(key, number)
    return Split(order[:train], order[train : train + test])


def checked(function: str, codes: Codes, factors: Factors | None = None) -> Array:
    """The codes in float32 on the device.

    Raises:
        ValueError: from `function`, if a code is not finite (which a trace cannot
            tell), or the examples of codes and factors differ in number.
    """
    codes = jnp.asarray(codes, jnp.float32)
    if factors is not None and len(codes) != factors.number:
        raise ValueError(
            f"{function}: codes and factors must describe the same examples, got "
            f"{len(codes)} codes and {factors.number} examples."
        )
    if not isinstance(codes, jax.core.Tracer):
        bad = np.flatnonzero(~np.asarray(jnp.isfinite(codes).all(0)))
        if bad.size:
            raise ValueError(
                f"{function}: codes must be finite, latent {bad[0]} is not; "
                "leave out a run that diverged."
            )
    return codes


def require_two_latents(function: str, codes: Array) -> None:
    """Raises a ValueError from `function`, which compares the best two latents."""
    if codes.shape[1] < 2:
        raise ValueError(
            f"{function}: a gap between two latents needs two, got {codes.shape[1]}."
        )
