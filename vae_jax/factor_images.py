"""Images of known factors that live on the device: drawn and unpacked inside `jit`."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, assert_never

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from vae_jax.arrays import require_choice, require_index
from vae_jax.data import dsprites
from vae_jax.data.factors import FactorGrid, GridImages

Variant = Literal["plain", "colour", "noisy"]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["stored"],
    meta_fields=["grid", "source", "variant"],
)
@dataclasses.dataclass(frozen=True)
class FactorImages:
    """One image for each combination of generative factors, in the grid's order.

    A pytree: give it to a compiled function as an argument, or the images become a
    constant of the program. Under `jax.vmap` over keys it stays as it is.
    """

    stored: Any
    """As in `GridImages`, or what a transformation of pytrees has put in its place."""
    grid: FactorGrid
    source: str
    """What it is, for tables."""
    variant: Variant = "plain"
    """What `images` makes of them: sprites in a random colour, or on noise."""

    def images(
        self, index: Int[Array, " batch"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch height width channel"]:
        """The images at these places, in [0, 1].

        A variant's colour or noise is drawn from the place and `key`; without a key it
        is always the same.

        Raises:
            ValueError: a place is outside of the grid, as far as that is known.
        """
        require_index("FactorImages.images", "index", index, self.grid.size)
        stored = self.stored[index]
        if stored.ndim > 2:
            return stored.astype(jnp.float32) / 255
        plain = dsprites.unpack(stored, xp=jnp)[..., None].astype(jnp.float32)
        key = jax.random.key(0) if key is None else key
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(index)
        match self.variant:
            case "plain":
                return plain
            case "colour":
                return dsprites.colour(plain, _uniform(keys, (3,)))
            case "noisy":
                return dsprites.noisy(plain, _uniform(keys, (*plain.shape[1:3], 3)))
            case _:
                assert_never(self.variant)

    def as_variant(self, variant: Variant) -> "FactorImages":
        """The same sprites in random colours, or on noise, of three channels each.

        Raises:
            ValueError: The images have colours of their own, or the variant is unknown.
        """
        require_choice("as_variant", "variant", variant, Variant)
        if variant == "plain":
            return self
        if self.stored.ndim > 2:
            raise ValueError(
                f"as_variant: {variant} wants white sprites on black, got "
                f"{self.source}."
            )
        source = f"{self.source}, {variant}"
        return dataclasses.replace(self, source=source, variant=variant)

    def every(self, strides: Sequence[int]) -> "FactorImages":
        """The images of `grid.every(strides)` alone."""
        grid = self.grid.every(strides)
        if grid == self.grid:
            return self
        classes = grid.classes(jnp.arange(grid.size)) * jnp.array([strides])
        stored = self.stored[self.grid.index(classes)]
        return dataclasses.replace(self, stored=stored, grid=grid)

    def sample(
        self, key: Key[Array, ""], number: int
    ) -> tuple[Float[Array, "batch height width channel"], Int[Array, "batch factor"]]:
        """Images with all factors independent and uniform, and the factors' classes."""
        place_key, variant_key = jax.random.split(key)
        index = jax.random.randint(place_key, (number,), 0, self.grid.size)
        return self.images(index, key=variant_key), self.grid.classes(index)

    def sample_matching(
        self,
        key: Key[Array, ""],
        classes: Int[Array, "batch factor"],
        fixed: Bool[Array, "batch factor"],
    ) -> tuple[Float[Array, "batch height width channel"], Int[Array, "batch factor"]]:
        """As `sample`, but the `fixed` factors are those of `classes`."""
        place_key, variant_key = jax.random.split(key)
        drawn = jax.random.randint(place_key, (len(classes),), 0, self.grid.size)
        classes = jnp.where(fixed, classes, self.grid.classes(drawn))
        return self.images(self.grid.index(classes), key=variant_key), classes


def procedural_dsprites(
    strides: tuple[int, int, int, int, int] = (1, 1, 1, 1, 1),
) -> FactorImages:
    """Renders the dSprites-compatible, procedural set on the device.

    The whole set takes 377 MB there.

    Args:
        strides: keeps every so many-th value of each factor, for a smaller set.

    Raises:
        ValueError: not five positive strides.
    """
    grid = dsprites.GRID.every(strides)
    return FactorImages(_render(grid, strides), grid, dsprites.PROCEDURAL)


def load_dsprites(data_dir: str | Path) -> FactorImages:
    """The original dSprites: see `data.dsprites.files.load`, also for errors."""
    from vae_jax.data.dsprites import files  # needs TensorFlow Datasets, the rest not

    return _on_device(files.load(data_dir))


def load_shapes3d(data_dir: str | Path) -> FactorImages:
    """Shapes3D, 5.9 GB on the device: see `data.shapes3d.load`, also for errors."""
    from vae_jax.data import shapes3d  # needs TensorFlow Datasets, the rest not

    return _on_device(shapes3d.load(data_dir))


def _uniform(keys: Key[Array, " batch"], shape: tuple[int, ...]) -> Array:
    return jax.vmap(lambda key: jax.random.uniform(key, shape))(keys)


def _on_device(images: GridImages) -> FactorImages:
    return FactorImages(jnp.asarray(images.stored), images.grid, images.source)


@functools.partial(jax.jit, static_argnames=("grid", "strides"))
def _render(grid: FactorGrid, strides: tuple[int, ...]) -> UInt8[Array, "image bytes"]:
    """One sprite at all its positions at a time."""
    positions = grid.sizes[-2] * grid.sizes[-1]

    def render(sprite: Int[Array, ""]) -> UInt8[Array, "position bytes"]:
        classes = grid.classes(sprite * positions + jnp.arange(positions))
        images = dsprites.render(classes * jnp.array([strides]), xp=jnp)
        return dsprites.pack(images, xp=jnp)

    packed = jax.lax.map(render, jnp.arange(grid.size // positions))
    return packed.reshape(grid.size, -1)
