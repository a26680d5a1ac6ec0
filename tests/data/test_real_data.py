"""On MVTec AD itself: VAE_JAX_MVTEC names the folder that holds the categories."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import category, layout

FOLDER = os.environ.get("VAE_JAX_MVTEC")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER, reason="VAE_JAX_MVTEC is not set"),
]


@pytest.fixture
def root() -> Path:
    return next(iter(layout.locate(FOLDER or "").values())).folder.parent


@pytest.fixture
def screw(root, tmp_path) -> category.CategoryData:
    if not (root / "screw").is_dir():
        pytest.skip("no screw there")
    return category.load_category(root, "screw", prepared_dir=tmp_path, size=64, seed=0)


def test_screw_is_gray_and_whole(screw):
    assert screw.channels == 1
    assert len(screw.train) + len(screw.validation) == 320
    assert 60 < screw.train.mean() < 230


def test_every_screw_mask_is_the_file_of_its_image(root, screw):
    for path, mask in zip(screw.test.paths, screw.test.native_masks, strict=True):
        image = root / "screw" / path
        file = root / f"screw/ground_truth/{image.parent.name}/{image.stem}_mask.png"
        if image.parent.name == "good":
            assert not mask.any()
        else:
            with Image.open(file) as drawn:
                np.testing.assert_array_equal(mask, np.asarray(drawn) > 127)


def test_a_partial_copy_of_leather_is_refused_or_thinned_out(root, tmp_path):
    """Runs where the copy lacks masks, as samples of the set do."""
    files = layout.list_category(root, "leather", missing_masks="skip")
    if not files.unmasked:
        pytest.skip("this leather is complete")
    load = {"prepared_dir": tmp_path, "size": 64, "seed": 0}
    with pytest.raises(ValueError, match="defect images without a mask"):
        category.load_category(root, "leather", **load)
    data = category.load_category(root, "leather", **load, missing_masks="skip")
    assert len(data.test.unmasked) == len(files.unmasked)
    assert data.test.images.shape == (len(files.test), 64, 64, 3)
    assert all(
        mask.any() == marked
        for mask, marked in zip(
            data.test.native_masks,
            data.test.is_anomalous & data.test.is_masked,
            strict=True,
        )
    )
