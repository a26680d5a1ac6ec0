"""The dSprites-compatible, procedural set as a builder of TensorFlow Datasets.

Its records have the features of tfds' own `dsprites`, and come in the grid's order.
Neither preparing nor reading needs TensorFlow or a download.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data import images
from vae_jax.data.dsprites.files import LABELS
from vae_jax.data.dsprites.rendering import GRID, PROCEDURAL, SIDE, VALUES, render
from vae_jax.data.factors import FactorGrid

_AT_A_TIME = 1024


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """Which values of the factors."""

    strides: tuple[int, ...] = (1, 1, 1, 1, 1)
    """Every so many-th of each factor; labels count those that are left."""


class DSpritesProcedural(tfds.core.GeneratorBasedBuilder):
    """White squares, ellipses and hearts of every scale, orientation and position.

    dSprites-compatible, procedural: drawn with outlines fitted to dSprites, of which
    about one foreground pixel in a thousand differs.
    """

    name = "dsprites_procedural"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 (declared by tfds)
    BUILDER_CONFIGS = [  # noqa: RUF012 (declared by tfds)
        Config(name="full", description=PROCEDURAL)
    ]

    @property
    def config(self) -> Config:
        """What this builder draws."""
        assert isinstance(self.builder_config, Config)
        return self.builder_config

    @property
    def grid(self) -> FactorGrid:
        """Of the values that it draws."""
        return GRID.every(self.config.strides)

    def _info(self) -> tfds.core.DatasetInfo:
        labels = {
            label: tfds.features.ClassLabel(num_classes=size)
            for label, size in zip(LABELS.values(), self.grid.sizes, strict=True)
        }
        values = {_value_of(label): np.float32 for label in labels}
        image = tfds.features.Image(shape=(SIDE, SIDE, 1), encoding_format="png")
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            homepage="https://github.com/deepmind/dsprites-dataset",
            disable_shuffling=True,
            features=tfds.features.FeaturesDict({"image": image, **labels, **values}),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields images of 0 and 1, as tfds' own set has them."""
        for start in range(0, self.grid.size, _AT_A_TIME):
            index = np.arange(start, min(start + _AT_A_TIME, self.grid.size))
            classes = self.grid.classes(index)
            of_the_whole = classes * np.array([self.config.strides])
            pixels = render(of_the_whole).astype(np.uint8)
            for row in range(len(index)):
                yield (
                    int(index[row]),
                    {
                        "image": images.encode(pixels[row]),
                        **_labels(classes[row], of_the_whole[row]),
                    },
                )


def _labels(
    classes: np.ndarray, of_the_whole: np.ndarray
) -> dict[str, int | np.float32]:
    labels = dict(zip(LABELS.values(), map(int, classes), strict=True))
    values = {
        _value_of(label): np.float32(VALUES[factor][of_the_whole[factor]])
        for factor, label in enumerate(labels)
    }
    return labels | values


def _value_of(label: str) -> str:
    return label.replace("label", "value")
