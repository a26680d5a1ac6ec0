import numpy as np
import pytest
import tensorflow_datasets as tfds

from vae_jax.data import factor_records, images, shapes3d
from vae_jax.data.factors import FactorGrid

GRID = FactorGrid(shapes3d.GRID.names, (2, 1, 3, 2, 2, 2))


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (GRID.size, 64, 64, 3), np.uint8)


@pytest.fixture
def prepare(tmp_path, pixels):
    """A few images with the features of tfds' own set, in its shuffled order."""

    def prepare(places):
        with tfds.core.registered.skip_registration():

            class Shapes3D(tfds.core.GeneratorBasedBuilder):
                name = "shapes3d"
                VERSION = tfds.core.Version("2.0.0")

                def _info(self):
                    labels = {
                        f"label_{name}": tfds.features.ClassLabel(num_classes=size)
                        for name, size in zip(GRID.names, GRID.sizes, strict=True)
                    }
                    image = tfds.features.Image(shape=(64, 64, 3))
                    features = tfds.features.FeaturesDict({"image": image, **labels})
                    return tfds.core.DatasetInfo(builder=self, features=features)

                def _split_generators(self, dl_manager):
                    return {"train": self._generate_examples()}

                def _generate_examples(self):
                    for key, place in enumerate(places):
                        classes = GRID.classes(np.array(place)).tolist()
                        labels = zip(GRID.names, classes, strict=True)
                        yield (
                            key,
                            {
                                "image": images.encode(pixels[place]),
                                **{f"label_{name}": value for name, value in labels},
                            },
                        )

        Shapes3D(data_dir=tmp_path, file_format="array_record").download_and_prepare()
        return tmp_path

    return prepare


@pytest.mark.parametrize("chunk", [5, 4096])
def test_images_come_in_the_order_of_the_factors(prepare, pixels, chunk, monkeypatch):
    monkeypatch.setattr(factor_records, "_AT_A_TIME", chunk)
    found = shapes3d.load(prepare(range(GRID.size)))
    assert found.grid == GRID
    assert found.source == "Shapes3D"
    np.testing.assert_array_equal(found.stored, pixels)


def test_the_published_grid_has_480000_images():
    assert shapes3d.GRID.size == 480_000
    features = tfds.builder_cls("shapes3d")(data_dir="/nonexistent").info.features
    for name, size in zip(shapes3d.GRID.names, shapes3d.GRID.sizes, strict=True):
        assert features[f"label_{name}"].num_classes == size


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (range(1, 48), "47 of 48 combinations in 47 records"),
        ([0, *range(47)], "47 of 48 combinations in 48 records"),
        ([0, *range(48)], "48 of 48 combinations in 49 records"),
    ],
)
def test_an_incomplete_set_is_refused(prepare, places, reason):
    folder = prepare(places)
    with pytest.raises(ValueError, match=f"must hold Shapes3D .*{reason}") as error:
        shapes3d.load(folder)
    assert "\n" not in str(error.value)


def test_records_of_another_format_are_refused(prepare):
    """What tfds prepares unless it is told not to."""
    folder = prepare(range(GRID.size))
    (info,) = folder.glob("shapes3d/2.0.0/dataset_info.json")
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(
        ValueError, match="must hold Shapes3D as array records"
    ) as error:
        shapes3d.load(folder)
    assert "\n" not in str(error.value)


def test_a_folder_without_it_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds shapes3d/2\.0\.0, got none"):
        shapes3d.load(tmp_path)
