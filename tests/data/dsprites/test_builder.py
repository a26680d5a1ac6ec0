import numpy as np
import pytest
import tensorflow_datasets as tfds

from vae_jax.data import dsprites
from vae_jax.data.dsprites import files
from vae_jax.data.dsprites.builder import Config, DSpritesProcedural

STRIDES = (1, 5, 13, 11, 16)
GRID = dsprites.GRID.every(STRIDES)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Every so many-th value: 3 x 2 x 4 x 3 x 2 images."""
    folder = tmp_path_factory.mktemp("tfds")
    small = Config(name="small", description="some", strides=STRIDES)
    builder = DSpritesProcedural(
        config=small, data_dir=folder, file_format="array_record"
    )
    builder.download_and_prepare()
    return folder


def test_records_are_the_rendered_images_in_order(data_dir):
    builder = tfds.builder_from_directory(
        data_dir / "dsprites_procedural" / "small" / "1.0.0"
    )
    records = builder.as_data_source(split="train")
    assert len(records) == GRID.size == 144
    for index in (0, 77, 143):
        record, classes = records[index], GRID.classes(np.array(index))
        assert [record[label] for label in files.LABELS.values()] == classes.tolist()
        of_the_whole = classes * np.array(STRIDES)
        expected = dsprites.render(of_the_whole[None])[0, ..., None]
        np.testing.assert_array_equal(record["image"], expected)
        assert record["image"].dtype == np.uint8
        values = [
            record[label.replace("label", "value")] for label in files.LABELS.values()
        ]
        wanted = [
            np.float32(values[value])
            for values, value in zip(dsprites.VALUES, of_the_whole, strict=True)
        ]
        assert values == wanted


def test_the_features_are_those_of_the_original():
    ours, theirs = DSpritesProcedural, tfds.builder_cls("dsprites")
    features = [cls(data_dir="/nonexistent").info.features for cls in (ours, theirs)]
    assert features[0].keys() == features[1].keys()
    for name in features[0]:
        assert features[0][name].shape == features[1][name].shape
        assert features[0][name].np_dtype == features[1][name].np_dtype
        if name.startswith("label"):
            assert features[0][name].num_classes == features[1][name].num_classes


def test_the_whole_set_is_the_default():
    builder = DSpritesProcedural(data_dir="/nonexistent")
    assert builder.config.name == "full"
    assert builder.grid == dsprites.GRID
    assert "procedural" in builder.config.description


def test_prepared_records_are_loaded_without_the_builder(data_dir):
    found = files.load(data_dir)
    assert found.source == "dSprites-compatible, procedural"
    assert found.grid == GRID
    classes = GRID.classes(np.arange(GRID.size)) * np.array(STRIDES)
    np.testing.assert_array_equal(found.stored, dsprites.pack(dsprites.render(classes)))


def test_the_original_is_loaded_whatever_its_order(tmp_path):
    """tfds shuffles it; here a few images are prepared under its name, shuffled."""
    with tfds.core.registered.skip_registration():

        class Original(DSpritesProcedural):
            name = "dsprites"

            def _info(self):
                info = super()._info()
                return tfds.core.DatasetInfo(builder=self, features=info.features)

            def _generate_examples(self):
                for index, example in super()._generate_examples():
                    yield index * 7919 % 1009, example

    Original(
        config=Config(name="", strides=STRIDES),
        data_dir=tmp_path,
        file_format="array_record",
    ).download_and_prepare()
    found = files.load(tmp_path)
    assert found.source == "dSprites"
    classes = GRID.classes(np.arange(GRID.size)) * np.array(STRIDES)
    np.testing.assert_array_equal(found.stored, dsprites.pack(dsprites.render(classes)))


@pytest.mark.parametrize("name", ["dsprites", "dsprites_procedural"])
def test_an_empty_folder_is_refused(tmp_path, name):
    (tmp_path / name / "2.0.0").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no dataset_info\.json\); prepare") as error:
        files.load(tmp_path)
    assert "\n" not in str(error.value)
